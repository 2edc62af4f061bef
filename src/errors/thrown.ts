// Reads what was thrown, which can be anything: a system error with a code, any other Error, or no Error at all.

/** The message of an Error, or the value itself as text. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown)
}

/** The system's code of a thrown thing, such as `ECONNREFUSED`; '' where it has none. */
export function errnoOf(thrown: unknown): string {
  const code = (thrown as { code?: unknown } | null | undefined)?.code
  return typeof code === 'string' ? code : ''
}

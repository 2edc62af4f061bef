// Instants as the session log writes them. Reads no clock.

/** Epoch milliseconds (with fractions) as RFC 3339 in UTC with nine fractional digits. */
export function formatInstant(epochMs: number): string {
  const seconds = Math.floor(epochMs / 1000)
  const nanos = Math.min(999_999_999, Math.round((epochMs - seconds * 1000) * 1e6))
  return `${new Date(seconds * 1000).toISOString().slice(0, 19)}.${String(nanos).padStart(9, '0')}Z`
}

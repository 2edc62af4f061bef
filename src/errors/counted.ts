// How many of what, in words: one is never "1 sessions".

/** `1 session`, `1,204 sessions`. `many`: where an s does not do it. */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString('en-US')} ${count === 1 ? one : many}`
}

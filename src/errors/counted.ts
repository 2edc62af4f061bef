// Numbers of things in words, singular or plural.

/** `1 session`, `1,204 sessions`. `many`: the plural where it is not formed with an s. */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString('en-US')} ${count === 1 ? one : many}`
}

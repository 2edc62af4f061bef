// What the language takes for white space around a source and inside patterns: Unicode White_Space. JavaScript's `trim` and
// `\s` differ: they take U+FEFF and leave U+0085.

const ALL = /^\p{White_Space}*$/u
const ONE = /^\p{White_Space}$/u
const LEADING = /^\p{White_Space}+/u

/** Is there nothing but white space, and so no expression? */
export function isBlank(text: string): boolean {
  return ALL.test(text)
}

/** Is this one character white space? */
export function isWhiteSpace(character: string): boolean {
  return ONE.test(character)
}

/** UTF-16 units of white space at the start. */
export function leadingWhiteSpace(text: string): number {
  return LEADING.exec(text)?.[0].length ?? 0
}

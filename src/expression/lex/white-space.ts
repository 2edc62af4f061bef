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

/** Where text begins, behind ordinary blanks, with a character that looks like a blank or like nothing: its name and what to do. */
export function adviseInvisible(text: string): string | undefined {
  const found = /^[ \r\n]*([\p{White_Space}\p{Cf}])/u.exec(text)?.[1] ?? ''
  const code = found.codePointAt(0) ?? 0
  if (code <= 0x7f) return undefined
  return `the invisible character U+${code.toString(16).toUpperCase().padStart(4, '0')} stands here: only spaces and line breaks separate words`
}

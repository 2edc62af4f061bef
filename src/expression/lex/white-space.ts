// White space around a source and inside patterns: Unicode White_Space. JavaScript's `trim` and `\s` differ: they
// include U+FEFF and exclude U+0085.

const ALL = /^\p{White_Space}*$/u
const ONE = /^\p{White_Space}$/u
const LEADING = /^\p{White_Space}+/u

/** Whether the text is only white space, and so no expression. */
export function isBlank(text: string): boolean {
  return !isVisible(text.charCodeAt(0)) && ALL.test(text)
}

/** Whether this is the code of a visible ASCII character: what nearly every source begins and ends with. */
function isVisible(code: number): boolean {
  return code > 0x20 && code < 0x7f
}

/** Whether this one character is white space. */
export function isWhiteSpace(character: string): boolean {
  return !isVisible(character.charCodeAt(0)) && ONE.test(character)
}

/** UTF-16 units of leading white space. */
export function leadingWhiteSpace(text: string): number {
  return isVisible(text.charCodeAt(0)) ? 0 : (LEADING.exec(text)?.[0].length ?? 0)
}

/** The hint for text that begins, after ordinary blanks, with an invisible or blank-like character; undefined
 *  otherwise. */
export function adviseInvisible(text: string): string | undefined {
  const found = /^[ \r\n]*([\p{White_Space}\p{Cf}])/u.exec(text)?.[1] ?? ''
  const code = found.codePointAt(0) ?? 0
  if (code <= 0x7f) return undefined
  return `the invisible character U+${code.toString(16).toUpperCase().padStart(4, '0')} is not allowed here: only spaces and line breaks separate words`
}

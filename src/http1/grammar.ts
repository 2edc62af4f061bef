// The characters of HTTP/1.1 (RFC 9110 section 5, RFC 9112 section 2) as one table, and the few readings of text that framing rests
// on. White space is space and tab only, everywhere: a reader that trims more than its neighbour is a way to smuggle.

export const CR = 0x0d
export const LF = 0x0a
export const SPACE = 0x20
export const COLON = 0x3a

/** What a byte may be part of. */
export const TOKEN = 1
/** a field value: visible characters, space, tab, bytes above 127 */
export const TEXT = 2
export const BLANK = 4
/** a request target: visible ASCII */
export const VISIBLE = 8

/** Kinds of each byte, as bits. */
export const KINDS = Uint8Array.from({ length: 256 }, (_, code) => {
  const character = String.fromCharCode(code)
  const token = /[!#$%&'*+\-.^_`|~0-9A-Za-z]/.test(character) ? TOKEN : 0
  const text = /[\t\x20-\x7e\x80-\xff]/.test(character) ? TEXT : 0
  const blank = /[ \t]/.test(character) ? BLANK : 0
  const visible = /[\x21-\x7e]/.test(character) ? VISIBLE : 0
  return token | text | blank | visible
})

/** Is the character at this place of Latin-1 text of this kind? */
export function isKind(kind: number, text: string, at: number): boolean {
  return ((KINDS[text.charCodeAt(at)] ?? 0) & kind) !== 0
}

/** The first place from `from` to before `to` whose character is not of this kind; `to` where all are. */
export function endOf(kind: number, text: string, from: number, to: number): number {
  let at = from
  while (at < to && ((KINDS[text.charCodeAt(at)] ?? 0) & kind) !== 0) at++
  return at
}

/** Text without optional white space (RFC 9110 section 5.6.3) at its ends. */
export function trimBlanks(text: string): string {
  let from = 0
  let to = text.length
  while (from < to && isKind(BLANK, text, from)) from++
  while (to > from && isKind(BLANK, text, to - 1)) to--
  return from === 0 && to === text.length ? text : text.slice(from, to)
}

/** The elements of a comma-separated list (RFC 9110 section 5.6.1), empty ones left out, in lower case. Knows no quoted strings: for
 *  lists of tokens. */
export function tokensOf(value: string): string[] {
  const tokens: string[] = []
  for (const part of value.split(',')) {
    const token = trimBlanks(part)
    if (token !== '') tokens.push(token.toLowerCase())
  }
  return tokens
}

/** The same name, however it is spelled; `lower` is in lower case. */
export function isNamed(name: string, lower: string): boolean {
  if (name.length !== lower.length) return false
  for (let at = 0; at < lower.length; at++) {
    // in a field name, this bit makes capitals small and nothing else into a letter, a digit or a hyphen
    if ((name.charCodeAt(at) | 0x20) !== lower.charCodeAt(at)) return false
  }
  return true
}

/** A byte as a message shows it: `0x0a`. */
export function byteName(code: number): string {
  return `0x${code.toString(16).padStart(2, '0')}`
}

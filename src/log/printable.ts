// Text that came from outside, made safe to show on a terminal (LG-01): one line, no control or direction-changing
// characters, bounded length. JSON output needs none of this; its escaping is JSON's own.

/** C0 and C1 controls, line separators, direction marks and overrides, zero-width and invisible formatting characters,
 *  lone surrogates. */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/gu

/** The text with every unsafe character written as `\u{…}`, cut to `limit` characters with an ellipsis. */
export function printable(text: string, limit = 80): string {
  const cut = text.length > limit ? `${text.slice(0, limit - 1)}…` : text
  return cut.replace(UNSAFE, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`)
}

// The hash under which texts are looked up: taken from the end and without ASCII case, so that one walk over a name passes the hashes of
// all its parent domains and endings, for rules and for lists alike.

/** Hash of no text. */
export const START = 0

/** Hash of a text that has one more code unit in front. */
export function stepBack(hash: number, unit: number): number {
  const folded = unit >= 0x41 && unit <= 0x5a ? unit | 0x20 : unit
  return (Math.imul(hash ^ folded, 0x01000193) + 0x3c6ef372) | 0
}

/** Hash of a whole text. */
export function hashOfText(text: string): number {
  let hash = START
  for (let at = text.length - 1; at >= 0; at--) hash = stepBack(hash, text.charCodeAt(at))
  return hash
}

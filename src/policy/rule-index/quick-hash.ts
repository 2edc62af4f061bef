// Hashes for the cache of matches: quick rather than good, since what has one hash is compared afterwards.

/** Characters of a text that are looked at, spread over it: two texts alike in all of them only share a place. */
const LOOKED_AT = 32

/** A hash with one more 32-bit number. */
export function mixWord(hash: number, word: number): number {
  const mixed = Math.imul(hash ^ word, 0x2c1b3c6d)
  return mixed ^ (mixed >>> 15)
}

/** A hash with one more name. */
export function hashName(hash: number, name: string): number {
  const { length } = name
  const step = 1 + Math.floor(length / LOOKED_AT)
  let mixed = hash ^ length
  for (let at = 0; at < length; at += step) mixed = Math.imul(mixed ^ name.charCodeAt(at), 0x01000193)
  return mixed ^ (mixed >>> 15)
}

/** A hash with one more text of which there are few: countries, ids of virtual networks. */
export function hashText(hash: number, text: string): number {
  const { length } = text
  const few = (text.charCodeAt(length - 1) << 8) ^ (text.charCodeAt(length - 2) << 16) ^ text.charCodeAt(length >> 1)
  return mixWord(hash, few ^ length)
}

/** The hash with every bit depending on all of it; never 0. */
export function settled(hash: number): number {
  const mixed = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  return mixed ^ (mixed >>> 13) || 1
}

// A small hash that gives the same number for the same text in every process, for spreading users over addresses.
// Not for anything an adversary may choose input for.

/** Unsigned 32-bit hash of text: FNV-1a over its UTF-16 units from `seed`, then murmur3's finaliser, so that texts that
 *  differ in one character give unrelated numbers. */
export function hash32(text: string, seed = 0): number {
  let hash = (0x811c9dc5 ^ seed) >>> 0
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

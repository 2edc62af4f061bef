// Sets of single bytes, as matched by one position of a pattern: tables of 256 flags, built once per pattern.

/** `set[byte]` is 1 for a byte in the set. */
export type ByteClass = Uint8Array

/** The empty set. */
export function emptyClass(): ByteClass {
  return new Uint8Array(256)
}

/** From pairs of first and last byte. */
export function rangesClass(...pairs: readonly (readonly [number, number])[]): ByteClass {
  const set = emptyClass()
  for (const [first, last] of pairs) set.fill(1, first, last + 1)
  return set
}

/** All bytes that are not in the set. */
export function negate(set: ByteClass): ByteClass {
  return set.map((flag) => 1 - flag)
}

/** The bytes in either set. */
export function union(a: ByteClass, b: ByteClass): ByteClass {
  return a.map((flag, byte) => flag | (b[byte] ?? 0))
}

export const CLASS_OPERATORS = {
  '&&': (a: ByteClass, b: ByteClass): ByteClass => a.map((flag, byte) => flag & (b[byte] ?? 0)),
  '--': (a: ByteClass, b: ByteClass): ByteClass => a.map((flag, byte) => flag & (1 - (b[byte] ?? 0))),
  '~~': (a: ByteClass, b: ByteClass): ByteClass => a.map((flag, byte) => flag ^ (b[byte] ?? 0)),
} as const

/** The set with both cases of each of its ASCII letters. */
export function foldCase(set: ByteClass): ByteClass {
  const folded = set.slice()
  for (let upper = 0x41; upper <= 0x5a; upper++) {
    const either = (set[upper] ?? 0) | (set[upper + 32] ?? 0)
    folded[upper] = either
    folded[upper + 32] = either
  }
  return folded
}

const DIGIT = [0x30, 0x39] as const
const UPPER = [0x41, 0x5a] as const
const LOWER = [0x61, 0x7a] as const

/** `\d`, `\s`, `\w`, ASCII only. */
export const PERL_CLASSES: Readonly<Record<string, ByteClass>> = {
  d: rangesClass(DIGIT),
  s: rangesClass([0x09, 0x0d], [0x20, 0x20]),
  w: rangesClass(DIGIT, UPPER, [0x5f, 0x5f], LOWER),
}

/** `[:name:]`, ASCII only. */
export const POSIX_CLASSES: Readonly<Record<string, ByteClass>> = {
  alnum: rangesClass(DIGIT, UPPER, LOWER),
  alpha: rangesClass(UPPER, LOWER),
  ascii: rangesClass([0x00, 0x7f]),
  blank: rangesClass([0x09, 0x09], [0x20, 0x20]),
  cntrl: rangesClass([0x00, 0x1f], [0x7f, 0x7f]),
  digit: rangesClass(DIGIT),
  graph: rangesClass([0x21, 0x7e]),
  lower: rangesClass(LOWER),
  print: rangesClass([0x20, 0x7e]),
  punct: rangesClass([0x21, 0x2f], [0x3a, 0x40], [0x5b, 0x60], [0x7b, 0x7e]),
  space: rangesClass([0x09, 0x0d], [0x20, 0x20]),
  upper: rangesClass(UPPER),
  word: rangesClass(DIGIT, UPPER, [0x5f, 0x5f], LOWER),
  xdigit: rangesClass(DIGIT, [0x41, 0x46], [0x61, 0x66]),
}

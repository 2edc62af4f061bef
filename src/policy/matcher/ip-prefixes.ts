// Arithmetic on addresses and other numbers as unsigned 32-bit words, most significant first: one word for IPv4
// addresses and ports, four for IPv6 addresses.

/** A range of numbers of one width, both ends included. */
export interface WordRange {
  readonly first: readonly number[]
  readonly last: readonly number[]
}

/** Order of two numbers of one width: negative, zero or positive. */
export function compareWords(a: readonly number[], b: readonly number[]): number {
  for (let at = 0; at < a.length; at++) {
    const difference = (a[at] ?? 0) - (b[at] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

/** The number after this one; undefined after the last of its width. */
export function nextWords(words: readonly number[]): number[] | undefined {
  const next = [...words]
  for (let at = next.length - 1; at >= 0; at--) {
    const word = next[at] ?? 0
    if (word < 0xffffffff) {
      next[at] = word + 1
      return next
    }
    next[at] = 0
  }
  return undefined
}

/** The last number whose first `length` bits are those of `words`. */
export function lastWords(words: readonly number[], length: number): readonly number[] {
  return words.map((word, at) => {
    const fixed = Math.min(32, Math.max(0, length - 32 * at))
    return fixed === 32 ? word : (word | (0xffffffff >>> fixed)) >>> 0
  })
}

/** A prefix. The bits of `words` after the first `length` are zero. */
export interface Prefix {
  readonly words: readonly number[]
  readonly length: number
}

/** Prefixes that together cover a range exactly, in order: fewer than two per bit of the width. */
export function prefixesOf(range: WordRange): Prefix[] {
  const [first] = range.first
  const [last] = range.last
  return range.first.length === 1 && first !== undefined && last !== undefined
    ? prefixesOfWord(first, last)
    : prefixesOfWords(range)
}

/** The common case: ports and IPv4 addresses. */
function prefixesOfWord(first: number, last: number): Prefix[] {
  const prefixes: Prefix[] = []
  for (let word = first; word <= last; ) {
    // as large as the low zero bits and the rest of the range allow
    let length = word === 0 ? 0 : Math.clz32(word & -word) + 1
    let size = 2 ** (32 - length)
    while (word + size - 1 > last) {
      length++
      size /= 2
    }
    prefixes.push({ words: [word], length })
    word += size
  }
  return prefixes
}

function prefixesOfWords(range: WordRange): Prefix[] {
  const prefixes: Prefix[] = []
  let first: readonly number[] | undefined = range.first
  while (first !== undefined && compareWords(first, range.last) <= 0) {
    const length = shortestLength(first, range.last)
    prefixes.push({ words: first, length })
    first = nextWords(lastWords(first, length))
  }
  return prefixes
}

/** The shortest prefix length that starts at `first` and does not pass `last`. */
function shortestLength(first: readonly number[], last: readonly number[]): number {
  let length = first.length * 32
  while (length > 0 && bitIsClear(first, length - 1) && compareWords(lastWords(first, length - 1), last) <= 0) length--
  return length
}

function bitIsClear(words: readonly number[], bit: number): boolean {
  return ((words[bit >>> 5] ?? 0) & (0x80000000 >>> (bit & 31))) === 0
}

// Finds every prefix that covers a number: addresses, ports and other integers, as unsigned 32-bit words, most significant
// first (one word for IPv4 addresses and ports, four for IPv6 addresses). Prefixes nest or are disjoint, never overlap in
// part, so one search finds the innermost, and the others are its parents.

/** Receives what was found, entry by entry: an object rather than a closure, so that a lookup allocates nothing. */
export interface PrefixCallback {
  visit(entry: number): void
}

/** An entry of an index and the prefix it is stored under. */
export interface PrefixEntry {
  readonly prefix: Prefix
  readonly entry: number
}

const COARSE = 16

/** Entries stored under prefixes of one width, packed for searching. */
export class PrefixTable {
  readonly #width: number
  readonly #size: number
  /** sorted starts of the intervals over which the innermost prefix is the same */
  readonly #starts: Uint32Array
  /** every 16th of them, for numbers of one word: small enough to stay in the processor's cache */
  readonly #coarse: Uint32Array
  /** per interval the number of its innermost prefix, or -1 */
  readonly #innermost: Int32Array
  /** per prefix the number of the next one around it, or -1 */
  readonly #parents: Int32Array
  readonly #entries: Int32Array

  /** `width`: words per number, 1 or 4. The prefixes must be distinct. */
  constructor(width: number, entries: readonly PrefixEntry[]) {
    const sorted = entries.toSorted((a, b) => comparePrefixes(a.prefix, b.prefix))
    const { starts, innermost, parents } = intervalsOf(sorted.map(({ prefix }) => prefix))
    this.#width = width
    this.#size = starts.length
    this.#starts = Uint32Array.from(starts.flat())
    this.#coarse = this.#starts.filter((_, at) => width === 1 && at % COARSE === 0)
    this.#innermost = Int32Array.from(innermost)
    this.#parents = Int32Array.from(parents)
    this.#entries = Int32Array.from(sorted, ({ entry }) => entry)
  }

  /** Passes the entries of all prefixes that cover a 32-bit number to the callback, the innermost first. */
  visitNumber(value: number, callback: PrefixCallback): void {
    const from = Math.max(0, lastUpTo(this.#coarse, value, 0, this.#coarse.length - 1)) * COARSE
    this.#visitFrom(lastUpTo(this.#starts, value, from, Math.min(from + COARSE, this.#size) - 1), callback)
  }

  /** Like {@link visitNumber}, for numbers of several words. */
  visitWords(words: readonly number[], callback: PrefixCallback): void {
    let low = 0
    let high = this.#size - 1
    while (low <= high) {
      const middle = (low + high) >>> 1
      if (this.#isBefore(words, middle)) high = middle - 1
      else low = middle + 1
    }
    this.#visitFrom(high, callback)
  }

  #visitFrom(interval: number, callback: PrefixCallback): void {
    if (interval < 0) return
    for (let prefix = this.#innermost[interval] ?? -1; prefix >= 0; prefix = this.#parents[prefix] ?? -1) {
      callback.visit(this.#entries[prefix] ?? 0)
    }
  }

  #isBefore(words: readonly number[], interval: number): boolean {
    const from = interval * this.#width
    for (let at = 0; at < this.#width; at++) {
      const a = words[at] ?? 0
      const b = this.#starts[from + at] ?? 0
      if (a !== b) return a < b
    }
    return false
  }
}

/** Index of the last number in `from … to` that is not greater than the value; `from - 1` if all are. */
function lastUpTo(sorted: Uint32Array, value: number, from: number, to: number): number {
  let low = from
  let high = to
  while (low <= high) {
    const middle = (low + high) >>> 1
    if (value < (sorted[middle] ?? 0)) high = middle - 1
    else low = middle + 1
  }
  return high
}

function comparePrefixes(a: Prefix, b: Prefix): number {
  return compareWords(a.words, b.words) || a.length - b.length
}

interface Intervals {
  readonly starts: (readonly number[])[]
  readonly innermost: number[]
  readonly parents: number[]
}

/** Sweeps over sorted prefixes with a stack of the open ones. */
function intervalsOf(prefixes: readonly Prefix[]): Intervals {
  const made: Intervals = { starts: [], innermost: [], parents: [] }
  const open: { readonly number: number; readonly last: readonly number[] }[] = []
  const begin = (start: readonly number[], innermost: number) => {
    const previous = made.starts.at(-1)
    if (previous !== undefined && compareWords(previous, start) === 0)
      made.innermost[made.innermost.length - 1] = innermost
    else {
      made.starts.push(start)
      made.innermost.push(innermost)
    }
  }
  const closeUpTo = (start: readonly number[] | undefined) => {
    for (let top = open.at(-1); top !== undefined; top = open.at(-1)) {
      if (start !== undefined && compareWords(top.last, start) >= 0) return
      open.pop()
      const after = nextWords(top.last)
      if (after !== undefined) begin(after, open.at(-1)?.number ?? -1)
    }
  }
  for (const [number, prefix] of prefixes.entries()) {
    closeUpTo(prefix.words)
    made.parents.push(open.at(-1)?.number ?? -1)
    open.push({ number, last: lastWords(prefix.words, prefix.length) })
    begin(prefix.words, number)
  }
  closeUpTo(undefined)
  return made
}

/** A range of numbers of one width, both ends included. */
export interface WordRange {
  readonly first: readonly number[]
  readonly last: readonly number[]
}

/** Order of two numbers of one width: negative, zero or positive. */
function compareWords(a: readonly number[], b: readonly number[]): number {
  for (let at = 0; at < a.length; at++) {
    const difference = (a[at] ?? 0) - (b[at] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

/** The number after this one; undefined after the last of its width. */
function nextWords(words: readonly number[]): number[] | undefined {
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
function lastWords(words: readonly number[], length: number): readonly number[] {
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

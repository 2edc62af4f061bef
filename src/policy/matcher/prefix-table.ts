// Finds every prefix that covers a number: addresses, ports and other integers alike. Prefixes nest or are apart, never overlap
// in part, so one search finds the innermost and its parents are the rest.

import { compareWords, lastWords, nextWords, type Prefix } from './ip-prefixes.ts'

/** Is shown what was found, one by one: a call without an allocation. */
export interface PrefixCallback<T> {
  visit(item: T): void
}

const COARSE = 16

/** What is stored under prefixes of one width, packed for searching. */
export class PrefixTable<T> {
  readonly #width: number
  readonly #size: number
  /** sorted starts of the stretches in which the innermost prefix does not change */
  readonly #starts: Uint32Array
  /** every so many of them, for numbers of one word: small enough to stay in the processor's cache */
  readonly #coarse: Uint32Array
  /** per stretch the number of its innermost prefix, or -1 */
  readonly #innermost: Int32Array
  /** per prefix the number of the next one around it, or -1 */
  readonly #parents: Int32Array
  readonly #items: readonly T[]

  /** Every prefix at most once. */
  constructor(width: number, entries: readonly { readonly prefix: Prefix; readonly item: T }[]) {
    const sorted = [...entries].sort(
      (a, b) => compareWords(a.prefix.words, b.prefix.words) || a.prefix.length - b.prefix.length,
    )
    const { starts, innermost, parents } = stretchesOf(sorted.map(({ prefix }) => prefix))
    this.#width = width
    this.#size = starts.length
    this.#starts = Uint32Array.from(starts.flat())
    this.#coarse = this.#starts.filter((_, at) => width === 1 && at % COARSE === 0)
    this.#innermost = Int32Array.from(innermost)
    this.#parents = Int32Array.from(parents)
    this.#items = sorted.map(({ item }) => item)
  }

  /** Shows the visitor what is stored under every prefix that covers a 32-bit number, the innermost first. */
  visitNumber(value: number, visitor: PrefixCallback<T>): void {
    const from = Math.max(0, lastUpTo(this.#coarse, value, 0, this.#coarse.length - 1)) * COARSE
    this.#visitFrom(lastUpTo(this.#starts, value, from, Math.min(from + COARSE, this.#size) - 1), visitor)
  }

  /** Like {@link visitNumber}, for numbers of several words. */
  visitWords(words: readonly number[], visitor: PrefixCallback<T>): void {
    let low = 0
    let high = this.#size - 1
    while (low <= high) {
      const middle = (low + high) >>> 1
      if (this.#isBefore(words, middle)) high = middle - 1
      else low = middle + 1
    }
    this.#visitFrom(high, visitor)
  }

  #visitFrom(stretch: number, visitor: PrefixCallback<T>): void {
    if (stretch < 0) return
    for (let prefix = this.#innermost[stretch] ?? -1; prefix >= 0; prefix = this.#parents[prefix] ?? -1) {
      const item = this.#items[prefix]
      if (item !== undefined) visitor.visit(item)
    }
  }

  #isBefore(words: readonly number[], stretch: number): boolean {
    const from = stretch * this.#width
    for (let at = 0; at < this.#width; at++) {
      const a = words[at] ?? 0
      const b = this.#starts[from + at] ?? 0
      if (a !== b) return a < b
    }
    return false
  }
}

/** Index of the last number between two places that is not greater; the place before them where all are. */
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

interface Stretches {
  readonly starts: (readonly number[])[]
  readonly innermost: number[]
  readonly parents: number[]
}

/** Sweeps over sorted prefixes with a stack of the ones that are open. */
function stretchesOf(prefixes: readonly Prefix[]): Stretches {
  const made: Stretches = { starts: [], innermost: [], parents: [] }
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

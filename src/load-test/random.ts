// Repeatable randomness for synthetic load: the same seed gives the same rules and connections on every machine.

export interface Random {
  /** in [0, 1) */
  next(): number
  /** a whole number in [0, below) */
  below(below: number): number
  /** true with this probability */
  chance(probability: number): boolean
  pick<T>(items: readonly T[]): T
  /** like `pick`, by Zipf's law with exponent 1: the n-th item about 1/n times as often as the first */
  pickZipf<T>(items: readonly T[]): T
  /** the same items in another order */
  shuffle<T>(items: readonly T[]): T[]
  /** `count` different items, or all of them when there are fewer */
  sample<T>(items: readonly T[], count: number): T[]
}

/** A generator seeded with an unsigned 32-bit integer (mulberry32: small, fast, good enough to spread load). */
export function createRandom(seed: number): Random {
  let state = seed >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
  const below = (limit: number) => Math.floor(next() * limit)
  const at = <T>(items: readonly T[], index: number): T => {
    const item = items[index]
    if (item === undefined) throw new RangeError('nothing to pick from')
    return item
  }
  const pick = <T>(items: readonly T[]) => at(items, below(items.length))
  // the logarithm of the rank is spread evenly, so rank n comes with probability ln((n+1)/n) / ln(size+1): no table needed
  const pickZipf = <T>(items: readonly T[]) => at(items, Math.floor((items.length + 1) ** next()) - 1)
  const shuffle = <T>(items: readonly T[]): T[] =>
    items
      .map((item) => ({ item, key: next() }))
      .sort((a, b) => a.key - b.key)
      .map(({ item }) => item)
  const sample = <T>(items: readonly T[], count: number): T[] => {
    if (items.length <= count) return [...items]
    const chosen = new Set<T>()
    while (chosen.size < count) chosen.add(pick(items))
    return [...chosen]
  }
  return { next, below, chance: (probability) => next() < probability, pick, pickZipf, shuffle, sample }
}

/** `zipf`: a few come most of the time, the n-th about 1/n times as often as the first; `uniform`: all equally often; `turn`: one after
 *  the other, so that none comes again before all others did. */
export type Order = 'zipf' | 'uniform' | 'turn'

/** Draws made before they begin to repeat. */
const DRAWS = 2 ** 20

/** An endless row of numbers below `count`; the same count, order and seed give the same one. */
export function createDraws(count: number, order: Order, seed = 3): () => number {
  let next = 0
  if (order === 'turn') return () => next++ % count
  const random = createRandom(seed)
  const numbers = random.shuffle(Array.from({ length: count }, (_, number) => number))
  const choose = order === 'zipf' ? random.pickZipf : random.pick
  const draws = Uint32Array.from({ length: DRAWS }, () => choose(numbers))
  return () => draws[next++ % DRAWS] ?? 0
}

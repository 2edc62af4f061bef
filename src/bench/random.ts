// Repeatable randomness for synthetic load: the same seed gives the same rules and connections on every machine.

export interface Random {
  /** in [0, 1) */
  next(): number
  /** a whole number in [0, below) */
  below(below: number): number
  /** true with this probability */
  chance(probability: number): boolean
  pick<T>(items: readonly T[]): T
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
  const pick = <T>(items: readonly T[]): T => {
    const item = items[below(items.length)]
    if (item === undefined) throw new RangeError('nothing to pick from')
    return item
  }
  const sample = <T>(items: readonly T[], count: number): T[] => {
    if (items.length <= count) return [...items]
    const chosen = new Set<T>()
    while (chosen.size < count) chosen.add(pick(items))
    return [...chosen]
  }
  return { next, below, chance: (probability) => next() < probability, pick, sample }
}

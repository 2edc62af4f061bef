// Repeatable randomness for comparisons of a million cases: the same seed gives the same run.

/** A whole number from 0 up to, not including, `below`. */
export type Random = (below: number) => number

/** mulberry32 */
export function randomOf(seed: number): Random {
  let state = seed >>> 0
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below)
  }
}

/** Any of the items. Throws a RangeError where there are none. */
export function pick<T>(items: readonly T[], random: Random): T {
  const item = items[random(items.length)]
  if (item === undefined && items.length === 0) throw new RangeError('nothing to pick from')
  return item as T
}

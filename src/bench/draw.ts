// Which connection comes next: the order in which a load takes them from all there are.

import { createRandom } from './random.ts'

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

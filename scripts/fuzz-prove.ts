// Compares the encoding of proofs with decide() on random policies and connections: `node scripts/fuzz-prove.ts
// [connections] [seed]`, 100,000 and the time of day unless told otherwise. With `--soundness [policies] [seed]`: lets 10,000
// random connections try to refute what is proven of random policies. Exits 1 at the first disagreement.

import { compareWithDecide } from '../test/prove/agreement.ts'
import { holdProofsAgainstConnections } from '../test/prove/soundness.ts'

const isSoundness = process.argv[2] === '--soundness'
const [size = isSoundness ? 100 : 100_000, seed = Date.now() % 2 ** 31] = process.argv
  .slice(isSoundness ? 3 : 2)
  .map(Number)
const started = performance.now()
const [what, each] = isSoundness ? ['policies', 1] : ['connections', size / 10]
process.stdout.write(`seed ${seed}, ${size} ${what}\n`)
let told = 0
const onProgress = (done: number) => {
  if (done - told < each) return
  told = done
  process.stdout.write(`${done} ${what} done\n`)
}
const { faults, ...counts } = isSoundness
  ? await holdProofsAgainstConnections(seed, size, 10_000, onProgress)
  : compareWithDecide(seed, size, onProgress)
process.stdout.write(`${JSON.stringify(counts)} in ${((performance.now() - started) / 1000).toFixed(1)} s\n`)
for (const fault of faults) process.stdout.write(`disagreement: ${fault}\n`)
process.exit(faults.length > 0 ? 1 : 0)

// Compares the encoding of proofs with decide() on random policies and connections: `node scripts/fuzz-prove.ts
// [connections] [seed]`, 100,000 and the time of day unless told otherwise. With `--soundness [policies] [seed]`: lets 10,000
// random connections try to refute what is proven of random policies. With `--planted [policies] [seed]`: plants a small mistake in
// each policy, which has to be found. Exits 1 at the first disagreement.

import { compareWithDecide } from '../test/prove/agreement.ts'
import { plantFaults } from '../test/prove/planted.ts'
import { holdProofsAgainstConnections } from '../test/prove/soundness.ts'

const MODES = ['--soundness', '--planted']
const mode = MODES.find((one) => one === process.argv[2])
const [size = mode === undefined ? 100_000 : 100, seed = Date.now() % 2 ** 31] = process.argv
  .slice(mode === undefined ? 2 : 3)
  .map(Number)
const started = performance.now()
const [what, each] = mode === undefined ? ['connections', size / 10] : ['policies', 1]
process.stdout.write(`seed ${seed}, ${size} ${what}\n`)
let told = 0
const onProgress = (done: number) => {
  if (done - told < each) return
  told = done
  process.stdout.write(`${done} ${what} done\n`)
}
const run = () => {
  if (mode === '--planted') return plantFaults(seed, size, onProgress)
  if (mode === '--soundness') return holdProofsAgainstConnections(seed, size, 10_000, onProgress)
  return compareWithDecide(seed, size, onProgress)
}
const { faults, ...counts } = await run()
process.stdout.write(`${JSON.stringify(counts)} in ${((performance.now() - started) / 1000).toFixed(1)} s\n`)
for (const fault of faults) process.stdout.write(`disagreement: ${fault}\n`)
process.exit(faults.length > 0 ? 1 : 0)

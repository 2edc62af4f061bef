// Compares the encoding of proofs with decide() on random policies and connections: `node scripts/fuzz-prove.ts
// [connections] [seed]`, 100,000 and the time of day unless told otherwise. Exits 1 at the first disagreement.

import { compareWithDecide } from '../test/prove/agreement.ts'

const connections = Number(process.argv[2] ?? 100_000)
const seed = Number(process.argv[3] ?? Date.now() % 2 ** 31)
const started = performance.now()
process.stdout.write(`seed ${seed}, ${connections} connections\n`)
let told = 0
const agreement = compareWithDecide(seed, connections, (done) => {
  if (done - told < connections / 10) return
  told = done
  process.stdout.write(`${done} compared\n`)
})
const seconds = ((performance.now() - started) / 1000).toFixed(1)
process.stdout.write(
  `${agreement.connections} connections of ${agreement.policies} policies in ${seconds} s, ${agreement.matched} decided by a rule\n`,
)
for (const disagreement of agreement.disagreements) process.stdout.write(`disagreement: ${disagreement}\n`)
process.exitCode = agreement.disagreements.length > 0 ? 1 : 0

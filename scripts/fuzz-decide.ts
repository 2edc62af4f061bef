// Compares the index over rules with trying every rule in order, on random rule sets and flows: `node scripts/fuzz-decide.ts
// [comparisons] [seed]`, a million and the time of day unless told otherwise. Exits 1 at the first disagreement.

import { compareWithScan } from '../test/policy/index-agreement.ts'

const comparisons = Number(process.argv[2] ?? 1_000_000)
const seed = Number(process.argv[3] ?? Date.now() % 2 ** 31)
const started = performance.now()
process.stdout.write(`seed ${seed}, ${comparisons} comparisons\n`)

let said = 0
const agreement = compareWithScan({
  seed,
  comparisons,
  onProgress: (done) => {
    if (done - said < comparisons / 10) return
    said = done
    process.stdout.write(`${done} compared\n`)
  },
})
const seconds = ((performance.now() - started) / 1000).toFixed(1)
const share = ((100 * agreement.evaluated) / agreement.rules).toFixed(1)
process.stdout.write(
  `${agreement.comparisons} comparisons in ${seconds} s, ${agreement.matched} with a match; the index evaluated ${share} % of the rules\n`,
)
for (const disagreement of agreement.disagreements) process.stdout.write(`disagreement: ${disagreement}\n`)
process.exitCode = agreement.disagreements.length > 0 ? 1 : 0

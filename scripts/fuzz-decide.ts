// Compares the index over rules, and the cache in front of it, with trying every rule in order, on random rule sets and flows:
// `node scripts/fuzz-decide.ts [comparisons] [seed]`, a million of each and the time of day unless told otherwise. Exits 1 at the
// first disagreement.

import { compareCacheWithScan } from '../test/policy/cache-agreement.ts'
import { compareWithScan } from '../test/policy/index-agreement.ts'

const comparisons = Number(process.argv[2] ?? 1_000_000)
const seed = Number(process.argv[3] ?? Date.now() % 2 ** 31)
const started = performance.now()
process.stdout.write(`seed ${seed}, ${comparisons} comparisons\n`)

const agreement = compareWithScan({ seed, comparisons, onProgress: tellOf('index') })
const seconds = ((performance.now() - started) / 1000).toFixed(1)
const share = ((100 * agreement.evaluated) / agreement.rules).toFixed(1)
process.stdout.write(
  `${agreement.comparisons} comparisons in ${seconds} s, ${agreement.matched} with a match; the index evaluated ${share} % of the rules\n`,
)
const cached = compareCacheWithScan({ seed, comparisons, onProgress: tellOf('cache') })
process.stdout.write(
  `${cached.comparisons} comparisons of the cache, ${cached.matched} with a match, ${cached.known} answers out of it\n`,
)
const disagreements = [...agreement.disagreements, ...cached.disagreements]
for (const disagreement of disagreements) process.stdout.write(`disagreement: ${disagreement}\n`)
process.exitCode = disagreements.length > 0 ? 1 : 0

function tellOf(what: string): (done: number) => void {
  let said = 0
  return (done) => {
    if (done - said < comparisons / 10) return
    said = done
    process.stdout.write(`${what}: ${done} compared\n`)
  }
}

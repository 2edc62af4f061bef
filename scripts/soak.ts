// `npm run soak`: ten minutes of mixed traffic through a real lab while rules change and data centers go and come back, then a
// judgement: no wrong egress address in any record, memory and descriptors back where they were. `--minutes N`, `--rate N`
// (operations a second), `--seed N`, `--json`. Exit 1 when anything is wrong.

import { parseArgs } from 'node:util'
import { processIo } from '../src/cli/process-io.ts'
import { runSoak } from './soak/run-soak.ts'
import { renderSummary } from './soak/summary.ts'

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    rate: { type: 'string', default: '100' },
    seed: { type: 'string', default: String(1 + (Date.now() % 1_000_000)) },
    json: { type: 'boolean', default: false },
  },
})
const io = processIo()
const [minutes, rate, seed] = [values.minutes, values.rate, values.seed].map(Number)
const isSound = (number = Number.NaN) => Number.isFinite(number) && number > 0
if (minutes === undefined || rate === undefined || seed === undefined || ![minutes, rate, seed].every(isSound)) {
  io.stderr.write(
    '`--minutes`, `--rate` and `--seed` take a number above 0, such as `--minutes 10 --rate 100 --seed 7`\n',
  )
  process.exit(2)
}
const summary = await runSoak({ seconds: Math.ceil(minutes * 60), rate, seed }, (line) => io.stderr.write(`${line}\n`))
io.stdout.write(values.json ? `${JSON.stringify(summary, null, 2)}\n` : renderSummary(summary))
process.exitCode = summary.good ? 0 : 1

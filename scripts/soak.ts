// `npm run soak`: ten minutes of mixed traffic through a real lab while rules change and data centers go and come back, then a
// judgement: no wrong egress address in any record, memory and descriptors back where they were. `--minutes N`, `--rate N`
// (operations a second), `--seed N`, `--json`. Exit 1 when anything is wrong.

import { parseArgs } from 'node:util'
import { processIo } from '../src/main/process-io.ts'
import { runSoak } from './soak/run-soak.ts'
import { drawSummary } from './soak/summary.ts'

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    rate: { type: 'string', default: '100' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    json: { type: 'boolean', default: false },
  },
})
const io = processIo()
const summary = await runSoak(
  { seconds: Math.ceil(Number(values.minutes) * 60), rate: Number(values.rate), seed: Number(values.seed) },
  (line) => io.stderr.write(`${line}\n`),
)
io.stdout.write(values.json ? `${JSON.stringify(summary, null, 2)}\n` : drawSummary(summary))
process.exitCode = summary.good ? 0 : 1

// `npm run soak`: mixed traffic through a real lab while clients and origins misbehave, rules change, data centers go and come back
// and descriptors run out; then a judgement: every outcome is what its fault allows, no record is lost or wrong, memory and
// descriptors are back where they were. `--minutes N`, `--rate N` (operations a second), `--seed N`, `--engine linux|node`,
// `--json`. Exit 1 when anything is wrong. `--fairness [--tunnels N]` measures instead what others wait for beside clients that
// take all they can get.

import { parseArgs } from 'node:util'
import { messageOf } from '../src/errors/thrown.ts'
import { drawFairness, measureFairness } from './soak/fairness.ts'
import { runSoak } from './soak/run-soak.ts'
import { readEngineChoice } from './soak/soaked-config.ts'
import { drawSummary } from './soak/summary.ts'

const USAGE =
  'npm run soak -- [--minutes N] [--rate OPERATIONS-A-SECOND] [--seed N] [--engine auto|linux|node] [--warm-up N] [--json]\n' +
  'npm run soak -- --fairness [--tunnels N] [--engine auto|linux|node] [--seed N] [--json]\n'

const { values } = readArguments()
if (values.help) {
  process.stdout.write(USAGE)
  process.exit(0)
}
const [minutes, rate, seed] = [values.minutes, values.rate, values.seed].map(Number)
const isSound = (number = Number.NaN) => Number.isFinite(number) && number > 0
if (minutes === undefined || rate === undefined || seed === undefined || ![minutes, rate, seed].every(isSound)) {
  process.stderr.write(
    '`--minutes`, `--rate` and `--seed` take a number above 0, such as `--minutes 10 --rate 100 --seed 7`\n',
  )
  process.exit(2)
}
const engine = readEngineChoice(values.engine)
const tell = (line: string) => void process.stderr.write(`${line}\n`)
if (values.fairness) {
  const fairness = await measureFairness({ tunnels: Number(values.tunnels), engine, seed }, tell)
  process.stdout.write(values.json ? `${JSON.stringify(fairness, null, 2)}\n` : drawFairness(fairness))
  process.exitCode = fairness.alive === fairness.tunnels ? 0 : 1
} else {
  const request = { seconds: Math.ceil(minutes * 60), rate, seed, engine, warmUp: Number(values['warm-up']) }
  const summary = await runSoak(request, tell)
  process.stdout.write(values.json ? `${JSON.stringify(summary, null, 2)}\n` : drawSummary(summary))
  process.exitCode = summary.good ? 0 : 1
}

function readArguments() {
  try {
    return parseArgs({
      options: {
        help: { type: 'boolean', default: false },
        minutes: { type: 'string', default: '10' },
        rate: { type: 'string', default: '50' },
        engine: { type: 'string', default: 'auto' },
        seed: { type: 'string', default: String(1 + (Date.now() % 1_000_000)) },
        'warm-up': { type: 'string', default: '6000' },
        fairness: { type: 'boolean', default: false },
        tunnels: { type: 'string', default: '10000' },
        json: { type: 'boolean', default: false },
      },
    })
  } catch (thrown) {
    process.stderr.write(`${messageOf(thrown)}\n${USAGE}`)
    process.exit(2)
  }
}

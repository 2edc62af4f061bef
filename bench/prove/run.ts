// How long questions about every connection take: a service's allowlist while any one data center is down, a diff of one
// changed rule, the equality of a reordered policy. Shows that the answers are right before it says how fast they were.

import { spawnSync } from 'node:child_process'
import { keepResults, table } from '../report.ts'
import type { ProofFigures } from './measure.ts'

/** `BENCH_RULES` in the environment takes other sizes, separated by commas. */
const SIZES = (process.env.BENCH_RULES ?? '50,500,5000,10000').split(',').map(Number)

/** Each question in a process of its own, so that memory is that question's. */
export async function benchProveAll(tag: string): Promise<void> {
  const rows: ProofFigures[] = []
  for (const rules of SIZES) {
    for (const question of ['allowlist', 'diff', 'reordered'] as const) {
      process.stderr.write(`${question} of ${rules} rules\n`)
      const script = `${import.meta.dirname}/measure.ts`
      const { stdout, stderr, status } = spawnSync(process.execPath, [script, question, String(rules)], {
        encoding: 'utf8',
      })
      if (status !== 0) throw new Error(`${question} of ${rules} rules: ${stderr}`)
      rows.push(JSON.parse(stdout))
    }
  }
  const head = [
    'question',
    'rules',
    'answer',
    'in terms, ms',
    'solver starts, ms',
    'solved, ms',
    'processor ms',
    'peak MB',
  ]
  const cells = rows.map((one) => [
    one.question,
    one.rules.toLocaleString('en-US'),
    one.answer,
    one.encodeMs.toFixed(0),
    one.startMs.toFixed(0),
    one.solveMs.toFixed(0),
    one.processorMs.toFixed(0),
    one.rssMb.toFixed(0),
  ])
  process.stdout.write(table(head, cells))
  await keepResults(tag, 'prove', rows)
}

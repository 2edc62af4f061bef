// Plays the tour with real curl and real scenarios: what was seen, and why, in the lab's own words.

import { setTimeout as sleep } from 'node:timers/promises'
import { runScenarios } from '../../src/scenario/run-scenarios.ts'
import { type CurlAnswer, curl } from '../../test/support/curl.ts'
import { printed, startProgram } from '../../test/support/example-proof.ts'
import { labelOf, onOneLine } from './example-scenes.ts'
import { privateLab } from './labs.ts'
import { originFacts, type ProofScene, type ScenarioScene, type Step } from './scenes.ts'

/** How long a session may take to end after its client has, before its row goes without the reason. */
const SESSION_END_MS = 1000

export interface Row {
  readonly scenario: string
  readonly expected: string
  readonly seen: string
  readonly good: boolean
  readonly why: string
}

/** One request through the proxy (a URL), held against what is expected of it. */
export async function play(step: Step, proxy: string): Promise<Row> {
  const accept = step.accept === undefined ? [] : ['-H', `accept: ${step.accept}`]
  const answer = await ask(step, proxy, step.url, accept)
  const { scenario, expected } = step
  const seen = step.see(answer)
  return { scenario, expected, seen, good: seen === expected, why: await reason(step, proxy, answer) }
}

function ask(step: Step, proxy: string, url: string, extra: readonly string[] = []): Promise<CurlAnswer> {
  return curl('-x', proxy, '-U', step.login, ...extra, url)
}

/** The decision's reason: an origin's JSON has it, also that of an echo site that was asked in plain; a refusal is one. */
async function reason(step: Step, proxy: string, answer: CurlAnswer): Promise<string> {
  const facts =
    originFacts(answer) ?? (answer.status === 200 ? originFacts(await ask(step, proxy, `${step.url}json`)) : undefined)
  const [firstLine = ''] = answer.body.split('\n', 1)
  return facts?.lab.reason ?? (firstLine === '' ? answer.complaint : firstLine)
}

/** Every command of a configuration's proof, on a lab of its own. Throws an InputError where that cannot start. */
export async function playProof({ config, proof }: ProofScene): Promise<Row[]> {
  const programs = await Promise.all(proof.programs.map(startProgram))
  try {
    const tourLab = await privateLab(config)
    try {
      const rows: Row[] = []
      for (const { command, output } of proof.commands) {
        const before = tourLab.lab.sessions.total
        const seen = await printed(command, tourLab.rewrite)
        const promised = tourLab.promised(output)
        await Promise.race([tourLab.lab.pipeline.sessions.empty(), sleep(SESSION_END_MS, undefined, { ref: false })])
        const last = tourLab.lab.sessions.total > before ? tourLab.lab.sessions.recent().at(-1) : undefined
        rows.push({
          scenario: labelOf(command),
          expected: onOneLine(promised),
          seen: onOneLine(seen),
          good: seen === promised,
          // what left no session behind, or failed before a decision, speaks for itself
          why: last?.Lab.reason || command,
        })
      }
      return rows
    } finally {
      await tourLab.close()
    }
  } finally {
    for (const program of programs) program.kill()
  }
}

/** Every expectation of a scenario, through the proxy of a lab of its own, in no time. Throws an InputError. */
export async function playScenarioScene({ config }: ScenarioScene): Promise<Row[]> {
  const [report] = await runScenarios({ files: [config], mode: 'proxy', pace: 'instant' })
  if (report === undefined) throw new RangeError('a scenario has a report')
  let why = ''
  return report.timeline.flatMap((entry) => {
    if (entry.kind === 'change' || entry.kind === 'note') why = entry.what
    if (entry.kind === 'move') why = entry.why
    if (entry.kind !== 'check') return []
    const { name, passed, differences } = entry
    const found = differences.map(({ what, expected, found }) => `${what}: ${found}, not ${expected}`).join('; ')
    const scenario = `${entry.atMs / 1000} s: ${name}`
    return [{ scenario, expected: 'as expected', seen: passed ? 'as expected' : found, good: passed, why: why || name }]
  })
}

// Plays one step of the tour with real curl: what was seen, and why, in the lab's own words.

import { type CurlAnswer, curl } from '../../test/support/curl.ts'
import { originFacts, type Step } from './scenes.ts'

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

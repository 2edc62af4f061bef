// Runs a scenario on a backend, moment by moment: changes first, then the traffic of that moment, then what is expected.
// One thing at a time, so that a report of the same scenario is the same each time.

import {
  observationDifferences,
  type ScenarioReport,
  ScenarioTimeline,
  type TimedEntry,
} from '../analysis/scenario-timeline.ts'
import type { OutageOfEgress, Pace, ScenarioBackend } from './backend.ts'
import type { ConnectionExpectation, Scenario, ScenarioChange, ScenarioRequestStep, ScenarioRow } from './scenario.ts'

export interface PlayOptions {
  readonly pace: Pace
  readonly onEntry?: (entry: TimedEntry) => void
  /** ends it before its time */
  readonly signal?: AbortSignal
  /** Opens the backend; it calls `onOutage` for egress addresses that fail. */
  readonly openBackend: (onOutage: OutageOfEgress) => Promise<ScenarioBackend>
}

type Act =
  | { readonly kind: 'change'; readonly change: ScenarioChange }
  | { readonly kind: 'hold' | 'request'; readonly request: ScenarioRequestStep }
  | { readonly kind: 'check'; readonly row: ScenarioRow }
  | { readonly kind: 'count'; readonly expected: ConnectionExpectation }

export type TimedAct = Act & { readonly atMs: number }

const ORDER: readonly Act['kind'][] = ['change', 'hold', 'request', 'check', 'count']

/** Everything that is done, in the order it is done: by time, then changes before traffic before expectations, then as the
 *  file has it. */
export function scheduleOf({ steps, traffic }: Pick<Scenario, 'steps' | 'traffic'>): TimedAct[] {
  const acts = steps.flatMap(({ atMs, changes, rows, connections }): TimedAct[] => [
    ...changes.map(({ change }) => ({ atMs, kind: 'change' as const, change })),
    ...rows.map((row) => ({ atMs, kind: 'check' as const, row })),
    ...(connections === undefined ? [] : [{ atMs, kind: 'count' as const, expected: connections }]),
  ])
  for (const { request, everyMs, fromMs, untilMs } of traffic) {
    if (everyMs === undefined) acts.push({ atMs: fromMs, kind: 'hold', request })
    else for (let atMs = fromMs; atMs < untilMs; atMs += everyMs) acts.push({ atMs, kind: 'request', request })
  }
  return acts.sort((a, b) => a.atMs - b.atMs || ORDER.indexOf(a.kind) - ORDER.indexOf(b.kind))
}

/** Plays all of it and answers the report; after the signal, of what was played until then. */
export async function playScenario(scenario: Scenario, options: PlayOptions): Promise<ScenarioReport> {
  const { pace, signal } = options
  const timeline = new ScenarioTimeline(options.onEntry)
  let atMs = 0
  let now = () => scenario.startAt ?? 0
  const moment = () => ({ atMs, time: now() })
  const backend = await options.openBackend((egress, error) => timeline.outage(moment(), egress, error))
  now = () => backend.now()
  try {
    for (const act of scheduleOf(scenario)) {
      await pace.until(act.atMs)
      if (signal?.aborted) break
      atMs = act.atMs
      await perform(act, backend, timeline, moment)
    }
  } finally {
    await backend.close()
  }
  const { name, file, config } = scenario
  return { name, file, config: config.path, mode: backend.mode, visits: timeline.visits, timeline: timeline.timeline }
}

async function perform(
  act: Act,
  backend: ScenarioBackend,
  timeline: ScenarioTimeline,
  moment: () => { atMs: number; time: number },
): Promise<void> {
  switch (act.kind) {
    case 'change': {
      if (act.change.kind === 'note') return timeline.note(moment(), act.change.text)
      const { what, held } = await backend.apply(act.change)
      timeline.change(moment(), what)
      for (const { who, egress, fate, why } of held) timeline.connection(moment(), who, egress, fate, why)
      for (const { request, fate } of held) if (fate !== 'kept') await hold(request, backend, timeline, moment)
      return
    }
    case 'hold':
      return hold(act.request, backend, timeline, moment)
    case 'request':
      return timeline.sighted(moment(), await backend.send(act.request))
    case 'check': {
      const { request, expect, name, line } = act.row
      const observation = await backend.send(request)
      timeline.sighted(moment(), observation)
      return timeline.check(moment(), name, line, observationDifferences(expect, observation))
    }
    case 'count': {
      const { open, reset, line } = act.expected
      const differences = [
        ...countDifference('open', open, timeline.connections.open),
        ...countDifference('reset', reset, timeline.connections.reset),
      ]
      return timeline.check(moment(), 'held connections', line, differences)
    }
  }
}

/** Opens a connection that stays, at the beginning or after it was cut. */
async function hold(
  request: ScenarioRequestStep,
  backend: ScenarioBackend,
  timeline: ScenarioTimeline,
  moment: () => { atMs: number; time: number },
): Promise<void> {
  const { observation, held } = await backend.hold(request)
  timeline.sighted(moment(), observation)
  if (!held) return
  const egress = observation.decision?.egress?.ipv4 ?? observation.decision?.egress?.ipv6 ?? ''
  timeline.connection(moment(), observation, egress, 'opened', observation.decision?.reason ?? '')
}

function countDifference(what: string, wanted: number | undefined, found: number) {
  return wanted === undefined || wanted === found ? [] : [{ what, expected: `${wanted}`, found: `${found}` }]
}

// Plays a scenario on a stage, moment by moment: changes first, then the traffic of that moment, then what is expected.
// One thing at a time, so that a report of the same scenario is the same each time.

import type { ScenarioReport, TimedEntry } from '../analysis/scenario-report.ts'
import { observationDifferences, ScenarioTimeline } from '../analysis/scenario-timeline.ts'
import type { OutageOfEgress, Pace, ScenarioBackend } from './backend.ts'
import type { ConnectionExpectation, Scenario, ScenarioChange, ScenarioRequestStep, ScenarioRow } from './scenario.ts'

export interface PlayOptions {
  readonly pace: Pace
  readonly onEntry?: (entry: TimedEntry) => void
  /** ends it before its time */
  readonly signal?: AbortSignal
  /** Opens what it is played on; `onOutage` is to be told of egress addresses that fail. */
  readonly openStage: (onOutage: OutageOfEgress) => Promise<ScenarioBackend>
}

type Act =
  | { readonly kind: 'change'; readonly change: ScenarioChange }
  | { readonly kind: 'hold' | 'visit'; readonly visit: ScenarioRequestStep }
  | { readonly kind: 'check'; readonly row: ScenarioRow }
  | { readonly kind: 'count'; readonly expected: ConnectionExpectation }

export type TimedAct = Act & { readonly atMs: number }

const ORDER: readonly Act['kind'][] = ['change', 'hold', 'visit', 'check', 'count']

/** Everything that is done, in the order it is done: by time, then changes before traffic before expectations, then as the
 *  file has it. */
export function scheduleOf({ steps, traffic }: Pick<Scenario, 'steps' | 'traffic'>): TimedAct[] {
  const acts = steps.flatMap(({ atMs, changes, rows, connections }): TimedAct[] => [
    ...changes.map(({ change }) => ({ atMs, kind: 'change' as const, change })),
    ...rows.map((row) => ({ atMs, kind: 'check' as const, row })),
    ...(connections === undefined ? [] : [{ atMs, kind: 'count' as const, expected: connections }]),
  ])
  for (const { visit, everyMs, fromMs, untilMs } of traffic) {
    if (everyMs === undefined) acts.push({ atMs: fromMs, kind: 'hold', visit })
    else for (let atMs = fromMs; atMs < untilMs; atMs += everyMs) acts.push({ atMs, kind: 'visit', visit })
  }
  return acts.sort((a, b) => a.atMs - b.atMs || ORDER.indexOf(a.kind) - ORDER.indexOf(b.kind))
}

/** Plays all of it and answers the report; after the signal, of what was played until then. */
export async function playScenario(scenario: Scenario, options: PlayOptions): Promise<ScenarioReport> {
  const { pace, signal } = options
  const ledger = new ScenarioTimeline(options.onEntry)
  let atMs = 0
  let now = () => scenario.startAt ?? 0
  const moment = () => ({ atMs, time: now() })
  const stage = await options.openStage((egress, error) => ledger.outage(moment(), egress, error))
  now = () => stage.now()
  try {
    for (const act of scheduleOf(scenario)) {
      await pace.until(act.atMs)
      if (signal?.aborted) break
      atMs = act.atMs
      await perform(act, stage, ledger, moment)
    }
  } finally {
    await stage.close()
  }
  const { name, file, config } = scenario
  return { name, file, config: config.path, mode: stage.mode, visits: ledger.visits, timeline: ledger.timeline }
}

async function perform(
  act: Act,
  stage: ScenarioBackend,
  ledger: ScenarioTimeline,
  moment: () => { atMs: number; time: number },
): Promise<void> {
  switch (act.kind) {
    case 'change': {
      if (act.change.kind === 'note') return ledger.note(moment(), act.change.text)
      const { what, held } = await stage.apply(act.change)
      ledger.change(moment(), what)
      for (const { who, egress, fate, why } of held) ledger.connection(moment(), who, egress, fate, why)
      for (const { visit, fate } of held) if (fate !== 'kept') await hold(visit, stage, ledger, moment)
      return
    }
    case 'hold':
      return hold(act.visit, stage, ledger, moment)
    case 'visit':
      return ledger.sighted(moment(), await stage.visit(act.visit))
    case 'check': {
      const { visit, expect, name, line } = act.row
      const sighting = await stage.visit(visit)
      ledger.sighted(moment(), sighting)
      return ledger.check(moment(), name, line, observationDifferences(expect, sighting))
    }
    case 'count': {
      const { open, reset, line } = act.expected
      const differences = [
        ...countDifference('open', open, ledger.connections.open),
        ...countDifference('reset', reset, ledger.connections.reset),
      ]
      return ledger.check(moment(), 'held connections', line, differences)
    }
  }
}

/** Opens a connection that stays, at the beginning or after it was cut. */
async function hold(
  visit: ScenarioRequestStep,
  stage: ScenarioBackend,
  ledger: ScenarioTimeline,
  moment: () => { atMs: number; time: number },
): Promise<void> {
  const { sighting, held } = await stage.hold(visit)
  ledger.sighted(moment(), sighting)
  if (!held) return
  const egress = sighting.decision?.egress?.ipv4 ?? sighting.decision?.egress?.ipv6 ?? ''
  ledger.connection(moment(), sighting, egress, 'opened', sighting.decision?.reason ?? '')
}

function countDifference(what: string, wanted: number | undefined, found: number) {
  return wanted === undefined || wanted === found ? [] : [{ what, expected: `${wanted}`, found: `${found}` }]
}

import { describe, expect, test } from 'vitest'
import { entriesOf } from '../../src/analysis/scenario-report.ts'
import type { Observation } from '../../src/analysis/scenario-timeline.ts'
import type { HeldConnectionFate, ScenarioBackend } from '../../src/scenario/backend.ts'
import { playScenario, scheduleOf } from '../../src/scenario/play.ts'
import type { Scenario, ScenarioRequestStep, ScenarioRow, ScenarioTraffic, Step } from '../../src/scenario/scenario.ts'

const complain = () => undefined
const bob: ScenarioRequestStep = { user: 'bob', destination: 'o.test:80' }
const row = (name: string): ScenarioRow => ({ name, line: 1, visit: bob, expect: {}, complain })
const step = (atMs: number, more: Partial<Step> = {}): Step => ({ atMs, changes: [], rows: [], complain, ...more })
const down = { key: 'colo_down', change: { kind: 'colo', code: 'LAX', up: false, reset: true } } as const
const every = (everyMs: number, fromMs: number, untilMs: number): ScenarioTraffic => ({
  visit: bob,
  everyMs,
  fromMs,
  untilMs,
  complain,
})

const scenario = (more: Partial<Scenario>): Scenario => ({
  file: 's.yaml',
  name: 's',
  config: { written: 'c.yaml', path: 'c.yaml' },
  durationMs: 10,
  traffic: [],
  steps: [],
  complainOfConfig: complain,
  issues: [],
  ...more,
})

const sighting: Observation = { login: 'bob', destination: 'o.test:80', status: 200, letIn: null, seenIn: null }

/** A stage that writes down what is done to it. */
function recorder(held: readonly HeldConnectionFate[] = []) {
  const done: string[] = []
  const stage: ScenarioBackend = {
    mode: 'decide',
    now: () => 0,
    apply: async ({ kind }) => {
      done.push(kind)
      return { what: kind, held }
    },
    visit: async ({ destination }) => {
      done.push(`visit ${destination}`)
      return sighting
    },
    hold: async () => {
      done.push('hold')
      return { sighting, held: true }
    },
    close: async () => void done.push('closed'),
  }
  return { done, stage }
}

describe('the schedule', () => {
  test('is by time; at one moment changes, then traffic, then expectations', () => {
    const steps = [step(5, { rows: [row('later')], changes: [down] }), step(0, { rows: [row('first')] })]
    const acts = scheduleOf({ steps, traffic: [every(5, 0, 10), { visit: bob, fromMs: 5, untilMs: 10, complain }] })
    expect(acts.map(({ atMs, kind }) => `${atMs} ${kind}`)).toEqual([
      '0 visit',
      '0 check',
      '5 change',
      '5 hold',
      '5 visit',
      '5 check',
    ])
  })

  test('visits from the first moment on, not at the last', () => {
    expect(scheduleOf({ steps: [], traffic: [every(4, 2, 10)] }).map(({ atMs }) => atMs)).toEqual([2, 6])
  })
})

describe('playing', () => {
  test('waits for each moment in order, and closes the stage', async () => {
    const waited: number[] = []
    const { done, stage } = recorder()
    const pace = { until: async (atMs: number) => void waited.push(atMs) }
    await playScenario(scenario({ traffic: [every(3, 0, 7)], steps: [step(4, { changes: [down] })] }), {
      pace,
      openStage: async () => stage,
    })
    expect(waited).toEqual([0, 3, 4, 6])
    expect(done).toEqual(['visit o.test:80', 'visit o.test:80', 'colo', 'visit o.test:80', 'closed'])
  })

  test('a held connection that is reset is opened again at once; one that is kept is not', async () => {
    const fate = (of: HeldConnectionFate['fate']): HeldConnectionFate => ({
      visit: bob,
      who: sighting,
      egress: 'a',
      fate: of,
      why: '',
    })
    const { done, stage } = recorder([fate('reset'), fate('kept')])
    const report = await playScenario(scenario({ steps: [step(0, { changes: [down] })] }), {
      pace: { until: async () => {} },
      openStage: async () => stage,
    })
    expect(done).toEqual(['colo', 'hold', 'closed'])
    expect(entriesOf(report, 'connection').map((entry) => entry.fate)).toEqual(['reset', 'kept', 'opened'])
  })

  test('ends at the signal, and closes the stage', async () => {
    const { done, stage } = recorder()
    const ending = new AbortController()
    const report = await playScenario(scenario({ traffic: [every(1, 0, 10)] }), {
      pace: { until: async (atMs) => void (atMs === 2 && ending.abort()) },
      signal: ending.signal,
      openStage: async () => stage,
    })
    expect(report.visits).toBe(2)
    expect(done.at(-1)).toBe('closed')
  })

  test('closes the stage when something breaks', async () => {
    const { done, stage } = recorder()
    const broken: ScenarioBackend = { ...stage, visit: () => Promise.reject(new Error('broken')) }
    const playing = playScenario(scenario({ traffic: [every(1, 0, 2)] }), {
      pace: { until: async () => {} },
      openStage: async () => broken,
    })
    await expect(playing).rejects.toThrow('broken')
    expect(done).toEqual(['closed'])
  })

  test('outages are told at the moment they are noticed', async () => {
    const { stage } = recorder()
    const report = await playScenario(scenario({ traffic: [every(5, 0, 6)] }), {
      pace: { until: async () => {} },
      openStage: async (onOutage) => ({
        ...stage,
        visit: async () => {
          onOutage('203.0.113.1', { code: 'egress.exit_failed', message: 'no' })
          return sighting
        },
      }),
    })
    expect(entriesOf(report, 'outage').map(({ atMs, egress }) => [atMs, egress])).toEqual([
      [0, '203.0.113.1'],
      [5, '203.0.113.1'],
    ])
  })
})

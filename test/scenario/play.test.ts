import { describe, expect, test } from 'vitest'
import { entriesOf, type Observation } from '../../src/analysis/scenario-timeline.ts'
import type { HeldConnectionFate, ScenarioBackend } from '../../src/scenario/backend.ts'
import { playScenario, scheduleOf } from '../../src/scenario/play.ts'
import type { Scenario, ScenarioRequestStep, ScenarioRow, ScenarioTraffic, Step } from '../../src/scenario/scenario.ts'

const complain = () => undefined
const bob: ScenarioRequestStep = { user: 'bob', destination: 'o.test:80' }
const row = (name: string): ScenarioRow => ({ name, line: 1, request: bob, expect: {}, complain })
const step = (atMs: number, more: Partial<Step> = {}): Step => ({ atMs, changes: [], rows: [], complain, ...more })
const down = { key: 'colo_down', change: { kind: 'colo', code: 'LAX', up: false, reset: true } } as const
const every = (everyMs: number, fromMs: number, untilMs: number): ScenarioTraffic => ({
  request: bob,
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

const observation: Observation = { login: 'bob', destination: 'o.test:80', status: 200, letIn: null, seenIn: null }

/** A backend that writes down what is done to it. */
function recorder(held: readonly HeldConnectionFate[] = []) {
  const done: string[] = []
  const backend: ScenarioBackend = {
    mode: 'decide',
    now: () => 0,
    apply: async ({ kind }) => {
      done.push(kind)
      return { what: kind, held }
    },
    send: async ({ destination }) => {
      done.push(`send ${destination}`)
      return observation
    },
    hold: async () => {
      done.push('hold')
      return { observation, held: true }
    },
    close: async () => void done.push('closed'),
  }
  return { done, backend }
}

describe('the schedule', () => {
  test('is by time; at one moment changes, then traffic, then expectations', () => {
    const steps = [step(5, { rows: [row('later')], changes: [down] }), step(0, { rows: [row('first')] })]
    const acts = scheduleOf({ steps, traffic: [every(5, 0, 10), { request: bob, fromMs: 5, untilMs: 10, complain }] })
    expect(acts.map(({ atMs, kind }) => `${atMs} ${kind}`)).toEqual([
      '0 request',
      '0 check',
      '5 change',
      '5 hold',
      '5 request',
      '5 check',
    ])
  })

  test('requests from the first moment on, not at the last', () => {
    expect(scheduleOf({ steps: [], traffic: [every(4, 2, 10)] }).map(({ atMs }) => atMs)).toEqual([2, 6])
  })
})

describe('playing', () => {
  test('waits for each moment in order, and closes the backend', async () => {
    const waited: number[] = []
    const { done, backend } = recorder()
    const pace = { until: async (atMs: number) => void waited.push(atMs) }
    await playScenario(scenario({ traffic: [every(3, 0, 7)], steps: [step(4, { changes: [down] })] }), {
      pace,
      openBackend: async () => backend,
    })
    expect(waited).toEqual([0, 3, 4, 6])
    expect(done).toEqual(['send o.test:80', 'send o.test:80', 'colo', 'send o.test:80', 'closed'])
  })

  test('a held connection that is reset is opened again at once; one that is kept is not', async () => {
    const fate = (of: HeldConnectionFate['fate']): HeldConnectionFate => ({
      request: bob,
      who: observation,
      egress: 'a',
      fate: of,
      why: '',
    })
    const { done, backend } = recorder([fate('reset'), fate('kept')])
    const report = await playScenario(scenario({ steps: [step(0, { changes: [down] })] }), {
      pace: { until: async () => {} },
      openBackend: async () => backend,
    })
    expect(done).toEqual(['colo', 'hold', 'closed'])
    expect(entriesOf(report, 'connection').map((entry) => entry.fate)).toEqual(['reset', 'kept', 'opened'])
  })

  test('ends at the signal, and closes the backend', async () => {
    const { done, backend } = recorder()
    const ending = new AbortController()
    const report = await playScenario(scenario({ traffic: [every(1, 0, 10)] }), {
      pace: { until: async (atMs) => void (atMs === 2 && ending.abort()) },
      signal: ending.signal,
      openBackend: async () => backend,
    })
    expect(report.visits).toBe(2)
    expect(done.at(-1)).toBe('closed')
  })

  test('closes the backend when something breaks', async () => {
    const { done, backend } = recorder()
    const broken: ScenarioBackend = { ...backend, send: () => Promise.reject(new Error('broken')) }
    const playing = playScenario(scenario({ traffic: [every(1, 0, 2)] }), {
      pace: { until: async () => {} },
      openBackend: async () => broken,
    })
    await expect(playing).rejects.toThrow('broken')
    expect(done).toEqual(['closed'])
  })

  test('outages are told at the moment they are noticed', async () => {
    const { backend } = recorder()
    const report = await playScenario(scenario({ traffic: [every(5, 0, 6)] }), {
      pace: { until: async () => {} },
      openBackend: async (onOutage) => ({
        ...backend,
        send: async () => {
          onOutage('203.0.113.1', { code: 'egress.exit_failed', message: 'no' })
          return observation
        },
      }),
    })
    expect(entriesOf(report, 'outage').map(({ atMs, egress }) => [atMs, egress])).toEqual([
      [0, '203.0.113.1'],
      [5, '203.0.113.1'],
    ])
  })
})

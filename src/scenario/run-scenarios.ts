// Runs scenarios for `egresslab scenario`: reads and checks every file first, then runs one after the other.

import { setTimeout as sleep } from 'node:timers/promises'
import { junitReport } from '../analysis/junit.ts'
import { entriesOf, type ScenarioReport, type TimedEntry } from '../analysis/scenario-timeline.ts'
import { readConfig } from '../decider/read-config.ts'
import { InputError, type Issue } from '../errors/issue.ts'
import type { Pace } from './backend.ts'
import { openDecisionBackend } from './decision-backend.ts'
import { playScenario } from './play.ts'
import { openProxyBackend } from './proxy-backend.ts'
import { readScenario } from './read-scenario.ts'
import { checkNames, type Scenario } from './scenario.ts'

/** Runs scenarios one after the other. Throws an InputError with every problem of every file before the first one runs. */
export async function runScenarios(request: ScenarioRequest): Promise<readonly ScenarioReport[]> {
  const scenarios = request.files.map(readScenario)
  const configs = new Map<string, ReturnType<typeof readConfig>['config']>()
  const issues = scenarios.flatMap((scenario) => [...problemsOf(scenario, request.config, configs)])
  if (issues.length > 0) throw new InputError(issues)
  const reports: ScenarioReport[] = []
  for (const scenario of scenarios) {
    if (request.signal?.aborted) break
    request.onBegin?.(scenario)
    const report = await playOne(scenario, request)
    reports.push(report)
    request.onEnd?.(report)
  }
  return reports
}

function problemsOf(
  scenario: Scenario,
  configFile: string | undefined,
  configs: Map<string, ReturnType<typeof readConfig>['config']>,
): readonly Issue[] {
  // without a right shape there are no names to look up
  if (scenario.steps.length === 0) return scenario.issues
  const path = configFile ?? scenario.config.path
  try {
    const config = configs.get(path) ?? readConfig(path).config
    configs.set(path, config)
    checkNames(scenario, config)
  } catch (thrown) {
    if (!(thrown instanceof InputError)) throw thrown
    const [issue] = thrown.issues
    if (issue?.code !== 'config.unreadable' || configFile !== undefined) return thrown.issues
    scenario.complainOfConfig(issue.code, issue.message)
  }
  return scenario.issues.toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0))
}

function playOne(scenario: Scenario, request: ScenarioRequest): Promise<ScenarioReport> {
  const { pace, mode, onEntry, signal } = request
  const startAt = scenario.startAt ?? Date.now()
  const clock = pace === 'instant' ? instantClock(startAt) : runningClock(startAt, pace, signal)
  const configFile = request.config ?? scenario.config.path
  const { machineTime } = clock
  return playScenario(
    { ...scenario, config: { ...scenario.config, path: configFile } },
    {
      pace: clock,
      ...(onEntry === undefined ? {} : { onEntry }),
      ...(signal === undefined ? {} : { signal }),
      openBackend: (onOutage) =>
        mode === 'decide'
          ? openDecisionBackend({ config: readConfig(configFile).config, machineTime, onOutage })
          : openProxyBackend({ configFile, machineTime, onOutage }),
    },
  )
}

/** The JUnit report of these scenarios: one test case per expectation. */
export function scenarioJunit(reports: readonly ScenarioReport[]): string {
  const files = reports.map((report) => ({
    file: report.file,
    config: report.config,
    cases: entriesOf(report, 'check').map(({ name, line, passed, differences, atMs }) => ({
      name: `${atMs / 1000} s: ${name}`,
      file: report.file,
      line,
      passed,
      differences,
      durationMs: 0,
    })),
  }))
  return junitReport({ files }, () => 'run `egresslab scenario` to see the timeline up to here', 'egresslab scenario')
}

const MAX_TIMER_MS = 2 ** 31 - 1

export interface ScenarioClock extends Pace {
  /** what the lab takes for the machine's time, epoch ms */
  readonly machineTime: () => number
}

/** Each moment comes as soon as what was before it is done. */
export function instantClock(startAt: number): ScenarioClock {
  let now = startAt
  return {
    machineTime: () => now,
    until: async (atMs) => {
      now = Math.max(now, startAt + atMs)
    },
  }
}

/** Moments come when it is their time, `speed` times as fast as the machine's clock. Begins with the first moment. */
export function runningClock(startAt: number, speed: number, signal?: AbortSignal): ScenarioClock {
  let begun: number | undefined
  const elapsed = () => (begun === undefined ? 0 : (performance.now() - begun) * speed)
  return {
    machineTime: () => startAt + elapsed(),
    until: async (atMs) => {
      begun ??= performance.now()
      // timers may fire a little early, and hold 24 days at most
      while (elapsed() < atMs && !signal?.aborted) {
        const waitMs = Math.min((atMs - elapsed()) / speed, MAX_TIMER_MS)
        // a stop is not a failure: the caller checks the signal
        await sleep(waitMs, undefined, signal === undefined ? {} : { signal }).catch(() => undefined)
      }
    },
  }
}

export interface ScenarioRequest {
  readonly files: readonly string[]
  /** in place of the configuration that each file names */
  readonly config?: string
  /** through the proxy of a lab, or by deciding alone */
  readonly mode: 'proxy' | 'decide'
  /** how many times as fast as the machine's clock */
  readonly pace: 'instant' | number
  readonly onBegin?: (scenario: { readonly name: string; readonly file: string; readonly durationMs: number }) => void
  readonly onEntry?: (entry: TimedEntry) => void
  readonly onEnd?: (report: ScenarioReport) => void
  /** ends it before its time */
  readonly signal?: AbortSignal
}

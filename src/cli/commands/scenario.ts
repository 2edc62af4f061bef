// `scenario`: runs timed outages, rule changes and client traffic on a private lab, and reports which clients moved, which were
// refused by allowlists, and which expectations failed.

import { InvalidArgumentError } from 'commander'
import { passed, type ScenarioReport } from '../../analysis/scenario-timeline.ts'
import { writeOutput } from '../../config/files.ts'
import type { ScenarioRequest } from '../../scenario/run-scenarios.ts'
import {
  renderScenarioEntry,
  renderScenarioHead,
  renderScenarioSummary,
  scenarioDocument,
} from '../render/render-scenario.ts'
import { chosenFormat, printReport, type ReportOptions, withProblemsReported, withReport } from '../render/report.ts'
import { reportOfScenarios } from '../render/report-of.ts'
import { watchStopSignal } from '../signals.ts'
import { type Io, PLAIN, stylesFor } from '../terminal.ts'
import { type ExitCode, type RegisterVerb, withJson } from '../verb.ts'

interface Options extends ReportOptions {
  readonly config?: string
  readonly speed?: number
  readonly instant?: true
  readonly decide?: true
  readonly junit?: string
}

export const registerScenario: RegisterVerb = (program, { io, action }) => {
  withReport(withJson(program.command('scenario <files...>')))
    .description('runs scenarios: timed outages, rule changes and client traffic, with expectations')
    .option('-c, --config <file>', 'use this configuration instead of the one each scenario names')
    .option('--speed <factor>', 'speed relative to real time (default: 1)', factor)
    .option('--instant', 'do not wait between the steps')
    .option('--decide', 'only decide; open no connections')
    .option('--junit <file>', 'write a JUnit report to this file')
    .action(
      action(async (files: readonly string[], options: Options) => {
        return withProblemsReported(io, options, { verb: 'scenario', subject: files[0] ?? '' }, () =>
          options.instant === true || options.decide === true
            ? runAll(requestOf(files, options), options, io)
            : runUntilStopped(files, options, io),
        )
      }),
    )
}

function requestOf(files: readonly string[], { config, speed, instant, decide }: Options): ScenarioRequest {
  const waits = speed !== undefined || (instant === undefined && decide === undefined)
  return {
    files,
    mode: decide === true ? 'decide' : 'proxy',
    pace: waits && instant === undefined ? (speed ?? 1) : 'instant',
    ...(config === undefined ? {} : { config }),
  }
}

/** One that takes its time ends with a signal, too. */
async function runUntilStopped(files: readonly string[], options: Options, io: Io): Promise<ExitCode> {
  const ending = new AbortController()
  const stop = watchStopSignal()
  const stopped = stop.promise.then((code) => {
    ending.abort()
    return code
  })
  try {
    const code = await runAll({ ...requestOf(files, options), signal: ending.signal }, options, io)
    return ending.signal.aborted ? await stopped : code
  } finally {
    stop.forget()
  }
}

async function runAll(request: ScenarioRequest, options: Options, io: Io): Promise<ExitCode> {
  const style = stylesFor(io, io.stdout)
  let isFirst = true
  const draws: Partial<ScenarioRequest> =
    chosenFormat(options) === 'text'
      ? {
          onBegin: (scenario) => {
            io.stdout.write(`${isFirst ? '' : '\n'}${renderScenarioHead(scenario, style)}`)
            isFirst = false
          },
          onEntry: (entry) => io.stdout.write(renderScenarioEntry(entry, style)),
          onEnd: (report) => io.stdout.write(renderScenarioSummary(report, style)),
        }
      : {}
  const { runScenarios, scenarioJunit } = await import('../../scenario/run-scenarios.ts')
  const reports = await runScenarios({ ...request, ...draws })
  const junit = scenarioJunit(reports)
  if (options.junit !== undefined) writeOutput(options.junit, junit, 'scenario.unwritable')
  await printReport(io, options, {
    report: reportOfScenarios(reports, junit),
    // told as it happened
    text: () => '',
    plain: () => reports.map(wholeText).join('\n'),
    json: () => asDocument(reports),
  })
  return reports.every(passed) ? 0 : 1
}

function wholeText(report: ScenarioReport): string {
  const entries = report.timeline.map((entry) => renderScenarioEntry(entry, PLAIN))
  return [renderScenarioHead(report, PLAIN), ...entries, renderScenarioSummary(report, PLAIN)].join('')
}

function asDocument(reports: readonly ScenarioReport[]): unknown {
  return { passed: reports.every(passed), scenarios: reports.map(scenarioDocument) }
}

function factor(text: string): number {
  const value = Number(text)
  if (!/^\d+(\.\d+)?$/.test(text) || value <= 0) throw new InvalidArgumentError('expected a number above 0.')
  return value
}

// `test`: runs policy tests, tables of connections and the decision expected for each. Shows which cases pass, why the others
// fail, and which rules no case covers.

import { InvalidArgumentError } from 'commander'
import { junitReport } from '../../analysis/junit.ts'
import { coveredPercent } from '../../analysis/policy-test.ts'
import { writeOutput } from '../../config/files.ts'
import { explanationJson } from '../../decider/explain-connection.ts'
import { InputError, type Issue, inputError } from '../../errors/issue.ts'
import type { PolicyTestCase, PolicyTestRun, RunOptions } from '../../policy-tests/run-policy-tests.ts'
import { createFileWatch } from '../../policy-tests/test-files.ts'
import { tellOfGeo } from '../lazy-imports.ts'
import { renderIssues } from '../render/render-issues.ts'
import { failureDetail, percentText, renderCount, renderCoverage, renderTestRun } from '../render/render-test-run.ts'
import { chosenFormat, printReport, type ReportOptions, withProblemsReported, withReport } from '../render/report.ts'
import { reportOfTests } from '../render/report-of.ts'
import { exitCodeOf, untilStopSignal } from '../signals.ts'
import { type Io, PLAIN, stylesFor, type TextStyles } from '../terminal.ts'
import { type ExitCode, type RegisterVerb, withJson } from '../verb.ts'

interface Options extends ReportOptions {
  readonly config?: string
  readonly filter?: string
  readonly coverage?: true
  readonly coverageThreshold?: number
  readonly junit?: string
  readonly watch?: true
}

export const registerTest: RegisterVerb = (program, { io, action }) => {
  withReport(withJson(program.command('test <paths...>')))
    .description('runs policy tests: tables of connections and the decision expected for each')
    .addHelpText('after', '\nPATHS are test files, or folders with files named *.test.yaml.')
    .option(
      '-c, --config <file>',
      'use this configuration instead of the one each test file names, or lay this policy over that one',
    )
    .option('--filter <text>', 'run only cases whose name contains this text')
    .option('--coverage', 'report which cases each rule decided, and which rules decided none')
    .option(
      '--coverage-threshold <percent>',
      'fail (exit 1) if fewer than N % of the rules decided any case',
      percentage,
    )
    .option('--junit <file>', 'write a JUnit report to this file')
    .option('--watch', 'run again whenever tests or configurations change')
    .action(
      action(async (paths: readonly string[], options: Options) => {
        return options.watch ? keepTesting(paths, options, io) : testOnce(paths, options, io)
      }),
    )
}

async function testOnce(paths: readonly string[], options: Options, io: Io): Promise<ExitCode> {
  const about = { verb: 'test', subject: paths[0] ?? '' }
  return withProblemsReported(io, options, about, async () => report(await runTests(paths, options, io), options, io))
}

/** Runs until a signal; mistakes in files are shown and waited out. */
async function keepTesting(paths: readonly string[], options: Options, io: Io): Promise<ExitCode> {
  const watch = createFileWatch()
  const stopped = untilStopSignal().then(exitCodeOf)
  const style = stylesFor(io, io.stdout)
  watch.add([...paths, ...(options.config === undefined ? [] : [options.config])])
  try {
    for (;;) {
      try {
        const run = await runTests(paths, options, io)
        watch.add(run.sources)
        await report(run, options, io)
      } catch (thrown) {
        if (!(thrown instanceof InputError)) throw thrown
        watch.add(thrown.issues.flatMap(({ file }) => file ?? []))
        io.stderr.write(renderIssues(thrown.issues, stylesFor(io, io.stderr)))
      }
      if (chosenFormat(options) === 'text') io.stdout.write(style.dim('waiting for changes\n'))
      const ended = await Promise.race([watch.change(), stopped])
      if (ended !== undefined) return ended
      if (chosenFormat(options) === 'text') io.stdout.write('\n')
    }
  } finally {
    watch.close()
  }
}

async function runTests(paths: readonly string[], { config, filter }: Options, io: Io): Promise<PolicyTestRun> {
  const notices: Issue[] = []
  const options = { ...(filter === undefined ? {} : { filter }), onNotice: (issue: Issue) => void notices.push(issue) }
  const run = await runOn(paths, config, options)
  tellOfGeo(io, notices)
  return run
}

/** A policy that is no configuration is laid over the configuration that each test file names. */
async function runOn(
  paths: readonly string[],
  config: string | undefined,
  options: Pick<RunOptions, 'filter' | 'onNotice'>,
): Promise<PolicyTestRun> {
  const { runPolicyTests } = await import('../../policy-tests/run-policy-tests.ts')
  if (config === undefined) return runPolicyTests(paths, options)
  const { inScratch, kindOfFile, PolicyLayer } = await import('../../rules-sync/policy-config.ts')
  if (kindOfFile(config) === 'configuration') return runPolicyTests(paths, { ...options, config })
  return inScratch(async (folder) => {
    const layer = new PolicyLayer(config, folder)
    const run = await layer.asOwn(() => runPolicyTests(paths, { ...options, config: (named) => layer.over(named) }))
    const named = <T extends { readonly config: string }>(one: T): T => ({ ...one, config: layer.nameOf(one.config) })
    return {
      ...run,
      sources: [...run.sources.filter((file) => layer.nameOf(file) === file), ...layer.sources],
      files: run.files.map(named),
      coverage: run.coverage.map(named),
    }
  })
}

async function report(run: PolicyTestRun, options: Options, io: Io): Promise<ExitCode> {
  const cases = run.files.flatMap((file) => file.cases)
  if (cases.length === 0) throw noCases(options.filter)
  if (options.junit !== undefined) writeOutput(options.junit, junitReport(run, failureDetail), 'test.unwritable')
  const { coverageThreshold: threshold } = options
  const below = threshold === undefined ? [] : run.coverage.filter(({ rules }) => coveredPercent(rules) < threshold)
  const tooLittle = below.map(({ config, rules }) => {
    const percent = percentText(coveredPercent(rules))
    return `the tests of ${config} cover ${percent} of its rules, less than the required ${threshold} %`
  })
  const textOf = (style: TextStyles) => {
    const shown = options.coverage || threshold !== undefined ? run.coverage : []
    const coverage = shown.map(({ config, rules }) => `${renderCoverage(config, rules, style)}\n`)
    return `${renderTestRun(run, style)}\n${coverage.join('')}${renderCount(run, style)}`
  }
  await printReport(io, options, {
    report: reportOfTests(run, run.files[0]?.file ?? '', tooLittle),
    text: () => textOf(stylesFor(io, io.stdout)),
    plain: () => textOf(PLAIN),
    json: () => asDocument(run),
  })
  for (const line of tooLittle) io.stderr.write(`${line}\n`)
  return cases.every(({ passed }) => passed) && below.length === 0 ? 0 : 1
}

function asDocument(run: PolicyTestRun): unknown {
  const cases = run.files.flatMap((file) => file.cases)
  const failed = cases.filter(({ passed }) => !passed).length
  return {
    passed: cases.length - failed,
    failed,
    files: run.files.map(({ file, config, cases: own }) => ({ file, config, cases: own.map(caseDocument) })),
    coverage: run.coverage.map(({ config, rules }) => ({ config, percent: coveredPercent(rules), rules })),
  }
}

/** A failed case carries the whole explanation. */
function caseDocument({
  name,
  line,
  passed,
  differences,
  verdict,
  asked: [first, ...others],
}: PolicyTestCase): unknown {
  return {
    name,
    line,
    passed,
    differences,
    ...(verdict.kind === 'failed'
      ? { decision: null, error: { code: verdict.code, message: verdict.message } }
      : { decision: verdict.decision, let_in: verdict.letIn }),
    ...(passed || first === undefined ? {} : { explanation: explanationJson([first, ...others]) }),
  }
}

function noCases(filter: string | undefined): InputError {
  const message = filter === undefined ? 'no cases to run' : `no case name contains \`${filter}\``
  return inputError('test.no_tests', message)
}

function percentage(text: string): number {
  const value = Number(text)
  if (!/^\d+(\.\d+)?$/.test(text) || value > 100) throw new InvalidArgumentError('expected a number from 0 to 100.')
  return value
}

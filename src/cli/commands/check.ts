// `check`: is the configuration good, rules included, and does it follow the product's best practices? Shows every error,
// warning and piece of advice at once.

import { Option } from 'commander'
import type { LabConfig } from '../../config/lab-config.ts'
import { InputError, type Issue } from '../../errors/issue.ts'
import { readConfig } from '../lazy-imports.ts'
import { inOrderOfSeverity, renderIssues, renderManyIssues, SEVERITIES } from '../render/render-issues.ts'
import { chosenFormat, printReport, type ReportOptions, reportOfIssues, withReport } from '../render/report.ts'
import { PLAIN, stylesFor, type TextStyles } from '../terminal.ts'
import { type ExitCode, type RegisterVerb, wholeNumber, withConfig, withJson } from '../verb.ts'

interface Options extends ReportOptions {
  readonly config: string
  readonly prove?: true | number
  readonly failOn: Issue['severity']
  readonly ignore: readonly string[]
  readonly full?: true
}

/** More findings than this begin with a summary. */
const FEW = 6

export const registerCheck: RegisterVerb = (program, { io, action }) => {
  withReport(withJson(withConfig(program.command('check'))))
    .description('checks the configuration and its rules; lists errors, warnings and best-practice advice')
    .option(
      '--prove [seconds]',
      'also prove the invariants, and that each rule decides something, within this time (default: 30)',
      wholeNumber,
    )
    .addOption(
      new Option('--fail-on <severity>', 'exit 1 for findings of this severity or worse')
        .choices(SEVERITIES)
        .default('error'),
    )
    .option(
      '--ignore <code>',
      'leave out warnings and advice with this code, or of this kind (repeatable)',
      collect,
      [],
    )
    .option('--full', 'show every finding in full, however many there are')
    .action(
      action(async (options: Options) => {
        const found = await findingsIn(options)
        const { siftIssues } = await import('../../decider/ignored.ts')
        const { issues: left, ignored } = siftIssues(found.issues, found.config, options.ignore)
        const issues = inOrderOfSeverity(left)
        const isGood = issues.every(({ severity }) => severity !== 'error')
        const textOf = (style: TextStyles) => findingsText(options, issues, ignored, style)
        await printReport(io, options, {
          report: reportOfIssues(issues, options.config),
          // errors are told on standard error, like those of every other command
          text: () => (isGood ? textOf(stylesFor(io, io.stdout)) : ''),
          plain: () => textOf(PLAIN),
          json: () => document(issues, ignored),
        })
        if (!isGood && chosenFormat(options) === 'text') io.stderr.write(textOf(stylesFor(io, io.stderr)))
        return exitCode(issues, options)
      }),
    )
}

function exitCode(issues: readonly Issue[], { failOn }: Options): ExitCode {
  if (issues.some(({ severity }) => severity === 'error')) return 2
  const bad = SEVERITIES.slice(0, SEVERITIES.indexOf(failOn) + 1)
  return issues.some(({ severity }) => bad.includes(severity)) ? 1 : 0
}

interface Findings {
  readonly issues: readonly Issue[]
  /** absent where it has errors */
  readonly config?: LabConfig
}

/** Where an address is, how many there are and for whom, and who and what there is to be named, only configurations say; of lists
 *  that are not there a policy says so itself (`rules.no_list`). */
const OF_CONFIGURATIONS = /^(practice\.P[1-4]|value\.unknown_(group|person|posture_check|endpoint)|rule\.unknown_list)$/

async function findingsIn({ config: file, prove }: Options): Promise<Findings> {
  try {
    const { inScratch, kindOfFile, PolicyLayer } = await import('../../rules-sync/policy-config.ts')
    const { adviseOn } = await import('../../decider/advise.ts')
    if (kindOfFile(file) === 'configuration') {
      const read = await readConfig(file)
      const issues = adviseOn(read)
      if (prove === undefined) return { issues, config: read.config }
      const { adviseByProof } = await import('../../prove/reach.ts')
      const told = issues.filter(({ code }) => code === 'practice.P6').flatMap(({ path }) => String(path?.[1] ?? ''))
      const proven = await adviseByProof(file, new Set(told), (prove === true ? 30 : prove) * 1000)
      return { issues: [...issues, ...proven], config: read.config }
    }
    const issues = await inScratch(async (folder) => {
      const layer = new PolicyLayer(file, folder)
      const found = await layer.asOwn(async () => adviseOn(await readConfig(await layer.over())))
      const isOfPolicy = ({ code }: Issue) => !OF_CONFIGURATIONS.test(code)
      return [...layer.issues, ...found.filter(isOfPolicy).map((issue) => layer.ownIssue(issue))]
    })
    return { issues }
  } catch (thrown) {
    if (thrown instanceof InputError) return { issues: thrown.issues }
    throw thrown
  }
}

function document(issues: readonly Issue[], ignored: number) {
  const count = (severity: Issue['severity']) => issues.filter((issue) => issue.severity === severity).length
  return {
    valid: count('error') === 0,
    issues: issues.map((issue) => ({ ...issue, hint: issue.hint ?? null, rule: issue.rule ?? null })),
    counts: { error: count('error'), warning: count('warning'), advice: count('advice') },
    ignored,
  }
}

function findingsText({ config, full }: Options, issues: readonly Issue[], ignored: number, style: TextStyles): string {
  const isGood = issues.every(({ severity }) => severity !== 'error')
  const render = full || issues.length <= FEW ? renderIssues : renderManyIssues
  const left = ignored === 0 ? '' : `, ${ignored} ignored`
  const verdict = issues.length === 0 ? `, no advice${left}` : left
  return `${render(issues, style)}${isGood ? `${style.good('good')}: ${config}${verdict}\n` : ''}`
}

function collect(code: string, before: readonly string[]): readonly string[] {
  return [...before, code]
}

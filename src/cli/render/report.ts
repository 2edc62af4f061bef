// What `check`, `test`, `replay` and `rules diff` found, in the forms that pipelines read: one shape, one way to print it. Text and
// JSON are each verb's own; all other forms are made from the findings and tables of a report.

import { type Command, InvalidArgumentError, Option } from 'commander'
import { writeOutput } from '../../config/files.ts'
import { InputError, type Issue } from '../../errors/issue.ts'
import { type Io, PLAIN, writeJson } from '../terminal.ts'
import { renderIssues } from './render-issues.ts'

export interface ReportTable {
  readonly title: string
  readonly columns: readonly string[]
  readonly rows: readonly (readonly string[])[]
}

export interface Report {
  /** `check`, `rules diff` … */
  readonly verb: string
  /** one line that says how it went */
  readonly verdict: string
  readonly isGood: boolean
  /** the file that a finding without a place is about */
  readonly subject: string
  readonly findings: readonly Issue[]
  readonly tables: readonly ReportTable[]
  /** sessions by `before → after` data center, for the map */
  readonly moves?: ReadonlyMap<string, number>
  /** for the page, as SVG */
  readonly pictures?: readonly { readonly title: string; readonly svg: string }[]
  /** the verb's own JUnit report, where it has cases */
  readonly junit?: string
}

/** A report with the forms that are the verb's own. */
export interface PrintableReport {
  readonly report: Report
  /** what standard output gets, with its colours, ending in a line feed */
  readonly text: () => string
  /** the same for a file */
  readonly plain: () => string
  readonly json: () => unknown
}

export const REPORT_FORMATS = ['text', 'json', 'github', 'sarif', 'junit', 'markdown', 'html'] as const
export type ReportFormat = (typeof REPORT_FORMATS)[number]

export interface ReportOptions {
  readonly json?: true
  readonly format?: ReportFormat
  readonly report?: readonly string[]
}

const BY_ENDING: Readonly<Record<string, ReportFormat>> = {
  txt: 'text',
  json: 'json',
  sarif: 'sarif',
  xml: 'junit',
  md: 'markdown',
  html: 'html',
}

/** Adds `--format` and `--report`. */
export function withReport(command: Command): Command {
  return command
    .addOption(new Option('--format <form>', 'format of standard output (default: text)').choices(REPORT_FORMATS))
    .option(
      '--report <file>',
      'also write a report; its form follows the file name: .sarif, .xml (JUnit), .md, .html, .json or .txt (repeatable)',
      (file: string, before: readonly string[] | undefined) => {
        if (formatOf(file) === undefined)
          throw new InvalidArgumentError('expected a name that ends in .sarif, .xml, .md, .html, .json or .txt.')
        return [...(before ?? []), file]
      },
    )
}

/** The form that goes to standard output. */
export function chosenFormat({ json, format }: ReportOptions): ReportFormat {
  return format ?? (json ? 'json' : 'text')
}

/** Prints in the chosen form, and writes the files that were asked for. Throws an InputError for a file that cannot be written. */
export async function printReport(io: Io, options: ReportOptions, printable: PrintableReport): Promise<void> {
  for (const file of options.report ?? []) {
    const form = formatOf(file) ?? 'text'
    writeOutput(file, await inForm(form, printable), 'report.unwritable')
  }
  const form = chosenFormat(options)
  if (form === 'json') writeJson(io, printable.json())
  else io.stdout.write(form === 'text' ? printable.text() : await inForm(form, printable))
}

/** Runs `body`; problems in what people wrote are findings as well, in every form, before they end the command. */
export async function withProblemsReported<T>(
  io: Io,
  options: ReportOptions,
  { verb, subject }: Pick<Report, 'verb' | 'subject'>,
  body: () => Promise<T>,
): Promise<T> {
  try {
    return await body()
  } catch (thrown) {
    if (!(thrown instanceof InputError)) throw thrown
    const { issues } = thrown
    // standard error has the text, as for every other command
    const text = () => ''
    const json = () => ({ valid: false, issues })
    const report = { ...reportOfIssues(issues, subject), verb }
    const form = chosenFormat(options)
    const format = form === 'json' ? 'text' : form
    const files = options.report ?? []
    await printReport(io, { format, report: files }, { report, text, json, plain: () => renderIssues(issues, PLAIN) })
    throw thrown
  }
}

/** The report of `check`: the findings themselves. */
export function reportOfIssues(findings: readonly Issue[], subject: string): Report {
  const isGood = findings.every(({ severity }) => severity !== 'error')
  const counts = (['error', 'warning', 'advice'] as const).map((severity) => {
    const { length } = findings.filter((finding) => finding.severity === severity)
    return `${length} ${severity === 'advice' || length === 1 ? severity : `${severity}s`}`
  })
  const verdict = `${subject}: ${isGood ? 'good' : 'not good'}; ${counts.join(', ')}`
  return { verb: 'check', verdict, isGood, subject, findings, tables: [] }
}

async function inForm(form: ReportFormat, { report, plain, json }: PrintableReport): Promise<string> {
  switch (form) {
    case 'text':
      return plain()
    case 'json':
      return `${JSON.stringify(json(), null, 2)}\n`
    case 'github':
      return (await import('./machine-report.ts')).githubAnnotations(report)
    case 'sarif':
      return (await import('./machine-report.ts')).sarifLog(report)
    case 'junit':
      return report.junit ?? (await import('./machine-report.ts')).junitOfFindings(report)
    case 'markdown':
      return (await import('./page-report.ts')).markdownPage(report)
    case 'html':
      return (await import('./page-report.ts')).htmlPage(report)
  }
}

function formatOf(file: string): ReportFormat | undefined {
  return BY_ENDING[/\.(\w+)$/.exec(file)?.[1]?.toLowerCase() ?? '']
}

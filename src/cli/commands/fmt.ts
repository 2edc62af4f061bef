// `fmt`: expressions in the normal form the product's API stores. Reads the rules of YAML files, or expressions from standard
// input, one per line, plain or as JSON with an `expr`. Changes no file.

import type { Command } from 'commander'
import {
  asWritten,
  type ExpandedExpression,
  expandNames,
  restoreNames,
  writtenSpan,
} from '../../config/expression-names.ts'
import { gatherNames } from '../../config/names.ts'
import { advance } from '../../config/problems.ts'
import { filtersOf } from '../../config/rule-document.ts'
import { readSourceDocument, type SourceDocument } from '../../config/source-document.ts'
import { InputError, type Issue } from '../../errors/issue.ts'
import {
  drawProblem,
  type ExpressionProblem,
  formatExpression,
  isBlank,
  type Mode,
  parseExpression,
  parseRequest,
  type Scheme,
} from '../../expression/index.ts'
import { GATEWAY_SCHEME, SLOT_NAMES, SLOT_SCHEMES } from '../../policy/fields.ts'
import { EXPRESSION_SLOTS } from '../../policy/rule.ts'
import { type Io, linesOf, stylesFor, writeJson } from '../terminal.ts'
import { ABOUT_DEFAULT_CONFIG, defaultConfig, modeOption, type RegisterVerb, withJson } from '../verb.ts'

interface Options {
  readonly check: boolean
  readonly json?: true
  readonly mode: Mode
}

/** One expression, before and after. */
interface Formatted {
  /** where it stands: `config/lab.yaml:88:14`, or `standard input:3` */
  readonly at: string
  readonly rule?: string
  readonly expression?: string
  readonly source: string
  readonly normal: string
  readonly changed: boolean
}

export const registerFmt: RegisterVerb = (program, { io, action }) => {
  withJson(program.command('fmt [files...]'))
    .description('prints the expressions of rules in normal form')
    .addHelpText(
      'after',
      `\nFILES are YAML files with rules (default: ${ABOUT_DEFAULT_CONFIG}); - reads standard input.`,
    )
    .option('--check', 'print only what would change; exit 1 if anything would', false)
    .addOption(modeOption())
    .action(
      action(async (given: readonly string[], options: Options, _command: Command) => {
        const issues: Issue[] = []
        const all: Formatted[] = []
        for (const file of given.length === 0 ? [defaultConfig()] : given) {
          all.push(
            ...(file === '-'
              ? await formatLines(io, options.mode, issues)
              : formatFile(io, file, options.mode, issues)),
          )
        }
        if (issues.length > 0) throw new InputError(issues)
        const changed = all.filter((one) => one.changed)
        show(io, options.check ? changed : all, options)
        return options.check && changed.length > 0 ? 1 : 0
      }),
    )
}

async function formatLines(io: Io, mode: Mode, issues: Issue[]): Promise<Formatted[]> {
  const formatted: Formatted[] = []
  let number = 0
  for await (const { line } of linesOf(io.stdin)) {
    number++
    if (isBlank(line)) continue
    const source = line.trimStart().startsWith('{') ? (parseRequest(line)?.expr ?? line) : line
    const place = { file: 'standard input', line: number, column: 1 }
    const normal = normalOf({ text: source, names: [], unknown: [] }, GATEWAY_SCHEME, mode, place, issues)
    if (normal !== undefined)
      formatted.push({ at: `standard input:${number}`, source, normal, changed: normal !== source })
  }
  return formatted
}

function formatFile(io: Io, file: string, mode: Mode, issues: Issue[]): Formatted[] {
  const document = readSourceDocument(file)
  issues.push(...document.issues)
  const rules = rulesIn(document)
  const names = gatherNames(document.data)
  const egress = rules.filter(({ rule }) => isEgress(rule))
  reportOthers(io, file, rules.length - egress.length)
  return egress.flatMap(({ rule, path }) =>
    EXPRESSION_SLOTS.flatMap((slot): Formatted[] => {
      const key = SLOT_NAMES[slot]
      const source: unknown = rule[key]
      if (typeof source !== 'string' || isBlank(source)) return []
      const { line, column } = document.locateText([...path, key])
      const normal = normalOf(expandNames(source, names), SLOT_SCHEMES[slot], mode, { file, line, column }, issues)
      if (normal === undefined) return []
      const at = `${file}:${line}:${column}`
      // a block scalar ends in a line feed that its author did not mean
      return [
        { at, rule: String(rule.name ?? ''), expression: key, source, normal, changed: normal !== source.trimEnd() },
      ]
    }),
  )
}

/** The rules of a configuration, or of a file that is a list of rules. */
function rulesIn({ data }: SourceDocument): { rule: Record<string, unknown>; path: (string | number)[] }[] {
  const [list, path] = Array.isArray(data) ? [data, []] : [Object(data).rules, ['rules']]
  const rules: unknown[] = Array.isArray(list) ? list : []
  return rules.map((rule, at) => ({ rule: Object(rule), path: [...path, at] }))
}

/** In a configuration action and filter are `egress` unless said otherwise. */
function isEgress({ action, filters }: Readonly<Record<string, unknown>>): boolean {
  return filtersOf({ filters }, typeof action === 'string' ? action : 'egress').includes('egress')
}

/** [R9]: expressions of other rule types are another language, and stay unchanged. */
function reportOthers(io: Io, file: string, others: number): void {
  if (others === 0) return
  const rules = others === 1 ? '1 rule that is not an egress rule' : `${others} rules that are not egress rules`
  io.stderr.write(`${file}: ${rules} left unchanged\n`)
}

interface ExpressionPlace {
  readonly file: string
  readonly line: number
  readonly column: number
}

/** The normal form, with the names of the file. Names of nothing are `check`'s to report. */
function normalOf(
  expanded: ExpandedExpression,
  scheme: Scheme,
  mode: Mode,
  place: ExpressionPlace,
  issues: Issue[],
): string | undefined {
  const parsed = parseExpression(expanded.text, scheme, { mode })
  if (parsed.ok) return restoreNames(formatExpression(parsed.expression), expanded)
  issues.push(...parsed.problems.map((problem) => toIssue(problem, expanded, place)))
  return undefined
}

function toIssue(found: ExpressionProblem, { text, names }: ExpandedExpression, place: ExpressionPlace): Issue {
  const source = asWritten(text, names)
  const problem = { ...found, span: writtenSpan(found.span, names) }
  const { code, message, span } = problem
  return {
    severity: 'error',
    code,
    message,
    ...place,
    ...advance(place, source, span[0]),
    drawing: drawProblem(source, problem),
  }
}

function show(io: Io, formatted: readonly Formatted[], { check, json }: Options): void {
  if (json) {
    writeJson(io, formatted)
    return
  }
  const style = stylesFor(io, io.stdout)
  let rule: string | undefined
  for (const one of formatted) {
    if (one.rule === undefined && !check) io.stdout.write(`${one.normal}\n`)
    else if (check)
      io.stdout.write(`${one.at}\n${style.bad(`- ${one.source.trimEnd()}`)}\n${style.good(`+ ${one.normal}`)}\n`)
    else {
      if (one.rule !== rule) io.stdout.write(`${rule === undefined ? '' : '\n'}${style.dim(`# ${one.rule}`)}\n`)
      io.stdout.write(`${one.expression}: ${one.normal}\n`)
      rule = one.rule
    }
  }
}

// A run of policy tests for people: one line per case, under a failed one what differs and the trace that `explain` draws,
// then the coverage of rules and the count.

import { coveredPercent, type RuleCoverage } from '../../analysis/coverage.ts'
import type { PolicyTestCase, PolicyTestRun } from '../../policy-tests/run-policy-tests.ts'
import { renderTable, type TerminalPaint } from '../terminal.ts'
import { renderExplanation } from './render-explanation.ts'

const PLAIN: TerminalPaint = {
  good: String,
  bad: String,
  warn: String,
  accent: String,
  strong: String,
  dim: String,
}

/** All files with their cases, ending in a line feed. Files without a case (none fits the filter) are left out. */
export function renderTestRun(run: PolicyTestRun, paint: TerminalPaint): string {
  const files = run.files.filter(({ cases }) => cases.length > 0)
  return files
    .map(({ file, config, cases }) => {
      const head = `${paint.strong(file)}  ${paint.dim(`on ${config}`)}\n`
      return head + cases.map((each) => drawCase(each, paint)).join('')
    })
    .join('\n')
}

function drawCase(result: PolicyTestCase, paint: TerminalPaint): string {
  const { name, file, line, passed } = result
  if (passed) return `  ${paint.good('✓')} ${name}\n`
  return `  ${paint.bad('✗')} ${paint.strong(name)}  ${paint.dim(`${file}:${line}`)}\n${indent(detail(result, paint))}`
}

/** What a failed case differs in, and why it was decided so; plain text, as reports for machines have it. */
export function failureDetail(result: PolicyTestCase): string {
  return detail(result, PLAIN)
}

function detail({ differences, asked: [first, ...others] }: PolicyTestCase, paint: TerminalPaint): string {
  const rows = differences.flatMap(({ what, expected, found }) => [
    [what, 'expected', paint.good(expected)],
    ['', 'found', paint.bad(found)],
  ])
  const trace = first === undefined ? '' : `\n${renderExplanation(first, others, paint)}`
  return renderTable(rows) + trace
}

function indent(text: string): string {
  return text.replace(/^(?=.)/gm, '      ')
}

/** The rules of one configuration with the cases they decided. */
export function renderCoverage(config: string, rules: readonly RuleCoverage[], paint: TerminalPaint): string {
  const percent = coveredPercent(rules)
  const head = `${paint.strong('coverage')} of ${config}: ${percentText(percent)} of the rules that can match decided a case\n`
  if (rules.length === 0) return `${paint.strong('coverage')} of ${config}: it has no rules\n`
  const rows = rules.map(({ rule, precedence, decided, skipped }) => [
    `  ${String(precedence).padStart(6)}`,
    rule,
    skipped !== null ? paint.dim(skipped) : decided.length === 0 ? paint.bad('never') : casesText(decided),
  ])
  return head + renderTable(rows)
}

const SHOWN_CHARACTERS = 60

/** How many, and the first by name. */
function casesText([first = '', ...others]: readonly string[]): string {
  const shown = first.length > SHOWN_CHARACTERS ? `${first.slice(0, SHOWN_CHARACTERS)}…` : first
  return others.length === 0 ? shown : `${shown} and ${others.length} more`
}

/** Never rounded up to the whole. */
export function percentText(percent: number): string {
  return `${Number((Math.floor(percent * 10) / 10).toFixed(1))} %`
}

/** `12 passed, 1 failed` */
export function renderCount({ files }: PolicyTestRun, paint: TerminalPaint): string {
  const cases = files.flatMap((file) => file.cases)
  const failed = cases.filter(({ passed }) => !passed).length
  const good = `${cases.length - failed} passed`
  return `${failed === 0 ? paint.good(good) : good}, ${failed === 0 ? '0 failed' : paint.bad(`${failed} failed`)}\n`
}

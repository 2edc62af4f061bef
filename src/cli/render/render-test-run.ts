// A run of policy tests for people: one line per case, under a failed one what differs and the trace that `explain` draws,
// then the coverage of rules and the count.

import { coveredPercent, type RuleCoverage } from '../../analysis/policy-test.ts'
import type { PolicyTestCase, PolicyTestRun } from '../../policy-tests/run-policy-tests.ts'
import { PLAIN, renderTable, type TextStyles } from '../terminal.ts'
import { renderExplanation } from './render-explanation.ts'

/** All files with their cases, ending in a line feed. Files without a case (none fits the filter) are left out. */
export function renderTestRun(run: PolicyTestRun, style: TextStyles): string {
  const files = run.files.filter(({ cases }) => cases.length > 0)
  return files
    .map(({ file, config, cases }) => {
      const head = `${style.strong(file)}  ${style.dim(`on ${config}`)}\n`
      return head + cases.map((each) => drawCase(each, style)).join('')
    })
    .join('\n')
}

function drawCase(result: PolicyTestCase, style: TextStyles): string {
  const { name, file, line, passed } = result
  if (passed) return `  ${style.good('✓')} ${name}\n`
  return `  ${style.bad('✗')} ${style.strong(name)}  ${style.dim(`${file}:${line}`)}\n${indent(detail(result, style))}`
}

/** What a failed case differs in, and why it was decided so; plain text, as reports for machines have it. */
export function failureDetail(result: PolicyTestCase): string {
  return detail(result, PLAIN)
}

function detail({ differences, asked: [first, ...others] }: PolicyTestCase, style: TextStyles): string {
  const rows = differences.flatMap(({ what, expected, found }) => [
    [what, 'expected', style.good(expected)],
    ['', 'found', style.bad(found)],
  ])
  const trace = first === undefined ? '' : `\n${renderExplanation([first, ...others], { full: false, style })}`
  return renderTable(rows) + trace
}

function indent(text: string): string {
  return text.replace(/^(?=.)/gm, '      ')
}

/** The rules of one configuration with the cases they decided. */
export function renderCoverage(config: string, rules: readonly RuleCoverage[], style: TextStyles): string {
  const percent = coveredPercent(rules)
  const head = `${style.strong('coverage')} of ${config}: ${percentText(percent)} of the rules that can match decided a case\n`
  if (rules.length === 0) return `${style.strong('coverage')} of ${config}: it has no rules\n`
  const rows = rules.map(({ rule, precedence, decided, skipped }) => [
    `  ${String(precedence).padStart(6)}`,
    rule,
    skipped !== null ? style.dim(skipped) : decided.length === 0 ? style.bad('never') : casesText(decided),
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
export function renderCount({ files }: PolicyTestRun, style: TextStyles): string {
  const cases = files.flatMap((file) => file.cases)
  const failed = cases.filter(({ passed }) => !passed).length
  const good = `${cases.length - failed} passed`
  return `${failed === 0 ? style.good(good) : good}, ${failed === 0 ? '0 failed' : style.bad(`${failed} failed`)}\n`
}

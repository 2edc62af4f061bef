// What policy tests, replays and differences of rules found, as reports. A finding is what somebody has to look at; everything
// else is a table.

import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { differencesInWords, junitReport } from '../../analysis/junit.ts'
import { coveredPercent, type RuleCoverage } from '../../analysis/policy-test.ts'
import type { ReplaySummary } from '../../analysis/replay-summary.ts'
import { entriesOf, type ScenarioReport } from '../../analysis/scenario-timeline.ts'
import { counted } from '../../errors/counted.ts'
import type { Issue } from '../../errors/issue.ts'
import type { PolicyTestRun } from '../../policy-tests/run-policy-tests.ts'
import type { ReplayOutcome } from '../../replay/replay.ts'
import type { PolicyChanges, PolicyStep } from '../../rules-sync/portable-policy.ts'
import { PLAIN } from '../terminal.ts'
import { type Bar, barChart } from './picture.ts'
import { shownValue, stepTitle } from './render-policy-changes.ts'
import type { ReplayTitles } from './render-replay.ts'
import { scenarioPicture, scenarioTables } from './render-scenario.ts'
import { failureDetail, percentText, renderCount } from './render-test-run.ts'
import type { Report, ReportTable } from './report.ts'

/** One finding per failed case. `tooLittle`: what is said of coverage below the threshold. */
export function reportOfTests(run: PolicyTestRun, subject: string, tooLittle: readonly string[]): Report {
  const cases = run.files.flatMap((file) => file.cases)
  const failed = cases.filter(({ passed }) => !passed)
  const findings = [
    ...failed.map(({ name, file, line, differences }): Issue => {
      const message = `\`${name}\`: ${differencesInWords(differences)}`
      return { severity: 'error', code: 'test.failed', message, file, line }
    }),
    ...tooLittle.map((message): Issue => ({ severity: 'error', code: 'test.coverage', message })),
  ]
  const coverage = run.coverage.map(({ config, rules }) => ({
    title: `Coverage of ${config}: ${percentText(coveredPercent(rules))}`,
    columns: ['precedence', 'rule', 'cases it decided'],
    rows: rules.map(({ precedence, rule, decided, skipped }) => [
      String(precedence),
      rule,
      skipped ?? (decided.length === 0 ? 'never' : counted(decided.length, 'case')),
    ]),
  }))
  const rows = cases.map(({ name, file, line, passed }) => [passed ? 'passed' : 'failed', name, `${file}:${line}`])
  return {
    verb: 'test',
    verdict: renderCount(run, PLAIN).trim(),
    isGood: findings.length === 0,
    subject,
    findings,
    pictures: run.coverage.map(({ config, rules }) => ({
      title: `Cases per rule of ${config}`,
      svg: barChart(`cases that each rule of ${config} decided`, rules.map(coverageBar)),
    })),
    tables: [{ title: 'Cases', columns: ['result', 'case', 'where'], rows }, ...coverage],
    junit: junitReport(run, failureDetail),
  }
}

function coverageBar({ precedence, rule, decided, skipped }: RuleCoverage): Bar {
  const [value, name] = [decided.length, `${precedence} ${rule}`]
  if (skipped !== null) return { name, value: 0, note: skipped, tone: 'none' }
  return { name, value, note: value === 0 ? 'never' : String(value), tone: value === 0 ? 'bad' : 'good' }
}

/** Clients over time, and what is read off it. One finding per expectation that failed. */
export function reportOfScenarios(reports: readonly ScenarioReport[], junit: string): Report {
  const checks = reports.flatMap((report) =>
    entriesOf(report, 'check').map((check) => ({ ...check, file: report.file })),
  )
  const failed = checks.filter((check) => !check.passed)
  return {
    verb: 'scenario',
    verdict: `${counted(reports.length, 'scenario')}: ${checks.length - failed.length} passed, ${failed.length} failed`,
    isGood: failed.length === 0,
    subject: reports[0]?.file ?? '',
    findings: failed.map(({ name, file, line, differences }): Issue => {
      const message = `\`${name}\`: ${differencesInWords(differences)}`
      return { severity: 'error', code: 'scenario.failed', message, file, line }
    }),
    pictures: reports.map((report) => ({ title: report.name, svg: scenarioPicture(report) })),
    tables: reports.flatMap(scenarioTables),
    junit,
  }
}

/** `isStrict`: a change is an error. `tooLittle`: what is said when too little could be decided. */
export function reportOfReplay(
  outcome: ReplayOutcome,
  titles: ReplayTitles,
  { isStrict, tooLittle }: { readonly isStrict: boolean; readonly tooLittle: string | undefined },
): Report {
  const findings = replayFindings(outcome, isStrict ? 'error' : 'warning')
  if (tooLittle !== undefined) findings.push({ severity: 'error', code: 'replay.too_little', message: tooLittle })
  const { summary } = outcome
  const { changed, compared, decided } = summary
  const result = compared === 0 ? 'nothing to compare with' : `${changed} of ${counted(decided, 'session')} change`
  return {
    verb: 'replay',
    verdict: `${titles.after} against ${titles.before}: ${changed === 0 && compared > 0 ? 'nothing changes' : result}`,
    isGood: findings.every(({ severity }) => severity !== 'error'),
    subject: titles.after,
    findings,
    tables: replayTables(outcome),
    moves: summary.coloMoves,
  }
}

function replayFindings({ summary, unreadable }: ReplayOutcome, severity: 'error' | 'warning'): Issue[] {
  const { changed, decided, changes } = summary
  const refusing = [...summary.allowlists].filter(([, { refused }]) => refused > 0)
  const kinds = Object.entries(changes).flatMap(([what, count]) =>
    count > 0 ? [`${what.replace('egress_ip', 'egress IP').replace('colo', 'data center')} ${count}`] : [],
  )
  return [
    ...refusing.map(([name, { refused, sessions, refusedUsers }]): Issue => {
      const message = `\`${name}\` newly refuses ${refused} of ${counted(sessions, 'session')}: ${listed(refusedUsers)}`
      return { severity, code: 'replay.refused', message }
    }),
    ...(changed === 0
      ? []
      : [
          {
            severity,
            code: 'replay.changed',
            message: `${changed} of ${counted(decided, 'session')} change: ${kinds.join(', ')}`,
          },
        ]),
    ...unreadable.map(({ file, line, message }): Issue => {
      const place = line === undefined ? { file } : { file, line }
      return { severity: 'warning', code: 'replay.unreadable', message, ...place }
    }),
  ]
}

function listed(names: ReadonlyMap<string, number>): string {
  const shown = [...names.keys()].slice(0, 5).join(', ')
  return names.size > 5 ? `${shown} and ${names.size - 5} more` : shown
}

function replayTables({ summary, rules }: ReplayOutcome): readonly ReportTable[] {
  const tallies = (what: string, entries: ReplaySummary['users']): ReportTable => ({
    title: `By ${what}`,
    columns: [what, 'sessions', 'changed'],
    rows: [...entries]
      .filter(([, { changed }]) => changed > 0)
      .sort(([, a], [, b]) => b.changed - a.changed)
      .map(([name, { sessions, changed }]) => [name, String(sessions), String(changed)]),
  })
  const moves = (what: string, entries: ReadonlyMap<string, number>): ReportTable => ({
    title: `By ${what}`,
    columns: ['before', 'after', 'sessions'],
    rows: [...entries]
      .sort(([, a], [, b]) => b - a)
      .map(([move, sessions]) => [...move.split(' → '), String(sessions)]),
  })
  return [
    {
      title: 'Who would be refused',
      columns: ['service', 'sessions', 'newly refused', 'newly let in', 'who is newly refused'],
      rows: [...summary.allowlists].map(([name, { sessions, refused, admitted, refusedUsers }]) => [
        name,
        ...[sessions, refused, admitted].map(String),
        [...refusedUsers].map(([user, count]) => `${user} (${count})`).join(', '),
      ]),
    },
    tallies('destination', summary.destinations),
    tallies('user', summary.users),
    moves('egress IP', summary.egressMoves),
    moves('rule', summary.ruleMoves),
    moves('data center', summary.coloMoves),
    {
      title: 'Rules that decide none of these sessions',
      columns: ['precedence', 'rule'],
      rows: rules
        .filter(({ id }) => !summary.ruleUses.has(id))
        .map(({ precedence, name }) => [String(precedence), name]),
    },
  ]
}

/** One finding per thing that would change, at the line of `file` that names it. */
export function reportOfChanges(changes: PolicyChanges, file: string, isStrict: boolean, replayed?: Report): Report {
  const { steps, to, unchanged } = changes
  const places = createPlaces(file)
  const findings = steps.map((step): Issue => {
    const severity = isStrict ? 'error' : 'warning'
    const wheres = step.action === 'delete' ? undefined : places(step.name)
    const fields = step.differences.map(({ field }) => field.replace(/^rule_settings\./, ''))
    const words = { create: 'is new', update: 'changes', park: 'moves aside', delete: 'is deleted' }[step.action]
    const what = step.action === 'update' ? `${words}: ${fields.join(', ')}` : words
    return {
      severity,
      code: `rules.${step.action}`,
      message: `${step.thing} \`${step.name}\` ${what}`,
      ...(wheres ?? { file }),
    }
  })
  const all = [...findings, ...(replayed?.findings ?? [])]
  return {
    verb: 'rules diff',
    verdict: `${file} against ${to}: ${steps.length === 0 ? 'nothing would change' : counted(steps.length, 'change')}, ${unchanged} unchanged`,
    isGood: all.every(({ severity }) => severity !== 'error'),
    subject: file,
    findings: all,
    tables: [
      {
        title: 'Changes',
        columns: ['what', 'field', 'before', 'after'],
        rows: steps.flatMap(changeRows),
      },
      ...(replayed?.tables ?? []),
    ],
    ...(replayed?.moves === undefined ? {} : { moves: replayed.moves }),
  }
}

function changeRows(step: PolicyStep): string[][] {
  const title = stepTitle(step, PLAIN)
  const shown = (value: PolicyStep['differences'][number]['before']) => (value === undefined ? '' : shownValue(value))
  const rows = step.differences.map(({ field, before, after }) => [title, field, shown(before), shown(after)])
  return rows.length === 0 || step.action === 'delete' ? [[title, '', '', '']] : rows
}

/** Finds the first line of the files that gives a thing this name. A place that cannot be found is left out. */
function createPlaces(file: string): (name: string) => Pick<Issue, 'file' | 'line'> | undefined {
  const sources = sourcesOf(file).map((each) => ({ file: each, lines: readFileSync(each, 'utf8').split('\n') }))
  return (name) => {
    const quoted = name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
    const naming = new RegExp(`\\bname\\b["']?\\s*[:=]\\s*["']?${quoted}["']?\\s*(?:[,}#]|$)`)
    for (const { file: source, lines } of sources) {
      const at = lines.findIndex((line) => naming.test(line))
      if (at >= 0) return { file: source, line: at + 1 }
    }
    return undefined
  }
}

function sourcesOf(file: string): readonly string[] {
  const found = statSync(file, { throwIfNoEntry: false })
  if (found === undefined) return []
  if (!found.isDirectory()) return found.isFile() ? [file] : []
  const names = readdirSync(file).filter((name) => name.endsWith('.tf'))
  return names.sort().map((name) => join(file, name))
}

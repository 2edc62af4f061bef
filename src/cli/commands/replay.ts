// `replay`: decides recorded sessions again and reports what changes, against what was recorded or between two sets of rules.

import { mkdirSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { InvalidArgumentError, Option } from 'commander'
import type { ChangeTally, ReplaySummary } from '../../analysis/replay-summary.ts'
import { type Issue, inputError } from '../../errors/issue.ts'
import type { ReplayOutcome, ReplayRequest } from '../../replay/replay.ts'
import { replay, tellOfGeo } from '../lazy-imports.ts'
import { type ReplayTitles, renderReplay } from '../render/render-replay.ts'
import { chosenFormat, printReport, type ReportOptions, withProblemsReported, withReport } from '../render/report.ts'
import { reportOfReplay } from '../render/report-of.ts'
import { createProgressBar, type Io, PLAIN, stylesFor } from '../terminal.ts'
import { type ExitCode, type RegisterVerb, withConfig, withJson } from '../verb.ts'

interface Options extends ReportOptions {
  readonly config: string
  readonly rules?: string
  readonly against?: string
  readonly out?: string
  readonly failOnChange?: true
  readonly minDecided: number
  readonly names: 'recorded' | 'sni'
  readonly columns?: readonly string[]
  readonly threads: number
}

export const registerReplay: RegisterVerb = (program, { io, action }) => {
  withReport(withJson(withConfig(program.command('replay <sessions...>'))))
    .description('decides recorded sessions again and reports what changes')
    .addHelpText(
      'after',
      '\nSESSIONS are recordings: the session log of the lab, or Logpush exports of zero_trust_network_sessions,\ngateway_network or gateway_http, as NDJSON, JSON or CSV, plain or packed with gzip or zstd; - reads standard input.\nA and B are configurations, or policies laid over the configuration: what `rules pull` writes, responses of the API, Terraform.',
    )
    .option('--rules <A>', 'decide with these rules (default: those of the configuration)')
    .option('--against <B>', 'compare A with B, instead of the recording with A')
    .option('--out <file>', 'write changed records to this file as NDJSON, with the changes under `Replay`')
    .option('--fail-on-change', 'exit 1 if anything changes, or if too few sessions could be decided and compared')
    .option('--min-decided <percent>', 'how many of all sessions have to be', percentage, 90)
    .addOption(
      new Option('--names <source>', 'where host names come from: the records alone, or `sni` where they have none')
        .choices(['recorded', 'sni'])
        .default('recorded'),
    )
    .option('--columns <names>', 'columns of CSV whose first row does not name them, separated by commas', columnNames)
    .option('--threads <n>', 'worker threads', threadCount, Math.min(availableParallelism(), 16))
    .action(
      action(async (sessions: readonly string[], options: Options) => {
        const about = { verb: 'replay', subject: options.against ?? options.rules ?? options.config }
        return withProblemsReported(io, options, about, () => replayed(io, sessions, options))
      }),
    )
}

async function replayed(io: Io, sessions: readonly string[], options: Options): Promise<ExitCode> {
  const { config: configFile, json, format, report: files, failOnChange, minDecided, ...asked } = options
  const progress = createProgressBar(io, 'replaying')
  const notices: Issue[] = []
  const onNotice = (issue: Issue) => void notices.push(issue)
  const request = { sessions, configFile, ...asked, onNotice, onProgress: progress.show }
  const outcome = await replayPolicies(request, io).finally(progress.clear)
  tellOfGeo(io, notices)
  refuseNothing(outcome, sessions)
  const titles = titlesOf(options)
  const tooLittle = failOnChange ? whyTooLittle(outcome, minDecided) : undefined
  if (chosenFormat(options) === 'text') tellOfUnreadable(io, outcome)
  await printReport(io, options, {
    report: reportOfReplay(outcome, titles, { isStrict: failOnChange === true, tooLittle }),
    text: () => renderReplay(outcome, titles, stylesFor(io, io.stdout)),
    plain: () => renderReplay(outcome, titles, PLAIN),
    json: () => replayDocument(outcome),
  })
  if (tooLittle !== undefined) io.stderr.write(`${stylesFor(io, io.stderr).bad(tooLittle)}\n`)
  return failOnChange && (tooLittle !== undefined || outcome.summary.changed > 0) ? 1 : 0
}

/** A check that looked at nothing has not passed. */
function whyTooLittle({ summary }: ReplayOutcome, percent: number): string | undefined {
  const { records, hadNoDecision, decided, compared } = summary
  const share = (100 * compared) / Math.max(1, records - hadNoDecision)
  if (share >= percent && compared > 0) return undefined
  const shown = share > 0 && share < 0.1 ? '< 0.1' : (Math.floor(share * 10) / 10).toFixed(1)
  const what = compared < decided ? 'decided and compared' : 'decided'
  return `only ${shown} % of the sessions could be ${what}; --min-decided asks for ${percent} %`
}

/** Policies that are no configurations are laid over the configuration. */
async function replayPolicies(request: ReplayRequest, io: Io): Promise<ReplayOutcome> {
  const { inScratch, kindOfFile, PolicyLayer } = await import('../../rules-sync/policy-config.ts')
  return inScratch(async (folder) => {
    const lay = async (file: string | undefined, name: string) => {
      if (file === undefined || kindOfFile(file) !== 'policy') return { file }
      mkdirSync(join(folder, name))
      const layer = new PolicyLayer(file, join(folder, name))
      const made = await layer.over(request.configFile)
      warnOf(layer.issues, io)
      return { file: made, layer }
    }
    const [rules, against] = [await lay(request.rules, 'rules'), await lay(request.against, 'against')]
    const laid = {
      ...request,
      ...(rules.file === undefined ? {} : { rules: rules.file }),
      ...(against.file === undefined ? {} : { against: against.file }),
    }
    const run = () => replay(laid)
    const runFirst = () => rules.layer?.asOwn(run) ?? run()
    return against.layer?.asOwn(runFirst) ?? runFirst()
  })
}

function warnOf(issues: readonly Issue[], io: Io): void {
  const style = stylesFor(io, io.stderr)
  for (const { message, hint } of issues) {
    io.stderr.write(`${style.warn(message)}${hint === undefined ? '' : `; ${hint}`}\n`)
  }
}

/** A recording without a single session is the wrong file. */
function refuseNothing(
  { summary: { records, unreadable }, unreadable: lines }: ReplayOutcome,
  sessions: readonly string[],
) {
  if (records > unreadable) return
  const [first] = lines
  const code = 'replay.no_sessions'
  const hint =
    'give session logs, such as `.egresslab/sessions.ndjson` or what Logpush exports; docs/replay.md shows each form'
  if (first === undefined) {
    throw inputError(code, `no sessions in ${sessions.map((path) => `\`${path}\``).join(', ')}`, { hint })
  }
  const { file, line, message } = first
  const at = line === undefined ? { file } : { file, line, column: 1 }
  throw inputError(code, `no ${line === undefined ? 'record' : 'line'} is a session record: ${message}`, {
    hint,
    ...at,
  })
}

function tellOfUnreadable(io: Io, outcome: ReplayOutcome): void {
  const style = stylesFor(io, io.stderr)
  for (const { file, line, record, message } of outcome.unreadable) {
    const at = line === undefined ? `${file}, record ${record}` : `${file}:${line}`
    io.stderr.write(`${at}: ${style.bad(message)}\n`)
  }
  const more = outcome.summary.unreadable - outcome.unreadable.length
  if (more > 0) io.stderr.write(`and ${more} more lines\n`)
}

function titlesOf({ config, rules, against }: Pick<Options, 'config' | 'rules' | 'against'>): ReplayTitles {
  return against === undefined
    ? { before: 'the recording', after: rules ?? config, againstRecording: true }
    : { before: rules ?? config, after: against, againstRecording: false }
}

/** What `--json` prints. */
export function replayDocument({ summary, unreadable, seconds, rules }: ReplayOutcome): unknown {
  const { records, decided, compared, exempt, changed, undecided, changes, ruleUses } = summary
  const allowlists = [...summary.allowlists]
  const total = (key: 'admitted' | 'refused') => allowlists.reduce((sum, [, tally]) => sum + tally[key], 0)
  return {
    sessions: records,
    decided,
    compared,
    exempt,
    undecided,
    let_in: total('admitted'),
    refused: total('refused'),
    data_sets: Object.fromEntries(summary.dataSets),
    recorded: { from: instant(summary.recordedFrom), to: instant(summary.recordedTo) },
    missing: Object.fromEntries(summary.missing),
    named_by_sni: summary.namedBySni,
    unreadable: { count: summary.unreadable, first: unreadable },
    changed,
    changes,
    destinations: tallies(summary.destinations, 'destination'),
    users: tallies(summary.users, 'user'),
    rules: rules.map((rule) => ({ ...rule, sessions: ruleUses.get(rule.id) ?? 0 })),
    moves: { rule: moves(summary.ruleMoves), egress_ip: moves(summary.egressMoves), colo: moves(summary.coloMoves) },
    allowlists: allowlists.map(([name, { sessions, refused, admitted, refusedUsers }]) => ({
      name,
      sessions,
      refused,
      admitted,
      refused_users: Object.fromEntries(refusedUsers),
    })),
    unknown: {
      users: Object.fromEntries(summary.unknownUsers),
      virtual_networks: Object.fromEntries(summary.unknownNetworks),
    },
    seconds: Number(seconds.toFixed(3)),
    sessions_per_second: Math.round(records / Math.max(seconds, 1e-6)),
  }
}

function tallies(entries: ReadonlyMap<string, ChangeTally>, key: string) {
  return [...entries].map(([name, tally]) => ({ [key]: name, ...tally })).sort((a, b) => b.changed - a.changed)
}

function moves(entries: ReplaySummary['ruleMoves']) {
  return [...entries].map(([change, sessions]) => ({ change, sessions })).sort((a, b) => b.sessions - a.sessions)
}

function instant(epochMs: number | undefined): string | null {
  return epochMs === undefined ? null : new Date(epochMs).toISOString()
}

function percentage(text: string): number {
  const value = Number(text)
  if (!/^\d+(\.\d+)?$/.test(text) || value > 100) throw new InvalidArgumentError('expected a number from 0 to 100.')
  return value
}

function columnNames(text: string): readonly string[] {
  return text.split(',').map((name) => name.trim())
}

function threadCount(text: string): number {
  const value = Number(text)
  if (!/^\d+$/.test(text) || value < 1 || value > 64)
    throw new InvalidArgumentError('expected a whole number from 1 to 64.')
  return value
}

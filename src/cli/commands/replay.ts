// `replay`: decides recorded sessions again and reports what changes, against what was recorded or between two sets of rules.

import { availableParallelism } from 'node:os'
import { InvalidArgumentError } from 'commander'
import type { ChangeTally, ReplaySummary } from '../../analysis/replay-summary.ts'
import { type Issue, inputError } from '../../errors/issue.ts'
import type { ReplayOutcome } from '../../replay/replay.ts'
import { replay, tellOfGeo } from '../lazy-imports.ts'
import { renderReplay } from '../render/render-replay.ts'
import { createProgressBar, type Io, stylesFor, writeJson } from '../terminal.ts'
import { type RegisterVerb, withConfig, withJson } from '../verb.ts'

interface Options {
  readonly config: string
  readonly rules?: string
  readonly against?: string
  readonly out?: string
  readonly failOnChange?: true
  readonly threads: number
  readonly json?: true
}

export const registerReplay: RegisterVerb = (program, { io, action }) => {
  withJson(withConfig(program.command('replay <sessions...>')))
    .description('decides recorded sessions again and reports what changes')
    .addHelpText(
      'after',
      '\nSESSIONS are NDJSON files of session records, plain or gzipped; - reads standard input.\nA and B are configurations, or files with a list of rules that replace those of the configuration.',
    )
    .option('--rules <A>', 'decide with these rules (default: those of the configuration)')
    .option('--against <B>', 'compare A with B, instead of the recording with A')
    .option('--out <file>', 'write changed records to this file as NDJSON, with the changes under `Replay`')
    .option('--fail-on-change', 'exit 1 if anything changes')
    .option('--threads <n>', 'worker threads', threadCount, Math.min(availableParallelism(), 16))
    .action(
      action(async (sessions: readonly string[], { config: configFile, json, failOnChange, ...options }: Options) => {
        const progress = createProgressBar(io, 'replaying')
        const notices: Issue[] = []
        const onNotice = (issue: Issue) => void notices.push(issue)
        const outcome = await replay({ sessions, configFile, ...options, onNotice, onProgress: progress.show }).finally(
          progress.clear,
        )
        tellOfGeo(io, notices)
        refuseNothing(outcome, sessions)
        if (json) writeJson(io, replayDocument(outcome))
        else report(io, outcome, { config: configFile, ...options })
        return failOnChange && outcome.summary.changed > 0 ? 1 : 0
      }),
    )
}

/** A recording without a single session is the wrong file. */
function refuseNothing(
  { summary: { records, unreadable }, unreadable: lines }: ReplayOutcome,
  sessions: readonly string[],
) {
  if (records > unreadable) return
  const [first] = lines
  const code = 'replay.no_sessions'
  const hint = 'give session logs as NDJSON, such as `.egresslab/sessions.ndjson`'
  if (first === undefined) {
    throw inputError(code, `no sessions in ${sessions.map((path) => `\`${path}\``).join(', ')}`, { hint })
  }
  const { file, line, message } = first
  throw inputError(code, `no line is a session record: ${message}`, { hint, file, line, column: 1 })
}

function report(io: Io, outcome: ReplayOutcome, { config, rules, against }: Omit<Options, 'threads'>): void {
  const style = stylesFor(io, io.stderr)
  for (const { file, line, message } of outcome.unreadable) io.stderr.write(`${file}:${line}: ${style.bad(message)}\n`)
  const more = outcome.summary.unreadable - outcome.unreadable.length
  if (more > 0) io.stderr.write(`and ${more} more lines\n`)
  const titles =
    against === undefined
      ? { before: 'the recording', after: rules ?? config }
      : { before: rules ?? config, after: against }
  io.stdout.write(renderReplay(outcome, titles, stylesFor(io, io.stdout)))
}

/** What `--json` prints. */
export function replayDocument({ summary, unreadable, seconds, rules }: ReplayOutcome): unknown {
  const { records, decided, changed, undecided, changes, ruleUses } = summary
  return {
    sessions: records,
    decided,
    undecided,
    unreadable: { count: summary.unreadable, first: unreadable },
    changed,
    changes,
    destinations: tallies(summary.destinations, 'destination'),
    users: tallies(summary.users, 'user'),
    rules: rules.map((rule) => ({ ...rule, sessions: ruleUses.get(rule.id) ?? 0 })),
    moves: { rule: moves(summary.ruleMoves), egress_ip: moves(summary.egressMoves), colo: moves(summary.coloMoves) },
    allowlists: [...summary.allowlists].map(([name, { sessions, refused, admitted, refusedUsers }]) => ({
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

function threadCount(text: string): number {
  const value = Number(text)
  if (!/^\d+$/.test(text) || value < 1 || value > 64)
    throw new InvalidArgumentError('expected a whole number from 1 to 64.')
  return value
}

// Decides recorded sessions again and counts what changes, piece by piece of a recording. Knows no files and no threads.

import {
  type AllowlistTally,
  answerOf,
  changesBetween,
  count,
  countChange,
  type EgressAnswer,
  emptySummary,
  entryOf,
  newAllowlistTally,
  newTally,
  type ReplayChange,
  type ReplaySummary,
} from '../analysis/replay-summary.ts'
import { dedicatedIpOf } from '../geo/site-view.ts'
import { parseIp } from '../net/ip.ts'
import type { Account } from '../policy/account.ts'
import { type Allowlist, type Allowlists, letsIn } from '../policy/allowlist.ts'
import { decide } from '../policy/decide.ts'
import type { DecisionOutcome } from '../policy/decision.ts'
import type { Snapshot } from '../policy/ruleset.ts'
import { type RecordedSession, sessionOf } from './recorded-session.ts'
import type { RecordedClient, RecordedDestination, RecordedFlow, RecordedFlowReader } from './session-flow.ts'
import { detached, SessionReader } from './session-reader.ts'

/** A set of rules with the configuration around it. */
export interface ReplaySide {
  readonly snapshot: Snapshot
  readonly flowOf: RecordedFlowReader
  readonly allowlists: Allowlists
}

/** `line` counts from 1 within the piece. */
export interface LineProblem {
  readonly line: number
  readonly message: string
}

export interface PieceReport {
  /** lines of the piece, empty ones too */
  readonly lines: number
  /** the first few lines that are no session record */
  readonly problems: readonly LineProblem[]
  /** the changed records with what changed under `Replay`, as NDJSON; empty unless asked for */
  readonly changed: string
}

export interface Replayer {
  /** Replays whole lines. */
  replay(text: string, options: { readonly keepChanged: boolean }): PieceReport
  readonly summary: ReplaySummary
}

const NO_SESSION = 'JSON, but not a session record'
/** Unreadable lines described per piece; all are counted. */
const MOST_PROBLEMS = 5

/** A service with an allowlist, as it was and as it is. */
interface Service {
  readonly before: Allowlist
  readonly after: Allowlist
  readonly tally: AllowlistTally
}

/** A replayer of `after` against `before`, or against what was recorded. */
export function createReplayer(after: ReplaySide, before?: ReplaySide): Replayer {
  const summary = emptySummary()
  const reader = new SessionReader()
  const services = new WeakMap<RecordedDestination, Service | undefined>()
  const recorded = new RecordedAnswers(after.snapshot.account)

  /** The session, or what is wrong with the line. */
  function read(text: string, from: number, to: number): RecordedSession | string {
    try {
      const values = reader.read(text, from, to)
      return (values === undefined ? undefined : sessionOf(values)) ?? NO_SESSION
    } catch {
      return 'not complete JSON'
    }
  }

  /** What changed; undefined for a session that was not decided. */
  function replaySession(session: RecordedSession): Changed | undefined {
    const found = after.flowOf(session)
    const then = before?.flowOf(session)
    const why = typeof found === 'string' ? found : typeof then === 'string' ? then : undefined
    if (why !== undefined || typeof found === 'string' || typeof then === 'string') {
      summary.undecided[why ?? 'bad_address']++
      return undefined
    }
    const is = answerOf(decide(after.snapshot, found.flow))
    const was =
      before === undefined || then === undefined
        ? recorded.answerOf(session)
        : answerOf(decide(before.snapshot, then.flow))
    const changes = changesBetween(was, is)
    countSession(session, found, is, was)
    if (changes.length === 0) return undefined
    entryOf(summary.destinations, found.where.name, newTally).changed++
    entryOf(summary.users, found.who.name, newTally).changed++
    countChange(summary, was, is, changes)
    return { before: was, after: is, changes }
  }

  function countSession(
    session: RecordedSession,
    { who, where }: RecordedFlow,
    is: EgressAnswer,
    was: EgressAnswer,
  ): void {
    summary.decided++
    entryOf(summary.destinations, where.name, newTally).sessions++
    entryOf(summary.users, who.name, newTally).sessions++
    if (is.ruleId !== '') count(summary.ruleUses, is.ruleId)
    if (who.unknownUser !== undefined) count(summary.unknownUsers, who.unknownUser)
    if (who.unknownNetwork !== undefined) count(summary.unknownNetworks, who.unknownNetwork)
    const service = serviceOf(where, session)
    if (service !== undefined) countAdmission(service, was, is, who)
  }

  function serviceOf(where: RecordedDestination, { originIp }: RecordedSession): Service | undefined {
    if (services.has(where)) return services.get(where)
    const { target } = where.arrival
    const host = target.kind === 'name' ? target.name : undefined
    const is = after.allowlists.find(host, originIp)
    const was = before === undefined ? is : before.allowlists.find(host, originIp)
    const [one, other] = [was ?? is, is ?? was]
    const service =
      one === undefined || other === undefined
        ? undefined
        : { before: one, after: other, tally: entryOf(summary.allowlists, other.name, newAllowlistTally) }
    services.set(where, service)
    return service
  }

  function countAdmission(service: Service, was: EgressAnswer, is: EgressAnswer, { name }: RecordedClient): void {
    const { tally } = service
    const admitted = letsIn(service.before, parseIp(was.egressIp))
    const admits = letsIn(service.after, parseIp(is.egressIp))
    tally.sessions++
    if (!admitted && admits) tally.admitted++
    if (!admitted || admits) return
    tally.refused++
    count(tally.refusedUsers, name)
  }

  return {
    summary,
    replay(text, { keepChanged }) {
      const problems: LineProblem[] = []
      const changed: string[] = []
      let lines = 0
      for (let from = 0; from < text.length; ) {
        const newline = text.indexOf('\n', from)
        const end = newline < 0 ? text.length : newline
        const to = text.charCodeAt(end - 1) === 13 ? end - 1 : end
        lines++
        if (to > from && !isBlank(text, from, to)) {
          summary.records++
          const session = read(text, from, to)
          if (typeof session === 'string') {
            summary.unreadable++
            if (problems.length < MOST_PROBLEMS) problems.push({ line: lines, message: session })
          } else {
            const found = replaySession(session)
            if (keepChanged && found !== undefined) changed.push(withReplay(text.slice(from, to), found))
          }
        }
        from = end + 1
      }
      return { lines, problems, changed: changed.join('') }
    },
  }
}

interface Changed {
  readonly before: EgressAnswer
  readonly after: EgressAnswer
  readonly changes: readonly ReplayChange[]
}

const MOST_ADDRESSES = 50_000

/** What a recording says happened. The same few answers come again and again. */
class RecordedAnswers {
  readonly #account: Account
  readonly #shared = new Map<string, { readonly text: string; readonly shared: boolean }>()

  constructor(account: Account) {
    this.#account = account
  }

  answerOf(session: RecordedSession): EgressAnswer {
    const { text, shared } = this.#address(session.egressIp)
    return {
      egressIp: text,
      shared,
      ruleId: session.ruleId,
      ruleName: session.ruleName,
      colo: session.egressColo,
      outcome: session.fromLab && session.outcome !== '' ? (session.outcome as DecisionOutcome) : undefined,
      reason: session.reason,
    }
  }

  #address(written: string): { readonly text: string; readonly shared: boolean } {
    const known = this.#shared.get(written)
    if (known !== undefined) return known
    const address = written === '' ? undefined : parseIp(written)
    const shared = address !== undefined && dedicatedIpOf(this.#account, address) === undefined
    const made = { text: address?.text ?? detached(written), shared }
    if (this.#shared.size >= MOST_ADDRESSES) this.#shared.clear()
    this.#shared.set(detached(written), made)
    return made
  }
}

function isBlank(text: string, from: number, to: number): boolean {
  return text.charCodeAt(from) <= 32 && text.slice(from, to).trim() === ''
}

/** The record as it was, with one more key. */
function withReplay(line: string, { before, after, changes }: Changed): string {
  const replay = { changed: changes, before: shown(before), after: shown(after) }
  const brace = line.lastIndexOf('}')
  return `${line.slice(0, brace)},"Replay":${JSON.stringify(replay)}}\n`
}

function shown({ egressIp, ruleId, ruleName, colo, outcome, reason }: EgressAnswer) {
  const rule = ruleId === '' && ruleName === '' ? null : { id: ruleId, name: ruleName }
  return {
    egress_ip: egressIp === '' ? null : egressIp,
    rule,
    colo: colo === '' ? null : colo,
    outcome: outcome ?? null,
    reason,
  }
}

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
  MISSABLE,
  newAllowlistTally,
  newTally,
  type ReplayChange,
  type ReplaySummary,
  saysSomething,
} from '../analysis/replay-summary.ts'
import { dedicatedIpOf } from '../geo/site-view.ts'
import { parseIp } from '../net/ip.ts'
import type { Account } from '../policy/account.ts'
import { type Allowlist, type Allowlists, letsIn } from '../policy/allowlist.ts'
import { decide } from '../policy/decide.ts'
import type { DecisionOutcome } from '../policy/decision.ts'
import type { Snapshot } from '../policy/ruleset.ts'
import { type FieldValue, type NameSource, type RecordedSession, sessionOf } from './recorded-session.ts'
import type { RecordedClient, RecordedDestination, RecordedFlow, RecordedFlowReader } from './session-flow.ts'
import { describeOther, detached, SessionReader } from './session-reader.ts'

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
  /** of everything so far */
  summary(): ReplaySummary
}

/** Unreadable lines described per piece; all are counted. */
const MOST_PROBLEMS = 5

/** A service with an allowlist, as it was and as it is. */
interface Service {
  readonly before: Allowlist
  readonly after: Allowlist
  readonly tally: AllowlistTally
}

export interface ReplayerOptions {
  /** compare with these rules, in place of what was recorded */
  readonly before?: ReplaySide
  readonly names?: NameSource
}

/** A replayer of `after`. */
export function createReplayer(after: ReplaySide, { before, names = 'recorded' }: ReplayerOptions = {}): Replayer {
  const summary = emptySummary()
  const period = new RecordedPeriod()
  const byMissing = new Map<number, number>()
  const reader = new SessionReader()
  const services = new WeakMap<RecordedDestination, Service | undefined>()
  const recorded = new RecordedAnswers(after.snapshot.account)

  /** The session, or what is wrong with the line. */
  function read(text: string, from: number, to: number): RecordedSession | string {
    try {
      const values = reader.read(text, from, to)
      const session = values === undefined ? undefined : sessionOf(values, names)
      return session ?? describeOther(JSON.parse(text.slice(from, to)))
    } catch {
      return 'not complete JSON'
    }
  }

  /** What changed; undefined for a session that was not decided. */
  function replaySession(session: RecordedSession): Changed | undefined {
    countRecord(session)
    const found = after.flowOf(session)
    if (session.isExempt) return countExempt(found)
    const then = before?.flowOf(session)
    const why = typeof found === 'string' ? found : typeof then === 'string' ? then : undefined
    if (why !== undefined || typeof found === 'string' || typeof then === 'string') {
      summary.undecided[why ?? 'bad_address']++
      if (why === 'no_destination' && session.fromLab && session.outcome === '') summary.hadNoDecision++
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

  function countRecord({ dataSet, fromLab, isNamedBySni, missing, startedAt }: RecordedSession): void {
    summary.fromCloudflare ||= !fromLab
    count(summary.dataSets, dataSet)
    if (isNamedBySni) summary.namedBySni++
    if (missing !== 0) byMissing.set(missing, (byMissing.get(missing) ?? 0) + 1)
    period.add(startedAt)
  }

  /** The record says that rules did not apply, and they do not now: rules do not move a destination. */
  function countExempt(found: RecordedFlow | string): undefined {
    summary.decided++
    summary.compared++
    summary.exempt++
    if (typeof found === 'string') return
    entryOf(summary.destinations, found.where.name, newTally).sessions++
    entryOf(summary.users, found.who.name, newTally).sessions++
  }

  function countSession(
    session: RecordedSession,
    { who, where }: RecordedFlow,
    is: EgressAnswer,
    was: EgressAnswer,
  ): void {
    summary.decided++
    if (saysSomething(was)) summary.compared++
    entryOf(summary.destinations, where.name, newTally).sessions++
    entryOf(summary.users, who.name, newTally).sessions++
    if (is.ruleId) count(summary.ruleUses, is.ruleId)
    if (who.unknownUser !== undefined) count(summary.unknownUsers, who.unknownUser)
    if (who.unknownNetwork !== undefined) count(summary.unknownNetworks, who.unknownNetwork)
    const service = session.hasLeft && was.egressIp !== undefined ? serviceOf(where, session) : undefined
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
    const admitted = letsIn(service.before, parseIp(was.egressIp ?? ''))
    const admits = letsIn(service.after, parseIp(is.egressIp ?? ''))
    tally.sessions++
    if (!admitted && admits) tally.admitted++
    if (!admitted || admits) return
    tally.refused++
    count(tally.refusedUsers, name)
  }

  return {
    summary() {
      const { from, to } = period
      const missing = new Map<string, number>()
      for (const [bits, sessions] of byMissing) {
        for (const [nth, field] of MISSABLE.entries()) if ((bits >> nth) & 1) count(missing, field, sessions)
      }
      return { ...summary, missing, recordedFrom: from, recordedTo: to }
    },
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
      period.letGo()
      return { lines, problems, changed: changed.join('') }
    },
  }
}

/** When the first and the last session of a recording began. Most texts only need a comparison. */
class RecordedPeriod {
  #texts: { from: string; to: string } | undefined
  #from = Number.POSITIVE_INFINITY
  #to = Number.NEGATIVE_INFINITY

  add(startedAt: FieldValue): void {
    if (startedAt === undefined || startedAt === '') return
    if (typeof startedAt === 'number' || !startedAt.endsWith('Z')) this.#note(epochMsOf(startedAt))
    else if (this.#texts === undefined) this.#texts = { from: startedAt, to: startedAt }
    else if (startedAt < this.#texts.from) this.#texts.from = startedAt
    else if (startedAt > this.#texts.to) this.#texts.to = startedAt
  }

  /** Texts are pieces of a large one, which must not live on. */
  letGo(): void {
    for (const text of this.#texts === undefined ? [] : [this.#texts.from, this.#texts.to]) this.#note(Date.parse(text))
    this.#texts = undefined
  }

  /** epoch ms; undefined: no session said */
  get from(): number | undefined {
    return Number.isFinite(this.#from) ? this.#from : undefined
  }

  get to(): number | undefined {
    return Number.isFinite(this.#to) ? this.#to : undefined
  }

  #note(epochMs: number): void {
    if (Number.isNaN(epochMs)) return
    this.#from = Math.min(this.#from, epochMs)
    this.#to = Math.max(this.#to, epochMs)
  }
}

/** RFC 3339 with any offset, or a number whose size tells its unit: seconds, or thousandths, millionths, billionths. */
function epochMsOf(written: string | number): number {
  const count = typeof written === 'number' ? written : /^\d+(\.\d+)?$/.test(written) ? Number(written) : Number.NaN
  if (Number.isNaN(count)) return Date.parse(String(written))
  return [1e11, 1e14, 1e17].reduce((ms, limit) => (count >= limit ? ms / 1000 : ms), count * 1000)
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
  readonly #shared = new Map<string, RecordedAddress>()

  constructor(account: Account) {
    this.#account = account
  }

  answerOf(session: RecordedSession): EgressAnswer {
    const { egressIp } = session
    const { text, name, shared } = egressIp === undefined ? UNKNOWN_ADDRESS : this.#address(egressIp)
    return {
      egressIp: text,
      egressName: name,
      shared,
      ruleId: session.ruleId,
      ruleName: session.ruleName,
      colo: session.egressColo,
      outcome: session.fromLab && session.outcome !== '' ? (session.outcome as DecisionOutcome) : undefined,
      reason: session.reason,
    }
  }

  #address(written: string): RecordedAddress {
    const known = this.#shared.get(written)
    if (known !== undefined) return known
    const address = written === '' ? undefined : parseIp(written)
    const dedicated = address === undefined ? undefined : dedicatedIpOf(this.#account, address)
    const text = address?.text ?? detached(written)
    const range = address?.family === 6 ? dedicated?.ipv6?.range.text : undefined
    const made = { text, name: range ?? text, shared: address !== undefined && dedicated === undefined }
    if (this.#shared.size >= MOST_ADDRESSES) this.#shared.clear()
    this.#shared.set(detached(written), made)
    return made
  }
}

interface RecordedAddress {
  readonly text: string | undefined
  readonly name: string | undefined
  readonly shared: boolean
}

const UNKNOWN_ADDRESS: RecordedAddress = { text: undefined, name: undefined, shared: false }

function isBlank(text: string, from: number, to: number): boolean {
  return text.charCodeAt(from) <= 32 && text.slice(from, to).trim() === ''
}

/** The record as it was, with one more key. */
function withReplay(line: string, { before, after, changes }: Changed): string {
  const replay = { changed: changes, before: shown(before), after: shown(after) }
  const brace = line.lastIndexOf('}')
  return `${line.slice(0, brace)},"Replay":${JSON.stringify(replay)}}\n`
}

function shown({ egressIp, ruleId = '', ruleName, colo, outcome, reason }: EgressAnswer) {
  const rule = ruleId === '' && ruleName === '' ? null : { id: ruleId, name: ruleName }
  return {
    egress_ip: egressIp || null,
    rule,
    colo: colo || null,
    outcome: outcome ?? null,
    reason,
  }
}

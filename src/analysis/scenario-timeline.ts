// The timeline of a scenario: receives every observation and records what is new, when, who and why. Everything a report
// shows (who moved, whom allowlists refused, which connections were reset) is derived from it. Has no clock; the caller
// passes the times.

import type { ExplainedDecision } from '../policy/explain.ts'
import { type Difference, differencesOf, type Expectation } from './policy-test.ts'

/** A client and its destination. `login` is the proxy user name with its options: `bob@example.com;vnet=vnet-AMER`. */
export interface ScenarioClient {
  readonly login: string
  /** as the scenario writes it */
  readonly destination: string
}

/** What happened to a connection that was held open. */
export type ConnectionFate = 'opened' | 'kept' | 'reset' | 'lost'

type ScenarioEntry =
  | { readonly kind: 'note'; readonly what: string }
  /** something was changed; `what` is a clause: `LAX (Los Angeles) goes down` */
  | { readonly kind: 'change'; readonly what: string }
  /** a client is first seen (`from` absent), or seen at another address. Addresses are text; null: refused. `after`:
   *  the changes since it was last seen */
  | ({ readonly kind: 'move'; readonly from?: string | null; readonly to: string | null } & ScenarioClient & {
        readonly why: string
        readonly after: readonly string[]
      })
  /** an allowlist refuses a client it admitted before or sees for the first time, or admits it again */
  | ({ readonly kind: 'refused' | 'admitted'; readonly source: string } & ScenarioClient)
  /** a connection failed where the last one had not, or failed differently */
  | ({ readonly kind: 'failed'; readonly code: string; readonly message: string } & ScenarioClient)
  /** the site locates the client in another country than before */
  | ({
      readonly kind: 'seen'
      readonly source: string
      readonly from: string | null
      readonly to: string | null
    } & ScenarioClient)
  /** an egress address failed by itself, or works again */
  | { readonly kind: 'outage'; readonly egress: string; readonly code: string; readonly message: string }
  | { readonly kind: 'recovery'; readonly egress: string }
  | ({
      readonly kind: 'connection'
      readonly fate: ConnectionFate
      readonly egress: string
      readonly why: string
    } & ScenarioClient)
  | {
      readonly kind: 'check'
      readonly name: string
      readonly line: number
      readonly passed: boolean
      readonly differences: readonly Difference[]
    }

/** `atMs`: since the start. `time`: by the lab's clock, epoch ms. */
export type TimedEntry = ScenarioEntry & { readonly atMs: number; readonly time: number }

export type EntryOf<K extends ScenarioEntry['kind']> = Extract<TimedEntry, { readonly kind: K }>

export interface ScenarioReport {
  readonly name: string
  readonly file: string
  readonly config: string
  /** through the proxy of a lab, or by decisions only */
  readonly mode: 'proxy' | 'decide'
  readonly visits: number
  readonly timeline: readonly TimedEntry[]
}

/** The entries of these kinds, in order. */
export function entriesOf<K extends ScenarioEntry['kind']>(
  { timeline }: Pick<ScenarioReport, 'timeline'>,
  ...kinds: readonly K[]
): EntryOf<K>[] {
  const wanted: readonly string[] = kinds
  return timeline.filter((entry): entry is EntryOf<K> => wanted.includes(entry.kind))
}

/** Whether every expectation held. */
export function passed(report: Pick<ScenarioReport, 'timeline'>): boolean {
  return entriesOf(report, 'check').every((check) => check.passed)
}

/** A period in which an allowlist refused a client; `untilMs` is absent if it lasted to the end. */
export interface Refusal extends ScenarioClient {
  readonly source: string
  readonly fromMs: number
  readonly untilMs?: number
}

/** Which allowlists refused whom, from when until when. */
export function refusalsOf({ timeline }: Pick<ScenarioReport, 'timeline'>): Refusal[] {
  const all: { -readonly [K in keyof Refusal]: Refusal[K] }[] = []
  for (const entry of timeline) {
    if (entry.kind !== 'refused' && entry.kind !== 'admitted') continue
    const { login, destination, source, atMs } = entry
    const open = all.find((one) => one.login === login && one.destination === destination && one.untilMs === undefined)
    if (open !== undefined) open.untilMs = atMs
    if (entry.kind === 'refused') all.push({ login, destination, source, fromMs: atMs })
  }
  return all
}

/** One visit and its result. */
export interface Observation extends ScenarioClient {
  /** absent if the connection failed before a decision */
  readonly decision?: ExplainedDecision
  readonly error?: { readonly code: string; readonly message: string }
  /** the address the site saw; absent if there was no response or no connection */
  readonly sawFrom?: string
  /** HTTP status the client received; 0: none */
  readonly status: number
  /** null if the destination has no allowlist */
  readonly letIn: boolean | null
  /** country in which the site locates the client; null if it has no location */
  readonly seenIn: string | null
}

/** The expectation of a row for a visit: parts of the decision, the client's result, the location the site sees. */
export interface ObservationExpectation extends Expectation {
  readonly status?: number
  readonly seen_in?: string
}

export interface Moment {
  readonly atMs: number
  readonly time: number
}

/** See the head of this file. */
export class ScenarioTimeline {
  readonly timeline: TimedEntry[] = []
  visits = 0
  /** open held connections, and those reset or lost so far */
  readonly connections = { open: 0, reset: 0 }
  readonly #onEntry: (entry: TimedEntry) => void
  readonly #changes: string[] = []
  readonly #last = new Map<string, { readonly observation: Observation; readonly changes: number }>()

  constructor(onEntry: (entry: TimedEntry) => void = () => undefined) {
    this.#onEntry = onEntry
  }

  /** A note by the author; it changes nothing, so no movement is attributed to it. */
  note(moment: Moment, what: string): void {
    this.#write(moment, { kind: 'note', what })
  }

  change(moment: Moment, what: string): void {
    this.#changes.push(what)
    this.#write(moment, { kind: 'change', what })
  }

  /** Records what is new about this client. */
  sighted(moment: Moment, observation: Observation): void {
    this.visits++
    const { login, destination } = observation
    const key = `${login} ${destination}`
    const before = this.#last.get(key)
    this.#last.set(key, { observation, changes: this.#changes.length })
    const who = { login, destination }
    const after = before === undefined ? [] : this.#changes.slice(before.changes)
    for (const entry of newsOf(observation, before?.observation)) {
      this.#write(moment, entry.kind === 'move' ? { ...entry, ...who, after } : { ...entry, ...who })
    }
  }

  connection(moment: Moment, who: ScenarioClient, egress: string, fate: ConnectionFate, why: string): void {
    if (fate === 'opened') this.connections.open++
    if (fate === 'reset' || fate === 'lost') {
      this.connections.open--
      this.connections.reset++
    }
    const { login, destination } = who
    this.#write(moment, { kind: 'connection', login, destination, egress, fate, why })
  }

  outage(moment: Moment, egress: string, error: { readonly code: string; readonly message: string } | undefined): void {
    if (error === undefined) this.#write(moment, { kind: 'recovery', egress })
    else this.#write(moment, { kind: 'outage', egress, code: error.code, message: error.message })
  }

  check(moment: Moment, name: string, line: number, differences: readonly Difference[]): void {
    this.#write(moment, { kind: 'check', name, line, passed: differences.length === 0, differences })
  }

  #write({ atMs, time }: Moment, entry: ScenarioEntry): void {
    const timed = { atMs, time, ...entry }
    this.timeline.push(timed)
    this.#onEntry(timed)
  }
}

type News =
  | { readonly kind: 'move'; readonly from?: string | null; readonly to: string | null; readonly why: string }
  | { readonly kind: 'refused' | 'admitted'; readonly source: string }
  | { readonly kind: 'failed'; readonly code: string; readonly message: string }
  | { readonly kind: 'seen'; readonly source: string; readonly from: string; readonly to: string }

function newsOf(now: Observation, before: Observation | undefined): News[] {
  const news: News[] = []
  const [from, to] = [before && addressOf(before), addressOf(now)]
  const source = to ?? 'nowhere'
  if (before === undefined || from !== to) {
    news.push({ kind: 'move', ...(from === undefined ? {} : { from }), to, why: whyOf(now) })
  }
  if (now.error !== undefined && now.error.code !== 'egress.unroutable' && now.error.code !== before?.error?.code) {
    news.push({ kind: 'failed', ...now.error })
  }
  if (now.letIn === false && before?.letIn !== false) news.push({ kind: 'refused', source })
  if (now.letIn === true && before?.letIn === false) news.push({ kind: 'admitted', source })
  if (before !== undefined && now.seenIn !== null && before.seenIn !== null && now.seenIn !== before.seenIn) {
    news.push({ kind: 'seen', source, from: before.seenIn, to: now.seenIn })
  }
  return news
}

/** The address a client leaves from according to the decision: a connection that fails after it does not move the
 *  client. */
function addressOf({ decision, sawFrom }: Observation): string | null {
  return sawFrom ?? decision?.egress?.ipv4 ?? decision?.egress?.ipv6 ?? null
}

function whyOf({ decision, error }: Observation): string {
  return decision?.reason ?? error?.message ?? ''
}

/** All unmet expectations of a visit; empty if it holds. */
export function observationDifferences(
  { status, seen_in, error, ...rest }: ObservationExpectation,
  found: Observation,
): Difference[] {
  const decided: Difference[] =
    found.decision === undefined
      ? Object.keys(rest).map((what) => ({ what, expected: 'a decision', found: whyOf(found) }))
      : differencesOf(rest, { kind: 'decided', decision: found.decision, letIn: found.letIn })
  return [
    ...decided,
    ...addressDifference(found),
    ...difference('status', status, found.status),
    ...difference('seen_in', seen_in, found.seenIn ?? 'nothing'),
    ...difference('error', error, found.error?.code ?? 'none'),
    ...unexpectedFailure({ status, error, outcome: rest.outcome }, found),
  ]
}

function difference<T extends string | number>(what: string, wanted: T | undefined, found: string | T): Difference[] {
  return wanted === undefined || wanted === found ? [] : [{ what, expected: `${wanted}`, found: `${found}` }]
}

/** The site must see the address that was decided. */
function addressDifference({ decision, sawFrom }: Observation): Difference[] {
  const decided = decision?.egress?.ipv4 ?? decision?.egress?.ipv6
  if (sawFrom === undefined || decided === undefined || sawFrom === decided) return []
  return [{ what: 'address seen by the site', expected: decided, found: sawFrom }]
}

/** A connection that fails although that was not expected. */
function unexpectedFailure(
  { status, error, outcome }: { [K in 'status' | 'error' | 'outcome']: ObservationExpectation[K] | undefined },
  found: Observation,
): Difference[] {
  if (found.error === undefined || error !== undefined || status !== undefined) return []
  if (outcome === 'unroutable' && found.decision?.outcome === 'unroutable') return []
  return [{ what: 'error', expected: 'none', found: `${found.error.code}: ${found.error.message}` }]
}

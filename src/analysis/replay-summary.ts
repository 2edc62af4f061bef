// Compares two results for the same connection, and adds up the changes of a replay: how much changed, for whom, where to,
// by which rules, and which services would now refuse sessions they admitted before. Memory is bounded for any number of
// distinct names; summaries of parts can be added. Pure.

import { type Decision, type DecisionOutcome, nameOfEgress } from '../policy/decision.ts'
import type { ColoCode, RuleId } from '../policy/ids.ts'

/** Where a connection left from, or would leave from. What a recording does not say is undefined. */
export interface EgressAnswer {
  /** canonical address; '' if it did not leave */
  readonly egressIp: string | undefined
  /** the same as the account names it: the dedicated IPv6 range of an address inside one */
  readonly egressName: string | undefined
  /** whether it left from an address that is not the account's own */
  readonly shared: boolean
  /** id and name are empty if no rule decided */
  readonly ruleId: RuleId | undefined
  readonly ruleName: string
  /** data center it physically left from, '' if none */
  readonly colo: ColoCode | undefined
  readonly outcome: DecisionOutcome | undefined
  readonly reason: string
}

export const CHANGES = ['egress_ip', 'rule', 'colo', 'outcome'] as const
export type ReplayChange = (typeof CHANGES)[number]

/** The differences. What is not known is not compared. A recording of another system has other shared addresses and no
 *  outcomes: then all shared addresses are considered equal. Rules are equal by id or by name. */
export function changesBetween(before: EgressAnswer, after: EgressAnswer): ReplayChange[] {
  const foreign = before.outcome === undefined
  const sameIp =
    before.egressName === undefined ||
    before.egressName === after.egressName ||
    (foreign && before.shared && after.shared)
  const sameRule =
    before.ruleId === undefined ||
    before.ruleId === after.ruleId ||
    (before.ruleName !== '' && before.ruleName === after.ruleName) ||
    before.ruleId.toLowerCase() === after.ruleId?.toLowerCase()
  const sameColo = before.colo === undefined || before.colo === after.colo || before.colo.toUpperCase() === after.colo
  const sameOutcome = foreign || before.outcome === after.outcome
  if (sameIp && sameRule && sameColo && sameOutcome) return NONE
  return [
    ...(sameIp ? [] : (['egress_ip'] as const)),
    ...(sameRule ? [] : (['rule'] as const)),
    ...(sameColo ? [] : (['colo'] as const)),
    ...(sameOutcome ? [] : (['outcome'] as const)),
  ]
}

/** Is there anything to compare with? */
export function saysSomething({ egressName, ruleId, colo, outcome }: EgressAnswer): boolean {
  return egressName !== undefined || ruleId !== undefined || colo !== undefined || outcome !== undefined
}

const NONE: ReplayChange[] = []

/** The decision in the form compared here. */
export function answerOf({ outcome, rule, egress, physicalColo, reason }: Decision): EgressAnswer {
  return {
    egressIp: egress?.address.text ?? '',
    egressName: egress === null ? '' : nameOfEgress(egress),
    shared: egress !== null && egress.dedicated === undefined,
    ruleId: rule?.id ?? '',
    ruleName: rule?.name ?? '',
    colo: physicalColo?.code ?? '',
    outcome,
    reason,
  }
}

export interface ChangeTally {
  sessions: number
  changed: number
}

/** For a service with an allowlist: sessions it admitted before and would refuse, and the reverse, by user. */
export interface AllowlistTally {
  sessions: number
  refused: number
  admitted: number
  readonly refusedUsers: Map<string, number>
}

/** Why a session was read but not decided. */
export const UNDECIDED = [
  'no_destination',
  'no_port',
  'no_protocol',
  'no_source',
  'other_protocol',
  'bad_address',
] as const
export type Undecided = (typeof UNDECIDED)[number]

/** The data sets sessions come from, as Cloudflare names them; the lab records the first. */
export type RecordedDataSet = 'zero_trust_network_sessions' | 'gateway_network' | 'gateway_http'

/** What a decision is made of and compared with, by the fields that hold it; an export may lack any. */
export const MISSABLE = [
  'Protocol',
  'SourceIP',
  'SourcePort',
  'OriginIP',
  'OriginPort',
  'ResolvedFQDN',
  'Email or UserID',
  'DeviceID or DeviceName',
  'VirtualNetworkID',
  'IngressColoName',
  'EgressIP',
  'EgressColoName',
  'EgressRuleID or EgressRuleName',
] as const
export type Missable = (typeof MISSABLE)[number]

export interface ReplaySummary {
  /** lines that are not empty; those that are not session records */
  records: number
  unreadable: number
  decided: number
  /** decided, and the recording (or the other rules) says something to compare with */
  compared: number
  /** decided by the record itself: egress rules did not apply */
  exempt: number
  /** the lab recorded that they failed before there was anything to decide */
  hadNoDecision: number
  /** decided by the TLS server name, where the record had no name */
  namedBySni: number
  /** some were recorded by Cloudflare, not by a lab */
  fromCloudflare: boolean
  changed: number
  /** first and last start of a session, epoch ms; undefined where no record says */
  recordedFrom: number | undefined
  recordedTo: number | undefined
  readonly dataSets: Map<string, number>
  /** sessions by what their record lacks */
  readonly missing: Map<string, number>
  readonly undecided: Record<Undecided, number>
  readonly changes: Record<ReplayChange, number>
  readonly destinations: Map<string, ChangeTally>
  readonly users: Map<string, ChangeTally>
  /** `before → after` of changed sessions */
  readonly ruleMoves: Map<string, number>
  readonly coloMoves: Map<string, number>
  readonly egressMoves: Map<string, number>
  readonly allowlists: Map<string, AllowlistTally>
  /** sessions by the id of the rule that decides them now */
  readonly ruleUses: Map<string, number>
  /** sessions of users and in virtual networks that the configuration does not have */
  readonly unknownUsers: Map<string, number>
  readonly unknownNetworks: Map<string, number>
}

/** Most distinct names counted separately; all others count together as {@link OTHERS}. */
export const MOST_NAMES = 10_000
export const OTHERS = '(others)'

/** A summary of no sessions. */
export function emptySummary(): ReplaySummary {
  return {
    records: 0,
    unreadable: 0,
    decided: 0,
    compared: 0,
    exempt: 0,
    hadNoDecision: 0,
    namedBySni: 0,
    fromCloudflare: false,
    changed: 0,
    recordedFrom: undefined,
    recordedTo: undefined,
    dataSets: new Map(),
    missing: new Map(),
    undecided: { no_destination: 0, no_port: 0, no_protocol: 0, no_source: 0, other_protocol: 0, bad_address: 0 },
    changes: { egress_ip: 0, rule: 0, colo: 0, outcome: 0 },
    destinations: new Map(),
    users: new Map(),
    ruleMoves: new Map(),
    coloMoves: new Map(),
    egressMoves: new Map(),
    allowlists: new Map(),
    ruleUses: new Map(),
    unknownUsers: new Map(),
    unknownNetworks: new Map(),
  }
}

/** The entry of a name, created if missing; the common entry if there are too many names. */
export function entryOf<T>(entries: Map<string, T>, name: string, make: () => T): T {
  const found = entries.get(name)
  if (found !== undefined) return found
  const key = entries.size >= MOST_NAMES ? OTHERS : name
  const entry = entries.get(key) ?? make()
  entries.set(key, entry)
  return entry
}

/** Adds `by` to the count of a name, bounded as {@link entryOf}. */
export function count(entries: Map<string, number>, name: string, by = 1): void {
  const key = entries.has(name) || entries.size < MOST_NAMES ? name : OTHERS
  entries.set(key, (entries.get(key) ?? 0) + by)
}

/** A tally of no sessions. */
export const newTally = (): ChangeTally => ({ sessions: 0, changed: 0 })
/** An allowlist tally of no sessions. */
export const newAllowlistTally = (): AllowlistTally => ({
  sessions: 0,
  refused: 0,
  admitted: 0,
  refusedUsers: new Map(),
})

/** Counts the changes of one session. */
export function countChange(
  summary: ReplaySummary,
  before: EgressAnswer,
  after: EgressAnswer,
  changes: readonly ReplayChange[],
): void {
  summary.changed++
  for (const change of changes) summary.changes[change]++
  if (changes.includes('rule')) count(summary.ruleMoves, move(ruleText(before), ruleText(after)))
  if (changes.includes('colo')) count(summary.coloMoves, move(before.colo, after.colo))
  if (changes.includes('egress_ip')) count(summary.egressMoves, move(before.egressName, after.egressName))
}

function move(before: string | undefined, after: string | undefined): string {
  return `${before || '(none)'} → ${after || '(none)'}`
}

function ruleText({ ruleName, ruleId }: EgressAnswer): string | undefined {
  return ruleName === '' ? ruleId : ruleName
}

/** Adds the summary of a part to the whole. */
export function addSummary(whole: ReplaySummary, part: ReplaySummary): void {
  whole.records += part.records
  whole.unreadable += part.unreadable
  whole.decided += part.decided
  whole.compared += part.compared
  whole.exempt += part.exempt
  whole.hadNoDecision += part.hadNoDecision
  whole.namedBySni += part.namedBySni
  whole.fromCloudflare ||= part.fromCloudflare
  whole.changed += part.changed
  whole.recordedFrom = extreme(Math.min, whole.recordedFrom, part.recordedFrom)
  whole.recordedTo = extreme(Math.max, whole.recordedTo, part.recordedTo)
  for (const why of UNDECIDED) whole.undecided[why] += part.undecided[why]
  for (const change of CHANGES) whole.changes[change] += part.changes[change]
  for (const kind of ['destinations', 'users'] as const) {
    for (const [name, tally] of part[kind]) {
      const entry = entryOf(whole[kind], name, newTally)
      entry.sessions += tally.sessions
      entry.changed += tally.changed
    }
  }
  for (const [name, tally] of part.allowlists) addAllowlist(entryOf(whole.allowlists, name, newAllowlistTally), tally)
  for (const kind of COUNTS) for (const [name, by] of part[kind]) count(whole[kind], name, by)
}

const COUNTS = [
  'ruleMoves',
  'coloMoves',
  'egressMoves',
  'ruleUses',
  'unknownUsers',
  'unknownNetworks',
  'dataSets',
  'missing',
] as const

function extreme(
  pick: (a: number, b: number) => number,
  a: number | undefined,
  b: number | undefined,
): number | undefined {
  return a === undefined || b === undefined ? (a ?? b) : pick(a, b)
}

function addAllowlist(whole: AllowlistTally, part: AllowlistTally): void {
  whole.sessions += part.sessions
  whole.refused += part.refused
  whole.admitted += part.admitted
  for (const [user, by] of part.refusedUsers) count(whole.refusedUsers, user, by)
}

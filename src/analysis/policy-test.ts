// Policy tests as data: the decision a case expects, how the actual one differs, and which rules no case covers. Reads no
// files and decides nothing itself. Keys of an expectation are those of a test file.

import { containsIp, parseCidr } from '../net/cidr.ts'
import { equalIp, parseIp } from '../net/ip.ts'
import type { DecisionOutcome } from '../policy/decision.ts'
import type { ExplainedDecision } from '../policy/explain.ts'
import type { Rule } from '../policy/rule.ts'
import type { Ruleset } from '../policy/ruleset.ts'
import { type Unreachable, whyUnreachable } from './unreachable.ts'

/** Any part of a decision. `rule` is a name or an id, `egress_ip` an address or a network, `reason` text that the
 *  reason contains. */
export interface Expectation {
  readonly outcome?: DecisionOutcome
  readonly rule?: string | null
  readonly egress_ip?: string | null
  /** one of these addresses and networks */
  readonly egress_in?: readonly string[]
  readonly reason?: string
  readonly ingress_colo?: string
  readonly physical_colo?: string | null
  readonly logical_colo?: string | null
  readonly geolocation?: { readonly city?: string; readonly country?: string }
  readonly fallback?: boolean
  readonly bind?: string
  readonly exempt?: string
  /** the allowlist of the destination */
  readonly let_in?: boolean
  /** code of a failure before a decision */
  readonly error?: string
}

/** The result of a case. `letIn` is null if the destination has no allowlist. */
export type Verdict =
  | { readonly kind: 'decided'; readonly decision: ExplainedDecision; readonly letIn: boolean | null }
  | { readonly kind: 'failed'; readonly code: string; readonly message: string }

/** `what` is the key of the expectation; both sides as text for people, `nothing` for no value. */
export interface Difference {
  readonly what: string
  readonly expected: string
  readonly found: string
}

/** One case after its run. `asked` is what the caller wants to show of it. */
export interface CaseResult<Asked> {
  readonly name: string
  readonly file: string
  readonly line: number
  readonly passed: boolean
  readonly differences: readonly Difference[]
  readonly verdict: Verdict
  readonly asked: Asked
  readonly durationMs: number
}

export interface FileResult<Asked> {
  readonly file: string
  readonly config: string
  readonly cases: readonly CaseResult<Asked>[]
}

/** `coverage`: one per configuration, over all files that test it. `sources`: every file that was read. */
export interface TestRun<Asked> {
  readonly sources: readonly string[]
  readonly files: readonly FileResult<Asked>[]
  readonly coverage: readonly { readonly config: string; readonly rules: readonly RuleCoverage[] }[]
}

/** All unmet parts of an expectation, in the order of {@link Expectation}; empty if it holds. */
export function differencesOf(expected: Expectation, verdict: Verdict): Difference[] {
  if (verdict.kind === 'failed') return differencesOfFailure(expected, verdict)
  const { outcome, rule, reason, egress, exempt, logical, ...colos } = verdict.decision
  const address = egress?.ipv4 ?? egress?.ipv6 ?? null
  const { geolocation = {} } = expected
  const letIn = verdict.letIn ?? 'nothing, because the destination has no allowlist'
  return [
    ...difference('outcome', expected.outcome, outcome),
    ...difference('rule', expected.rule, rule?.name ?? null, (wanted) => sameRule(wanted, rule)),
    ...difference('egress_ip', expected.egress_ip, address, isWithin),
    ...difference('egress_in', expected.egress_in?.join(', '), address, isWithinOne),
    ...difference('reason', expected.reason, reason, (wanted) => reason.includes(wanted)),
    ...difference('ingress_colo', expected.ingress_colo, colos.ingress_colo),
    ...difference('physical_colo', expected.physical_colo, colos.physical_colo),
    ...difference('logical_colo', expected.logical_colo, logical?.colo ?? null),
    ...difference('geolocation.city', geolocation.city, logical?.city ?? null),
    ...difference('geolocation.country', geolocation.country, logical?.country ?? null),
    ...difference('fallback', expected.fallback, egress?.fallback ?? null),
    ...difference('bind', expected.bind, egress?.bind ?? null, isWithin),
    ...difference('exempt', expected.exempt, exempt?.kind ?? null),
    ...difference('let_in', expected.let_in, letIn),
    ...difference('error', expected.error, `a decision, ${outcome}`),
  ]
}

type Fact = string | boolean | null

/** Empty if nothing was expected or the expectation holds. */
function difference<W extends Fact, F extends Fact>(
  what: string,
  wanted: W | undefined,
  found: F,
  holds: (wanted: W, found: F) => boolean = (one, other) => Object.is(one, other),
): Difference[] {
  if (wanted === undefined || holds(wanted, found)) return []
  return [{ what, expected: show(wanted), found: show(found) }]
}

function sameRule(wanted: string | null, rule: ExplainedDecision['rule']): boolean {
  if (wanted === null || rule === null) return wanted === rule
  return wanted === rule.name || wanted.toLowerCase() === rule.id
}

function isWithin(wanted: string | null, address: string | null): boolean {
  if (wanted === null || address === null) return wanted === address
  const [single, found, network] = [parseIp(wanted), parseIp(address), parseCidr(wanted)]
  if (found === undefined) return false
  if (single !== undefined) return equalIp(single, found)
  return network !== undefined && containsIp(network, found)
}

function isWithinOne(wanted: string, address: string | null): boolean {
  return wanted.split(', ').some((one) => isWithin(one, address))
}

function differencesOfFailure(expected: Expectation, { code, message }: Verdict & { kind: 'failed' }): Difference[] {
  if (expected.error === undefined) {
    return [{ what: 'error', expected: 'a decision', found: `${code}: ${message}` }]
  }
  const rest = Object.keys(expected).filter((key) => key !== 'error')
  return [
    ...(expected.error === code ? [] : [{ what: 'error', expected: expected.error, found: `${code}: ${message}` }]),
    ...rest.map((what) => ({ what, expected: 'a decision', found: `nothing, for it failed with ${code}` })),
  ]
}

function show(value: Fact): string {
  return value === null ? 'nothing' : String(value)
}

export interface RuleCoverage {
  readonly id: string
  readonly rule: string
  readonly precedence: number
  /** names of the cases it decided, in the order they ran */
  readonly decided: readonly string[]
  /** why it cannot decide anything (disabled, not an egress rule, never reached …); null for rules that count */
  readonly skipped: string | null
}

/** The coverage of every rule, by precedence. `cases`: each with the rule that decided it, null if none did;
 *  `unreachable`: rules proven to decide nothing. */
export function coverageOf(
  ruleset: Pick<Ruleset, 'rules' | 'skipped'>,
  cases: readonly { readonly name: string; readonly ruleId: string | null }[],
  unreachable: readonly Unreachable[] = [],
): RuleCoverage[] {
  const reasons = new Map<Rule, string>([
    ...unreachable.map((proof) => [proof.rule, whyUnreachable(proof)] as const),
    ...ruleset.skipped.map(({ rule, reason }) => [rule, reason] as const),
  ])
  const decided = Map.groupBy(cases, ({ ruleId }) => ruleId)
  return ruleset.rules.map((rule) => ({
    id: rule.id,
    rule: rule.name,
    precedence: rule.precedence,
    decided: (decided.get(rule.id) ?? []).map(({ name }) => name),
    skipped: reasons.get(rule) ?? null,
  }))
}

/** The share of rules able to decide a case that did, in per cent, 0 … 100; 100 if there are no such rules. */
export function coveredPercent(rules: readonly RuleCoverage[]): number {
  const counting = rules.filter(({ skipped }) => skipped === null)
  const covered = counting.filter(({ decided }) => decided.length > 0)
  return counting.length === 0 ? 100 : (100 * covered.length) / counting.length
}

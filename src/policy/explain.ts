// Explains one decision as data: the facts, each rule in order with the parts that decided it, the near misses, and the
// steps of the egress plan. The decision comes from decide(); keys are those of the command line's JSON.

import {
  decisiveParts,
  type FieldValues,
  type JsonValue,
  type Trace,
  toJson,
  traceExpression,
} from '../expression/index.ts'
import { decide } from './decide.ts'
import type { Decision, DecisionOutcome, Egress, ExemptReason } from './decision.ts'
import { type PlanStep, planExempt, planForRule, planWithoutRule } from './egress-plan.ts'
import { GATEWAY_SCHEME, SLOT_NAMES } from './fields.ts'
import type { Flow } from './flow.ts'
import { createFlowReader, namedFlowValues } from './flow-values.ts'
import type { Rule } from './rule.ts'
import { RuleParser } from './rule-expressions.ts'
import type { Snapshot } from './ruleset.ts'

export interface Explanation {
  /** the flow's values by field name */
  readonly flow: Readonly<Record<string, JsonValue>>
  readonly decision: ExplainedDecision
  /** every rule, by precedence */
  readonly trace: readonly RuleTrace[]
  readonly near_misses: readonly NearMiss[]
  /** the addresses considered, in order */
  readonly plan: readonly PlanStep[]
}

export interface ExplainedDecision {
  readonly outcome: DecisionOutcome
  readonly rule: { readonly id: string; readonly name: string; readonly precedence: number } | null
  readonly reason: string
  readonly egress: ExplainedEgress | null
  readonly exempt?: ExemptReason
  readonly ingress_colo: string
  readonly physical_colo: string | null
  readonly logical: { readonly colo: string; readonly city: string | null; readonly country: string | null } | null
}

/** `bind`: the local address that is bound for the family of the public one */
export interface ExplainedEgress {
  readonly ipv4?: string
  readonly ipv6?: string
  readonly fallback: boolean
  readonly bind: string
}

export interface RuleTrace {
  readonly id: string
  readonly rule: string
  readonly precedence: number
  readonly matched: boolean
  /** why it was not evaluated; null when it was */
  readonly skipped: string | null
  /** by Cloudflare's names of the expressions; empty expressions are omitted */
  readonly expressions: Readonly<Record<string, ExpressionTrace>>
}

export interface ExpressionTrace {
  readonly result: boolean
  readonly parts: readonly PartTrace[]
}

/** `span` is half-open, in characters of the expression; `value` is null for a missing field. */
export interface PartTrace {
  readonly text: string
  readonly span: readonly [number, number]
  readonly result: boolean
  readonly value: JsonValue
  readonly field: string | null
  /** why the field has no value, where the reason is not obvious */
  readonly note?: string
  /** this part, together with the others marked so, determined the expression's result */
  readonly decisive: boolean
}

/** A rule that would have matched if any single one of `parts` had had the other result. */
export interface NearMiss {
  readonly id: string
  readonly rule: string
  readonly precedence: number
  readonly expression: string
  readonly parts: readonly { readonly text: string; readonly field: string | null; readonly value: JsonValue }[]
}

/** Explains what {@link decide} does with the flow. Takes milliseconds, where deciding takes microseconds. */
export function explain(snapshot: Snapshot, flow: Flow): Explanation {
  const decision = decide(snapshot, flow)
  const evaluated = traceRules(snapshot, flow, decision)
  const facts = [...namedFlowValues(flow, snapshot.account.settings.hostSelector)]
  return {
    flow: Object.fromEntries(facts.map(([name, value]) => [name, toJson(value)])),
    decision: explainDecision(decision),
    trace: evaluated.map(({ trace }) => trace),
    near_misses: evaluated.flatMap(({ rule, slots }) => nearMiss(rule, slots)),
    plan: planOf(snapshot, flow, decision),
  }
}

/** A decision in the form of the command line's JSON. */
export function explainDecision(decision: Decision): ExplainedDecision {
  const { outcome, rule, reason, egress, exempt, ingressColo, physicalColo, logical } = decision
  return {
    outcome,
    rule: rule === null ? null : { id: rule.id, name: rule.name, precedence: rule.precedence },
    reason,
    egress: egress === null ? null : explainEgress(egress),
    ...(exempt === undefined ? {} : { exempt }),
    ingress_colo: ingressColo.code,
    physical_colo: physicalColo?.code ?? null,
    logical:
      logical === null
        ? null
        : { colo: logical.colo.code, city: logical.place.city ?? null, country: logical.place.country ?? null },
  }
}

function explainEgress({ family, address, standIns, fallback }: Egress): ExplainedEgress {
  const bind = standIns[0]?.text ?? address.text
  return family === 4 ? { ipv4: address.text, fallback, bind } : { ipv6: address.text, fallback, bind }
}

/** The steps considered for a decision already made. */
export function planOf({ tables }: Snapshot, flow: Flow, decision: Decision): readonly PlanStep[] {
  if (decision.exempt !== undefined) {
    return planExempt(tables, flow, decision.ingressColo, decision.exempt).steps
  }
  if (decision.rule !== null) return planForRule(tables, flow, decision.rule, decision.ingressColo).steps
  return decision.outcome === 'unroutable' ? [] : planWithoutRule(tables, flow, decision.ingressColo).steps
}

interface SlotTrace {
  readonly name: string
  readonly trace: Trace
}

interface Evaluated {
  readonly rule: Rule
  readonly trace: RuleTrace
  readonly slots: readonly SlotTrace[]
}

/** Every rule in order, evaluated up to the first match; the rest with the reason why it was not evaluated. */
function traceRules({ account, ruleset }: Snapshot, flow: Flow, decision: Decision): Evaluated[] {
  const skipped = new Map(ruleset.skipped.map(({ rule, reason }) => [rule, reason] as const))
  const values = createFlowReader(new Set(GATEWAY_SCHEME.fields.keys()), account.settings.hostSelector).read(flow)
  const parser = new RuleParser(account.settings.expressions)
  const skipsRules = decision.exempt !== undefined || (decision.rule === null && decision.outcome === 'unroutable')
  let winner: Rule | undefined
  const noteOn = (field: string | null) => noteOnMissing(field, flow)
  return ruleset.rules.map((rule) => {
    const reason = skipsRules ? 'no rule is evaluated for this connection' : (skipped.get(rule) ?? afterWinner(winner))
    if (reason !== undefined) return { rule, trace: ruleTrace(rule, false, reason, [], noteOn), slots: [] }
    const slots = traceSlots(parser, rule, values, ruleset.lists)
    const matched = slots.every(({ trace }) => trace.result)
    if (matched) winner = rule
    return { rule, trace: ruleTrace(rule, matched, null, slots, noteOn), slots }
  })
}

function afterWinner(winner: Rule | undefined): string | undefined {
  return winner === undefined ? undefined : `not reached: rule \`${winner.name}\` matched first`
}

function traceSlots(
  parser: RuleParser,
  rule: Rule,
  values: FieldValues,
  lists: Snapshot['ruleset']['lists'],
): SlotTrace[] {
  return parser.parse(rule).expressions.map(({ slot, expression }) => {
    return { name: SLOT_NAMES[slot], trace: traceExpression(expression)(values, lists) }
  })
}

type NoteOn = (field: string | null) => string | undefined

function ruleTrace(
  rule: Rule,
  matched: boolean,
  skipped: string | null,
  slots: readonly SlotTrace[],
  noteOn: NoteOn,
): RuleTrace {
  const expressions = slots.map(({ name, trace }) => [name, explainExpression(trace, noteOn)] as const)
  const { id, name, precedence } = rule
  return { id, rule: name, precedence, matched, skipped, expressions: Object.fromEntries(expressions) }
}

function explainExpression(trace: Trace, noteOn: NoteOn): ExpressionTrace {
  const decisive = new Set(decisiveParts(trace))
  return {
    result: trace.result,
    parts: leavesOf(trace).map((part) => {
      const { text, span, result } = part
      const { field, value } = lookedAt(part)
      const note = value === null ? noteOn(field) : undefined
      return { text, span, result, value, field, ...(note === undefined ? {} : { note }), decisive: decisive.has(part) }
    }),
  }
}

/** `net.src.geo.*` and `net.dst.geo.*` come from the geo database, whatever place is configured for the user. */
function noteOnMissing(field: string | null, flow: Flow): string | undefined {
  const unknown = (address: string) => `the geo database does not know ${address}`
  if (field?.startsWith('net.dst.geo.')) return unknown(flow.destination.ip.text)
  if (!field?.startsWith('net.src.geo.')) return undefined
  const source = unknown(flow.source.ip.text)
  if (flow.userPlace === undefined) return source
  return `${source}, and the user's \`place\` decides ingress and balancing only`
}

function lookedAt(part: Trace): { readonly field: string | null; readonly value: JsonValue } {
  const comparison = comparisonOf(part)
  return { field: comparison?.field ?? null, value: comparison?.value ?? null }
}

/** Counts only when one part alone failed and another part held: otherwise every rule of one part would count. */
function nearMiss(rule: Rule, slots: readonly SlotTrace[]): NearMiss[] {
  const [failed, ...others] = slots.filter(({ trace }) => !trace.result)
  if (failed === undefined || others.length > 0) return []
  const obstacles = singleObstacles(failed.trace)
  const something = slots.some(({ trace }) => leavesOf(trace).some((part) => part.result))
  if (obstacles.length === 0 || !something) return []
  const parts = obstacles.map((part) => ({ text: part.text, ...lookedAt(part) }))
  return [{ id: rule.id, rule: rule.name, precedence: rule.precedence, expression: failed.name, parts }]
}

// Near misses: rules that would have matched but for one part, usually the rule that was meant. Reads traces; evaluates
// nothing.

/** The parts of a false expression of which any single one, inverted, would make it true. */
function singleObstacles(trace: Trace): readonly Trace[] {
  return obstacles(trace, true)
}

/** Parts each of which alone would change the trace's result to `wanted`. */
function obstacles(trace: Trace, wanted: boolean): readonly Trace[] {
  if (trace.kind === 'comparison' || trace.kind === 'quantifier') return [trace]
  if (trace.kind === 'chain') return chainObstacles(trace, wanted)
  const [child] = trace.children
  if (child === undefined) return []
  return obstacles(child, trace.kind === 'not' ? !wanted : wanted)
}

function chainObstacles({ op, children }: Trace, wanted: boolean): readonly Trace[] {
  if (op === 'xor') return children.flatMap((child) => obstacles(child, !child.result))
  // a true `and` needs all of its items true, a false `or` all of them false: then only a single obstacle can be
  // inverted
  const needsAll = (op === 'and') === wanted
  const standing = children.filter((child) => child.result !== wanted)
  if (needsAll && standing.length !== 1) return []
  return standing.flatMap((child) => obstacles(child, wanted))
}

/** Every comparison outside quantifiers and every quantifier: the parts shown to readers. */
function leavesOf(trace: Trace): readonly Trace[] {
  if (trace.kind === 'comparison' || trace.kind === 'quantifier') return [trace]
  return trace.children.flatMap(leavesOf)
}

/** The comparison whose value a part shows: itself, or the first one in it. */
function comparisonOf(trace: Trace): Trace | undefined {
  if (trace.kind === 'comparison') return trace
  for (const child of trace.children) {
    const found = comparisonOf(child)
    if (found !== undefined) return found
  }
  return undefined
}

// A decision with everything that led to it, as `explain` and a session's details tell it. Statically the same as policy/explain.ts's types.

import { Type } from 'typebox'
import { OUTCOMES } from '../../policy/decision.ts'
import { ANY_JSON, ANY_OBJECT, FLAG, NOTHING_OR_TEXT, nullable, object, pair, type Shape, TEXT } from './shape.ts'

export const OUTCOME = Type.Enum(OUTCOMES)
export const SPAN = pair('half-open, in characters of the expression')

const PART_TRACE = object(
  {
    text: TEXT,
    span: SPAN,
    result: FLAG,
    value: ANY_JSON,
    field: NOTHING_OR_TEXT,
    note: Type.Optional(Type.String({ description: 'why the field has no value' })),
    decisive: FLAG,
  },
  'PartTrace',
)

const RULE_TRACE = object(
  {
    id: TEXT,
    rule: TEXT,
    precedence: Type.Integer(),
    matched: FLAG,
    skipped: nullable(Type.String({ description: 'why it was not evaluated' })),
    expressions: Type.Record(TEXT, object({ result: FLAG, parts: Type.Array(PART_TRACE) })),
  },
  'RuleTrace',
)

const PLAN_STEP = object(
  {
    from: Type.Enum(['primary', 'fallback', 'range', 'balanced', 'shared', 'tunnel']),
    written: TEXT,
    colo: Type.Optional(TEXT),
    verdict: Type.Enum(['used', 'colo-down', 'not-owned', 'not-set', 'not-needed']),
  },
  'PlanStep',
)

const EXEMPT = Type.Union([
  object({ kind: Type.Enum(['private-route', 'hostname-route']), routeId: TEXT, tunnelId: TEXT }),
  object({ kind: Type.Enum(['gateway-dns']) }),
  object({ kind: Type.Enum(['proxying-off']), transport: Type.Enum(['tcp', 'udp']) }),
])

const DECISION = object(
  {
    outcome: OUTCOME,
    rule: nullable(object({ id: TEXT, name: TEXT, precedence: Type.Integer() })),
    reason: TEXT,
    egress: nullable(
      object({ ipv4: Type.Optional(TEXT), ipv6: Type.Optional(TEXT), fallback: FLAG, bind: TEXT }, 'ExplainedEgress'),
    ),
    exempt: Type.Optional(EXEMPT),
    ingress_colo: TEXT,
    physical_colo: NOTHING_OR_TEXT,
    logical: nullable(object({ colo: TEXT, city: NOTHING_OR_TEXT, country: NOTHING_OR_TEXT })),
  },
  'ExplainedDecision',
)

const NEAR_MISS = object(
  {
    id: TEXT,
    rule: TEXT,
    precedence: Type.Integer(),
    expression: TEXT,
    parts: Type.Array(object({ text: TEXT, field: NOTHING_OR_TEXT, value: ANY_JSON })),
  },
  'NearMiss',
)

const MEMBERS = {
  flow: ANY_OBJECT,
  decision: DECISION,
  trace: Type.Array(RULE_TRACE),
  near_misses: Type.Array(NEAR_MISS),
  plan: Type.Array(PLAN_STEP),
}

/** One connection to one address. */
export const ADDRESS_EXPLANATION = object(MEMBERS, 'AddressExplanation')

/** A connection: the address tried first, and the further ones of its name. */
export const EXPLANATION = object(
  {
    ...MEMBERS,
    tunnel: Type.Optional(
      object({ id: TEXT, name: TEXT, by: Type.Enum(['stand-in', 'upstream', 'nothing']), dial: NOTHING_OR_TEXT }),
    ),
    further_addresses: Type.Optional(Type.Array(ADDRESS_EXPLANATION)),
  },
  'Explanation',
)

export type PartTraceShape = Shape<typeof PART_TRACE>
export type RuleTraceShape = Shape<typeof RULE_TRACE>
export type PlanStepShape = Shape<typeof PLAN_STEP>
export type ExplainedDecisionShape = Shape<typeof DECISION>
export type ExplanationShape = Shape<typeof EXPLANATION>

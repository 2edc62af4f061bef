// What the lab's APIs answer, under the console's names. The shapes are the API's own: one source describes answers, the OpenAPI document
// and these types.

import type { FleetShape, SessionRow, TrafficBeat, TrafficNow } from '../../../src/api/shapes/session-shapes.ts'

export type { RuleEgress as EgressSettings, RuleShape as Rule } from '../../../src/api/shapes/cloudflare.ts'
export type {
  ExplainedDecisionShape as ExplainedDecision,
  ExplanationShape as Explanation,
  MatrixShape as Matrix,
  PartTraceShape as PartTrace,
  PlanStepShape as PlanStep,
  RuleTraceShape as RuleTrace,
} from '../../../src/api/shapes/explanations.ts'
export type {
  AuditRow,
  Check,
  ClockShape as Clock,
  ColoShape as Colo,
  Geolocation,
  Health,
  LabAccount as Account,
  ListedListener,
  Me,
  Origin,
  OwnToken,
  Person,
  PlaceShape as Place,
  RevisionRow,
  RuleDifference as Difference,
  RulePreview as Preview,
  RuleProblem as Problem,
  Verification,
  WaysIn,
} from '../../../src/api/shapes/lab.ts'
export type {
  Load,
  Position,
  PreviewOutcomeShape as ReplayOutcome,
  RuleCount,
  SessionDetail,
} from '../../../src/api/shapes/session-shapes.ts'
export type { Json } from '../../../src/config/lab-state.ts'
export type { DecisionOutcome as Outcome } from '../../../src/policy/decision.ts'

/** A row that closes before the reader's eyes. */
export type Row = Omit<SessionRow, 'open'> & { open: boolean }
export type Beat = TrafficBeat & { readonly opened: readonly Row[]; readonly finished: readonly Row[] }
export type Now = TrafficNow & { readonly open: readonly Row[]; readonly finished: readonly Row[] }
export type Fleet = FleetShape
export type FleetMember = FleetShape['members'][number]
/** As lists of networks have it, wherever they come from. */
export interface Network {
  readonly id: string
  readonly name: string
  readonly comment?: string
}

// A scenario as read from its file: what happens when, who goes where meanwhile, and what must come of it. Times are milliseconds
// from the beginning.

import type { ObservationExpectation } from '../analysis/scenario-timeline.ts'
import type { Issue } from '../errors/issue.ts'

/** Somebody's request, in the terms of `explain`. */
export interface ScenarioRequestStep {
  readonly destination: string
  readonly user?: string
  readonly vnet?: string
  readonly sourceIp?: string
  readonly device?: string
  readonly endpoint?: string
  readonly family?: '4' | '6'
}

export type ScenarioChange =
  | { readonly kind: 'note'; readonly text: string }
  | { readonly kind: 'colo'; readonly code: string; readonly up: boolean; readonly reset: boolean }
  | { readonly kind: 'clock-advance'; readonly ms: number; readonly written: string }
  | { readonly kind: 'clock-set'; readonly time: number }
  | { readonly kind: 'vnet-use'; readonly user: string; readonly vnet: string }
  | { readonly kind: 'rule'; readonly rule: string; readonly enabled: boolean }
  | { readonly kind: 'exit'; readonly address: string; readonly up: boolean }
  | { readonly kind: 'stand-in'; readonly address: string; readonly up: boolean }

/** Notes a problem with a part of what it belongs to, such as `['colo_down', 'colo']`. */
export type Complain = (part: readonly string[], code: string, message: string, hint?: string) => void

/** Repeated requests, or one connection that stays open. */
export interface ScenarioTraffic {
  readonly request: ScenarioRequestStep
  /** absent: held open */
  readonly everyMs?: number
  readonly fromMs: number
  /** exclusive */
  readonly untilMs: number
  readonly complain: Complain
}

/** A row of a table of expectations. */
export interface ScenarioRow {
  readonly name: string
  readonly line: number
  readonly request: ScenarioRequestStep
  readonly expect: ObservationExpectation
  readonly complain: Complain
}

/** Counts of held connections that are expected; an absent one is not looked at. */
export interface ConnectionExpectation {
  readonly line: number
  readonly open?: number
  readonly reset?: number
}

export interface Step {
  readonly atMs: number
  /** with the key of the file each stands under */
  readonly changes: readonly { readonly key: string; readonly change: ScenarioChange }[]
  readonly rows: readonly ScenarioRow[]
  readonly connections?: ConnectionExpectation
  readonly complain: Complain
}

export interface Scenario {
  readonly file: string
  readonly name: string
  /** as written, and seen from the working directory */
  readonly config: { readonly written: string; readonly path: string }
  /** lab time at the beginning, epoch ms; absent: the machine's */
  readonly startAt?: number
  readonly durationMs: number
  readonly traffic: readonly ScenarioTraffic[]
  readonly steps: readonly Step[]
  readonly complainOfConfig: (code: string, message: string) => void
  /** everything noted so far */
  readonly issues: readonly Issue[]
}

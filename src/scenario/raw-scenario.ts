// Keys of a scenario file as its schema has them, with the schema's defaults filled in.

import type { ObservationExpectation } from '../analysis/scenario-timeline.ts'

export interface RawVisit {
  readonly destination?: string
  readonly user?: string
  readonly vnet?: string
  readonly source_ip?: string
  readonly device?: string
  readonly endpoint?: string
  readonly family?: 4 | 6
}

export interface RawTraffic extends RawVisit {
  readonly every?: string
  readonly hold?: true
  readonly from: string
  readonly until?: string
}

export interface RawRow extends RawVisit, ObservationExpectation {
  readonly name?: string
}

export interface RawStep {
  readonly at: string
  readonly note?: string
  readonly colo_down?: string | { readonly colo: string; readonly connections?: 'keep' | 'reset' }
  readonly colo_up?: string
  readonly clock?: { readonly advance?: string; readonly set?: string }
  readonly vnet_use?: { readonly user: string; readonly vnet: string }
  readonly rule?: { readonly enable?: string; readonly disable?: string }
  readonly exit_down?: string
  readonly exit_up?: string
  readonly stand_in_down?: string
  readonly stand_in_up?: string
  readonly expect?: readonly RawRow[]
  readonly expect_connections?: { readonly open?: number; readonly reset?: number }
}

export interface RawScenario {
  readonly name: string
  readonly config: string
  readonly start?: string
  readonly duration?: string
  readonly defaults?: RawVisit
  readonly traffic: readonly RawTraffic[]
  readonly steps: readonly RawStep[]
}

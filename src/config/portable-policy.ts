// A policy on its way between files and APIs: rules, lists and virtual networks as Cloudflare's API spells them, with whatever
// else their source said of them; and what would change where one takes another's place. Values only.

import type { Json, JsonObject } from './lab-state.ts'

export interface PortablePolicy {
  /** where it was read, for messages */
  readonly source: string
  readonly rules: readonly PortableRule[]
  readonly lists: readonly PortableList[]
  readonly virtualNetworks: readonly PortableNetwork[]
  /** what people should know about the reading, one clause each */
  readonly notes: readonly string[]
}

export interface PortableRule {
  /** absent where the source has none */
  readonly id?: string
  readonly name: string
  /** absent: whoever takes the rule decides */
  readonly precedence?: number
  /** the whole object, names as in Cloudflare's API, fields nobody knows here included */
  readonly fields: JsonObject
}

export interface PortableList {
  readonly id?: string
  readonly name: string
  readonly type: string
  readonly description: string
  readonly items: readonly { readonly value: string; readonly description: string | null }[]
  readonly fields: JsonObject
}

export interface PortableNetwork {
  readonly id?: string
  readonly name: string
  readonly comment: string
  readonly isDefault: boolean
  readonly fields: JsonObject
}

export type PolicyObject = 'rule' | 'list' | 'virtual network'

/** One request that would be made. */
export interface PolicyStep {
  /** `park`: moves a rule to a precedence nobody has, because another rule needs its own before it has its new one */
  readonly action: 'create' | 'update' | 'park' | 'delete'
  readonly thing: PolicyObject
  readonly name: string
  /** in the target; absent for what is to be created */
  readonly id?: string
  /** the id its source knows it by, which rules of the source speak of */
  readonly sourceId?: string
  /** of a rule once the step is done */
  readonly precedence?: number
  readonly differences: readonly PolicyDifference[]
  /** what would be sent */
  readonly body: JsonObject
}

export interface PolicyDifference {
  /** `traffic`, `rule_settings.egress.ipv4`, `items` … */
  readonly field: string
  /** absent: not there */
  readonly before?: Json
  readonly after?: Json
}

export interface PolicyChanges {
  readonly from: string
  readonly to: string
  /** in the order they are safe in */
  readonly steps: readonly PolicyStep[]
  /** things that are as they should be */
  readonly unchanged: number
  /** rules that only the target has and that stay */
  readonly leftAlone: readonly string[]
  readonly notes: readonly string[]
}

/** What became of carrying changes out. */
export interface PolicyOutcome {
  readonly done: readonly PolicyStep[]
  /** the step that failed, where one did; those behind it were not tried */
  readonly failed?: { readonly step: PolicyStep; readonly message: string }
  readonly notDone: readonly PolicyStep[]
}

// A policy in transfer between files and APIs: rules, lists and virtual networks as Cloudflare's API spells them, with
// all other members of their source; and the changes from one policy to another. Values only.

import type { Json, JsonObject } from '../config/lab-state.ts'

export interface PortablePolicy {
  /** where it was read, for messages */
  readonly source: string
  readonly rules: readonly PortableRule[]
  readonly lists: readonly PortableList[]
  readonly virtualNetworks: readonly PortableNetwork[]
  /** notices about the reading, one clause each */
  readonly notes: readonly string[]
  /** ids in expressions that stand for things which do not exist yet and are no part of the policy → what they are of */
  readonly madeUpIds?: ReadonlyMap<string, string>
}

export interface PortableRule {
  /** absent if the source has none */
  readonly id?: string
  readonly name: string
  /** absent: assigned by the target */
  readonly precedence?: number
  /** the whole object with the names of Cloudflare's API, including unknown members */
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

/** One request to be made. */
export interface PolicyStep {
  /** `park`: moves a rule to an unused precedence, because another rule needs its own before it gets its new one */
  readonly action: 'create' | 'update' | 'park' | 'delete'
  readonly thing: PolicyObject
  readonly name: string
  /** in the target; absent for an object to be created */
  readonly id?: string
  /** its id in the source, used by the source's rules */
  readonly sourceId?: string
  /** of a rule after the step */
  readonly precedence?: number
  readonly differences: readonly PolicyDifference[]
  /** the request body */
  readonly body: JsonObject
}

export interface PolicyDifference {
  /** `traffic`, `rule_settings.egress.ipv4`, `items` … */
  readonly field: string
  /** absent: not present */
  readonly before?: Json
  readonly after?: Json
}

export interface PolicyChanges {
  readonly from: string
  readonly to: string
  /** in a safe order */
  readonly steps: readonly PolicyStep[]
  /** objects that are already as they should be */
  readonly unchanged: number
  /** rules that only the target has and keeps */
  readonly leftAlone: readonly string[]
  readonly notes: readonly string[]
}

/** The result of applying changes. */
export interface PolicyOutcome {
  readonly done: readonly PolicyStep[]
  /** the step that failed, if any; later ones were not tried */
  readonly failed?: { readonly step: PolicyStep; readonly message: string }
  readonly notDone: readonly PolicyStep[]
  /** after a failure: the steps that put rules back */
  readonly undone?: readonly PolicyStep[]
  /** after a failure: lists and virtual networks that were made and are there */
  readonly stays?: readonly PolicyStep[]
  /** why rules could not be put back */
  readonly undoFailed?: string
}

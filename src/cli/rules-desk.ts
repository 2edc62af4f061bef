// What the `rules` verb needs: policies out of files and APIs, what would change, and changing it. Interfaces only.

import type { PolicyChanges, PolicyOutcome, PolicyStep, PortablePolicy } from '../config/portable-policy.ts'
import type { LabOptions } from './lab-client.ts'

/** Where things are: a file, `lab`, `cloudflare`, or the base address of an API. */
export interface PlaceOptions extends LabOptions {
  /** id of the account at Cloudflare */
  readonly account?: string
}

export interface RulesDesk {
  /** Rules, and the lists and virtual networks they speak of. Throws an InputError. */
  readonly read: (place: string, options: PlaceOptions) => Promise<PortablePolicy>
  /** What would change at `to`, if it were to say what `from` says. Throws an InputError for what cannot work. */
  readonly plan: (request: PlanRequest, options: PlaceOptions) => Promise<PolicyChanges>
  readonly apply: (
    changes: PolicyChanges,
    to: string,
    options: PlaceOptions,
    onDone: (step: PolicyStep) => void,
  ) => Promise<PolicyOutcome>
  readonly isApi: (place: string) => boolean
  /** The policy as text, and what that form has no words for. */
  readonly write: (policy: PortablePolicy, form: 'yaml' | 'json') => WrittenText
  /** Throws an InputError. */
  readonly save: (file: string, text: string) => void
  /** Writes the target before and after into a folder, as configurations that differ in nothing else. Throws an InputError. */
  readonly writeSides: (request: PlanRequest, folder: string, options: PlaceOptions) => Promise<SideBySide>
  /** A folder that is gone once the work is done. */
  readonly inScratch: <T>(work: (folder: string) => Promise<T>) => Promise<T>
}

export interface PlanRequest {
  readonly from: string
  readonly to: string
  readonly prune: boolean
}

export interface WrittenText {
  readonly text: string
  readonly notes: readonly string[]
}

/** Two configuration files. */
export interface SideBySide {
  readonly before: string
  readonly after: string
}

// What a scenario runs on: it applies changes and reports the outcome of requests. A lab with its proxy is
// one, the decision alone is another.

import type { ConnectionFate, Observation, ScenarioClient } from '../analysis/scenario-timeline.ts'
import type { ScenarioChange, ScenarioRequestStep } from './scenario.ts'

/** What a change meant for one held connection. */
export interface HeldConnectionFate {
  readonly request: ScenarioRequestStep
  readonly who: ScenarioClient
  readonly egress: string
  readonly fate: ConnectionFate
  readonly why: string
}

/** A change that is one: a note changes nothing. */
export type BackendChange = Exclude<ScenarioChange, { kind: 'note' }>

export interface ScenarioBackend {
  readonly mode: 'proxy' | 'decide'
  /** lab time, epoch ms */
  now(): number
  /** Applies a change; resolves to its description, a clause, and the fates of held connections that depend on it. */
  apply(change: BackendChange): Promise<{ readonly what: string; readonly held: readonly HeldConnectionFate[] }>
  send(request: ScenarioRequestStep): Promise<Observation>
  /** Opens a connection that stays; `held` is false where that did not work. */
  hold(request: ScenarioRequestStep): Promise<{ readonly observation: Observation; readonly held: boolean }>
  close(): Promise<void>
}

/** Egress addresses that fail by themselves and work again; `error` absent: it works. */
export type OutageOfEgress = (
  egress: string,
  error: { readonly code: string; readonly message: string } | undefined,
) => void

/** How time passes: `until` resolves when the moment (ms from the beginning) has come. */
export interface Pace {
  until(atMs: number): Promise<void>
}

/** The proxy user name of a request, with what is chosen by it. */
export function loginOf({ user = '', vnet, sourceIp, device, family }: ScenarioRequestStep): string {
  const chosen = Object.entries({ vnet, src: sourceIp, device, family }).filter(([, value]) => value !== undefined)
  return [user, ...chosen.map(([key, value]) => `${key}=${value}`)].join(';')
}

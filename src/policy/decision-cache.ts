// Caches decisions that are the same for many connections: given the deciding rule, or the choice where no rule
// matched, the rest follows from the data center and two bits of the flow. One cache per account version.

import { flatText } from '../net/ip.ts'
import type { Decision } from './decision.ts'
import type { Flow } from './flow.ts'
import type { Colo } from './place.ts'

/** Decisions by their cause: the rule, the balancer's choice or the account, compared by identity and held weakly. */
export class DecisionCache {
  readonly #known = new WeakMap<object, readonly Map<Colo, Decision>[]>()

  find(cause: object, flow: Flow, ingress: Colo): Decision | undefined {
    return this.#known.get(cause)?.[kindOf(flow)]?.get(ingress)
  }

  /** Stores a decision and returns it frozen. Its reason is flattened to one string, since every record of it prints
   *  it. */
  keep(cause: object, flow: Flow, ingress: Colo, decision: Decision): Decision {
    const byKind = this.#known.get(cause) ?? [new Map(), new Map(), new Map(), new Map()]
    this.#known.set(cause, byKind)
    const kept = Object.freeze({ ...decision, reason: flatText(decision.reason) })
    byKind[kindOf(flow)]?.set(ingress, kept)
    return kept
  }
}

/** What a decision depends on besides its cause and the data center ([E4], [E5]), as an index 0 … 3. */
function kindOf({ destination, proxiedByCloudflare }: Flow): number {
  return (destination.ip.family === 4 ? 0 : 1) + (proxiedByCloudflare ? 2 : 0)
}

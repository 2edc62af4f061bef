// Decisions that come out the same for many connections: once it is known which rule decides, or what was chosen where none does, the
// rest follows from the data center and a few bits. Kept as long as the account they are for.

import { flatText } from '../net/flat-text.ts'
import type { Decision } from './decision.ts'
import type { Flow } from './flow.ts'
import type { Colo } from './place.ts'

/** Decisions by what caused them, compared as an object and forgotten with it. */
export class DecisionCache {
  readonly #known = new WeakMap<object, readonly Map<Colo, Decision>[]>()

  find(cause: object, flow: Flow, ingress: Colo): Decision | undefined {
    return this.#known.get(cause)?.[kindOf(flow)]?.get(ingress)
  }

  /** Answers the decision, frozen, its reason in one piece: every record it is in says it. */
  keep(cause: object, flow: Flow, ingress: Colo, decision: Decision): Decision {
    const byKind = this.#known.get(cause) ?? [new Map(), new Map(), new Map(), new Map()]
    this.#known.set(cause, byKind)
    const kept = Object.freeze({ ...decision, reason: flatText(decision.reason) })
    byKind[kindOf(flow)]?.set(ingress, kept)
    return kept
  }
}

/** All that a decision rests on besides its cause and the data center ([E4], [E5]). */
function kindOf({ destination, proxiedByCloudflare }: Flow): number {
  return (destination.ip.family === 4 ? 0 : 1) + (proxiedByCloudflare ? 2 : 0)
}

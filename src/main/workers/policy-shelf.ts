// The policies of the last revisions, so that a decision that comes from a worker finds the one it was made by. What is older is
// known by its record alone.

import type { LabSnapshot } from '../../config/lab-state.ts'
import type { Decided } from '../../proxy/decided.ts'
import type { OpenSession } from '../../proxy/live-sessions.ts'
import type { Store } from '../../store/store.ts'
import type { ShippedDecision, ShippedOpen } from './messages.ts'

const REVISIONS_KEPT = 64

export class PolicyShelf {
  readonly #byRevision = new Map<number, LabSnapshot>()
  readonly close: () => void

  constructor(store: Pick<Store, 'current' | 'subscribe'>) {
    this.#keep(store.current())
    this.close = store.subscribe((snapshot) => this.#keep(snapshot))
  }

  decidedOf(shipped: ShippedDecision | undefined): Decided | undefined {
    const snapshot = shipped === undefined ? undefined : this.#byRevision.get(shipped.revision)
    if (shipped === undefined || snapshot === undefined) return undefined
    return { flow: shipped.flow, decision: shipped.decision, snapshot }
  }

  openOf({ session, decided }: ShippedOpen): OpenSession {
    return { session, decided: this.decidedOf(decided) }
  }

  #keep(snapshot: LabSnapshot): void {
    this.#byRevision.set(snapshot.revision, snapshot)
    const [oldest] = this.#byRevision.keys()
    if (this.#byRevision.size > REVISIONS_KEPT && oldest !== undefined) this.#byRevision.delete(oldest)
  }
}

// A scenario by decisions alone: nothing is connected to, and what a site would answer is what its allowlist and its view of
// the world say. Exits and stand-ins fail here as they do on a lab: what was decided is then not to be had.

import type { Observation } from '../analysis/scenario-timeline.ts'
import type { LabConfig } from '../config/lab-config.ts'
import { configuredSockets } from '../decider/configured-sockets.ts'
import {
  allowlistsOf,
  createDecisionContext,
  type Decider,
  type DecisionContext,
  deciderOver,
} from '../decider/decider.ts'
import { type Explained, explainConnection } from '../decider/explain-connection.ts'
import { openStore } from '../decider/open-store.ts'
import { asGatewayError, GatewayError } from '../errors/gateway-error.ts'
import { siteViewOf } from '../geo/site-view.ts'
import { EgressHealth } from '../outbound/egress-health.ts'
import { letsIn } from '../policy/allowlist.ts'
import { decide } from '../policy/decide.ts'
import { type Decision, type Egress, nameOfEgress } from '../policy/decision.ts'
import { explainDecision } from '../policy/explain.ts'
import { dependsOn } from '../proxy/live-sessions.ts'
import type { Store } from '../store/store.ts'
import {
  applyChange,
  type BackendChange,
  type HeldConnectionFate,
  loginOf,
  type OutageOfEgress,
  type ScenarioBackend,
} from './backend.ts'
import { destinationOf, type ScenarioRequestStep } from './scenario.ts'

export interface DecisionBackendOptions {
  readonly config: LabConfig
  readonly machineTime: () => number
  readonly onOutage: OutageOfEgress
}

/** Opens it. Throws an InputError. */
export async function openDecisionBackend({
  config,
  machineTime,
  onOutage,
}: DecisionBackendOptions): Promise<ScenarioBackend> {
  const onNotice = () => undefined
  const store = openStore(config, { onNotice, machineTime })
  const context = await createDecisionContext({
    config,
    store,
    ownSockets: configuredSockets(config),
    onNotice,
    hashes: 'on-use',
  })
  await context.geo.load()
  return new DecisionBackend(
    { config, store, context, decider: deciderOver({ config, issues: [], store, context, close: onNotice }) },
    onOutage,
  )
}

interface Parts {
  readonly config: LabConfig
  readonly store: Store
  readonly context: DecisionContext
  readonly decider: Decider
}

interface DecidedConnection {
  readonly observation: Observation
  readonly decision?: Decision
}

class DecisionBackend implements ScenarioBackend {
  readonly mode = 'decide'
  readonly #parts: Parts
  readonly #health: EgressHealth
  readonly #down = new Set<string>()
  readonly #held = new Map<ScenarioRequestStep, DecidedConnection>()

  constructor(parts: Parts, onOutage: OutageOfEgress) {
    this.#parts = parts
    this.#health = new EgressHealth({
      now: () => this.now(),
      onBegin: ({ egress, code, message }) => onOutage(egress, { code, message }),
      onEnd: ({ egress }) => onOutage(egress, undefined),
    })
  }

  now(): number {
    return this.#parts.store.now()
  }

  async apply(change: BackendChange): Promise<{ what: string; held: HeldConnectionFate[] }> {
    if (change.kind === 'exit' || change.kind === 'stand-in') return this.#setDown(change)
    const what = applyChange(this.#parts.store, change)
    if (change.kind !== 'colo' || change.up) return { what, held: [] }
    const fate = change.reset ? 'reset' : 'kept'
    return {
      what,
      held: this.#settle(({ decision }) => decision !== undefined && dependsOn(decision, change.code), fate),
    }
  }

  async send(request: ScenarioRequestStep): Promise<Observation> {
    return (await this.#decide(request)).observation
  }

  async hold(request: ScenarioRequestStep): Promise<{ observation: Observation; held: boolean }> {
    const decided = await this.#decide(request)
    const held = decided.observation.error === undefined
    if (held) this.#held.set(request, decided)
    return { observation: decided.observation, held }
  }

  async close(): Promise<void> {
    this.#parts.context.close()
    this.#parts.store.close()
  }

  #setDown({ kind, address, up }: BackendChange & { kind: 'exit' | 'stand-in' }) {
    const what = kind === 'exit' ? `the exit of ${address}` : `the stand-in of ${address}`
    if (up) this.#down.delete(address)
    else this.#down.add(address)
    // an address that is gone takes no open connection with it; a proxy that is gone does
    const leftBy = ({ decision }: DecidedConnection) => decision?.egress != null && this.#isDown(decision.egress)
    const held = up || kind === 'stand-in' ? [] : this.#settle(leftBy, 'lost')
    return { what: `${what} ${up ? 'works again' : 'fails'}`, held }
  }

  #settle(isConcerned: (held: DecidedConnection) => boolean, fate: 'kept' | 'reset' | 'lost'): HeldConnectionFate[] {
    const concerned = [...this.#held].filter(([, held]) => isConcerned(held))
    if (fate !== 'kept') for (const [request] of concerned) this.#held.delete(request)
    return concerned.map(([request, { observation, decision }]) => {
      const egress = decision?.egress?.address.text ?? ''
      return { request, who: observation, egress, fate, why: decision?.reason ?? '' }
    })
  }

  async #decide(request: ScenarioRequestStep): Promise<DecidedConnection> {
    const { decider } = this.#parts
    const who = { login: loginOf(request), destination: request.destination }
    try {
      const { destination, ...options } = request
      const url = destinationOf(destination)?.href ?? destination
      const explained = await explainConnection(decider, url, { ...options, protocol: 'tcp', coloDown: [] })
      return this.#outcomeOf(who, explained)
    } catch (thrown) {
      const error = asGatewayError(thrown)
      if (error.code === 'internal.invariant') throw error.cause ?? thrown
      return { observation: failed(who, error) }
    }
  }

  /** The first address that can be left for, as the dialler would find. */
  #outcomeOf(who: Pick<Observation, 'login' | 'destination'>, explained: readonly Explained[]): DecidedConnection {
    const decided = explained.map(({ flow }) => ({ flow, decision: decide(this.#parts.decider.snapshot, flow) }))
    const [first] = decided
    const usable = decided.filter(({ decision }) => decision.egress !== null)
    const chosen = usable.find(({ decision: { egress } }) => egress !== null && this.#try(egress)) ?? usable[0] ?? first
    if (chosen === undefined) throw new RangeError('an explanation has at least one address')
    const { flow, decision } = chosen
    const { egress } = decision
    const explainedDecision = explainDecision(decision)
    if (egress === null) {
      const error = new GatewayError('egress.unroutable', `no egress address can be used: ${decision.reason}`)
      return { observation: { ...failed(who, error), decision: explainedDecision }, decision }
    }
    const fault = this.#faultOf(egress)
    if (fault !== undefined) return { observation: { ...failed(who, fault), decision: explainedDecision }, decision }
    const { store, context, config } = this.#parts
    const service = allowlistsOf(config).find(flow.host, flow.destination.ip.text)
    const letIn = service === undefined ? null : letsIn(service, egress.address)
    const view = siteViewOf(store.current().tables, context.ports.placeOf, egress.address, store.now())
    const status = letIn === false ? 403 : 200
    return {
      observation: { ...who, decision: explainedDecision, status, letIn, seenIn: view?.place.country ?? null },
      decision,
    }
  }

  #try(egress: Egress): boolean {
    const fault = this.#faultOf(egress)
    this.#health.attempted(egress, fault)
    return fault === undefined
  }

  #isDown(egress: Egress): boolean {
    return this.#down.has(nameOfEgress(egress)) || (egress.dedicated === undefined && this.#down.has('shared'))
  }

  #faultOf(egress: Egress): GatewayError | undefined {
    if (!this.#isDown(egress)) return undefined
    const exit = this.#parts.context.exitOf(egress)
    if (exit !== undefined) return new GatewayError('egress.exit_failed', `the exit ${exit.text} cannot be used`)
    return new GatewayError(
      'egress.address_missing',
      `egress address \`${egress.address.text}\` cannot be used: its stand-in is missing`,
    )
  }
}

function failed(who: Pick<Observation, 'login' | 'destination'>, error: GatewayError): Observation {
  const { code, message, rendering } = error
  return { ...who, error: { code, message }, status: rendering.http, letIn: null, seenIn: null }
}

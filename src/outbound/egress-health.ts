// Which egress addresses fail by themselves: their exit elsewhere cannot be used, or this machine has lost their stand-in. Such an
// outage is named, counted and told of once, when it begins and when it ends; it never changes what is decided.

import type { ConnectionErrorCode } from '../errors/catalogue.ts'
import { GatewayError } from '../errors/gateway-error.ts'
import { type Egress, nameOfEgress } from '../policy/decision.ts'
import type { RememberedSession } from '../proxy/recent-sessions.ts'

/** What is wrong with the egress address itself, not with the destination or with how busy it is. */
const FAULTS: ReadonlySet<ConnectionErrorCode> = new Set([
  'egress.exit_failed',
  'egress.exit_refused',
  'egress.address_missing',
  'egress.not_bound',
] as const)

export interface EgressOutage {
  /** the IPv4 address, the IPv6 range, or the shared address */
  readonly egress: string
  readonly code: ConnectionErrorCode
  readonly message: string
  /** lab time, epoch ms */
  readonly since: number
}

export interface EgressFaultCount {
  readonly egress: string
  readonly code: ConnectionErrorCode
  readonly count: number
}

export interface EgressHealthOptions {
  /** lab time, epoch ms */
  readonly now: () => number
  readonly onBegin: (outage: EgressOutage) => void
  readonly onEnd: (outage: EgressOutage) => void
}

/** Is told how each attempt from an egress address went. */
export class EgressHealth {
  readonly #options: EgressHealthOptions
  readonly #out = new Map<string, EgressOutage>()
  readonly #counts = new Map<string, EgressFaultCount>()

  constructor(options: EgressHealthOptions) {
    this.#options = options
  }

  /** A connection was made (no error) or failed. Failures that say nothing of the egress address change nothing. */
  readonly attempted = (egress: Egress, error?: GatewayError): void => {
    if (error === undefined) {
      if (this.#out.size > 0) this.#works(nameOfEgress(egress))
    } else if (FAULTS.has(error.code)) this.#fails(nameOfEgress(egress), error)
  }

  /** Addresses that are out, the longest first. */
  outages(): readonly EgressOutage[] {
    return [...this.#out.values()]
  }

  /** Failed attempts since the start, by address and code. */
  faults(): readonly EgressFaultCount[] {
    return [...this.#counts.values()]
  }

  #works(egress: string): void {
    const outage = this.#out.get(egress)
    if (outage === undefined) return
    this.#out.delete(egress)
    this.#options.onEnd(outage)
  }

  #fails(egress: string, { code, message }: GatewayError): void {
    const key = `${egress} ${code}`
    this.#counts.set(key, { egress, code, count: (this.#counts.get(key)?.count ?? 0) + 1 })
    if (this.#out.has(egress)) return
    const outage = { egress, code, message, since: this.#options.now() }
    this.#out.set(egress, outage)
    this.#options.onBegin(outage)
  }
}

/** Hears of outages beside the log; `error` absent: the address works again. */
export type OnOutage = (egress: string, error: { readonly code: string; readonly message: string } | undefined) => void

export function watchEgressHealth(
  now: () => number,
  events: { warn(message: string): void; info(message: string): void },
  onOutage: OnOutage = () => undefined,
): EgressHealth {
  return new EgressHealth({
    now,
    onBegin: ({ egress, code, message }) => {
      events.warn(`outage: connections from ${egress} fail [${code}]: ${message}`)
      onOutage(egress, { code, message })
    },
    onEnd: ({ egress, since }) => {
      events.info(`${egress} works again, ${Math.max(0, Math.round((now() - since) / 1000))} s after it failed`)
      onOutage(egress, undefined)
    },
  })
}

/** Of connections that are carried in other threads, what their sessions say once they are over. */
export function learnFrom(session: RememberedSession, health: EgressHealth): void {
  const { decided } = session
  const egress = decided?.decision.egress ?? null
  if (egress === null) return
  const { Protocol: protocol, Lab } = session.record
  const { bind, error } = Lab
  // that an exit does not carry UDP says nothing of the exit
  if (protocol === 'UDP' && error?.code === 'egress.exit_failed') return
  if (bind !== undefined) health.attempted(egress)
  else if (error !== undefined) health.attempted(egress, new GatewayError(error.code, error.message))
}

// Tracks egress addresses that fail: their upstream proxy cannot be used, or this machine has lost their stand-in. Each
// outage is counted, and logged once when it begins and once when it ends; it never changes a decision.

import type { ConnectionErrorCode } from '../errors/catalogue.ts'
import { GatewayError } from '../errors/gateway-error.ts'
import { type Egress, nameOfEgress } from '../policy/decision.ts'
import type { RecentSession } from '../proxy/live-sessions.ts'

/** Errors of the egress address itself, not of the destination or of load. */
const FAULTS: ReadonlySet<ConnectionErrorCode> = new Set([
  'egress.exit_failed',
  'egress.exit_refused',
  'egress.member_failed',
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

/** Tracks outages from the results of connection attempts. */
export class EgressHealth {
  readonly #options: EgressHealthOptions
  readonly #out = new Map<string, EgressOutage>()
  readonly #counts = new Map<string, EgressFaultCount>()

  constructor(options: EgressHealthOptions) {
    this.#options = options
  }

  /** Takes the result of an attempt; no error means it connected. Errors that are not about the egress address are
   *  ignored. */
  readonly attempted = (egress: Egress, error?: GatewayError): void => {
    if (error === undefined) {
      if (this.#out.size > 0) this.#works(nameOfEgress(egress))
    } else if (FAULTS.has(error.code)) this.#fails(nameOfEgress(egress), error)
  }

  /** Current outages, the longest first. */
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

/** Called when an outage begins (with its error) and when it ends (undefined). */
export type OnOutage = (egress: string, error: { readonly code: string; readonly message: string } | undefined) => void

/** Egress health that logs outages to `events` and reports them to `onOutage`. `now`: lab time, epoch ms. */
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

/** Feeds a finished session into `health`, for connections that ran in other threads. */
export function learnFrom(session: RecentSession, health: EgressHealth): void {
  const { decided } = session
  const egress = decided?.decision.egress ?? null
  if (egress === null) return
  const { Protocol: protocol, Lab } = session.record
  const { bind, error } = Lab
  // an upstream proxy or a member that does not carry UDP is not an outage
  if (protocol === 'UDP' && (error?.code === 'egress.exit_failed' || error?.code === 'egress.member_failed')) return
  if (bind !== undefined) health.attempted(egress)
  else if (error !== undefined) health.attempted(egress, new GatewayError(error.code, error.message))
}

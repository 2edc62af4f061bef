// One attempt to connect to an origin from exactly the address that was decided; anything else fails and says why (EG-01).

import { GatewayError } from '../errors/gateway-error.ts'
import { type Endpoint, formatEndpoint } from '../net/endpoint.ts'
import { equalIp, type Ip } from '../net/ip.ts'
import type { Egress } from '../policy/decision.ts'
import type { DialAttempt, Tunnel, Upstream } from '../proxy/stage-values.ts'
import type { ByteStream } from '../transport/byte-stream.ts'
import type { DialListener, Engine, PendingDial } from '../transport/engine.ts'
import { type DialledPair, describeDestination, dialError, isPortClash } from './errno.ts'
import type { PortLeases } from './port-leases.ts'
import type { Sources } from './source-registry.ts'
import type { ExitOf } from './upstream-proxy.ts'

/** Ports tried for one attempt before it counts as failed (EG-04). A try costs a bind, and where others hold half of all ports
 *  (in TIME_WAIT, say) 8 tries failed once in 256 dials. */
export const MAX_PORTS_TRIED = 32

/** What the system says of a connection that was reset before it could be looked at. */
const CLOSED_AT_ONCE = Object.freeze({ code: 'ECONNRESET', syscall: 'connect' })

export interface AttemptNeeds {
  readonly leases: PortLeases
  readonly sources: Sources
  /** the proxy elsewhere that an egress address is realised by; undefined: it is bound here */
  readonly exitOf: ExitOf
  /** is told how each attempt from an egress address went */
  readonly onAttempt: (egress: Egress, error?: GatewayError) => void
  readonly engine: Engine
}

/** An attempt under way, whatever road it takes. */
export interface Try {
  /** False when it failed before there was anything to connect; the race knows already. */
  connect(): boolean
  cancel(): void
  /** what to say when its time is over */
  timedOut(seconds: number): GatewayError
}

/** Is told, once, how an attempt went. `isOver`: a connection was tried, and what is to come next may come at once. */
export interface AttemptWatcher {
  succeeded(attempt: Try, upstream: Upstream): void
  failed(attempt: Try, error: GatewayError, isOver: boolean): void
}

/** One attempt: bind and connect, again with another port when the first is taken. Leaves nothing of itself on a connection that
 *  is established but what gives its port back: thousands of them stay open for hours. */
export class Attempt implements Try, DialListener {
  readonly pair: DialledPair
  readonly #needs: AttemptNeeds
  readonly #attempt: DialAttempt
  readonly #race: AttemptWatcher
  #portsTried = 0
  #held: Held | undefined
  #dialling: PendingDial | undefined

  constructor(needs: AttemptNeeds, attempt: DialAttempt, pair: DialledPair, race: AttemptWatcher) {
    this.pair = pair
    this.#needs = needs
    this.#attempt = attempt
    this.#race = race
  }

  /** False when no port could be had; the race knows already. */
  connect(): boolean {
    const { engine } = this.#needs
    const begun = engine.sharesPorts ? this.#connectFromAnyPort(engine) : this.#connectFromLease(engine)
    if (begun) return true
    this.#race.failed(this, exhausted(this.pair), this.#portsTried > 0)
    return false
  }

  /** From the port of a lease. */
  #connectFromLease(engine: Engine): boolean {
    const { bind, dial } = this.pair
    const lease = this.#needs.leases.lease(this.pair)
    if (lease === undefined) return false
    this.#portsTried++
    this.#held = new Held(() => lease.release())
    this.#register(lease.port)
    this.#dialling = engine.dial({ to: dial, from: { ip: bind, port: lease.port } }, this)
    return true
  }

  /** From a port of the system's choice, which is known as soon as the dial is under way, and before the origin can ask. */
  #connectFromAnyPort(engine: Engine): boolean {
    const { bind, dial } = this.pair
    const leave = this.#needs.leases.leaseOfSystem(this.pair)
    if (leave === undefined) return false
    // another port cannot do better where the system has chosen
    this.#portsTried = MAX_PORTS_TRIED
    this.#held = new Held(leave)
    this.#dialling = engine.dial({ to: dial, from: { ip: bind, port: 0 } }, this)
    const { localPort } = this.#dialling
    if (localPort !== undefined) this.#register(localPort)
    return true
  }

  /** Lets origins find out who connects from this port. */
  #register(port: number): void {
    const { bind, dial, egress } = this.pair
    const source = { endpoint: { ip: egress, port }, attempt: this.#attempt }
    this.#held?.holdPort(port, this.#needs.sources.add({ ip: bind, port }, dial, source))
  }

  cancel(): void {
    this.#dialling?.cancel()
    this.#letGo()?.giveBack()
  }

  timedOut(seconds: number): GatewayError {
    return new GatewayError('dial.timeout', `${describeDestination(this.pair)} did not answer within ${seconds} s`)
  }

  onConnect(stream: ByteStream): void {
    const held = this.#letGo()
    if (held === undefined) {
      stream.destroy()
      return
    }
    stream.onceClosed(held.giveBack)
    const { bind, egress } = this.pair
    const { port } = held
    const seen = stream.localEndpoint()
    if (seen === undefined || port === undefined) {
      stream.reset()
      this.#race.failed(this, dialError(CLOSED_AT_ONCE, this.pair), true)
      return
    }
    if (seen.port !== port || !equalIp(seen.ip, bind)) {
      stream.reset()
      this.#race.failed(this, notBound(this.pair, seen.ip.text), true)
      return
    }
    this.#race.succeeded(this, {
      carrier: stream,
      attempt: this.#attempt,
      local: { ip: bind, port },
      announced: { ip: egress, port },
    })
  }

  onFailure(cause: Error): void {
    this.#letGo()?.giveBack()
    if (isPortClash(cause) && this.#portsTried < MAX_PORTS_TRIED) this.connect()
    else this.#race.failed(this, dialError(cause, this.pair), true)
  }

  #letGo(): Held | undefined {
    const held = this.#held
    this.#held = undefined
    return held
  }
}

/** What a connection holds as long as it lives: its port, and its entry among those that can be asked for. */
class Held {
  /** undefined: not known yet */
  port: number | undefined
  readonly #release: () => void
  #forget: (() => void) | undefined

  constructor(release: () => void) {
    this.#release = release
  }

  holdPort(port: number, forget: () => void): void {
    this.port = port
    this.#forget = forget
  }

  readonly giveBack = (): void => {
    this.#release()
    this.#forget?.()
  }
}

/** Addresses of an attempt, or why it cannot be made. */
export function pairOf({ candidate, decision }: DialAttempt): DialledPair | GatewayError {
  const { egress } = decision
  if (egress === null) return new GatewayError('egress.unroutable', `no egress address: ${decision.reason}`)
  const { dial, destination, tunnel } = candidate
  if (tunnel?.by === 'nothing') return leadsNowhere(tunnel, destination)
  const bind = sourceFor(egress, dial.ip)
  if (bind !== undefined) return { bind, egress: egress.address, dial, destination }
  return new GatewayError(
    'egress.no_matching_family',
    `egress address \`${egress.address.text}\` has no IPv${dial.ip.family} stand-in to reach ${describeDestination(candidate)}`,
  )
}

function leadsNowhere({ name }: Tunnel, destination: Endpoint): GatewayError {
  const where = formatEndpoint(destination)
  return new GatewayError(
    'egress.tunnel_leads_nowhere',
    `\`${where}\` is behind tunnel \`${name}\`, and the configuration does not say how to get there: give the tunnel \`networks\` or an \`upstream\``,
  )
}

function notBound({ bind, egress }: DialledPair, seen: string): GatewayError {
  return new GatewayError(
    'egress.not_bound',
    `egress address \`${egress.text}\` was decided and \`${bind.text}\` bound, but the connection came up from \`${seen}\``,
  )
}

/** [E7] is reached, or every port is taken. */
export function exhausted({ egress, destination }: Pick<DialledPair, 'egress' | 'destination'>): GatewayError {
  const where = describeDestination({ destination, dial: destination })
  return new GatewayError(
    'egress.ports_exhausted',
    `egress address \`${egress.text}\` has no port left for ${where}: its limit of concurrent connections is reached`,
  )
}

/** The address to bind for reaching `dial` from this egress: a stand-in of that family, or the address itself where it is
 *  its own stand-in. */
function sourceFor(egress: Egress, dial: Ip): Ip | undefined {
  if (egress.standIns.length === 0) return egress.address.family === dial.family ? egress.address : undefined
  return egress.standIns.find((standIn) => standIn.family === dial.family)
}

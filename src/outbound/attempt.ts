// One attempt to connect to an origin from exactly the address that was decided; anything else fails and says why (EG-01).

import type { Socket } from 'node:net'
import { GatewayError } from '../errors/gateway-error.ts'
import { type Endpoint, formatEndpoint } from '../net/endpoint.ts'
import { equalIp, type Ip, parseIp } from '../net/ip.ts'
import type { Egress } from '../policy/decision.ts'
import { DirectSocket } from '../proxy/direct-socket.ts'
import type { DialAttempt, Tunnel, Upstream } from '../proxy/ports.ts'
import { type DialledPair, describeDestination, dialError, isPortClash } from './errno.ts'
import type { ExitOf } from './exit-table.ts'
import type { PortLease, PortLeases } from './port-leases.ts'
import type { Sources } from './source-registry.ts'

/** Ports tried for one attempt before it counts as failed (EG-04). A try costs a bind, and where others hold half of all ports
 *  (in TIME_WAIT, say) 8 tries failed once in 256 dials. */
const MAX_PORTS_TRIED = 32
/** Finds dead peers of silent tunnels (TU-10). */
const KEEP_ALIVE_MS = 60_000

export interface AttemptNeeds {
  readonly leases: PortLeases
  readonly sources: Sources
  /** the proxy elsewhere that an egress address is realised by; absent: every address is bound here */
  readonly exitOf?: ExitOf
}

/** An attempt under way, whatever road it takes. */
export interface Try {
  /** False when it failed before there was a socket; the race knows already. */
  connect(): boolean
  cancel(): void
  /** what to say when its time is over */
  timedOut(seconds: number): GatewayError
}

/** Is told, once, how an attempt went. `isOver`: there was a socket, and what is to come next may come at once. */
export interface AttemptWatcher {
  succeeded(attempt: Try, upstream: Upstream): void
  failed(attempt: Try, error: GatewayError, isOver: boolean): void
}

/** One attempt: bind and connect, again with another port when the first is taken. Leaves nothing of itself on a socket that
 *  is established: thousands of them stay open for hours. */
export class Attempt implements Try {
  readonly pair: DialledPair
  readonly #needs: AttemptNeeds
  readonly #attempt: DialAttempt
  readonly #race: AttemptWatcher
  #portsTried = 0
  #lease: PortLease | undefined
  #socket: Socket | undefined

  constructor(needs: AttemptNeeds, attempt: DialAttempt, pair: DialledPair, race: AttemptWatcher) {
    this.pair = pair
    this.#needs = needs
    this.#attempt = attempt
    this.#race = race
  }

  /** False when no port could be had; the race knows already. */
  connect(): boolean {
    const lease = this.#needs.leases.lease(this.pair)
    if (lease === undefined) {
      this.#race.failed(this, exhausted(this.pair), this.#portsTried > 0)
      return false
    }
    this.#portsTried++
    const { bind, dial, egress } = this.pair
    const endpoint = { ip: egress, port: lease.port }
    const source = { endpoint, attempt: this.#attempt }
    const forget = this.#needs.sources.add({ ip: bind, port: lease.port }, dial, source)
    const socket = upstreamSocket(() => {
      lease.release()
      forget()
    })
    this.#lease = lease
    this.#socket = socket
    socket.once('error', this.#failed)
    socket.once('connect', this.#connected)
    socket.connect({ host: dial.ip.text, port: dial.port, localAddress: bind.text, localPort: lease.port })
    return true
  }

  cancel(): void {
    const socket = this.#socket
    this.#socket = undefined
    // a socket still connecting would put its reset off until it has connected
    if (socket?.connecting) socket.destroy()
    else socket?.resetAndDestroy()
  }

  timedOut(seconds: number): GatewayError {
    return new GatewayError('dial.timeout', `${describeDestination(this.pair)} did not answer within ${seconds} s`)
  }

  readonly #connected = (): void => {
    const socket = this.#socket
    if (socket === undefined || this.#lease === undefined) return
    const { bind, egress } = this.pair
    const { port } = this.#lease
    if (!isBoundTo(socket, bind, port)) {
      const seen = socket.localAddress
      this.cancel()
      this.#race.failed(this, notBound(this.pair, seen), true)
      return
    }
    socket.off('error', this.#failed)
    this.#race.succeeded(this, {
      socket,
      attempt: this.#attempt,
      local: { ip: bind, port },
      announced: { ip: egress, port },
    })
  }

  readonly #failed = (cause: Error): void => {
    if (this.#socket === undefined) return
    this.#socket = undefined
    this.#lease?.release()
    if (isPortClash(cause) && this.#portsTried < MAX_PORTS_TRIED) this.connect()
    else this.#race.failed(this, dialError(cause, this.pair), true)
  }
}

/** A socket for an upstream connection; `onClose` gives back what it held, however the close comes about. */
export function upstreamSocket(onClose: () => void): Socket {
  const socket = new DirectSocket({
    allowHalfOpen: true,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: KEEP_ALIVE_MS,
  })
  socket.once('close', onClose)
  // stays for good: a socket without an error listener ends the process (TU-08)
  socket.on('error', ignore)
  return socket
}

function ignore(): void {}

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

function isBoundTo(socket: Socket, ip: Ip, port: number): boolean {
  if (socket.localPort !== port) return false
  if (socket.localAddress === ip.text) return true
  const address = parseIp(socket.localAddress ?? '')
  return address !== undefined && equalIp(address, ip)
}

function notBound({ bind, egress }: DialledPair, seen: string | undefined): GatewayError {
  return new GatewayError(
    'egress.not_bound',
    `egress address \`${egress.text}\` was decided and \`${bind.text}\` bound, but the connection came up from \`${seen ?? 'nowhere'}\``,
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

// Outgoing UDP: one socket per association and egress address, bound to exactly that address on a port of our own choosing
// (UD-05), shared by all destinations reached from there. Lets in only what those destinations send (UD-06).

import { GatewayError } from '../errors/gateway-error.ts'
import { errnoOf } from '../errors/thrown.ts'
import { type Endpoint, formatEndpoint } from '../net/endpoint.ts'
import { equalIp } from '../net/ip.ts'
import type {
  DialAttempt,
  OpenUdpUpstreams,
  UdpListener,
  UdpPath,
  UdpUpstream,
  UdpUpstreams,
} from '../proxy/stage-values.ts'
import type { DatagramHandler, DatagramSocket } from '../transport/datagrams.ts'
import { type AttemptNeeds, exhausted, MAX_PORTS_TRIED, pairOf } from './attempt.ts'
import { bestOf, type DialledPair, dialError, isPortClash } from './errno.ts'
import { memberFailed } from './member-attempt.ts'
import type { PortLease } from './port-leases.ts'

/** The call that reads what ICMP said of earlier datagrams. */
const FROM_ICMP = 'recvmsg'

/** The `OpenUdpUpstreams` of the lab. `sources` must not be the registry of TCP: the same two endpoints may exist there as well. */
export function createUdpOutlets(needs: AttemptNeeds): OpenUdpUpstreams {
  return (onStray) => new Outlets(needs, onStray)
}

class Outlets implements UdpUpstreams {
  readonly #needs: AttemptNeeds
  readonly #onStray: () => void
  /** by public egress address, bound address and device; those being bound included */
  readonly #sockets = new Map<string, { readonly ready: Promise<EgressSocket>; users: number }>()

  constructor(needs: AttemptNeeds, onStray: () => void) {
    this.#needs = needs
    this.#onStray = onStray
  }

  async connect(attempts: readonly DialAttempt[], listener: UdpListener): Promise<UdpUpstream> {
    const errors: GatewayError[] = []
    for (const attempt of attempts) {
      try {
        const outlet = await this.#open(attempt, listener)
        this.#tell(attempt)
        return outlet
      } catch (thrown) {
        if (!(thrown instanceof GatewayError)) throw thrown
        this.#tell(attempt, thrown)
        errors.push(thrown)
      }
    }
    throw bestOf(errors)
  }

  /** That an exit or a member does not carry UDP says nothing of it. */
  #tell({ decision: { egress } }: DialAttempt, error?: GatewayError): void {
    const isAboutUdp = error?.code === 'egress.exit_failed' || error?.code === 'egress.member_failed'
    if (egress !== null && !isAboutUdp) this.#needs.onAttempt(egress, error)
  }

  async #open(attempt: DialAttempt, listener: UdpListener): Promise<UdpUpstream> {
    const member = this.#needs.memberOf?.(attempt)
    if (member instanceof GatewayError) throw member
    if (member !== undefined) throw memberFailed(member.member, 'members carry TCP for each other, and this is UDP')
    const { egress } = attempt.decision
    const exit = egress === null ? undefined : this.#needs.exitOf(egress, attempt.candidate.tunnel)
    if (exit !== undefined) {
      throw new GatewayError('egress.exit_failed', `the exit ${exit.text} is used for TCP only, and this is UDP`)
    }
    const pair = pairOf(attempt, this.#needs)
    if (pair instanceof GatewayError) throw pair
    const leave = this.#needs.leases.admit(pair, 'udp')
    if (leave === undefined) throw exhausted(pair)
    const key = `${pair.egress.text} ${pair.bind.text} ${pair.binding?.device ?? ''}`
    const shared = this.#sockets.get(key) ?? { ready: bindSocket(pair, this.#needs, this.#onStray), users: 0 }
    this.#sockets.set(key, shared)
    shared.users++
    const release = () => {
      leave()
      shared.users--
      if (shared.users > 0) return
      this.#sockets.delete(key)
      shared.ready.then((socket) => socket.close()).catch(() => undefined)
    }
    try {
      const socket = await shared.ready
      const local = { ip: pair.bind, port: socket.port }
      const publicEndpoint = { ip: pair.egress, port: socket.port }
      const forget = this.#needs.sources.add(local, pair.dial, { endpoint: publicEndpoint, attempt })
      const path = socket.open(pair, listener, () => {
        forget()
        release()
      })
      return { channel: path, attempt, local, publicEndpoint }
    } catch (thrown) {
      release()
      throw thrown
    }
  }
}

/** Binds on the first leased port that is free. */
async function bindSocket(
  pair: DialledPair,
  { leases, engine }: Pick<AttemptNeeds, 'leases' | 'engine'>,
  onStray: () => void,
): Promise<EgressSocket> {
  let clash: unknown
  for (let tried = 0; tried < MAX_PORTS_TRIED; tried++) {
    const lease = leases.leaseForAll(pair)
    if (lease === undefined) throw exhausted(pair)
    try {
      const socket = await engine.bindDatagrams({ ip: pair.bind, port: lease.port }, pair.binding)
      const { ip, port } = socket.address
      if (equalIp(ip, pair.bind) && port === lease.port) return new EgressSocket(socket, lease, onStray)
      socket.close()
      throw notBound(pair, formatEndpoint(socket.address))
    } catch (thrown) {
      lease.release()
      if (thrown instanceof GatewayError) throw thrown
      if (!isPortClash(thrown)) throw dialError(thrown, pair)
      clash = thrown
    }
  }
  throw dialError(clash, pair)
}

class EgressSocket implements DatagramHandler {
  readonly port: number
  readonly #socket: DatagramSocket
  readonly #lease: PortLease
  readonly #onStray: () => void
  readonly #paths = new Map<string, Path>()
  /** who sent the last datagram: most often the next one, too */
  #lastFrom: Endpoint | undefined
  #lastPath: Path | undefined

  constructor(socket: DatagramSocket, lease: PortLease, onStray: () => void) {
    this.#socket = socket
    this.#lease = lease
    this.#onStray = onStray
    this.port = lease.port
    socket.setHandler(this)
  }

  onDatagram(payload: Buffer, from: Endpoint): void {
    const path = this.#pathOf(from)
    if (path === undefined) this.#onStray()
    else path.receive(payload)
  }

  onFailure(cause: NodeJS.ErrnoException, to: Endpoint): void {
    this.#pathOf(to)?.notSent(cause)
  }

  #pathOf(endpoint: Endpoint): Path | undefined {
    const last = this.#lastFrom
    const isKnown = last !== undefined && last.port === endpoint.port && last.ip === endpoint.ip
    if (isKnown && this.#lastPath?.isClosed === false) return this.#lastPath
    this.#lastPath = this.#paths.get(keyOf(endpoint))
    this.#lastFrom = endpoint
    return this.#lastPath
  }

  open(pair: DialledPair, listener: UdpListener, onClose: () => void): UdpPath {
    const key = keyOf(pair.dial)
    const path = new Path(this.#socket, pair, listener, () => {
      if (this.#paths.get(key) === path) this.#paths.delete(key)
      onClose()
    })
    this.#paths.set(key, path)
    this.#lastFrom = undefined
    return path
  }

  close(): void {
    this.#socket.close()
    this.#lease.release()
  }
}

class Path implements UdpPath {
  bytesRead = 0
  bytesWritten = 0
  isClosed = false
  readonly #socket: DatagramSocket
  readonly #pair: DialledPair
  readonly #listener: UdpListener
  readonly #onClose: () => void

  constructor(socket: DatagramSocket, pair: DialledPair, listener: UdpListener, onClose: () => void) {
    this.#socket = socket
    this.#pair = pair
    this.#listener = listener
    this.#onClose = onClose
  }

  send(payload: Uint8Array): void {
    if (this.isClosed) return
    this.bytesWritten += payload.length
    this.#socket.send(this.#pair.dial, payload)
  }

  receive(payload: Buffer): void {
    this.bytesRead += payload.length
    this.#listener.received(payload)
  }

  destroy(): void {
    if (this.isClosed) return
    this.isClosed = true
    this.#onClose()
  }

  /** UDP knows no reset. */
  reset(): void {
    this.destroy()
  }

  notSent(cause: NodeJS.ErrnoException): void {
    const code = errnoOf(cause)
    if (code === 'EMSGSIZE') this.#listener.dropped('too_large')
    else if (code === 'ENOBUFS' || code === 'EAGAIN') this.#listener.dropped('congested')
    else if (cause.syscall === FROM_ICMP) this.#listener.unreachable(dialError(cause, this.#pair))
    else this.#listener.failed(dialError(cause, this.#pair))
  }
}

function keyOf({ ip, port }: Endpoint): string {
  return `${ip.text} ${port}`
}

function notBound({ bind, egress }: DialledPair, seen: string): GatewayError {
  return new GatewayError(
    'egress.not_bound',
    `egress address \`${egress.text}\` was decided and \`${bind.text}\` asked for, but \`${seen}\` was bound`,
  )
}

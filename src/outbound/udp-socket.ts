// Outgoing UDP: one socket per association and egress address, bound to exactly that address on a port of our own choosing
// (UD-05), shared by all destinations reached from there. Lets in only what those destinations send (UD-06).

import type { Socket } from 'node:dgram'
import { GatewayError } from '../errors/gateway-error.ts'
import { equalIp, type Ip, parseIp } from '../net/ip.ts'
import type {
  DialAttempt,
  OpenUdpUpstreams,
  UdpListener,
  UdpPath,
  UdpUpstream,
  UdpUpstreams,
} from '../proxy/stage-values.ts'
import { bindDatagramSocket } from '../transport/datagram-socket.ts'
import { type AttemptNeeds, exhausted, MAX_PORTS_TRIED, pairOf } from './attempt.ts'
import { bestOf, type DialledPair, dialError, errnoOf, isPortClash } from './errno.ts'
import type { PortLease, PortLeases } from './port-leases.ts'

/** What may wait in this process when the system takes no more; beyond it datagrams are dropped, as routers do. */
const MAX_QUEUED_BYTES = 1024 * 1024

/** The `OpenUdpOutlets` of the lab. `sources` must not be the registry of TCP: the same two endpoints may exist there as well. */
export function createUdpOutlets(needs: Omit<AttemptNeeds, 'engine'>): OpenUdpUpstreams {
  return (onStray) => new Outlets(needs, onStray)
}

class Outlets implements UdpUpstreams {
  readonly #needs: Omit<AttemptNeeds, 'engine'>
  readonly #onStray: () => void
  /** by public egress address and bound address; those being bound included */
  readonly #sockets = new Map<string, { readonly ready: Promise<EgressSocket>; users: number }>()

  constructor(needs: Omit<AttemptNeeds, 'engine'>, onStray: () => void) {
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

  /** That an exit does not carry UDP says nothing of the exit. */
  #tell({ decision: { egress } }: DialAttempt, error?: GatewayError): void {
    if (egress !== null && error?.code !== 'egress.exit_failed') this.#needs.onAttempt(egress, error)
  }

  async #open(attempt: DialAttempt, listener: UdpListener): Promise<UdpUpstream> {
    const { egress } = attempt.decision
    const exit = egress === null ? undefined : this.#needs.exitOf(egress, attempt.candidate.tunnel)
    if (exit !== undefined) {
      throw new GatewayError('egress.exit_failed', `the exit ${exit.text} is used for TCP only, and this is UDP`)
    }
    const pair = pairOf(attempt)
    if (pair instanceof GatewayError) throw pair
    const leave = this.#needs.leases.admit(pair, 'udp')
    if (leave === undefined) throw exhausted(pair)
    const key = `${pair.egress.text} ${pair.bind.text}`
    const shared = this.#sockets.get(key) ?? { ready: bindSocket(pair, this.#needs.leases, this.#onStray), users: 0 }
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
async function bindSocket(pair: DialledPair, leases: PortLeases, onStray: () => void): Promise<EgressSocket> {
  let clash: unknown
  for (let tried = 0; tried < MAX_PORTS_TRIED; tried++) {
    const lease = leases.leaseForAll(pair)
    if (lease === undefined) throw exhausted(pair)
    try {
      const socket = await bindDatagramSocket({ ip: pair.bind, port: lease.port })
      const { address, port } = socket.address()
      if (isSame(address, pair.bind) && port === lease.port) return new EgressSocket(socket, lease, onStray)
      socket.close()
      throw notBound(pair, address)
    } catch (thrown) {
      lease.release()
      if (thrown instanceof GatewayError) throw thrown
      if (!isPortClash(thrown)) throw dialError(thrown, pair)
      clash = thrown
    }
  }
  throw dialError(clash, pair)
}

class EgressSocket {
  readonly port: number
  readonly #socket: Socket
  readonly #lease: PortLease
  readonly #paths = new Map<string, Path>()

  constructor(socket: Socket, lease: PortLease, onStray: () => void) {
    this.#socket = socket
    this.#lease = lease
    this.port = lease.port
    socket.on('message', (payload, { address, port }) => {
      const path = this.#paths.get(`${address} ${port}`)
      if (path === undefined) onStray()
      else path.receive(payload)
    })
  }

  open(pair: DialledPair, listener: UdpListener, onClose: () => void): UdpPath {
    const key = `${pair.dial.ip.text} ${pair.dial.port}`
    const path = new Path(this.#socket, pair, listener, () => {
      if (this.#paths.get(key) === path) this.#paths.delete(key)
      onClose()
    })
    this.#paths.set(key, path)
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
  readonly #socket: Socket
  readonly #pair: DialledPair
  readonly #listener: UdpListener
  readonly #onClose: () => void

  constructor(socket: Socket, pair: DialledPair, listener: UdpListener, onClose: () => void) {
    this.#socket = socket
    this.#pair = pair
    this.#listener = listener
    this.#onClose = onClose
  }

  send(payload: Uint8Array): void {
    if (this.isClosed) return
    const { ip, port } = this.#pair.dial
    if (this.#socket.getSendQueueSize() > MAX_QUEUED_BYTES) this.#listener.dropped('congested')
    else {
      this.bytesWritten += payload.length
      this.#socket.send(payload, port, ip.text, this.#sent)
    }
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

  readonly #sent = (error: Error | null): void => {
    if (error === null || this.isClosed) return
    const code = errnoOf(error)
    if (code === 'EMSGSIZE') this.#listener.dropped('too_large')
    else if (code === 'ENOBUFS' || code === 'EAGAIN') this.#listener.dropped('congested')
    else this.#listener.failed(dialError(error, this.#pair))
  }
}

function isSame(text: string, ip: Ip): boolean {
  const address = parseIp(text)
  return address !== undefined && equalIp(address, ip)
}

function notBound({ bind, egress }: DialledPair, seen: string): GatewayError {
  return new GatewayError(
    'egress.not_bound',
    `egress address \`${egress.text}\` was decided and \`${bind.text}\` asked for, but \`${seen}\` was bound`,
  )
}

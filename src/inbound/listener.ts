// One listening port of the proxy: accepts clients up to a limit (RS-03, for one thread or for several together), detects the
// protocol by the first bytes, and dispatches to its handler. Decides nothing about destinations or identity.

import type { GatewayError } from '../errors/gateway-error.ts'
import type { Endpoint } from '../net/endpoint.ts'
import type { Listener } from '../proxy/arrival.ts'
import type { ByteStream } from '../transport/byte-stream.ts'
import type { Engine } from '../transport/engine.ts'
import { LinkedList } from '../transport/linked-list.ts'
import type { Clock } from '../transport/timer-wheel.ts'
import { ClientConnection, type Handshake, type HandshakeLimits } from './client-connection.ts'

/** How long a client beyond the limit may take to send its first bytes. */
const OVERLOAD_TIMEOUT_MS = 2000

/** Takes over a client whose first bytes are still in its stream: usually by {@link ClientConnection.startHandshake}.
 *   */
export type ProtocolHandler = (client: ClientConnection) => void

export interface ProtocolHandlers extends Readonly<Record<ClientProtocol, ProtocolHandler>> {
  /** Refuses a client that closed or timed out before its protocol was known: its bytes could only have become a
   *  CONNECT request. */
  readonly undetected: (client: ClientConnection, error: GatewayError) => void
}

export interface ListenerSettings {
  /** takes every client within the limit: usually {@link dispatch} */
  readonly accept: (client: ClientConnection) => void
  readonly limits: HandshakeLimits
  /** counted over all listeners; clients beyond its limit are refused (RS-03) */
  readonly clients: ClientCount
  /** takes clients beyond the limit, to refuse them in their protocol */
  readonly refuseOverload: (client: ClientConnection) => void
  /** clients that are being refused; its limit bounds them too */
  readonly refusedClients: ClientCount
  /** slows accepting down while clients are being refused */
  readonly acceptThrottle: { delay(load: number): void }
  /** takes clients beyond the limit of `refusedClients` */
  readonly dropConnection: (client: ClientConnection) => void
  /** others listen on the same port, and the system spreads connections over all of them (SO_REUSEPORT) */
  readonly sharesPort?: boolean
  readonly userTimeoutMs?: number | undefined
  readonly engine: Engine
  readonly clock: Clock
  readonly now: () => number
}

export interface OpenListener {
  readonly listener: Listener
  /** the address really bound */
  readonly address: Endpoint
  readonly clients: number
  /** Stops accepting; open connections go on. Resolves once the port is free and the last client is gone. */
  close(): Promise<void>
  /** Resets every client that is still connected. */
  resetAll(): void
}

/** Opens a listening port. Rejects with the system's error when it cannot be bound. */
export async function openListener(listener: Listener, settings: ListenerSettings): Promise<OpenListener> {
  const clients = new LinkedList<ByteStream>()
  const { host, port } = listener
  const { engine, sharesPort: reusePort = false, userTimeoutMs } = settings
  const options = { host, port, backlog: BACKLOG, reusePort, userTimeoutMs }
  const listening = await engine.listen(options, (stream) => accept(stream, listener, settings, clients))
  return {
    listener,
    address: listening.address,
    get clients() {
      return clients.size
    },
    close: async () => {
      await listening.close()
      await clients.empty()
    },
    resetAll: () => {
      for (const stream of clients.list()) stream.reset()
    },
  }
}

const BACKLOG = 1024

function accept(
  stream: ByteStream,
  listener: Listener,
  settings: ListenerSettings,
  clients: LinkedList<ByteStream>,
): void {
  const peer = stream.remoteEndpoint()
  // the client may have closed before it was accepted
  if (peer === undefined) {
    stream.reset()
    return
  }
  const { clock, limits, now } = settings
  const admission = admit(settings)
  const client = new ClientConnection(stream, {
    listener,
    peer,
    acceptedAt: now(),
    tcpHandshakeMs: (stream.tcpInfo()?.rttUs ?? 0) / 1000,
    clock,
    limits: admission?.accept === settings.accept ? limits : { ...limits, timeoutMs: OVERLOAD_TIMEOUT_MS },
  })
  if (admission === undefined) {
    settings.dropConnection(client)
    return
  }
  const place = clients.enter(stream)
  stream.onceClosed(() => {
    clients.leave(place)
    admission.count.leave()
  })
  admission.accept(client)
}

/** The handler of the next client and the count it is in; undefined: it is to be dropped. */
function admit({ clients, refusedClients, accept, refuseOverload, acceptThrottle }: ListenerSettings) {
  if (clients.enter()) return { count: clients, accept }
  acceptThrottle.delay(refusedClients.share())
  return refusedClients.enter() ? { count: refusedClients, accept: refuseOverload } : undefined
}

/** Waits for a client's first bytes and calls the handler of the protocol they open. */
export function dispatch(client: ClientConnection, handlers: ProtocolHandlers): void {
  client.startHandshake(new ProtocolDetection(client, handlers))
}

class ProtocolDetection implements Handshake {
  readonly #client: ClientConnection
  readonly #handlers: ProtocolHandlers

  constructor(client: ClientConnection, handlers: ProtocolHandlers) {
    this.#client = client
    this.#handlers = handlers
  }

  take(bytes: Buffer): number {
    const protocol = detectProtocol(bytes)
    if (protocol !== undefined) this.#handlers[protocol](this.#client)
    return 0
  }

  refuse(error: GatewayError): void {
    this.#handlers.undetected(this.#client, error)
  }
}

export type ClientProtocol = 'socks4' | 'socks5' | 'tls' | 'connect' | 'http'

const CONNECT = Buffer.from('CONNECT ')

/** The protocol these first bytes open; undefined while they could still be more than one. Anything that is not SOCKS,
 *  TLS or a CONNECT request line counts as `http`, whose handler refuses what it cannot read. */
export function detectProtocol(bytes: Buffer): ClientProtocol | undefined {
  switch (bytes[0]) {
    case undefined:
      return undefined
    case 0x04:
      return 'socks4'
    case 0x05:
      return 'socks5'
    case 0x16:
      return 'tls'
  }
  const compared = Math.min(bytes.length, CONNECT.length)
  if (bytes.compare(CONNECT, 0, compared, 0, compared) !== 0) return 'http'
  return compared < CONNECT.length ? undefined : 'connect'
}

export interface ClientCount {
  /** Counts one more client; false, and nothing counted, when the limit is reached. */
  enter(): boolean
  leave(): void
  /** the share of the limit in use, 0…1 */
  share(): number
}

/** A count for one thread. */
export function localClients(limit: number): ClientCount {
  let clients = 0
  return {
    enter: () => {
      if (clients >= limit) return false
      clients++
      return true
    },
    leave: () => {
      clients--
    },
    share: () => clients / limit,
  }
}

/** A count over several threads, in shared memory. {@link forget} subtracts what a dead thread had counted. */
export class SharedClients {
  readonly buffer: SharedArrayBuffer
  /** the sum, then each thread's own */
  readonly #words: Int32Array

  constructor(threads: number, buffer?: SharedArrayBuffer) {
    this.buffer = buffer ?? new SharedArrayBuffer((threads + 1) * Int32Array.BYTES_PER_ELEMENT)
    this.#words = new Int32Array(this.buffer)
  }

  /** The count as one thread (0-based) uses it. */
  countOf(thread: number, limit: number): ClientCount {
    return {
      enter: () => {
        if (Atomics.add(this.#words, 0, 1) >= limit) {
          Atomics.sub(this.#words, 0, 1)
          return false
        }
        Atomics.add(this.#words, thread + 1, 1)
        return true
      },
      leave: () => {
        Atomics.sub(this.#words, 0, 1)
        Atomics.sub(this.#words, thread + 1, 1)
      },
      share: () => Atomics.load(this.#words, 0) / limit,
    }
  }

  /** Subtracts what a thread had counted; returns how many. Only after the thread has ended. */
  forget(thread: number): number {
    const clients = Atomics.exchange(this.#words, thread + 1, 0)
    Atomics.sub(this.#words, 0, clients)
    return clients
  }
}

// One listening port of the proxy: accepts, finds out by the first bytes
// what is spoken, and hands over to that protocol. Decides nothing about destinations or identity.

import type { GatewayError } from '../errors/gateway-error.ts'
import type { Endpoint } from '../net/endpoint.ts'
import type { Listener } from '../proxy/arrival.ts'
import type { ByteStream } from '../transport/byte-stream.ts'
import type { Engine } from '../transport/engine.ts'
import { LinkedList } from '../transport/linked-list.ts'
import type { Clock } from '../transport/timer-wheel.ts'
import { ClientConnection, type Handshake, type HandshakeLimits } from './client-connection.ts'
import type { ClientCount } from './client-limit.ts'

/** A client that there is no room for has so long to say what it speaks. */
const TURN_AWAY_MS = 2000

/** Begins a protocol with a visitor whose first bytes are waiting: usually {@link ClientConnection.converse} with a handshake. */
export type Greeter = (visitor: ClientConnection) => void

export interface Greeters extends Readonly<Record<Spoken, Greeter>> {
  /** Refuses a client that left or fell silent before its first bytes said what it speaks: by then they could only have
   *  become a CONNECT request. */
  readonly unclear: (visitor: ClientConnection, error: GatewayError) => void
}

export interface ListenerSettings {
  /** meets every client that was let in: usually {@link greet} */
  readonly meet: (visitor: ClientConnection) => void
  readonly limits: HandshakeLimits
  /** over all doors; whom it does not let in is turned away (RS-03) */
  readonly clients: ClientCount
  /** meets whom there is no room for */
  readonly turnAway: (visitor: ClientConnection) => void
  /** those being turned away */
  readonly turnedAway: ClientCount
  /** slows accepting down while there is no room */
  readonly brake: { hold(crowd: number): void }
  /** meets those there is not even room to turn away */
  readonly cutOff: (visitor: ClientConnection) => void
  /** others listen on the same port, and the system spreads connections over all of them (SO_REUSEPORT) */
  readonly sharesPort?: boolean
  readonly engine: Engine
  readonly clock: Clock
  readonly now: () => number
}

export interface OpenListener {
  readonly listener: Listener
  /** as really bound */
  readonly address: Endpoint
  readonly clients: number
  /** Stops accepting; resolves once the port is free and the last client gone. Connections go on. */
  close(): Promise<void>
  /** Resets every client that is still connected. */
  cutAll(): void
}

/** Opens the port. Rejects with the system's error when it cannot be bound. */
export async function openListener(listener: Listener, settings: ListenerSettings): Promise<OpenListener> {
  const clients = new LinkedList<ByteStream>()
  const { host, port } = listener
  const options = { host, port, backlog: BACKLOG, reusePort: settings.sharesPort ?? false }
  const listening = await settings.engine.listen(options, (stream) => accept(stream, listener, settings, clients))
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
    cutAll: () => {
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
  // it may be gone before it is looked at
  if (peer === undefined) {
    stream.reset()
    return
  }
  const { clock, limits, now } = settings
  const admission = admit(settings)
  const visitor = new ClientConnection(stream, {
    listener,
    peer,
    acceptedAt: now(),
    tcpHandshakeMs: (stream.tcpInfo()?.rttUs ?? 0) / 1000,
    clock,
    limits: admission?.meet === settings.meet ? limits : { ...limits, timeoutMs: TURN_AWAY_MS },
  })
  if (admission === undefined) {
    settings.cutOff(visitor)
    return
  }
  const place = clients.enter(stream)
  stream.onceClosed(() => {
    clients.leave(place)
    admission.count.leave()
  })
  admission.meet(visitor)
}

/** Who meets the next client, and where it is counted; undefined: there is no room for it at all. */
function admit({ clients, turnedAway, meet, turnAway, brake }: ListenerSettings) {
  if (clients.enter()) return { count: clients, meet }
  brake.hold(turnedAway.share())
  return turnedAway.enter() ? { count: turnedAway, meet: turnAway } : undefined
}

/** Listens to a client's first bytes and hands it to the protocol they open. */
export function greet(visitor: ClientConnection, greeters: Greeters): void {
  visitor.converse(new Sniffing(visitor, greeters))
}

class Sniffing implements Handshake {
  readonly #visitor: ClientConnection
  readonly #greeters: Greeters

  constructor(visitor: ClientConnection, greeters: Greeters) {
    this.#visitor = visitor
    this.#greeters = greeters
  }

  take(bytes: Buffer): number {
    const spoken = sniff(bytes)
    if (spoken !== undefined) this.#greeters[spoken](this.#visitor)
    return 0
  }

  refuse(error: GatewayError): void {
    this.#greeters.unclear(this.#visitor, error)
  }
}

export type Spoken = 'socks4' | 'socks5' | 'tls' | 'connect' | 'http'

const CONNECT = Buffer.from('CONNECT ')

/** The protocol these first bytes open, or undefined while they could still be more than one. Anything that is not SOCKS, TLS
 *  or a CONNECT request line is left to the HTTP server, which knows how to refuse it. */
export function sniff(bytes: Buffer): Spoken | undefined {
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

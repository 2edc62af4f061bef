// What an engine is: the way TCP connections and datagrams enter and leave this process.

import type { Endpoint } from '../net/endpoint.ts'
import type { ByteStream } from './byte-stream.ts'
import type { DatagramSocket } from './datagrams.ts'

export type EngineName = 'linux' | 'node'

export interface ListenOptions {
  /** a literal IP address, or a host name as `net.Server` takes it */
  readonly host: string
  /** 0: any free port */
  readonly port: number
  readonly backlog?: number
  /** SO_REUSEPORT: others listen on the same port and the system spreads connections over all of them */
  readonly reusePort?: boolean
  /** see {@link DialRequest.userTimeoutMs}; of accepted connections */
  readonly userTimeoutMs?: number | undefined
}

export interface ListeningSocket {
  /** as really bound */
  readonly address: Endpoint
  /** Stops accepting; resolves once the port is free. Accepted connections go on, and so does who had connected and was not accepted yet
   *  (engine `linux`; Node has them reset). */
  close(): Promise<void>
}

/** How a socket is bound, beyond its address; for addresses of machines that route (docs/addresses.md). */
export interface SocketBinding {
  /** SO_BINDTODEVICE: whatever the routes say, packets leave by this network device and are taken from it alone */
  readonly device?: string
  /** IP_FREEBIND, IPV6_FREEBIND: the address may be bound before this machine has it */
  readonly freebind?: boolean
  /** IP_TRANSPARENT, IPV6_TRANSPARENT: connections leave from the address though this machine never has it; needs CAP_NET_ADMIN */
  readonly transparent?: boolean
}

export interface DialRequest {
  readonly to: Endpoint
  /** the address to bind, and the port where it is not 0; absent: the system chooses */
  readonly from?: Endpoint
  /** only where {@link Engine.takesBindings} */
  readonly binding?: SocketBinding | undefined
  /** Once it is connected: how long what was sent may stay unacknowledged, or untaken by a peer that does not read, before the connection
   *  ends with `timeout` (tcp(7), TCP_USER_TIMEOUT). Engine `linux` only; absent: as the system has it. */
  readonly userTimeoutMs?: number | undefined
}

/** Told once how a dial ended, never within the call of `dial`. */
export interface DialListener {
  onConnect(stream: ByteStream): void
  /** an error with the system's `code` and the `syscall` that failed: `bind`, `connect`, or `setsockopt` for what the binding asks for */
  onFailure(cause: Error): void
}

/** A dial under way. */
export interface PendingDial {
  /** the port really bound, as soon as the engine knows it: {@link Engine.sharesPorts} says whether that is at once */
  readonly localPort: number | undefined
  /** Gives up; nothing is told any more. Does nothing once the dial has ended. */
  cancel(): void
}

export interface Engine {
  readonly name: EngineName
  /** A dial from port 0 gets a port that other destinations may use at the same time (IP_BIND_ADDRESS_NO_PORT), and
   *  {@link PendingDial.localPort} is known when `dial` returns. False: whoever dials chooses the port. */
  readonly sharesPorts: boolean
  /** False: a dial or a UDP socket with a {@link SocketBinding} fails (EOPNOTSUPP, `setsockopt`); nothing is bound without it. */
  readonly takesBindings: boolean
  /** Rejects with the system's error (`code`, `syscall`) when the port cannot be bound. `onConnection` gets each accepted stream, with
   *  TCP_NODELAY set and no handler. */
  listen(options: ListenOptions, onConnection: (stream: ByteStream) => void): Promise<ListeningSocket>
  dial(request: DialRequest, listener: DialListener): PendingDial
  /** Binds a UDP socket to exactly this address; port 0 is any. Rejects with the system's error, and leaves no socket then. */
  bindDatagrams(at: Endpoint, binding?: SocketBinding): Promise<DatagramSocket>
  /** Has a thread of its own pass the bytes of two streams to each other, for tunnels that move much: until `onReturn`, neither is read or
   *  written here; their byte counts go on. It returns them when both sides have ended, one has broken (all it sent delivered) or one is
   *  closed here; their handlers are told then, after `onReturn`, which is told who said FIN first, if anybody has. False: these two cannot be passed on (half closed, bytes unread or unsent, not plain
   *  TCP), and nothing has changed. Absent: this engine has no such thread. */
  passOn?(one: ByteStream, other: ByteStream, onReturn: (endedFirst: ByteStream | undefined) => void): boolean
  /** Closes everything that is open and lets go of Node's event loop. A thread that can should await this before it ends. */
  close(): Promise<void>
  /** By which another thread names this engine to {@link reclaim}; absent: Node itself closes what an ended thread leaves. */
  readonly descriptor?: number
  /** Closes what the engine of a thread that ended without {@link close} has left: the system keeps its descriptors, and its listening
   *  sockets would still be given connections. To be called once the thread is gone. */
  reclaim?(descriptor: number): void
}

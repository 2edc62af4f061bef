// The interfaces the pipeline needs and the adapters implement; they meet in main.ts only.

import type { GatewayError } from '../errors/gateway-error.ts'
import type { Endpoint, Target } from '../net/endpoint.ts'
import type { Family, Ip } from '../net/ip.ts'
import type { Decision } from '../policy/decision.ts'
import type { Device, Flow, Identity } from '../policy/flow.ts'
import type { Place } from '../policy/place.ts'
import type { RouteTable } from '../policy/routes.ts'
import type { Snapshot } from '../policy/ruleset.ts'
import type { ByteStream } from '../transport/byte-stream.ts'
import type { Cancellation } from '../transport/cancellation.ts'
import type { Knock } from './arrival.ts'
import type { Decided } from './session.ts'
import type { SessionRecord } from './session-record.ts'

/** Who a connection belongs to and what was chosen with it; the answer of the identify stage. */
export interface Persona {
  readonly identity?: Identity
  readonly device?: Device
  readonly virtualNetworkId: string
  /** the device's public address: given, configured, or the peer's */
  readonly source: Endpoint
  readonly internalSource?: Ip
  readonly userPlace?: Place
  readonly family?: Family
}

/** One address a target resolves to. `dial` is where bytes really go (a stand-in where the lab has one). */
export interface Candidate {
  readonly destination: Endpoint
  readonly dial: Endpoint
  readonly place?: Place
  readonly proxiedByCloudflare: boolean
  /** it wants to be told who connects, by the PROXY protocol (TCP only) */
  readonly proxyProtocol?: 'v2'
  /** it is the lab's own Gateway DNS: exempt from rules ([E1]) */
  readonly gatewayDns?: boolean
  /** it is behind this tunnel, by a route of the virtual network in force */
  readonly tunnel?: Tunnel
}

/** A tunnel to a private network, and how the lab gets to what is behind it. */
export interface Tunnel {
  readonly id: string
  /** the id where it has no other name */
  readonly name: string
  /** `stand-in`: `dial` is a local address in place of the private one; `upstream`: a proxy on the other side; `nothing`: it
   *  cannot be reached here */
  readonly by: 'stand-in' | 'upstream' | 'nothing'
}

/** What is behind an address that Gateway DNS gave out in place of a real one ([D1]). */
export interface Placeholder {
  /** the address given out: what the client connects to */
  readonly initial: Ip
  readonly name: string
  /** the real address, as it was when the name was resolved */
  readonly address: Ip
  /** Keeps it from being given to another name until the answer is called. */
  hold(): () => void
}

/** One step of a dial: connect to `candidate.dial` from the egress of `decision`. */
export interface DialAttempt {
  readonly flow: Flow
  readonly candidate: Candidate
  readonly decision: Decision
}

/** What carries the bytes of a session and counts them: read from the origin, written to it. */
export interface Carrier {
  readonly bytesRead: number
  readonly bytesWritten: number
  readonly isClosed: boolean
  destroy(): void
  /** Closes so that the origin sees a reset, where the transport has one. */
  reset(): void
}

/** A way out that is open, over whatever transport, its source address verified. */
export interface Outlet {
  readonly carrier: Carrier
  readonly attempt: DialAttempt
  /** the address and port really bound */
  readonly local: Endpoint
  /** what the client is told: the public egress address with the port really bound */
  readonly announced: Endpoint
  /** the proxy elsewhere it goes by way of, as `socks5://address:port`; `local` is this machine's end of that */
  readonly exit?: string
  /** where distance is made to be felt */
  readonly distance?: Distance
}

/** How far a connection travels by its decision, and the time that was added for it. */
export interface Distance {
  readonly km: number
  readonly addedMs: number
}

/** An established upstream connection. */
export interface Upstream extends Outlet {
  readonly carrier: ByteStream
}

/** Datagrams from one egress address to one destination; the other side answers to a {@link UdpListener}. */
export interface UdpPath extends Carrier {
  /** What cannot be sent is told to the listener; nothing is queued beyond what the system takes. The bytes may be reused afterwards. */
  send(payload: Uint8Array): void
}

export interface UdpOutlet extends Outlet {
  readonly carrier: UdpPath
}

/** Hears what comes back on a path. */
export interface UdpListener {
  /** a datagram of exactly that destination; the bytes are valid during the call only */
  received(payload: Buffer): void
  /** a datagram was not sent; the path goes on */
  dropped(reason: 'too_large' | 'congested'): void
  /** an ICMP message says that a datagram did not arrive; the path goes on, for the next one may */
  unreachable(error: GatewayError): void
  /** nothing can be sent on this path; it is closed */
  failed(error: GatewayError): void
}

/** The outgoing side of one UDP association: one socket per egress address, bound when it is first needed, gone with its last
 *  path. */
export interface UdpOutlets {
  /** A path by the first of these attempts whose source can be bound: UDP has no handshake to race for.
   *  Throws GatewayError `egress.*`. */
  reach(attempts: readonly DialAttempt[], listener: UdpListener): Promise<UdpOutlet>
}

export type OpenUdpOutlets = (onStray: () => void) => UdpOutlets

/** What the lab knows of a live upstream connection: whom the other end has to take it for. Test origins in the same
 *  process ask by the two local endpoints they see (peer, then their own); `undefined`: not one of the lab's connections. */
export interface PublicSource {
  /** the public egress address (the user's own inside a dedicated IPv6 range) with the port really bound */
  readonly endpoint: Endpoint
  /** flow and decision behind the connection */
  readonly attempt: DialAttempt
}

export type PublicSourceOf = (peer: Endpoint, local: Endpoint) => PublicSource | undefined

export interface Ports {
  readonly snapshots: { current(): Snapshot }
  /** Credentials, user-name parameters, listener and source address → who it is.
   *  Throws GatewayError `identity.*`, `request.malformed`. */
  readonly identify: (knock: Knock, snapshot: Snapshot) => Persona | Promise<Persona>
  /** All addresses of a target in the order to try them (IPv6 first), each checked by the destination guard.
   *  Throws GatewayError `name.*`, `guard.*`, `egress.no_matching_family`. */
  readonly resolve: (target: Target, options: ResolveOptions) => readonly Candidate[] | Promise<readonly Candidate[]>
  /** What a placeholder stands for; undefined for every other target, and where the lab has no Gateway DNS (then absent).
   *  Throws GatewayError `name.unknown_placeholder`. */
  readonly placeholderAt?: (target: Target) => Placeholder | undefined | Promise<Placeholder | undefined>
  /** Facts about names and addresses that the flow needs beside its candidate. */
  readonly placeOf: (address: Ip) => Place | undefined
  readonly categoriesOf: (
    target: Target,
    address: Ip,
  ) => {
    readonly contentCategories: readonly number[]
    readonly applications: readonly number[]
  }
  /** Races the attempts (Happy Eyeballs, one source per family); resolves with the first that connects.
   *  Throws GatewayError `egress.*`, `dial.*`. Aborting the signal cancels everything and frees the ports. */
  readonly dial: (attempts: readonly DialAttempt[], options: DialOptions) => Promise<Upstream>
  /** Takes one finished session, with its decision where it came to one; never blocks, never throws. */
  readonly record: (record: SessionRecord, decided?: Decided) => void
  /** Lab time, epoch ms with fractions. */
  readonly now: () => number
}

export interface ResolveOptions {
  readonly family?: Family
  /** the name's address, settled when it was resolved: the only candidate */
  readonly settled?: Ip
  readonly transport: 'tcp' | 'udp'
  readonly peer: Endpoint
  readonly virtualNetworkId: string
  /** say which destinations are behind a tunnel; absent: none is */
  readonly routes?: RouteTable
  readonly signal: Cancellation
}

export interface DialOptions {
  readonly signal: Cancellation
  readonly timeoutMs: number
}

// The values of a connection on its way through the pipeline, and the parts they are made of. All of them are
// immutable: a stage makes the next value of the one before.

import type { GatewayError } from '../errors/gateway-error.ts'
import type { Endpoint, Target } from '../net/endpoint.ts'
import type { Family, Ip } from '../net/ip.ts'
import { type Allowlist, letsIn } from '../policy/allowlist.ts'
import type { Decision } from '../policy/decision.ts'
import type { Device, Flow, Identity } from '../policy/flow.ts'
import type { NetworkId } from '../policy/ids.ts'
import type { Place } from '../policy/place.ts'
import type { Snapshot } from '../policy/ruleset.ts'
import type { ByteStream } from '../transport/byte-stream.ts'
import type { ClientInfo } from './arrival.ts'

/** A connection the pipeline took in, and the one version of the policy that decides it. */
export interface Received {
  readonly client: ClientInfo
  /** as asked for; undefined where the client never got to name one */
  readonly target: Target | undefined
  readonly snapshot: Snapshot
  /** monotonic, ms (RS-09) */
  readonly receivedTick: number
}

/** Who a client is, under the version of the policy it was identified by. */
export interface Identification {
  readonly snapshot: Snapshot
  readonly context: ClientContext
}

/** … it is known who asks. */
export interface Identified extends Received, Identification {
  readonly target: Target
}

/** … it is known by name where the client connected to a placeholder. */
export interface Named extends Identified {
  readonly placeholder: Placeholder | undefined
  /** what is resolved and decided on: the name behind a placeholder, else the target as asked for */
  readonly effectiveTarget: Target
}

/** … its addresses are known, in the order to try them. */
export interface Resolved extends Named {
  readonly candidates: readonly Candidate[]
}

/** … each address has a decision. */
export interface Decided extends Resolved {
  /** in the order to try them */
  readonly attempts: readonly DialAttempt[]
  /** those with an egress address */
  readonly usable: readonly DialAttempt[]
  readonly ruleEvaluationMs: number
}

/** … its upstream is established. */
export interface Connected<Out extends Upstream = TcpUpstream> extends Decided {
  readonly upstream: Out
}

/** The furthest value a connection reached: what its record is made from. */
export type Reached = Received & Partial<Omit<Connected<Upstream>, keyof Received>>

/** The facts of a connection and what was decided on them. */
export interface SessionDecision {
  readonly flow: Flow
  readonly decision: Decision
  /** whether the destination lets in the egress address; absent: it has no allowlist */
  readonly letIn?: boolean
  /** the policy it was decided by */
  readonly snapshot: Snapshot
}

/** The decision for the address that was connected to, else for the first one tried; undefined before any decision. */
export function decisionOf({ upstream, attempts, snapshot }: Reached): SessionDecision | undefined {
  const attempt = upstream?.attempt ?? attempts?.[0]
  if (attempt === undefined) return undefined
  const { flow, decision, candidate } = attempt
  if (candidate.allowlist === undefined) return { flow, decision, snapshot }
  return { flow, decision, letIn: letsIn(candidate.allowlist, decision.egress?.address), snapshot }
}

/** Whom a connection belongs to and the parameters chosen with it: the result of identification. */
export interface ClientContext {
  readonly identity?: Identity
  readonly device?: Device
  readonly virtualNetworkId: NetworkId
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
  /** it expects a PROXY protocol header that names the client (TCP only) */
  readonly proxyProtocol?: 'v2'
  /** it is the lab's own Gateway DNS: exempt from rules ([E1]) */
  readonly gatewayDns?: boolean
  /** it is behind this tunnel, by a route of the virtual network in force */
  readonly tunnel?: Tunnel
  /** the service there, if it is known to have an allowlist */
  readonly allowlist?: Allowlist
}

/** A tunnel to a private network, and how the lab reaches it. */
export interface Tunnel {
  readonly id: string
  /** the id for an unnamed tunnel */
  readonly name: string
  /** `stand-in`: `dial` is a local address in place of the private one; `upstream`: a proxy on the other side;
   *  `nothing`: it cannot be reached here */
  readonly by: 'stand-in' | 'upstream' | 'nothing'
}

/** The real name and address behind a placeholder address of Gateway DNS ([D1]). */
export interface Placeholder {
  /** the placeholder address: what the client connects to */
  readonly initial: Ip
  readonly name: string
  /** the real address, as it was when the name was resolved */
  readonly address: Ip
  /** Reserves the placeholder for this name. Returns a function that releases it. */
  hold(): () => void
}

/** One step of a dial: connect to `candidate.dial` from the egress of `decision`. */
export interface DialAttempt {
  readonly flow: Flow
  readonly candidate: Candidate
  readonly decision: Decision
}

/** What carries and counts the bytes of a session: read from the origin, written to it. */
export interface Channel {
  readonly bytesRead: number
  readonly bytesWritten: number
  readonly isClosed: boolean
  destroy(): void
  /** Closes so that the origin sees a reset, where the transport has one. */
  reset(): void
}

/** An established way to the destination over any transport, its source address verified. */
export interface Upstream {
  readonly channel: Channel
  readonly attempt: DialAttempt
  /** the address and port really bound */
  readonly local: Endpoint
  /** what the client is told and the world sees: the public egress address with the port really bound */
  readonly publicEndpoint: Endpoint
  /** the upstream proxy it goes through, as `socks5://address:port`; `local` is then this machine's end of that
   *  connection */
  readonly exit?: string
  /** set where the lab adds latency for distance */
  readonly distance?: Distance
}

/** How far a connection travels by its decision, and the latency added for it. */
export interface Distance {
  readonly km: number
  readonly addedMs: number
}

/** An established TCP connection to the destination. */
export interface TcpUpstream extends Upstream {
  readonly channel: ByteStream
}

/** Datagrams from one egress address to one destination; replies go to a {@link UdpListener}. */
export interface UdpPath extends Channel {
  /** Sends a datagram, or reports to the listener why not. Nothing is queued beyond what the system takes. The bytes may
   *  be reused afterwards. */
  send(payload: Uint8Array): void
}

export interface UdpUpstream extends Upstream {
  readonly channel: UdpPath
}

/** Receives what comes back on a path. */
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

/** The outgoing side of one UDP association: one socket per egress address, bound when it is first needed, gone with
 *  its last path. */
export interface UdpUpstreams {
  /** A path by the first of these attempts whose source can be bound: UDP has no handshake to race for.
   *  Throws GatewayError `egress.*`. */
  connect(attempts: readonly DialAttempt[], listener: UdpListener): Promise<UdpUpstream>
}

export type OpenUdpUpstreams = (onStray: () => void) => UdpUpstreams

/** How the destination should see a live upstream connection. */
export interface PublicSource {
  /** the public egress address (the user's own inside a dedicated IPv6 range) with the port really bound */
  readonly endpoint: Endpoint
  /** flow and decision behind the connection */
  readonly attempt: DialAttempt
}

/** Looks a connection up by the endpoints a test origin sees: its peer, then its own. Undefined: not a connection of
 *  the lab. */
export type PublicSourceOf = (peer: Endpoint, local: Endpoint) => PublicSource | undefined

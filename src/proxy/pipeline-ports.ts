// What the pipeline needs from the rest of the lab. Adapters implement these; they are put together in lab/ and
// decider/.

import type { Endpoint, Target } from '../net/endpoint.ts'
import type { Family, Ip } from '../net/ip.ts'
import type { NetworkId } from '../policy/ids.ts'
import type { Place } from '../policy/place.ts'
import type { RouteTable } from '../policy/routes.ts'
import type { Snapshot } from '../policy/ruleset.ts'
import type { Cancellation } from '../transport/cancellation.ts'
import type { ClientInfo } from './arrival.ts'
import type { SessionRecord } from './session-record.ts'
import type {
  Candidate,
  ClientContext,
  DialAttempt,
  Placeholder,
  SessionDecision,
  TcpUpstream,
} from './stage-values.ts'

export interface Ports {
  readonly snapshots: { current(): Snapshot }
  /** Identifies a client by its credentials, user-name parameters, listener and source address.
   *  Throws GatewayError `identity.*`, `request.malformed`. */
  readonly identify: (client: ClientInfo, snapshot: Snapshot) => ClientContext | Promise<ClientContext>
  /** All addresses of a target in the order to try them (IPv6 first), each checked by the destination guard.
   *  Throws GatewayError `name.*`, `guard.*`, `egress.no_matching_family`. */
  readonly resolve: (target: Target, options: ResolveOptions) => readonly Candidate[] | Promise<readonly Candidate[]>
  /** The placeholder behind a target; undefined for every other target. Absent where the lab has no Gateway DNS.
   *  Throws GatewayError `name.unknown_placeholder`. */
  readonly placeholderAt?: (target: Target) => Placeholder | undefined | Promise<Placeholder | undefined>
  /** The place of an address, by the geo database. */
  readonly placeOf: (address: Ip) => Place | undefined
  /** Ids of the content categories and applications of a destination. */
  readonly categoriesOf: (
    target: Target,
    address: Ip,
  ) => {
    readonly contentCategories: readonly number[]
    readonly applications: readonly number[]
  }
  /** Races the attempts (Happy Eyeballs, one source per family); resolves with the first that connects.
   *  Throws GatewayError `egress.*`, `dial.*`. Aborting the signal cancels everything and frees the ports. */
  readonly dial: (attempts: readonly DialAttempt[], options: DialOptions) => Promise<TcpUpstream>
  /** Takes one finished session, with its decision where one was made; never blocks, never throws. */
  readonly record: (record: SessionRecord, decided?: SessionDecision) => void
  /** Lab time, epoch ms with fractions. */
  readonly now: () => number
}

export interface ResolveOptions {
  readonly family?: Family
  /** the address behind a placeholder, fixed when the name was resolved: the only candidate */
  readonly placeholderAddress?: Ip
  readonly transport: 'tcp' | 'udp'
  readonly peer: Endpoint
  readonly virtualNetworkId: NetworkId
  /** say which destinations are behind a tunnel; absent: none is */
  readonly routes?: RouteTable
  readonly signal: Cancellation
}

export interface DialOptions {
  readonly signal: Cancellation
  /** for all attempts together */
  readonly timeoutMs: number
}

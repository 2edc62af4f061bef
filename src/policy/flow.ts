// What is known of one connection to ONE destination address before the decision ([F3]).

import type { Endpoint } from '../net/endpoint.ts'
import type { Ip } from '../net/ip.ts'
import type { NetworkId, UserId } from './ids.ts'
import type { Place } from './place.ts'

export interface UserGroup {
  readonly id: string
  readonly name: string
  readonly email: string
}

/** The authenticated user. */
export interface Identity {
  readonly id: UserId
  readonly email: string
  readonly name: string
  readonly groups: readonly UserGroup[]
  readonly samlAttributes: ReadonlyMap<string, readonly string[]>
  /** by name, as the identity provider sent them */
  readonly oidcClaims: ReadonlyMap<string, readonly string[]>
}

export interface Device {
  readonly id: string
  readonly name: string
  readonly sourceIp?: Ip
  /** only for devices behind a GRE/IPsec on-ramp */
  readonly internalSourceIp?: Ip
  readonly posture: { readonly passed: readonly string[]; readonly failed: readonly string[] }
}

export interface Flow {
  readonly transport: 'tcp' | 'udp'
  /** the device's public address */
  readonly source: Endpoint
  readonly internalSource?: Ip | undefined
  readonly identity?: Identity | undefined
  readonly device?: Device | undefined
  /** where the user is: determines ingress colo and balancing */
  readonly userPlace?: Place | undefined
  /** the source address's place according to the geo database */
  readonly sourcePlace?: Place | undefined
  readonly virtualNetworkId: NetworkId
  /** the requested name (lower case, A-labels, no trailing dot); absent for a literal address */
  readonly host?: string | undefined
  /** the public address, never a stand-in */
  readonly destination: Endpoint
  readonly destinationPlace?: Place | undefined
  /** orange-clouded ([E5]) */
  readonly proxiedByCloudflare: boolean
  readonly contentCategories: readonly number[]
  readonly applications: readonly number[]
  /** host name of the proxy endpoint the client used */
  readonly proxyEndpoint?: string | undefined
  /** DNS queries resolved by Gateway itself, which are exempt ([E1]) */
  readonly gatewayDns?: boolean | undefined
}

// What an inbound protocol hands to the pipeline: who knocks, at which door, asking for what.

import type { Cidr } from '../net/cidr.ts'
import type { Endpoint, Target } from '../net/endpoint.ts'
import type { Family } from '../net/ip.ts'

export type InboundProtocol = 'http-forward' | 'http-connect' | 'socks4' | 'socks5' | 'socks5-udp'

/** A door of the proxy, as configured. */
export interface Listener {
  readonly name: string
  readonly host: string
  readonly port: number
  /** `required`: credentials or nothing; `optional`: taken where given; `anonymous`: never asked for */
  readonly authentication: 'required' | 'optional' | 'anonymous'
  /** email of the user everyone coming through this door is */
  readonly fixedUser?: string
  /** name or id of the virtual network for this door */
  readonly virtualNetwork?: string
  readonly family?: Family
  readonly endpoint?: ProxyEndpoint
}

/** A Cloudflare proxy endpoint: kind `ip` lets networks in without identity, kind `identity` asks who you are. */
export interface ProxyEndpoint {
  readonly kind: 'ip' | 'identity'
  readonly name: string
  /** `<subdomain>.proxy.cloudflare-gateway.com`; the value of `proxy.endpoint` */
  readonly host: string
  readonly networks: readonly Cidr[]
}

/** User name with parameters and password, exactly as the client sent them. Never logged. */
export interface Credentials {
  readonly username: string
  readonly password: string
}

/** Who knocks and at which door, before anything is asked for: all that identification rests on. SOCKS5 answers a
 *  password before it hears the target (RFC 1929). */
export interface Knock {
  readonly protocol: InboundProtocol
  readonly transport: 'tcp' | 'udp'
  readonly listener: Listener
  /** the peer of the client's socket */
  readonly peer: Endpoint
  readonly credentials?: Credentials
  /** epoch ms when the client's connection was accepted */
  readonly acceptedAt: number
}

export interface Arrival extends Knock {
  readonly target: Target
}

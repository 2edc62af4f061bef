// What an inbound protocol hands to the pipeline: who knocks, at which door, asking for what.

import type { Cidr } from '../net/cidr.ts'
import type { Endpoint, Target } from '../net/endpoint.ts'
import type { Family } from '../net/ip.ts'

export type InboundProtocol =
  | 'http-forward'
  | 'http-connect'
  | 'h2-forward'
  | 'h2-connect'
  | 'socks4'
  | 'socks5'
  | 'socks5-udp'

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
  /** absent: TLS and plain clients are taken alike, with the development certificate */
  readonly tls?: ListenerTls
  readonly clientCertificates?: ClientCertificateRules
  readonly proxyProtocol?: ProxyProtocolRules
}

/** Whether clients speak TLS to a door, and the PEM files it presents in place of the development certificate. */
export interface ListenerTls {
  readonly mode: 'required' | 'refused'
  readonly files?: { readonly certificate: string; readonly key: string }
}

/** Whose client certificates a door takes for a login. */
export interface ClientCertificateRules {
  /** PEM file of the authorities that sign them */
  readonly authorityFile: string
  /** serial numbers, upper-case hex without leading zeros */
  readonly revoked: readonly string[]
}

/** From these networks a connection begins with a PROXY protocol header that says who the client really is; from anywhere
 *  else none is taken. */
export interface ProxyProtocolRules {
  readonly from: readonly Cidr[]
}

/** A Cloudflare proxy endpoint: kind `ip` lets networks in without identity, kind `identity` asks who you are. */
export interface ProxyEndpoint {
  readonly kind: 'ip' | 'identity'
  readonly name: string
  /** `<subdomain>.proxy.cloudflare-gateway.com`; the value of `proxy.endpoint` */
  readonly host: string
  readonly networks: readonly Cidr[]
  /** kind identity: browsers that nobody knows are sent to a sign-in page */
  readonly signIn?: 'page'
}

/** User name with parameters and password, exactly as the client sent them. Never logged. */
export interface Credentials {
  readonly username: string
  readonly password: string
  /** `bearer`: a token alone (RFC 6750); it is the password, and there is no user name */
  readonly scheme?: 'bearer'
}

/** The TLS connection between client and proxy. */
export interface ClientTls {
  /** such as `TLSv1.3` */
  readonly version: string
  readonly cipher: string
  readonly handshakeMs: number
  /** absent: the client presented none, or was not asked */
  readonly certificate?: ClientCertificate
}

/** What a client's certificate says, checked in every handshake, resumed ones too (TL-06). */
export type ClientCertificate =
  | { readonly kind: 'trusted'; readonly email: string }
  | { readonly kind: 'refused'; readonly problem: string }

/** Who knocks and at which door, before anything is asked for: all that identification rests on. SOCKS5 answers a
 *  password before it hears the target (RFC 1929). */
export interface Knock {
  readonly protocol: InboundProtocol
  readonly transport: 'tcp' | 'udp'
  readonly listener: Listener
  /** the peer of the client's socket, or the one a trusted balancer named */
  readonly peer: Endpoint
  readonly credentials?: Credentials
  /** the mail address of whoever signed in by the page, taken from a cookie that was verified */
  readonly signedInAs?: string
  /** absent: the client speaks to the proxy in the clear */
  readonly tls?: ClientTls
  /** epoch ms when the client's connection was accepted */
  readonly acceptedAt: number
  /** the round trip of the TCP handshake with the client, ms; 0 or absent where the system does not tell */
  readonly tcpHandshakeMs?: number
}

export interface Arrival extends Knock {
  readonly target: Target
}

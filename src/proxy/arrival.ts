// What an inbound protocol hands to the pipeline: the client, the listener it came by, and the target it asks for.

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

/** A listener of the proxy, as configured. */
export interface Listener {
  readonly name: string
  readonly host: string
  readonly port: number
  /** `required`: no access without credentials; `optional`: checked when sent; `anonymous`: never asked for */
  readonly authentication: 'required' | 'optional' | 'anonymous'
  /** email of the user that every client of this listener is */
  readonly fixedUser?: string
  /** name or id of the virtual network of this listener's clients */
  readonly virtualNetwork?: string
  readonly family?: Family
  readonly endpoint?: ProxyEndpoint
  /** absent: TLS and plain clients are accepted alike, with the development certificate */
  readonly tls?: ListenerTls
  readonly clientCertificates?: ClientCertificateRules
  readonly proxyProtocol?: ProxyProtocolRules
  /** HTTP answers name their session, egress address and rule in fields of the lab's own */
  readonly annotate?: boolean
}

/** The protocols a listener can offer by ALPN (RFC 7301). */
export type AlpnProtocol = 'h2' | 'http/1.1'

/** Whether a listener accepts TLS, what it offers by ALPN, and the PEM files it presents instead of the development
 *  certificate. */
export interface ListenerTls {
  readonly mode: 'required' | 'optional' | 'refused'
  /** absent: both, HTTP/2 first */
  readonly alpn?: readonly AlpnProtocol[]
  readonly files?: { readonly certificate: string; readonly key: string }
}

/** Which client certificates a listener accepts as authentication. */
export interface ClientCertificateRules {
  /** PEM file of the authorities that sign them */
  readonly authorityFile: string
  /** serial numbers, upper-case hex without leading zeros */
  readonly revoked: readonly string[]
}

/** Connections from these networks begin with a PROXY protocol header that names the real client; from anywhere else
 *  the header is not accepted. */
export interface ProxyProtocolRules {
  readonly from: readonly Cidr[]
}

/** A Cloudflare proxy endpoint: kind `ip` admits networks without identity, kind `identity` requires authentication. */
export interface ProxyEndpoint {
  readonly kind: 'ip' | 'identity'
  readonly name: string
  /** `<subdomain>.proxy.cloudflare-gateway.com`; the value of `proxy.endpoint` */
  readonly host: string
  readonly networks: readonly Cidr[]
  /** kind identity: browsers that are not signed in are redirected to a sign-in page */
  readonly signIn?: 'page'
}

/** User name with parameters and password, exactly as the client sent them. Never logged. */
export interface Credentials {
  readonly username: string
  readonly password: string
  /** `bearer`: a token alone (RFC 6750); it is the password, and the user name is empty. `user-id`: the user name alone
   *  (SOCKS4), which may carry parameters and proves nothing */
  readonly scheme?: 'bearer' | 'user-id'
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

/** The result of checking a client's certificate, in every handshake, resumed ones too (TL-06). */
export type ClientCertificate =
  | { readonly kind: 'trusted'; readonly email: string }
  | { readonly kind: 'refused'; readonly problem: string }

/** The client of a connection and the listener it came by: all that identification needs. Separate from {@link Arrival}
 *  because SOCKS5 answers a password before it reads the target (RFC 1929). */
export interface ClientInfo {
  readonly protocol: InboundProtocol
  readonly transport: 'tcp' | 'udp'
  readonly listener: Listener
  /** the peer of the client's socket, or the one a trusted balancer named */
  readonly peer: Endpoint
  readonly credentials?: Credentials
  /** the email address from a verified sign-in cookie */
  readonly signedInAs?: string
  /** absent: the client connection is not encrypted */
  readonly tls?: ClientTls
  /** epoch ms when the client's connection was accepted */
  readonly acceptedAt: number
  /** the round trip of the TCP handshake with the client, ms; 0 or absent where the system does not report it */
  readonly tcpHandshakeMs?: number
  /** of the request that opens the connection, where it is well-formed (W3C Trace Context) */
  readonly traceparent?: string
}

/** A client and the target it asks for: what the pipeline starts from. */
export interface Arrival extends ClientInfo {
  readonly target: Target
}

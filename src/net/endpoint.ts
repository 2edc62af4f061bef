// Where a connection comes from or goes to: an address and a port, or a name and a port.

import type { Ip } from './ip.ts'

/** One side of a connection. Port 0…65535. */
export interface Endpoint {
  readonly ip: Ip
  readonly port: number
}

/** The requested destination, normalised: a canonical address, or a host name in lower-case A-label form without a
 *  trailing dot. Port 1…65535. */
export type Target =
  | { readonly kind: 'ip'; readonly ip: Ip; readonly port: number }
  | { readonly kind: 'name'; readonly name: string; readonly port: number }

/** `203.0.113.10:443`, `[2001:db8::1]:443` */
export function formatEndpoint(endpoint: Endpoint): string {
  return formatHostPort(endpoint.ip.text, endpoint.port)
}

/** `example.com:443`, `[2001:db8::1]:443` */
export function formatTarget(target: Target): string {
  return formatHostPort(target.kind === 'ip' ? target.ip.text : target.name, target.port)
}

/** The address at which to reach a listener on `host`: for a listener on every address, the loopback address. */
export function reachableHost(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1'
  return host === '::' ? '::1' : host
}

/** Joined rather than concatenated, so that it is one flat string (ip.ts): the record of every connection
 *  holds three. */
function formatHostPort(host: string, port: number): string {
  return [host.includes(':') ? `[${host}]` : host, port].join(':')
}

// The requested host, normalised once: policy, resolver, guard, dialer and log all see this one form. Rejects text that
// is not a bare host (userinfo, paths, blanks, percent escapes, zone ids) instead of repairing it.

import type { Target } from './endpoint.ts'
import { flatText, type Ip, parseIp, unmapIp } from './ip.ts'

export type Host =
  | { readonly kind: 'ip'; readonly ip: Ip }
  /** lower case, A-labels, no trailing dot, at most 253 characters */
  | { readonly kind: 'name'; readonly name: string }

const ZERO = 0x30
const NINE = 0x39

const MAX_TEXT = 255
const MAX_NAME = 253

/** Letters, digits, hyphens and underscores (underscores and leading digits occur in real names, TU-02). */
const NAME = /^[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*$/
/** If the last label starts with a digit, the name may be a spelling of an IPv4 address. */
const MAY_BE_IPV4 = /(?:^|\.)\d[^.]*$/

/** Parses a bare host: a name, an IPv4 address in any spelling that resolvers accept (decimal, hexadecimal, octal,
 *  short, full-width digits; SS-01), an IPv6 literal with or without brackets. IPv4-mapped IPv6 becomes IPv4
 *  (SS-02). Names are returned in lower case as A-labels (UTS 46) without the trailing dot. Returns `undefined` for
 *  any other text. */
export function parseHost(text: string): Host | undefined {
  if (text.length === 0 || text.length > MAX_TEXT) return undefined
  if (text.startsWith('[')) return text.endsWith(']') ? parseIpv6(text.slice(1, -1)) : undefined
  if (text.includes(':')) return parseIpv6(text)

  // the usual spelling needs no URL parser
  const plain = isDigit(text.charCodeAt(0)) ? parseIp(text) : undefined
  if (plain !== undefined) return ipHost(plain)
  const lower = (text.endsWith('.') ? text.slice(0, -1) : text).toLowerCase()
  return NAME.test(lower) && !MAY_BE_IPV4.test(lower) ? nameHost(lower) : parseWithUrl(text)
}

/** Parses host and port that arrive separately (SOCKS). The port must be a whole number 1…65535. Returns `undefined`
 *  otherwise. */
export function parseTarget(host: string, port: number): Target | undefined {
  if (!Number.isInteger(port) || port < 1 || port > 65_535) return undefined
  const parsed = parseHost(host)
  if (parsed === undefined) return undefined
  return parsed.kind === 'ip' ? { kind: 'ip', ip: parsed.ip, port } : { kind: 'name', name: parsed.name, port }
}

/** Parses `host:port` as in CONNECT (RFC 9110 section 9.3.6) or in the authority of an absolute URI. IPv6 must be in
 *  brackets. Without `defaultPort` the port is required; an empty port (`host:`) never counts as absent (TU-01).
 *  Returns `undefined` for any other text. */
export function parseAuthority(text: string, defaultPort?: number): Target | undefined {
  const colon = text.lastIndexOf(':')
  const hasPort = colon > text.lastIndexOf(']')
  const host = hasPort ? text.slice(0, colon) : text
  if (host.includes(':') && !host.startsWith('[')) return undefined
  if (!hasPort) return defaultPort === undefined ? undefined : parseTarget(host, defaultPort)
  const port = parsePort(text.slice(colon + 1))
  return port === undefined ? undefined : parseTarget(host, port)
}

/** Parses the target of CONNECT (RFC 9110 section 9.3.6), which always has a port. An IPv6 address is therefore
 *  recognised without brackets too, which some clients omit (httpx): the port follows the last colon. Returns
 *  `undefined` for any other text. */
export function parseConnectTarget(text: string): Target | undefined {
  const colon = text.lastIndexOf(':')
  const isBare = text.indexOf(':') < colon && !text.startsWith('[')
  return parseAuthority(isBare ? `[${text.slice(0, colon)}]${text.slice(colon)}` : text)
}

/** Parses a port: decimal digits without sign or leading zero, 1…65535. Returns `undefined` for any other text. */
export function parsePort(text: string): number | undefined {
  if (text.length > 5 || text.startsWith('0')) return undefined
  let port = 0
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (!isDigit(code)) return undefined
    port = port * 10 + (code - ZERO)
  }
  return port >= 1 && port <= 65_535 ? port : undefined
}

function isDigit(code: number): boolean {
  return code >= ZERO && code <= NINE
}

function parseIpv6(text: string): Host | undefined {
  const ip = text.includes(':') ? parseIp(text) : undefined
  return ip === undefined ? undefined : ipHost(unmapIp(ip))
}

/** WHATWG host parsing: IDNA and the many spellings of IPv4 that getaddrinfo and browsers accept. The URL parser
 *  also strips or interprets characters that are invalid in a host, so those are rejected first. */
function parseWithUrl(text: string): Host | undefined {
  if (hasForbiddenCharacter(text) || !URL.canParse(`http://${text}/`)) return undefined
  const { hostname } = new URL(`http://${text}/`)
  const ip = parseIp(hostname)
  if (ip !== undefined) return ipHost(ip)
  const name = hostname.endsWith('.') ? hostname.slice(0, -1) : hostname
  return NAME.test(name) ? nameHost(name) : undefined
}

function hasForbiddenCharacter(text: string): boolean {
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code <= 0x20 || code === 0x7f) return true
  }
  return /[%@/\\?#:[\]]/.test(text)
}

function ipHost(ip: Ip): Host {
  return { kind: 'ip', ip }
}

/** Flat, since the name lives as long as the session's record, and would keep the request it is a slice of. */
function nameHost(name: string): Host | undefined {
  return name.length > MAX_NAME ? undefined : { kind: 'name', name: flatText(name) }
}

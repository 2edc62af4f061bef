// A request in absolute form, understood once (RFC 9112 section 3.2.2): where it goes, what goes on to the origin, and how.
// The target alone decides, never the Host field (HH-07). Knows no sockets.

import { GatewayError } from '../../errors/gateway-error.ts'
import { formatTarget, type Target } from '../../net/endpoint.ts'
import { parseAuthority } from '../../net/host.ts'
import { showAuthority } from '../show-authority.ts'
import { type SignInCookies, takeSignInCookies } from '../sign-in-cookies.ts'
import { endToEnd, hasToken, valuesOf } from './hop-by-hop.ts'

/** What the HTTP parser made of a request head; `fields` is the flat list of names and values as received. */
export interface RequestHead {
  readonly method: string
  readonly url: string
  /** `1.0`, `1.1`, or `2` where a stream of HTTP/2 was put into these words */
  readonly version: string
  readonly fields: readonly string[]
}

export interface ForwardRequest {
  readonly method: string
  readonly target: Target
  /** origin form, `*` for OPTIONS of a whole server */
  readonly path: string
  /** the Host field the origin gets */
  readonly host: string
  /** what goes on, without Host, framing and hop-by-hop fields, our Via included */
  readonly fields: readonly string[]
  readonly authorization?: string
  readonly body: 'none' | 'length' | 'chunked'
  readonly contentLength?: string
  /** the client waits for 100 (Continue) */
  readonly expectsContinue: boolean
  /** the client takes trailers */
  readonly takesTrailers: boolean
  readonly upgrade?: 'websocket'
  /** the proxy's own cookies, which do not go on */
  readonly signIn: SignInCookies
  /** OPTIONS that may go no further: to be answered here */
  readonly endsHere: boolean
}

export interface HeadRules {
  /** our name in Via */
  readonly pseudonym: string
  readonly maxFields: number
  readonly maxTargetBytes: number
}

const MAX_VIA_HOPS = 32
const NOT_FORWARDED = new Set(['content-length', 'expect', 'host', 'via'])
/** `ws` is http that asks for an upgrade (RFC 6455 section 3); aiohttp sends it so */
const ABSOLUTE = /^(?:http|ws):\/\/([^/?#]*)([/?][^#]*)?$/i
const BARE_IPV6 = /^[0-9a-f.]*:[0-9a-f.:]*:[0-9a-f.:]*$/i
const HOST_FIELD = /^[^\s@/\\?#,]+$/

/** Throws GatewayError `request.*`, `guard.loop`. */
export function understandForward(head: RequestHead, rules: HeadRules): ForwardRequest {
  const { method, fields } = head
  checkHead(head, rules)
  const { target, path } = readTarget(head)
  const legacy = head.version === '1.0'
  const body = readFraming(fields, legacy)
  const expectsContinue = readExpect(fields, legacy)
  const upgrade = readUpgrade(fields, legacy)
  if (upgrade !== undefined && body.body !== 'none')
    throw malformed('a request that asks for an upgrade cannot have a body')
  const authorization = single(fields, 'proxy-authorization')
  const hops = single(fields, 'max-forwards')
  const limited = method === 'OPTIONS' && hops !== undefined && /^\d{1,9}$/.test(hops)
  const kept = onward(fields, rules.pseudonym, head.version, limited ? String(Number(hops) - 1) : undefined)
  const signIn = takeSignInCookies(kept)
  return {
    method,
    target,
    path: method === 'OPTIONS' && path === '' ? '*' : rooted(path),
    host: hostField(target),
    fields: kept,
    signIn,
    ...body,
    expectsContinue,
    takesTrailers: !legacy && hasToken(valuesOf(fields, 'te'), 'trailers'),
    endsHere: limited && Number(hops) === 0,
    ...(authorization === undefined ? {} : { authorization }),
    ...(upgrade === undefined ? {} : { upgrade }),
  }
}

/** `example.com`, `example.com:8080`, `[2001:db8::1]`: the port only where it is not 80. */
export function hostField(target: Target): string {
  const text = formatTarget(target)
  return target.port === 80 ? text.slice(0, -':80'.length) : text
}

function checkHead({ method, url, version, fields }: RequestHead, rules: HeadRules): void {
  if (version !== '1.1' && version !== '1.0' && version !== '2') {
    throw new GatewayError('request.version_not_supported', `the proxy does not speak HTTP/${version} here`)
  }
  if (url.length > rules.maxTargetBytes) {
    throw new GatewayError('request.uri_too_long', `the request target is longer than ${rules.maxTargetBytes} bytes`)
  }
  if (fields.length / 2 > rules.maxFields) {
    throw new GatewayError('request.too_large', `the request has more than ${rules.maxFields} header fields`)
  }
  if (method === 'TRACE') {
    throw new GatewayError('request.unsupported_method', 'TRACE would show credentials on the way; it is refused')
  }
  const hosts = valuesOf(fields, 'host')
  if (hosts.length > 1) throw malformed('there are two Host fields')
  if (hosts.length === 0 && version === '1.1') throw malformed('the Host field is missing')
  if (hosts[0] !== undefined && !HOST_FIELD.test(hosts[0])) throw malformed('the Host field is not a host')
  const via = valuesOf(fields, 'via').flatMap((value) => value.split(','))
  if (via.length > MAX_VIA_HOPS || via.some((hop) => hop.trim().split(/[ \t]+/)[1] === rules.pseudonym)) {
    throw new GatewayError('guard.loop', 'the request has already been through this proxy')
  }
}

function readTarget({ url, method }: RequestHead): { target: Target; path: string } {
  const match = ABSOLUTE.exec(url)
  if (match === null) throw notAbsolute(url, method)
  const target = parseAuthority(match[1] ?? '', 80)
  if (target === undefined) {
    const authority = match[1] ?? ''
    const hint = BARE_IPV6.test(authority)
      ? ': an IPv6 address in a URL goes in brackets, `http://[2001:db8::1]:80/`'
      : ''
    throw new GatewayError(
      'request.bad_authority',
      `\`${showAuthority(authority)}\` is not a host to connect to${hint}`,
    )
  }
  return { target, path: match[2] ?? '' }
}

function notAbsolute(url: string, method: string): GatewayError {
  if (url.startsWith('/') || url === '*') {
    return malformed(
      'this is a proxy, not a web server: point your client at it as its HTTP proxy, for instance ' +
        '`curl -x http://127.0.0.1:8080 http://ipv4.icanhazip.com/`',
    )
  }
  const secure = /^(?:https|wss):/i.exec(url)?.[0].toLowerCase()
  if (secure !== undefined) {
    const why = `${secure}// goes through CONNECT, so that the proxy cannot read it; let the client make a tunnel`
    const how = '(urllib3: leave `use_forwarding_for_https` off; libwww-perl: give the proxy as `connect://`)'
    return new GatewayError('request.unsupported_scheme', `${why} ${how}`)
  }
  if (/^(?:http|ws):\/\/.*#/i.test(url)) return malformed('the request target holds a fragment')
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(url)) {
    return new GatewayError('request.unsupported_scheme', 'only http:// and ws:// are forwarded')
  }
  return malformed(`the target of this ${method} request is not an absolute http URL`)
}

/** One way to tell where the body ends, or none; on top of what the parser refuses (FR-01, FR-02). */
function readFraming(
  fields: readonly string[],
  legacy: boolean,
): { body: 'none' | 'length' | 'chunked'; contentLength?: string } {
  const codings = valuesOf(fields, 'transfer-encoding')
  const contentLength = single(fields, 'content-length')
  if (codings.length > 0) {
    if (legacy || contentLength !== undefined) throw malformed('Transfer-Encoding cannot be used in this request')
    if (codings.length > 1 || codings[0]?.trim().toLowerCase() !== 'chunked') {
      throw new GatewayError('request.unsupported_coding', 'no transfer coding but `chunked` is accepted')
    }
    return { body: 'chunked' }
  }
  if (contentLength === undefined) return { body: 'none' }
  if (!/^\d{1,15}$/.test(contentLength)) throw malformed('the Content-Length field is not a number')
  return { body: Number(contentLength) === 0 ? 'none' : 'length', contentLength }
}

function readExpect(fields: readonly string[], legacy: boolean): boolean {
  const values = valuesOf(fields, 'expect')
  if (values.length === 0 || legacy) return false
  if (values.length === 1 && values[0]?.trim().toLowerCase() === '100-continue') return true
  throw new GatewayError('request.unsupported_expectation', 'no expectation but `100-continue` is known')
}

/** Only WebSocket may change the protocol through this proxy; other tokens are dropped with the field (HH-13). */
function readUpgrade(fields: readonly string[], legacy: boolean): 'websocket' | undefined {
  if (legacy || !hasToken(valuesOf(fields, 'connection'), 'upgrade')) return undefined
  const tokens = valuesOf(fields, 'upgrade')
  return tokens.length === 1 && tokens[0]?.trim().toLowerCase() === 'websocket' ? 'websocket' : undefined
}

function onward(fields: readonly string[], pseudonym: string, version: string, maxForwards?: string): string[] {
  const kept = endToEnd(fields, NOT_FORWARDED)
  if (maxForwards !== undefined) {
    for (let at = 0; at < kept.length; at += 2)
      if (kept[at]?.toLowerCase() === 'max-forwards') kept[at + 1] = maxForwards
  }
  kept.push('Via', [...valuesOf(fields, 'via'), `${version} ${pseudonym}`].join(', '))
  return kept
}

function rooted(path: string): string {
  return path.startsWith('/') ? path : `/${path}`
}

function single(fields: readonly string[], name: string): string | undefined {
  const values = valuesOf(fields, name)
  if (values.length > 1) throw malformed(`there is more than one ${name} field`)
  return values[0]
}

function malformed(why: string): GatewayError {
  return new GatewayError('request.malformed', why)
}

// Interprets a request in absolute form (RFC 9112 section 3.2.2): its target, what is forwarded to the origin, and how; and
// formats the head the origin gets. Only the target decides, never the Host field (HH-07).

import { GatewayError } from '../../errors/gateway-error.ts'
import type { ErrorPage } from '../../errors/http-error-answer.ts'
import { soundRequest } from '../../http1/defect.ts'
import { formatHead, traceparentIn, valuesOf } from '../../http1/fields.ts'
import { CHUNKED, requestFraming } from '../../http1/framing.ts'
import { byteName, endOf, TOKEN, trimBlanks, VISIBLE } from '../../http1/grammar.ts'
import { formatTarget, type Target } from '../../net/endpoint.ts'
import { parseAuthority } from '../../net/host.ts'
import { showAuthority } from '../proxy-credentials.ts'
import { endToEnd, hasToken, type SignInCookies, takeSignInCookies } from './hop-by-hop.ts'

/** A request head as its protocol's parser returns it; `fields` is the flat list of names and values as received. */
export interface ForwardHead {
  readonly method: string
  readonly url: string
  /** `1.0`, `1.1`, or `2` for a stream of HTTP/2 translated to these fields */
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
  /** the forwarded fields, without Host, framing and hop-by-hop fields, including the proxy's Via */
  readonly fields: readonly string[]
  readonly authorization: string | undefined
  /** bytes of the body, or CHUNKED where its length is not known; 0: no body */
  readonly bodyLength: number
  /** the Content-Length the origin gets; absent: none */
  readonly contentLength: string | undefined
  /** the client waits for 100 (Continue) */
  readonly expectsContinue: boolean
  /** the client accepts trailers */
  readonly takesTrailers: boolean
  readonly upgrade: 'websocket' | undefined
  /** the lab's own cookies, which are not forwarded */
  readonly signIn: SignInCookies
  /** OPTIONS with Max-Forwards 0: the proxy responds */
  readonly endsHere: boolean
  /** the trace it belongs to; passed on like every field */
  readonly traceparent?: string | undefined
  /** what a browser that shows the answer is told if the request fails; absent for programs */
  readonly errorPage?: ErrorPage | undefined
}

export interface HeadRules {
  /** the proxy's name in Via */
  readonly pseudonym: string
  readonly maxFields: number
  readonly maxTargetBytes: number
}

const MAX_VIA_HOPS = 32
const NOT_FORWARDED = new Set(['content-length', 'expect', 'host', 'via'])
/** scheme, authority, path and query; a fragment is dropped (RFC 9110 section 7.1) */
const ABSOLUTE = /^(http|ws):\/\/([^/?#]*)([/?][^#]*)?(?:#.*)?$/i
const BARE_IPV6 = /^[0-9a-f.]*:[0-9a-f.:]*:[0-9a-f.:]*$/i
/** Methods are case-sensitive (RFC 9110 section 9.1): in lower case these are not the standard methods. */
const MISSPELT = /^(?:get|head|post|put|delete|options|patch|trace)$/i
const HOST_FIELD = /^[^\s@/\\?#,]+$/

/** Interprets a request head. Throws GatewayError `request.*`, `guard.loop`. */
export function understandForward(head: ForwardHead, rules: HeadRules): ForwardRequest {
  const { method, fields } = head
  checkHead(head, rules)
  const legacy = head.version === '1.0'
  const upgrade = readUpgrade(fields, legacy)
  const { target, path } = readTarget(head, upgrade)
  const bodyLength = soundRequest(() => requestFraming(head.version, fields))
  const expectsContinue = readExpect(fields, legacy)
  if (upgrade !== undefined && bodyLength !== 0)
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
    bodyLength,
    contentLength: contentLengthOf(bodyLength, fields),
    expectsContinue,
    takesTrailers: !legacy && hasToken(valuesOf(fields, 'te'), 'trailers'),
    endsHere: limited && Number(hops) === 0,
    authorization,
    upgrade,
    traceparent: traceparentIn(fields),
    ...(showsPages(method, fields) ? { errorPage: { target: formatTarget(target) } } : {}),
  }
}

/** A browser that follows a link: every browser begins its Accept with these two, and no other program does. */
function showsPages(method: string, fields: readonly string[]): boolean {
  return method === 'GET' && /^text\/html, ?application\/xhtml\+xml/.test(valuesOf(fields, 'accept')[0] ?? '')
}

/** `example.com`, `example.com:8080`, `[2001:db8::1]`: the port only where it is not 80. */
export function hostField(target: Target): string {
  const text = formatTarget(target)
  return target.port === 80 ? text.slice(0, -':80'.length) : text
}

function checkHead({ method, url, version, fields }: ForwardHead, rules: HeadRules): void {
  if (version !== '1.1' && version !== '1.0' && version !== '2') {
    throw new GatewayError('request.version_not_supported', `the proxy does not speak HTTP/${version} here`)
  }
  if (url.length > rules.maxTargetBytes) {
    throw new GatewayError('request.uri_too_long', `the request target is longer than ${rules.maxTargetBytes} bytes`)
  }
  if (fields.length / 2 > rules.maxFields) {
    throw new GatewayError('request.too_large', `the request has more than ${rules.maxFields} header fields`)
  }
  const odd = endOf(VISIBLE, url, 0, url.length)
  if (odd < url.length) {
    const byte = byteName(url.charCodeAt(odd))
    throw malformed(
      `the request target contains the byte ${byte}, which must be written as %${byte.slice(2).toUpperCase()}`,
    )
  }
  if (endOf(TOKEN, method, 0, method.length) < method.length || method === '') {
    throw malformed('the request does not begin with a method')
  }
  if (MISSPELT.test(method) && method !== method.toUpperCase()) {
    throw new GatewayError(
      'request.unsupported_method',
      `method names are case-sensitive: write ${method.toUpperCase()}`,
    )
  }
  if (method === 'TRACE') {
    throw new GatewayError('request.unsupported_method', 'TRACE is refused because it would reveal credentials')
  }
  const hosts = valuesOf(fields, 'host')
  if (hosts.length > 1) throw malformed('there are two Host fields')
  if (hosts.length === 0 && version === '1.1') throw malformed('the Host field is missing')
  if (hosts[0] !== undefined && !HOST_FIELD.test(hosts[0])) throw malformed('the Host field is not a host')
  const via = valuesOf(fields, 'via').flatMap((value) => value.split(','))
  if (via.length > MAX_VIA_HOPS || via.some((hop) => trimBlanks(hop).split(/[ \t]+/)[1] === rules.pseudonym)) {
    throw new GatewayError('guard.loop', 'the request has already passed through this proxy')
  }
}

function readTarget({ url, method }: ForwardHead, upgrade?: string): { target: Target; path: string } {
  const match = ABSOLUTE.exec(url)
  if (match === null) throw notAbsolute(url, method)
  const [, scheme = '', authority = '', path = ''] = match
  if (scheme.toLowerCase() === 'ws' && upgrade === undefined) {
    throw new GatewayError(
      'request.unsupported_scheme',
      'a ws:// URL requires a request with `Connection: Upgrade` and `Upgrade: websocket`',
    )
  }
  // an empty port is the scheme's own (RFC 3986 section 3.2.3)
  const target = parseAuthority(authority.endsWith(':') ? authority.slice(0, -1) : authority, 80)
  if (target === undefined) {
    const hint = BARE_IPV6.test(authority)
      ? ': an IPv6 address in a URL goes in brackets, `http://[2001:db8::1]:80/`'
      : ''
    throw new GatewayError(
      'request.bad_authority',
      `\`${showAuthority(authority)}\` is not a host to connect to${hint}`,
    )
  }
  return { target, path }
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
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(url)) {
    return new GatewayError('request.unsupported_scheme', 'only http:// and ws:// are forwarded')
  }
  return malformed(`the target of this ${method} request is not an absolute http URL`)
}

/** The Content-Length for the origin: 0 only where the client sent it. */
function contentLengthOf(bodyLength: number, fields: readonly string[]): string | undefined {
  if (bodyLength === CHUNKED) return undefined
  if (bodyLength === 0 && valuesOf(fields, 'content-length').length === 0) return undefined
  return String(bodyLength)
}

function readExpect(fields: readonly string[], legacy: boolean): boolean {
  const values = valuesOf(fields, 'expect')
  if (values.length === 0 || legacy) return false
  if (values.length === 1 && trimBlanks(values[0] ?? '').toLowerCase() === '100-continue') return true
  throw new GatewayError('request.unsupported_expectation', 'the only supported expectation is `100-continue`')
}

/** Only an upgrade to WebSocket is forwarded; other tokens are dropped with the field (HH-13). */
function readUpgrade(fields: readonly string[], legacy: boolean): 'websocket' | undefined {
  if (legacy || !hasToken(valuesOf(fields, 'connection'), 'upgrade')) return undefined
  const tokens = valuesOf(fields, 'upgrade')
  return tokens.length === 1 && trimBlanks(tokens[0] ?? '').toLowerCase() === 'websocket' ? 'websocket' : undefined
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

/** The head for the origin, as HTTP/1.1 with the proxy's own framing fields; ends in the empty line. */
export function formatRequestHead(request: ForwardRequest): string {
  const fields = ['Host', request.host, ...request.fields]
  if (request.bodyLength === CHUNKED) fields.push('Transfer-Encoding', 'chunked')
  else if (request.contentLength !== undefined) fields.push('Content-Length', request.contentLength)
  if (request.expectsContinue) fields.push('Expect', '100-continue')
  if (request.takesTrailers) fields.push('TE', 'trailers')
  if (request.upgrade !== undefined) fields.push('Connection', 'Upgrade', 'Upgrade', request.upgrade)
  else if (request.takesTrailers) fields.push('Connection', 'TE')
  return formatHead(`${request.method} ${request.path} HTTP/1.1`, fields)
}

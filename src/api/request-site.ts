// Who asks, and by which of the lab's addresses: its own, or the public one behind a proxy in front. What that proxy says of the
// client (RFC 7239, X-Forwarded-*) is believed of configured proxies alone, and refused where it contradicts itself or the
// configuration, with words that say what to set.

import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import type { TLSSocket } from 'node:tls'
import type { PublicUrl } from '../config/formats.ts'
import { type Cidr, containsIp } from '../net/cidr.ts'
import { parseIp, unmapIp } from '../net/ip.ts'
import { type ApiError, requestError } from './api-error.ts'
import { equalSecrets } from './authentication.ts'
import type { Voucher } from './ports.ts'

export interface Client {
  /** an address */
  readonly address: string
  /** asked through the lab's own proxy, which has looked at the host name already */
  readonly isProxied: boolean
  /** asked from this machine itself, through nobody */
  readonly isLocal: boolean
}

/** The address by which a request came. */
export interface LabSite {
  /** `https://tools.corp.example` */
  readonly origin: string
  /** before every path: '' or `/egresslab` */
  readonly base: string
  /** what links for other people begin with: the public address where there is one */
  readonly url: string
}

export interface SiteRules {
  readonly publicUrl?: PublicUrl
  readonly trustedProxies?: readonly Cidr[]
  /** host names beside loopback */
  readonly names: ReadonlySet<string>
  readonly voucher?: Voucher | undefined
}

/** Who asks, by which address. Throws ApiError where a host name is not the lab's, and where the proxy in front is set up wrongly. */
export function siteOf(
  request: IncomingMessage,
  rules: SiteRules,
): { readonly client: Client; readonly site: LabSite } {
  const { headers, socket } = request
  const { publicUrl, names } = rules
  const scheme = 'encrypted' in socket && (socket as TLSSocket).encrypted ? 'https' : 'http'
  const origin = `${scheme}://${headers.host}`
  const url = publicUrl === undefined ? origin : publicUrl.origin + publicUrl.base
  const direct: LabSite = { origin, base: publicUrl?.base ?? '', url }
  const proxied = throughOwnProxy(headers, rules.voucher)
  if (proxied !== undefined) return { client: proxied, site: direct }
  const peer = (socket.remoteAddress ?? '').replace(/%.*$/, '')
  const told = isTrusted(peer, rules) ? readForwarded(request) : NOTHING_TOLD
  const address = told.chain.length === 0 ? peer : clientIn(told.chain, peer, rules)
  const isForwarded = FORWARDING.some((field) => headers[field] !== undefined)
  const isPublicName = (host: string) => host === publicUrl?.host
  // both are looked at: a page that a name of its own leads here can make up the second one
  const [asked, toldHost] = [hostOf(headers.host ?? ''), told.host === undefined ? undefined : hostOf(told.host)]
  for (const host of [asked, toldHost ?? asked]) {
    if (!isPublicName(host) && !isOwnName(host, names)) throw foreignHost(host, publicUrl)
  }
  const isPublic = isPublicName(toldHost ?? asked) && !(isLoopbackName(asked) && !isForwarded)
  const usesPublic = publicUrl !== undefined && isPublic
  if (usesPublic) checkTold(told, publicUrl)
  const client = { address, isProxied: false, isLocal: !isForwarded && !isPublic && isLoopbackName(peer) }
  return { client, site: usesPublic ? { ...direct, origin: publicUrl.origin } : direct }
}

/** The path below the site's own: a proxy in front may have taken the base away, or left it. */
export function pathBelow({ base }: LabSite, path: string): string {
  if (base === '' || !path.startsWith(base)) return path
  const rest = path.slice(base.length)
  return rest === '' ? '/' : rest.startsWith('/') ? rest : path
}

/** Throws ApiError when the request comes from another site. */
export function checkSite(
  method: string,
  headers: IncomingHttpHeaders,
  { origin: own }: Pick<LabSite, 'origin'>,
): void {
  const { origin } = headers
  const site = headers['sec-fetch-site']
  const isOwn =
    site === undefined || site === 'same-origin' || (site === 'none' && (method === 'GET' || method === 'HEAD'))
  if (!isOwn) throw requestError('foreignOrigin')
  if (origin === undefined || origin === own) return
  // the browser knows better than the host: a proxy in front has changed it
  if (site === 'same-origin') {
    const set = 'let the proxy in front pass the host it was asked for, and set `api.public_url` (docs/team.md)'
    throw requestError('foreignOrigin', `your browser is at ${origin}, but this lab believes it is at ${own}; ${set}`)
  }
  throw requestError('foreignOrigin')
}

/** Does the lab's own proxy ask? */
export function isVouched(headers: IncomingHttpHeaders, voucher: Voucher): boolean {
  return throughOwnProxy(headers, voucher) !== undefined
}

/** Believes the field with the secret of this process, and nothing else. */
function throughOwnProxy(headers: IncomingHttpHeaders, voucher: Voucher | undefined): Client | undefined {
  const told = voucher === undefined ? undefined : headers[voucher.field]
  if (voucher === undefined || typeof told !== 'string') return undefined
  const [secret = '', address = ''] = told.split(' ', 2)
  return equalSecrets(secret, voucher.secret) ? { address, isProxied: true, isLocal: false } : undefined
}

function isTrusted(address: string, { trustedProxies = [] }: Pick<SiteRules, 'trustedProxies'>): boolean {
  const parsed = parseIp(address)
  return parsed !== undefined && trustedProxies.some((network) => containsIp(network, unmapIp(parsed)))
}

/** Whatever of these is there, somebody stands between. */
const FORWARDING = [
  'forwarded',
  'via',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-real-ip',
] as const

/** What the proxy in front says. */
interface Told {
  /** addresses of the client and of proxies on the way, the nearest last; '' for one that is not told */
  readonly chain: readonly string[]
  readonly host?: string
  readonly scheme?: string
  readonly prefix?: string
}

const NOTHING_TOLD: Told = { chain: [] }

function readForwarded({ headers, rawHeaders }: IncomingMessage): Told {
  const lines = (name: string) =>
    rawHeaders.flatMap((_, at) =>
      at % 2 === 0 && rawHeaders[at]?.toLowerCase() === name ? [rawHeaders[at + 1] ?? ''] : [],
    )
  if (lines('forwarded').length > 1) {
    throw misfronted('the proxy in front sends the field `forwarded` twice; let it replace what clients send')
  }
  const standard = headers.forwarded === undefined ? undefined : parseForwarded(headers.forwarded)
  const chain = splitList(lines('x-forwarded-for').join(',')).map(addressIn)
  if (standard !== undefined && chain.length > 0 && standard.chain.at(-1) !== chain.at(-1)) {
    throw misfronted(
      'the proxy in front sends `forwarded` and `x-forwarded-for`, and they name different clients; let it remove the one it does not set',
    )
  }
  const single = (name: string) => {
    const values = new Set(splitList(lines(name).join(',')))
    if (values.size > 1) throw misfronted(`the proxy in front sends \`${name}\` with several values`)
    return [...values][0]
  }
  const told = {
    host: single('x-forwarded-host'),
    scheme: single('x-forwarded-proto'),
    prefix: single('x-forwarded-prefix'),
  }
  const host = standard?.host ?? told.host
  const scheme = standard?.scheme ?? told.scheme
  return {
    chain: standard?.chain ?? chain,
    ...(host === undefined ? {} : { host }),
    ...(scheme === undefined ? {} : { scheme: scheme.toLowerCase() }),
    ...(told.prefix === undefined ? {} : { prefix: told.prefix }),
  }
}

/** RFC 7239 section 4: elements by comma, pairs by semicolon, values as tokens or quoted. */
function parseForwarded(text: string): Told {
  const PAIR = /^\s*([\w!#$%&'*+.^`|~-]+)=(?:"((?:[^"\\]|\\.)*)"|([\w!#$%&'*+.^`|~:[\]-]*))\s*$/
  const elements = splitOutsideQuotes(text, ',').map((element) => {
    const pairs = splitOutsideQuotes(element, ';').map((pair) => {
      const [, name = '', quoted, plain = ''] = PAIR.exec(pair) ?? []
      if (name === '') throw misfronted('the field `forwarded` of the proxy in front is not well-formed (RFC 7239)')
      return [name.toLowerCase(), quoted?.replace(/\\(.)/g, '$1') ?? plain] as const
    })
    return new Map(pairs)
  })
  const last = elements.at(-1)
  const [host, scheme] = [last?.get('host'), last?.get('proto')]
  return {
    chain: elements.map((element) => addressIn(element.get('for') ?? '')),
    ...(host === undefined ? {} : { host }),
    ...(scheme === undefined ? {} : { scheme: scheme.toLowerCase() }),
  }
}

function splitOutsideQuotes(text: string, separator: string): string[] {
  const parts = ['']
  let quoted = false
  for (const [at, character] of [...text].entries()) {
    if (character === '"' && text[at - 1] !== '\\') quoted = !quoted
    if (character === separator && !quoted) parts.push('')
    else parts[parts.length - 1] += character
  }
  return parts.filter((part) => part.trim() !== '')
}

function splitList(text: string): string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
}

/** The address of `192.0.2.7`, `192.0.2.7:4711`, `[2001:db8::7]:4711` or `2001:db8::7`; '' for anything else (`unknown`, `_secret`). */
function addressIn(node: string): string {
  const bracketed = /^\[([^\]]+)\](?::\d+)?$/.exec(node)?.[1]
  const parsed = parseIp(bracketed ?? node) ?? parseIp(node.replace(/:\d+$/, ''))
  return parsed === undefined ? '' : unmapIp(parsed).text
}

/** The nearest that is no proxy of ours; further ones may have been made up by it. */
function clientIn(chain: readonly string[], peer: string, rules: SiteRules): string {
  let nearest = peer
  for (const address of chain.toReversed()) {
    if (address === '') return nearest
    nearest = address
    if (!isTrusted(address, rules)) return nearest
  }
  return nearest
}

function checkTold({ scheme, prefix, host }: Told, { origin, base }: PublicUrl): void {
  const wanted = origin.slice(0, origin.indexOf(':'))
  if (scheme !== undefined && scheme !== wanted) {
    throw misfronted(
      `the proxy in front was asked by ${scheme}, and \`api.public_url\` is ${origin}${base}/; open that, or let the proxy pass X-Forwarded-Proto of the first proxy`,
    )
  }
  if (prefix !== undefined && prefix.replace(/\/$/, '') !== base) {
    throw misfronted(`the proxy in front serves the lab below ${prefix}, and \`api.public_url\` is ${origin}${base}/`)
  }
  const port = /:(\d+)$/.exec(host ?? '')?.[1]
  if (port !== undefined && `:${port}` !== (/:\d+$/.exec(origin)?.[0] ?? (wanted === 'https' ? ':443' : ':80'))) {
    throw misfronted(`the proxy in front was asked for ${host}, but \`api.public_url\` is ${origin}${base}/`)
  }
}

function foreignHost(host: string, publicUrl: PublicUrl | undefined): ApiError {
  const known = publicUrl === undefined ? '' : `, which is at ${publicUrl.origin}${publicUrl.base}/`
  const set = 'if people know it by that name, set `api.public_url` or `api.names` (docs/team.md)'
  return requestError('foreignHost', `\`${host.slice(0, 200)}\` is not a name of this lab${known}; ${set}`)
}

function misfronted(message: string): ApiError {
  return requestError('misfronted', `${message} (docs/team.md)`)
}

function hostOf(authority: string): string {
  const bracketed = /^\[([^\]]*)\](?::\d+)?$/.exec(authority)?.[1]
  return (bracketed ?? authority.replace(/:\d+$/, '')).toLowerCase()
}

function isOwnName(name: string, names: ReadonlySet<string>): boolean {
  return names.has(name) || isLoopbackName(name)
}

function isLoopbackName(name: string): boolean {
  if (name === 'localhost') return true
  const address = parseIp(name)
  if (address === undefined) return false
  const { family, words, text } = unmapIp(address)
  return family === 4 ? (words[0] ?? 0) >>> 24 === 127 : text === '::1'
}

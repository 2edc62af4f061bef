// Reads the section `api`. Checks what no shape can say: a public address that would hide paths of the API, sign-in without an
// address to come back to, secrets that cannot be read, passwords and tokens in the clear.

import { resolve } from 'node:path'
import { type Cidr, cidr, containsIp } from '../net/cidr.ts'
import { formatTarget, reachableHost } from '../net/endpoint.ts'
import { parseHost } from '../net/host.ts'
import { ip, parseIp } from '../net/ip.ts'
import { readWholeFile } from './files.ts'
import { type PublicUrl, parseDurationMs, parsePublicUrl } from './formats.ts'
import { Secret } from './lab-config.ts'
import type { RawConfig } from './lab-schema.ts'
import { ROLES, type Role } from './lab-state.ts'
import type { ReadingContext } from './reading.ts'

export interface ApiSettings {
  readonly host: string
  readonly port: number
  /** host names besides loopback by which clients may address the API */
  readonly names?: readonly string[]
  readonly publicUrl?: PublicUrl
  /** proxies whose word on the client is taken */
  readonly trustedProxies?: readonly Cidr[]
  readonly tls?: ApiTls
  readonly oidc?: OidcSettings
  /** of one named token; 0: no limit */
  readonly requestsPerMinute?: number
  /** event streams that one token may have open at one time */
  readonly streamsPerToken?: number
}

export type ApiTls =
  | { readonly kind: 'development' }
  | { readonly kind: 'files'; readonly certificate: string; readonly key: string }

/** Sign-in by an OpenID provider. */
export interface OidcSettings {
  readonly issuer: string
  readonly clientId: string
  /** absent: a public client */
  readonly clientSecret?: Secret
  readonly scopes: readonly string[]
  readonly groupsClaim: string
  /** groups by role; `*`: everybody */
  readonly roles: Readonly<Record<Role, readonly string[]>>
  readonly sessionMs: number
  readonly recheckMs: number
}

const LOOPBACK: readonly Cidr[] = [cidr('127.0.0.0/8'), cidr('::1')]

/** First segments of the lab's own paths: below one of them nobody could say which is meant. */
const OWN_SEGMENTS: ReadonlySet<string> = new Set(
  'lab client me assets pac proxy.pac ca.pem authorize metrics dns-query sessions rules matrix explain verify connect account clock history'.split(
    ' ',
  ),
)

/** The settings. Problems are recorded. `folder`: relative paths start from it. */
export function readApi({ raw, problems }: ReadingContext, folder: string): ApiSettings {
  const { host, port, names, public_url: publicText, trusted_proxies: trusted, oidc } = raw.api
  const publicUrl = publicText === undefined ? undefined : parsePublicUrl(publicText)
  const [, segment = ''] = publicUrl?.base.split('/') ?? []
  if (OWN_SEGMENTS.has(segment)) {
    problems.add(['api', 'public_url'], 'config.conflict', `\`/${segment}\` is a path of the lab itself`, {
      hint: 'choose another sub-path, such as `/egresslab/`',
    })
  }
  const tls = tlsOf(raw.api.tls, folder)
  if (tls === undefined && !LOOPBACK.some((prefix) => containsIp(prefix, ip(host)))) {
    const message = `tokens and cookies will cross the network in the clear on \`${host}\``
    problems.add(['api', 'host'], 'config.insecure', message, {
      severity: 'warning',
      hint: 'set `api.tls`, or listen on 127.0.0.1 behind a proxy with TLS',
    })
  }
  if (publicUrl !== undefined && isInTheClear(publicText ?? '')) {
    problems.add(['api', 'public_url'], 'config.insecure', 'tokens and cookies will cross the network in the clear', {
      severity: 'warning',
      hint: 'let the proxy in front serve https',
    })
  }
  if (oidc !== undefined && publicUrl === undefined) {
    problems.add(['api', 'oidc'], 'config.missing_key', 'sign-in needs an address to come back to', {
      hint: 'set `api.public_url`',
    })
  }
  const read = oidc === undefined ? undefined : readOidc({ problems }, oidc, folder)
  return Object.freeze({
    host,
    port,
    names: Object.freeze([...names]),
    ...(publicUrl === undefined ? {} : { publicUrl }),
    trustedProxies: trusted.map((text) => cidr(text)),
    ...(tls === undefined ? {} : { tls }),
    ...(read === undefined ? {} : { oidc: read }),
    requestsPerMinute: raw.api.requests_per_minute,
    streamsPerToken: raw.api.streams_per_token,
  })
}

function tlsOf(tls: RawConfig['api']['tls'], folder: string): ApiTls | undefined {
  if (tls === undefined || tls === false) return undefined
  if (tls === true) return { kind: 'development' }
  return { kind: 'files', certificate: resolve(folder, tls.certificate), key: resolve(folder, tls.key) }
}

function readOidc(
  { problems }: Pick<ReadingContext, 'problems'>,
  oidc: NonNullable<RawConfig['api']['oidc']>,
  folder: string,
): OidcSettings {
  const path = ['api', 'oidc']
  if (isInTheClear(oidc.issuer)) {
    const message = `\`${oidc.issuer}\` is asked over plain http, where anybody on the way can sign in as anybody`
    problems.add([...path, 'issuer'], 'config.insecure', message, { hint: 'use https' })
  }
  if (!oidc.scopes.includes('openid')) {
    problems.add([...path, 'scopes'], 'config.missing_key', '`openid` has to be among the scopes')
  }
  if (ROLES.every((role) => oidc.roles[role].length === 0)) {
    problems.add([...path, 'roles'], 'config.missing_key', 'no group has a role, so nobody could sign in')
  }
  let clientSecret: Secret | undefined
  if (oidc.client_secret_file !== undefined) {
    try {
      clientSecret = new Secret(readWholeFile(resolve(folder, oidc.client_secret_file)).toString('utf8').trim())
      if (clientSecret.reveal() === '') throw new Error('it is empty')
    } catch (thrown) {
      const why = thrown instanceof Error && 'code' in thrown ? String(thrown.code) : String(Object(thrown).message)
      const message = `\`${oidc.client_secret_file}\` cannot be read (${why})`
      problems.add([...path, 'client_secret_file'], 'config.unreadable', message)
    }
  }
  return Object.freeze({
    issuer: oidc.issuer,
    clientId: oidc.client_id,
    ...(clientSecret === undefined ? {} : { clientSecret }),
    scopes: oidc.scopes,
    groupsClaim: oidc.groups_claim,
    roles: oidc.roles,
    sessionMs: parseDurationMs(oidc.session) ?? 0,
    recheckMs: parseDurationMs(oidc.recheck) ?? 0,
  })
}

/** Does what is asked there leave this machine unprotected? */
export function isInTheClear(url: string): boolean {
  const { protocol = '', hostname = '' } = URL.parse(url) ?? {}
  if (protocol !== 'http:' || hostname === 'localhost') return false
  const address = parseIp(hostname.replace(/^\[|\]$/g, ''))
  return address === undefined || !LOOPBACK.some((prefix) => containsIp(prefix, address))
}

/** Where the API is for programs on this machine: `http://127.0.0.1:8090`. */
export function ownUrl({ host, tls }: Pick<ApiSettings, 'host' | 'tls'>, port: number): string {
  return urlAt(tls, reachableHost(host), port)
}

/** Where it is for people, without a slash at the end: the public address, else a name others know it by, else its own. */
export function consoleUrl({ host, names = [], tls, publicUrl }: ApiSettings, port: number): string {
  if (publicUrl !== undefined) return publicUrl.origin + publicUrl.base
  const reachable = reachableHost(host)
  return urlAt(tls, reachable === host ? host : (names[0] ?? reachable), port)
}

function urlAt(tls: ApiTls | undefined, host: string, port: number): string {
  const target = { ...(parseHost(host) ?? { kind: 'name' as const, name: host }), port }
  return `${tls === undefined ? 'http' : 'https'}://${formatTarget(target)}`
}

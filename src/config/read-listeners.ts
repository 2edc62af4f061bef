// Section listeners: the proxy's listeners; the API's endpoint is checked with them.

import { resolve } from 'node:path'
import { type Cidr, cidr, containsIp } from '../net/cidr.ts'
import { ip } from '../net/ip.ts'
import { canonicalEmail } from '../policy/canonical-email.ts'
import type { ClientCertificateRules, Listener, ListenerTls, ProxyEndpoint } from '../proxy/arrival.ts'
import { endpointHost } from './names.ts'
import type { RawListener } from './people-schema.ts'
import { checkNamed } from './read-networks.ts'
import { checkUnique, type ReadingContext } from './reading.ts'
import type { DocumentPath } from './source-document.ts'

const LOOPBACK: readonly Cidr[] = [cidr('127.0.0.0/8'), cidr('::1')]

/** The listeners. An open proxy is refused (SS-06), and other problems are recorded. `folder`: the base of relative file
 *  paths. */
export function readListeners(reading: ReadingContext, folder: string): readonly Listener[] {
  const { raw } = reading
  checkNamed(reading, 'listeners', 'listener', raw.listeners)
  checkPorts(reading)
  checkUnique(reading, raw.listeners, {
    path: (at) => ['listeners', at, 'endpoint', 'subdomain'],
    noun: 'subdomain',
    key: ({ endpoint }) => endpoint?.subdomain,
  })
  return raw.listeners.map((listener, at) => readListener(reading, listener, { path: ['listeners', at], folder }))
}

interface ListenerPath {
  readonly path: DocumentPath
  readonly folder: string
}

function readListener({ names, problems }: ReadingContext, listener: RawListener, spot: ListenerPath): Listener {
  const { path } = spot
  const { name, host, port, user, virtual_network, family, endpoint } = listener
  if (user !== undefined) names.idOf('users', user, [...path, 'user'], problems)
  const network =
    virtual_network === undefined
      ? undefined
      : names.idOf('virtual_networks', virtual_network, [...path, 'virtual_network'], problems)
  const authentication = authenticationOf({ problems }, listener, path)
  refuseOpenProxy({ problems }, listener, { authentication, path })
  const tls = readTls(listener, spot)
  const clientCertificates = readClientCertificates({ problems }, listener, spot)
  const inTheClear = tls?.mode !== 'required' && authentication !== 'anonymous'
  if (inTheClear && !LOOPBACK.some((prefix) => containsIp(prefix, ip(host)))) {
    const message = `passwords will cross the network in the clear on \`${host}\``
    problems.add([...path, 'host'], 'config.insecure', message, {
      severity: 'warning',
      hint: 'require TLS with `tls: true`, or listen on 127.0.0.1',
    })
  }
  return Object.freeze({
    name,
    host,
    port,
    authentication,
    ...(user === undefined ? {} : { fixedUser: canonicalEmail(user) }),
    ...(network === undefined ? {} : { virtualNetwork: network }),
    ...(family === undefined ? {} : { family }),
    ...(endpoint === undefined ? {} : { endpoint: readEndpoint({ problems }, listener, endpoint, path) }),
    ...(tls === undefined ? {} : { tls }),
    ...(clientCertificates === undefined ? {} : { clientCertificates }),
    ...(listener.proxy_protocol === undefined
      ? {}
      : { proxyProtocol: { from: listener.proxy_protocol.from.map((text) => cidr(text)) } }),
    ...(listener.annotate ? { annotate: true } : {}),
  })
}

/** Nobody else on the network may use the proxy without a login or a list of addresses that may (SS-06). */
function refuseOpenProxy(
  { problems }: Pick<ReadingContext, 'problems'>,
  { host, endpoint }: RawListener,
  { authentication, path }: { readonly authentication: Listener['authentication']; readonly path: DocumentPath },
): void {
  if (authentication === 'required' || endpoint?.kind === 'ip') return
  if (LOOPBACK.some((prefix) => containsIp(prefix, ip(host)))) return
  const message = `everybody who reaches \`${host}\` could use this proxy without a login`
  problems.add([...path, 'host'], 'config.open_proxy', message, {
    hint: 'listen on 127.0.0.1, set `authentication: required`, or allow source addresses with an endpoint of kind ip',
  })
}

function readTls({ tls }: RawListener, { folder }: ListenerPath): ListenerTls | undefined {
  if (tls === undefined) return undefined
  if (tls === false) return { mode: 'refused' }
  if (tls === true) return { mode: 'required' }
  const { certificate, key, alpn } = tls
  const offer = alpn === undefined ? {} : { alpn }
  if (certificate === undefined || key === undefined) return { mode: 'optional', ...offer }
  return { mode: 'required', ...offer, files: { certificate: resolve(folder, certificate), key: resolve(folder, key) } }
}

function readClientCertificates(
  { problems }: Pick<ReadingContext, 'problems'>,
  listener: RawListener,
  { path, folder }: ListenerPath,
): ClientCertificateRules | undefined {
  const { client_ca, revoked_certificates: revoked, user, endpoint, authentication, tls } = listener
  if (client_ca === undefined) {
    if (revoked.length === 0) return undefined
    const message = 'there are no client certificates to revoke without `client_ca`'
    problems.add([...path, 'revoked_certificates'], 'config.conflict', message)
    return undefined
  }
  const at = [...path, 'client_ca']
  if (tls === false) problems.add(at, 'config.conflict', 'there are no client certificates without TLS')
  if (user !== undefined || endpoint?.kind === 'ip' || authentication === 'anonymous') {
    problems.add(
      at,
      'config.conflict',
      'this listener does not authenticate clients, so it cannot require certificates',
    )
  }
  return { authorityFile: resolve(folder, client_ca), revoked: revoked.map(canonicalSerial) }
}

/** `0a:1B` as `A1B`, the form in certificates. */
function canonicalSerial(text: string): string {
  return text
    .replaceAll(':', '')
    .toUpperCase()
    .replace(/^0+(?=.)/, '')
}

function authenticationOf(
  { problems }: Pick<ReadingContext, 'problems'>,
  { authentication, user, endpoint }: RawListener,
  path: DocumentPath,
): Listener['authentication'] {
  const at = [...path, 'authentication']
  if (endpoint?.kind === 'identity') {
    if (user !== undefined) {
      const message = 'users log in to an endpoint of kind identity, so the listener cannot fix one'
      problems.add([...path, 'user'], 'config.conflict', message)
    }
    if (authentication !== undefined && authentication !== 'required') {
      problems.add(at, 'config.conflict', 'an endpoint of kind identity requires authentication')
    }
    return 'required'
  }
  if (endpoint?.kind === 'ip') {
    if (user !== undefined) {
      problems.add([...path, 'user'], 'config.conflict', 'an endpoint of kind ip has no identity, so no `user` either')
    }
    if (authentication !== undefined && authentication !== 'anonymous') {
      problems.add(at, 'config.conflict', 'an endpoint of kind ip does not authenticate clients')
    }
    return 'anonymous'
  }
  if (user !== undefined && authentication !== undefined && authentication !== 'anonymous') {
    const message = 'every client of this listener is `user`, so it cannot require authentication'
    problems.add(at, 'config.conflict', message)
  }
  return authentication ?? (user === undefined ? 'required' : 'anonymous')
}

function readEndpoint(
  { problems }: Pick<ReadingContext, 'problems'>,
  listener: RawListener,
  endpoint: NonNullable<RawListener['endpoint']>,
  path: DocumentPath,
): ProxyEndpoint {
  const at = [...path, 'endpoint', 'networks']
  const networks = endpoint.networks.map((text) => cidr(text))
  for (const [index, { family, length, text }] of networks.entries()) {
    const widest = family === 4 ? 8 : 32
    if (length >= widest) continue
    problems.add([...at, index], 'config.not_allowed', `\`${text}\` is wider than /${widest}, the widest allowed`)
  }
  if (endpoint.kind === 'ip' && networks.length === 0) {
    problems.add(
      [...path, 'endpoint'],
      'config.missing_key',
      'an endpoint of kind ip admits no client without `networks`',
    )
  }
  if (endpoint.kind === 'identity' && networks.length > 0) {
    problems.add(at, 'config.conflict', '`networks` are for endpoints of kind ip; this one authenticates users')
  }
  const { sign_in: signIn } = endpoint
  if (signIn !== undefined && endpoint.kind === 'ip') {
    const message = 'an endpoint of kind ip does not authenticate clients, so it has no sign-in page'
    problems.add([...path, 'endpoint', 'sign_in'], 'config.conflict', message)
  }
  const name = endpoint.name ?? listener.name
  const host = endpointHost(name, endpoint.subdomain)
  return Object.freeze({ kind: endpoint.kind, name, host, networks, ...(signIn === undefined ? {} : { signIn }) })
}

/** Two listeners cannot share an address and port; port 0 never clashes. The API's endpoint is reserved first. */
function checkPorts({ raw, problems }: ReadingContext): void {
  const taken = [{ name: 'the API', host: raw.api.host, port: raw.api.port }]
  for (const [at, { name, host, port }] of raw.listeners.entries()) {
    const other = taken.find((one) => one.port !== 0 && one.port === port && clash(one.host, host))
    if (other !== undefined) {
      const message = `port ${port} of \`${host}\` is taken by ${other.name}`
      problems.add(['listeners', at, 'port'], 'config.duplicate', message, {
        hint: 'give this listener another `port`',
      })
    }
    taken.push({ name: `the listener \`${name}\``, host, port })
  }
}

function clash(a: string, b: string): boolean {
  const all = new Set(['0.0.0.0', '::'])
  return ip(a).text === ip(b).text || all.has(ip(a).text) || all.has(ip(b).text)
}

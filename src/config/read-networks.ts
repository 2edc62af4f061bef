// Sections virtual_networks, tunnels, private_routes, hostname_routes and lists; and exits, the proxies elsewhere that
// realise egress addresses.

import { type Cidr, cidr } from '../net/cidr.ts'
import { formatEndpoint } from '../net/endpoint.ts'
import { parseAuthority } from '../net/host.ts'
import { type Ip, ip, parseIp } from '../net/ip.ts'
import type { HostnameRoute, NamedList, PrivateRoute, VirtualNetwork } from '../policy/account.ts'
import type { RawExit, RawTunnel } from './account-schema.ts'
import { FORMATS } from './formats.ts'
import { type ConfiguredExit, type ConfiguredTunnel, Secret, type TunnelNetwork } from './lab-config.ts'
import { configuredId, stableUuid } from './names.ts'
import type { Problems } from './problems.ts'
import { checkUnique, type ReadingContext, readHostName } from './reading.ts'
import type { DocumentPath } from './source-document.ts'

/** Virtual networks, exactly one of them the default: the one marked so, else the one named `default`, which is
 *  added if it is missing. */
export function readVirtualNetworks(reading: ReadingContext): readonly VirtualNetwork[] {
  const { raw, problems } = reading
  const written = raw.virtual_networks
  checkNamed(reading, 'virtual_networks', 'virtual network', written)
  const marked = written.findIndex((network) => network.default)
  for (const [at, network] of written.entries()) {
    if (!network.default || at === marked) continue
    const message = `\`${written[marked]?.name}\` is already the default virtual network; only one can be`
    problems.add(['virtual_networks', at, 'default'], 'config.conflict', message)
  }
  const chosen = marked >= 0 ? marked : written.findIndex(({ name }) => name === 'default')
  const networks = written.map(({ id, name, comment }, at) =>
    Object.freeze({ id: configuredId('virtual_networks', { name, id }), name, comment, isDefault: at === chosen }),
  )
  if (chosen >= 0) return networks
  const added = { name: 'default', comment: 'added because no virtual network is the default', isDefault: true }
  return [Object.freeze({ id: configuredId('virtual_networks', added), ...added }), ...networks]
}

/** Private routes ([E1]), each unique within its virtual network. Problems are recorded. */
export function readPrivateRoutes(
  reading: ReadingContext,
  networks: readonly VirtualNetwork[],
): readonly PrivateRoute[] {
  const { raw, names, problems } = reading
  const ofDefault = networks.find(({ isDefault }) => isDefault)?.id ?? ''
  const routes = raw.private_routes.map((route, at): PrivateRoute => {
    const path = ['private_routes', at]
    const named = route.virtual_network
    const virtualNetworkId =
      named === undefined ? ofDefault : names.idOf('virtual_networks', named, [...path, 'virtual_network'], problems)
    const network = cidr(route.network)
    checkHostBits(route.network, [...path, 'network'], problems)
    return Object.freeze({
      id: route.id?.toLowerCase() ?? stableUuid('private-route', `${network.text} ${virtualNetworkId ?? ''}`),
      network,
      virtualNetworkId: virtualNetworkId ?? '',
      tunnelId: names.idOf('tunnels', route.tunnel, [...path, 'tunnel'], problems) ?? '',
      comment: route.comment,
    })
  })
  checkUnique(reading, routes, {
    path: (at) => ['private_routes', at, 'network'],
    noun: 'route of this virtual network for',
    shown: ({ network }) => network.text,
    key: ({ network, virtualNetworkId }) =>
      virtualNetworkId === '' ? undefined : `${network.text} ${virtualNetworkId}`,
  })
  return routes
}

/** Bits after the prefix are reported as an error, as by the API. */
function checkHostBits(text: string, path: DocumentPath, problems: Problems): void {
  const { base, text: network } = cidr(text)
  if (parseIp(text.split('/')[0] ?? '')?.text === base.text) return
  problems.add(path, 'config.malformed', `\`${text}\` has bits set after its prefix`, {
    hint: `the network is \`${network}\``,
  })
}

/** Host name routes ([E1]), each host name once. Problems are recorded. */
export function readHostnameRoutes(reading: ReadingContext): readonly HostnameRoute[] {
  const { raw, names, problems } = reading
  checkUnique(reading, raw.hostname_routes, {
    path: (at) => ['hostname_routes', at, 'hostname'],
    noun: 'host name',
    key: ({ hostname }) => readHostName(hostname),
  })
  return raw.hostname_routes.map(({ id, hostname, tunnel, comment }, at) =>
    Object.freeze({
      id: id?.toLowerCase() ?? stableUuid('hostname-route', readHostName(hostname)),
      hostname: readHostName(hostname),
      tunnelId: names.idOf('tunnels', tunnel, ['hostname_routes', at, 'tunnel'], problems) ?? '',
      comment,
    }),
  )
}

/** Named lists with the items that fit their type; others are recorded as problems. */
export function readLists(reading: ReadingContext): readonly NamedList[] {
  const { raw, problems } = reading
  checkNamed(reading, 'lists', 'list', raw.lists)
  return raw.lists.map(({ id, name, type, items }, at) => {
    const format = ITEM_FORMATS[type]
    for (const [item, text] of items.entries()) {
      if (format === undefined || (FORMATS[format]?.test(text) ?? true)) continue
      const message = `\`${text}\` is not ${FORMATS[format]?.what}, as the items of a list of type ${type} are`
      problems.add(['lists', at, 'items', item], 'config.malformed', message)
    }
    return Object.freeze({ id: configuredId('lists', { id, name }), name, type, items })
  })
}

const ITEM_FORMATS: Readonly<Record<string, string>> = {
  IP: 'ip-network',
  DOMAIN: 'hostname',
  HOSTNAME: 'hostname',
  EMAIL: 'user-email',
}

/** Checks that names and ids are unique within a section. */
export function checkNamed(
  reading: ReadingContext,
  section: string,
  noun: string,
  items: readonly { readonly name: string; readonly id?: string }[],
): void {
  checkUnique(reading, items, { path: (at) => [section, at, 'name'], noun: `${noun} name`, key: ({ name }) => name })
  checkUnique(reading, items, { path: (at) => [section, at, 'id'], noun: 'id', key: ({ id }) => id })
}

/** All exits (docs/exits.md). If several list an address, the first counts. */
export function readExits(reading: ReadingContext): readonly ConfiguredExit[] {
  const { dedicated_ips, shared_egress } = reading.raw
  const dedicated = dedicated_ips.flatMap(({ ipv4, ipv6, exit }, at) => {
    const realises = [...(ipv4 === undefined ? [] : [ip(ipv4).text]), ...(ipv6 === undefined ? [] : [cidr(ipv6).text])]
    return readExit(reading, exit, realises, ['dedicated_ips', at, 'exit'])
  })
  return [...dedicated, ...readExit(reading, shared_egress.exit, ['shared'], ['shared_egress', 'exit'])]
}

/** At most one; a mistake is recorded. */
export function readExit(
  { raw, problems }: ReadingContext,
  exit: RawExit | undefined,
  realises: readonly string[],
  path: DocumentPath,
): ConfiguredExit[] {
  if (exit === undefined) return []
  const { socks5, http, username, password } = exit
  const kind = socks5 === undefined ? 'http' : 'socks5'
  const target = parseAuthority(socks5 ?? http ?? '')
  if ((socks5 === undefined) === (http === undefined) || target?.kind !== 'ip') {
    problems.add(path, 'config.conflict', 'an exit needs either `socks5` or `http`')
    return []
  }
  const at = { ip: target.ip, port: target.port }
  const own = [raw.api, ...raw.listeners].find(({ host, port }) => port === at.port && ip(host).text === at.ip.text)
  if (own !== undefined) {
    const message = `\`${formatEndpoint(at)}\` is a listener of this lab; its connections would loop for ever`
    problems.add([...path, kind], 'config.conflict', message)
  }
  if (password !== undefined && username === undefined) {
    problems.add([...path, 'password'], 'config.conflict', 'a password needs a `username`')
  }
  const login = username === undefined ? undefined : { username, password: new Secret(password ?? '') }
  const text = `${kind}://${formatEndpoint(at)}`
  return [Object.freeze({ realises, kind, at, text, ...(login === undefined ? {} : { login }) })]
}

/** The tunnels (docs/private-networks.md) with their networks and private names, narrowest and most exact first. Problems are recorded. */
export function readTunnels(reading: ReadingContext): readonly ConfiguredTunnel[] {
  const { raw } = reading
  checkNamed(reading, 'tunnels', 'tunnel', raw.tunnels)
  return raw.tunnels.map((tunnel, at) => {
    const [upstream] = readExit(reading, tunnel.upstream, [], ['tunnels', at, 'upstream'])
    return Object.freeze({
      id: configuredId('tunnels', tunnel),
      name: tunnel.name,
      networks: readNetworks(reading, tunnel, ['tunnels', at, 'networks']),
      hosts: readHosts(reading, tunnel, ['tunnels', at, 'hosts']),
      ...(upstream === undefined ? {} : { upstream }),
      ...(tunnel.egress.length === 0 ? {} : { egress: readEgress(reading, tunnel, ['tunnels', at, 'egress']) }),
    })
  })
}

function readEgress({ problems }: ReadingContext, { egress }: RawTunnel, path: DocumentPath): readonly Ip[] {
  const addresses = egress.map((text) => ip(text))
  const [first, second] = addresses
  if (first !== undefined && first.family === second?.family) {
    problems.add(
      [...path, 1],
      'config.conflict',
      `a second IPv${first.family} address: a tunnel has one of each family`,
    )
  }
  return addresses
}

function readNetworks(reading: ReadingContext, { networks }: RawTunnel, path: DocumentPath): readonly TunnelNetwork[] {
  checkUnique(reading, networks, {
    path: (at) => [...path, at, 'network'],
    noun: 'network',
    key: ({ network }) => cidr(network).text,
  })
  const read = networks.map(({ network, stand_in, ports = {} }, at) => {
    const pair = { network: cidr(network), standIn: cidr(stand_in) }
    checkRoom(pair, [...path, at, 'stand_in'], reading.problems)
    return Object.freeze({ ...pair, ports: new Map(Object.entries(ports).map(([from, to]) => [Number(from), to])) })
  })
  return read.toSorted((a, b) => b.network.length - a.network.length)
}

/** Two private addresses must not share a stand-in; an IPv6 network may have more addresses than IPv4 offers, and
 *  its low bits count. */
function checkRoom(
  { network, standIn }: { network: Cidr; standIn: Cidr },
  path: DocumentPath,
  problems: Problems,
): void {
  if (network.family !== standIn.family || hostBits(standIn) >= hostBits(network)) return
  problems.add(path, 'config.not_allowed', `\`${standIn.text}\` has fewer addresses than \`${network.text}\``, {
    hint: `use a network of length ${network.length} or less`,
  })
}

function hostBits({ family, length }: Cidr): number {
  return (family === 4 ? 32 : 128) - length
}

function readHosts(reading: ReadingContext, { hosts }: RawTunnel, path: DocumentPath): ConfiguredTunnel['hosts'] {
  checkUnique(reading, hosts, {
    path: (at) => [...path, at, 'name'],
    noun: 'host name',
    key: ({ name }) => readHostName(name),
  })
  return hosts
    .map(({ name, addresses }) =>
      Object.freeze({ name: readHostName(name), addresses: addresses.map((text) => ip(text)) }),
    )
    .toSorted((a, b) => Number(isPattern(a.name)) - Number(isPattern(b.name)) || b.name.length - a.name.length)
}

function isPattern(name: string): boolean {
  return name.startsWith('*.')
}

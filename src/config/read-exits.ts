// Exits: proxies elsewhere that realise egress addresses, from the sections dedicated_ips and shared_egress; and
// tunnels.

import { type Cidr, cidr } from '../net/cidr.ts'
import { formatEndpoint } from '../net/endpoint.ts'
import { parseAuthority } from '../net/host.ts'
import { type Ip, ip } from '../net/ip.ts'
import type { ConfiguredExit, ConfiguredTunnel, TunnelNetwork } from './lab-config.ts'
import type { Problems } from './problems.ts'
import type { RawExit, RawTunnel } from './raw-config.ts'
import { checkNamed } from './read-networks.ts'
import { checkUnique, type ReadingContext, readHostName } from './reading.ts'
import { Secret } from './secret.ts'
import type { DocumentPath } from './source-document.ts'

/** All exits. If several list an address, the first counts. */
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

/** The tunnels with their networks and private names, narrowest and most exact first. Problems are recorded. */
export function readTunnels(reading: ReadingContext): readonly ConfiguredTunnel[] {
  const { raw, names } = reading
  checkNamed(reading, 'tunnels', 'tunnel', raw.tunnels)
  return raw.tunnels.map((tunnel, at) => {
    const [upstream] = readExit(reading, tunnel.upstream, [], ['tunnels', at, 'upstream'])
    return Object.freeze({
      id: names.ownId('tunnels', tunnel),
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

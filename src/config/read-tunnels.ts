// Section tunnels: what private networks are behind them, really.

import { type Cidr, cidr } from '../net/cidr.ts'
import { ip } from '../net/ip.ts'
import type { ConfiguredTunnel, TunnelNetwork } from './lab-config.ts'
import type { Problems } from './problems.ts'
import type { RawTunnel } from './raw-config.ts'
import { readExit } from './read-exits.ts'
import { checkNamed } from './read-networks.ts'
import { checkUnique, type Reading, readHostName } from './reading.ts'
import type { Path } from './source-document.ts'

export function readTunnels(reading: Reading): readonly ConfiguredTunnel[] {
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
    })
  })
}

function readNetworks(reading: Reading, { networks }: RawTunnel, path: Path): readonly TunnelNetwork[] {
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

/** Two private addresses must not share a stand-in; of an IPv6 network there may be more than IPv4 has, and its low bits count. */
function checkRoom({ network, standIn }: { network: Cidr; standIn: Cidr }, path: Path, problems: Problems): void {
  if (network.family !== standIn.family || hostBits(standIn) >= hostBits(network)) return
  problems.add(path, 'config.not_allowed', `\`${standIn.text}\` has fewer addresses than \`${network.text}\``, {
    hint: `take a network of length ${network.length} or less`,
  })
}

function hostBits({ family, length }: Cidr): number {
  return (family === 4 ? 32 : 128) - length
}

function readHosts(reading: Reading, { hosts }: RawTunnel, path: Path): ConfiguredTunnel['hosts'] {
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

// Sections virtual_networks, private_routes, hostname_routes and lists.

import { cidr } from '../net/cidr.ts'
import { parseIp } from '../net/ip.ts'
import type { HostnameRoute, NamedList, PrivateRoute, VirtualNetwork } from '../policy/account.ts'
import { FORMATS } from './formats.ts'
import type { Problems } from './problems.ts'
import { checkUnique, type ReadingContext, readHostName } from './reading.ts'
import type { DocumentPath } from './source-document.ts'
import { stableUuid } from './stable-id.ts'

/** Virtual networks, exactly one of them the default: the one marked so, else the one named `default`, which is
 *  added if it is missing. */
export function readVirtualNetworks(reading: ReadingContext): readonly VirtualNetwork[] {
  const { raw, names, problems } = reading
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
    Object.freeze({ id: names.ownId('virtual_networks', { name, id }), name, comment, isDefault: at === chosen }),
  )
  if (chosen >= 0) return networks
  const added = { name: 'default', comment: 'added because no virtual network is the default', isDefault: true }
  return [Object.freeze({ id: names.ownId('virtual_networks', added), ...added }), ...networks]
}

/** Private routes, each unique within its virtual network. Problems are recorded. */
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

/** Host name routes, each host name once. Problems are recorded. */
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
    return Object.freeze({ id: id?.toLowerCase() ?? stableUuid('list', name), name, type, items })
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

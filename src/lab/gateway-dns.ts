// Gateway DNS of the running lab, put together: what it answers from, and the sockets it answers on.

import type { ApiPorts } from '../api/index.ts'
import type { LabConfig } from '../config/lab-config.ts'
import type { LabSnapshot } from '../config/lab-state.ts'
import type { DnsClient } from '../dns/dns-client.ts'
import { type DnsServer, isAnswered, serveDns } from '../dns/dns-server.ts'
import { createForward, isOwnNameServer } from '../dns/forward.ts'
import { createGatewayDns, type GatewayDns, type GatewayDnsParts } from '../dns/gateway-dns.ts'
import { lowestTtl, STREAM_LIMIT } from '../dns/message.ts'
import { PlaceholderTable } from '../dns/placeholder-table.ts'
import { InputError, type Issue } from '../errors/issue.ts'
import { type Cidr, cidr, parseCidr } from '../net/cidr.ts'
import type { Endpoint } from '../net/endpoint.ts'
import { type Family, parseIp } from '../net/ip.ts'
import type { Ports } from '../proxy/stage-values.ts'
import type { Store } from '../store/store.ts'

export interface LabDns extends GatewayDns {
  readonly table: PlaceholderTable
}

export interface LabDnsParts extends Pick<GatewayDnsParts, 'book' | 'tunnels'> {
  readonly store: Pick<Store, 'current'>
  readonly dns: DnsClient
  readonly categoriesOf: Ports['categoriesOf']
  readonly upstream: readonly string[] | undefined
  /** where it listens itself, filled in as it comes up */
  readonly own: readonly Endpoint[]
  readonly onNotice: (notice: Issue) => void
}

/** A used-up range is told of once in so many milliseconds. */
const NEWS_MS = 60_000

/** Gateway DNS without its sockets. */
export function createLabDns(parts: LabDnsParts): LabDns {
  const { store, dns, book, tunnels, categoriesOf, upstream, own, onNotice } = parts
  const table = new PlaceholderTable({
    rangeOf: (family) => rangeOf(store.current(), family),
    now: () => performance.now(),
  })
  let toldAt = Number.NEGATIVE_INFINITY
  const gatewayDns = createGatewayDns({
    snapshot: () => store.current(),
    book,
    tunnels,
    dns,
    forward: createForward({ own, ...(upstream === undefined ? {} : { servers: upstream }) }),
    table,
    categoriesOf,
    onExhausted: (message) => {
      if (performance.now() - toldAt < NEWS_MS) return
      toldAt = performance.now()
      onNotice({ severity: 'warning', code: 'dns.placeholders_exhausted', message })
    },
  })
  return { ...gatewayDns, table }
}

const FRESH: Readonly<Record<Family, Cidr>> = { 4: cidr('100.80.0.0/16'), 6: cidr('2606:4700:cf1:4000::/64') }

/** The range that placeholders of a family come from: as set at the API (`/zerotrust/subnets/initial_resolved_ip`), else as
 *  a fresh account has it. */
export function rangeOf({ state }: LabSnapshot, family: Family): Cidr {
  const stored = state.placeholderSubnet.get(`v${family}`)
  return parseCidr(stored?.value.network ?? '') ?? FRESH[family]
}

/** Gateway DNS for the API's port, under the same clients as everywhere. */
export function dnsPort({ answer, table, counts }: LabDns, clients: readonly Cidr[]): NonNullable<ApiPorts['dns']> {
  const isClient = isAnswered(clients)
  return {
    counts,
    async answer(message, peer) {
      const from = parseIp(peer.replace(/%.*$/, ''))
      if (from === undefined || !isClient(from)) return { kind: 'stranger' }
      const reply = await answer(message, () => STREAM_LIMIT)
      return reply === undefined ? { kind: 'silence' } : { kind: 'reply', message: reply, ttl: lowestTtl(reply) }
    },
    placeholders: () =>
      table.list().map(({ initial, name, address, connections, unusedMs }) => ({
        placeholder: initial.text,
        name,
        address: address.text,
        connections,
        unused_seconds: Math.floor(unusedMs / 1_000),
      })),
  }
}

const ASKS_ITSELF =
  'this machine asks Gateway DNS for names, and Gateway DNS asks this machine: name another server in `dns.upstream`'

/** Listens. Throws an InputError where an address cannot be listened on. */
export async function openDns(
  { dns, file }: LabConfig,
  gatewayDns: GatewayDns,
  notice: (message: string) => void,
): Promise<DnsServer> {
  try {
    const server = await serveDns({ listen: dns?.listen ?? [], clients: dns?.clients ?? [] }, gatewayDns)
    if (dns?.upstream === undefined && isOwnNameServer(server.endpoints)) notice(ASKS_ITSELF)
    return server
  } catch (thrown) {
    const message = `Gateway DNS cannot listen: ${thrown instanceof Error ? thrown.message : String(thrown)}`
    const hint = 'give `dns.listen` another address or port'
    throw new InputError([{ severity: 'error', code: 'listen.failed', message, hint, file }])
  }
}

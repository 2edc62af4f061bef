// Gateway DNS of the running lab: its answers at the API's port and its own sockets.

import type { ApiPorts } from '../api/index.ts'
import type { LabConfig } from '../config/lab-config.ts'
import type { LabDns } from '../decider/lab-dns.ts'
import { type DnsServer, isAnswered, serveDns } from '../dns/dns-server.ts'
import { isOwnNameServer } from '../dns/forward.ts'
import type { GatewayDns } from '../dns/gateway-dns.ts'
import { lowestTtl, STREAM_LIMIT } from '../dns/message.ts'
import { inputError } from '../errors/issue.ts'
import { messageOf } from '../errors/thrown.ts'
import type { Cidr } from '../net/cidr.ts'
import type { Endpoint } from '../net/endpoint.ts'
import { parseIp } from '../net/ip.ts'

/** Gateway DNS for the API's port, under the same clients as everywhere. `endpoints` is read on every use. */
export function dnsPort(
  { answer, table, counts }: LabDns,
  clients: readonly Cidr[],
  endpoints: readonly Endpoint[],
): NonNullable<ApiPorts['dns']> {
  const isClient = isAnswered(clients)
  return {
    counts,
    endpoints: () => endpoints,
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
  "Gateway DNS is this machine's own name server and would query itself: set another server in `dns.upstream`"

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
    const message = `Gateway DNS cannot listen: ${messageOf(thrown)}`
    const hint = 'choose another address or port for `dns.listen`'
    throw inputError('listen.failed', message, { hint, file })
  }
}

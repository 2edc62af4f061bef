// The listeners of Gateway DNS: UDP and TCP on the same ports, all of them or none.

import { type Cidr, containsIp } from '../net/cidr.ts'
import type { Endpoint } from '../net/endpoint.ts'
import { type Ip, unmapIp } from '../net/ip.ts'
import { serveDatagrams } from './datagram-server.ts'
import { classifyAddress } from './destination-guard.ts'
import type { GatewayDns } from './gateway-dns.ts'
import { type StreamLimits, serveStreams } from './stream-server.ts'

/** With port 0, TCP takes a free port first; UDP may not get the same one, so the pair is tried again. */
const TRIES = 10

export interface DnsServer {
  /** the endpoints with their actual ports */
  readonly endpoints: readonly Endpoint[]
  close(): Promise<void>
}

export interface DnsServerSettings {
  /** port 0 takes a free one */
  readonly listen: readonly Endpoint[]
  /** networks of clients that are answered, besides loopback */
  readonly clients: readonly Cidr[]
  readonly limits?: StreamLimits
}

/** Listens on all endpoints. Rejects with the system's error if one fails; then none is left open. */
export async function serveDns(
  { listen, clients, limits }: DnsServerSettings,
  gatewayDns: Pick<GatewayDns, 'answer'>,
): Promise<DnsServer> {
  const isClient = isAnswered(clients)
  await using stack = new AsyncDisposableStack()
  const endpoints: Endpoint[] = []
  for (const endpoint of listen) {
    const { port, close } = await serveBoth(endpoint, gatewayDns, { isClient, ...(limits && { limits }) })
    stack.defer(close)
    endpoints.push({ ip: endpoint.ip, port })
  }
  const all = stack.move()
  return { endpoints, close: () => all.disposeAsync() }
}

/** Whether a client is answered: this machine, and the configured networks. Never an open resolver. */
export function isAnswered(clients: readonly Cidr[]): (address: Ip) => boolean {
  return (address) => {
    const own = unmapIp(address)
    return classifyAddress(own).kind === 'loopback' || clients.some((network) => containsIp(network, own))
  }
}

async function serveBoth(
  endpoint: Endpoint,
  gatewayDns: Pick<GatewayDns, 'answer'>,
  settings: Parameters<typeof serveStreams>[2],
): Promise<{ readonly port: number; readonly close: () => Promise<void> }> {
  for (let tries = 1; ; tries++) {
    const streams = await serveStreams(endpoint, gatewayDns, settings)
    try {
      const { close } = await serveDatagrams({ ...endpoint, port: streams.port }, gatewayDns, settings.isClient)
      return { port: streams.port, close: async () => void (await Promise.all([streams.close(), close()])) }
    } catch (thrown) {
      await streams.close()
      if (endpoint.port !== 0 || tries === TRIES) throw thrown
    }
  }
}

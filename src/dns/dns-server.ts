// Gateway DNS listening: UDP and TCP on the same ports, all of them or none.

import { type Cidr, containsIp } from '../net/cidr.ts'
import type { Endpoint } from '../net/endpoint.ts'
import { type Ip, unmapIp } from '../net/ip.ts'
import { serveDatagrams } from './datagram-server.ts'
import { classifyAddress } from './destination-guard.ts'
import type { GatewayDns } from './gateway-dns.ts'
import { type StreamLimits, serveStreams } from './stream-server.ts'

/** Free ports are taken for TCP first; the same one may be taken for UDP. */
const TRIES = 10

export interface DnsServer {
  /** with the ports really listening */
  readonly endpoints: readonly Endpoint[]
  close(): Promise<void>
}

export interface DnsServerSettings {
  /** port 0 takes a free one */
  readonly listen: readonly Endpoint[]
  /** networks that are answered beside loopback */
  readonly clients: readonly Cidr[]
  readonly limits?: StreamLimits
}

/** Rejects with the system's error where an endpoint cannot be listened on; then none is. */
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

/** Who is answered: this machine, and the networks it is told of. Never an open resolver. */
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

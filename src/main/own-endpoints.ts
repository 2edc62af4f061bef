// Where the lab itself listens, so that nobody reaches it through the lab.

import type { LabConfig } from '../config/lab-config.ts'
import type { Endpoint } from '../net/endpoint.ts'
import { parseIp } from '../net/ip.ts'

/** The proxy's doors and the API as configured. Hosts are addresses; `localhost` is both loopback ones. */
export function configuredEndpoints({ listeners, api }: Pick<LabConfig, 'listeners' | 'api'>): Endpoint[] {
  return [...listeners, api].flatMap(({ host, port }) => endpointsAt(host, port))
}

/** The endpoints behind a host that is an address or `localhost`. */
export function endpointsAt(host: string, port: number): Endpoint[] {
  const addresses = host === 'localhost' ? ['127.0.0.1', '::1'] : [host]
  return addresses.flatMap((text) => {
    const ip = parseIp(text)
    return ip === undefined ? [] : [{ ip, port }]
  })
}

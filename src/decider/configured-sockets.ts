// The sockets a lab of a configuration has, and those a running one opened.

import type { LabConfig } from '../config/lab-config.ts'
import type { OwnSockets } from '../dns/destination-guard.ts'
import type { Endpoint } from '../net/endpoint.ts'
import { parseIp } from '../net/ip.ts'
import { plannedEndpoints } from '../origins/listen-plan.ts'

/** The endpoints behind a host that is an address or `localhost`. */
export function endpointsAt(host: string, port: number): Endpoint[] {
  const addresses = host === 'localhost' ? ['127.0.0.1', '::1'] : [host]
  return addresses.flatMap((text) => {
    const ip = parseIp(text)
    return ip === undefined ? [] : [{ ip, port }]
  })
}

/** The proxy's listeners, the API and Gateway DNS as configured. Hosts are addresses; `localhost` is both loopback ones. */
export function configuredServices({ listeners, api, dns }: Pick<LabConfig, 'listeners' | 'api' | 'dns'>): Endpoint[] {
  return [...[...listeners, api].flatMap(({ host, port }) => endpointsAt(host, port)), ...(dns?.listen ?? [])]
}

/** Those a lab of this configuration would have. */
export function configuredSockets(config: LabConfig): OwnSockets {
  return { services: configuredServices(config), origins: plannedEndpoints(config.origins, config.destinations) }
}

/** Those of a running lab, as they come up. */
export interface OpenedSockets extends OwnSockets {
  readonly services: Endpoint[]
  readonly origins: Endpoint[]
}

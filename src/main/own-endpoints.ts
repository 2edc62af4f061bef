// Where the lab itself listens, so that nobody reaches it through the lab. Whoever opens a socket tells it here; what is only configured
// stands for it where nothing runs.

import type { LabConfig } from '../config/lab-config.ts'
import type { OwnSockets } from '../dns/guard.ts'
import type { OwnPages } from '../inbound/own-pages.ts'
import type { Endpoint } from '../net/endpoint.ts'
import { parseHost } from '../net/host.ts'
import { parseIp } from '../net/ip.ts'
import { plannedEndpoints } from '../origins/floor-plan.ts'

/** Those of a running lab, as they come up. */
export interface OpenedSockets extends OwnSockets {
  readonly services: Endpoint[]
  readonly origins: Endpoint[]
}

/** Those a lab of this configuration would have. */
export function configuredSockets(config: LabConfig): OwnSockets {
  return { services: configuredServices(config), origins: plannedEndpoints(config.origins, config.destinations) }
}

/** The proxy's doors, the API and Gateway DNS as configured. Hosts are addresses; `localhost` is both loopback ones. */
export function configuredServices({ listeners, api, dns }: Pick<LabConfig, 'listeners' | 'api' | 'dns'>): Endpoint[] {
  return [...[...listeners, api].flatMap(({ host, port }) => endpointsAt(host, port)), ...(dns?.listen ?? [])]
}

/** Where the proxy finds the lab's own pages, and the hosts they go by. */
export function ownPagesOf({ api }: Pick<LabConfig, 'api'>, port: number, secret: string): OwnPages {
  const own = EVERYWHERE[api.host] ?? api.host
  const hosts = [api.host, ...(api.names ?? [])].flatMap((text) => {
    const host = parseHost(text)
    return host === undefined ? [] : [host.kind === 'ip' ? host.ip.text : host.name]
  })
  return { api: { host: own, port }, hosts, secret }
}

const EVERYWHERE: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' }

/** The endpoints behind a host that is an address or `localhost`. */
export function endpointsAt(host: string, port: number): Endpoint[] {
  const addresses = host === 'localhost' ? ['127.0.0.1', '::1'] : [host]
  return addresses.flatMap((text) => {
    const ip = parseIp(text)
    return ip === undefined ? [] : [{ ip, port }]
  })
}

// One end of a connection as Node names it, as an endpoint.

import type { Endpoint } from '../../net/endpoint.ts'
import { parseIp, unmapIp } from '../../net/ip.ts'

/** IPv4 even where the system maps it into IPv6; undefined where Node has no name for that end any more. */
export function endpointOf(address: string | undefined, port: number | undefined): Endpoint | undefined {
  const ip = parseIp(address ?? '')
  return ip === undefined || port === undefined ? undefined : { ip: unmapIp(ip), port }
}

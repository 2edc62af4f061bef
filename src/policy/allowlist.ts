// Services that admit only certain source addresses, the reason people want dedicated egress IPs: whether one would
// admit a given address.

import { type Cidr, containsIp } from '../net/cidr.ts'
import type { Ip } from '../net/ip.ts'

/** A service with an allowlist: its name and the addresses it is reached at. */
export interface Allowlist {
  readonly name: string
  readonly addresses: readonly Ip[]
  readonly allow: readonly Cidr[]
}

/** What an allowlist makes of a connection. */
export const ALLOWLIST_VERDICTS = ['let-in', 'refused'] as const
export type AllowlistVerdict = (typeof ALLOWLIST_VERDICTS)[number]

export interface Allowlists {
  /** The service a connection goes to: by the requested name, else by the address. Undefined for a service without
   *  an allowlist. */
  find(host: string | undefined, address: string): Allowlist | undefined
}

/** Prepares services for lookup. Of two at one address the first counts. */
export function createAllowlists(services: readonly Allowlist[]): Allowlists {
  const byName = new Map(services.map((service) => [service.name, service]))
  const byAddress = new Map(
    services.toReversed().flatMap((service) => service.addresses.map(({ text }) => [text, service] as const)),
  )
  return {
    find: (host, address) =>
      (host === undefined || host === '' ? undefined : byName.get(host)) ?? byAddress.get(address),
  }
}

/** Whether a connection from this address is admitted; undefined, for a connection that is refused, never is. */
export function letsIn({ allow }: Allowlist, source: Ip | undefined): boolean {
  return source !== undefined && allow.some((network) => containsIp(network, source))
}

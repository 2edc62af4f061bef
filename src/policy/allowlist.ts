// Services that let in certain source addresses only, the reason people want dedicated egress IPs: would this one let that
// address in?

import { type Cidr, containsIp } from '../net/cidr.ts'
import type { Ip } from '../net/ip.ts'

/** A service with an allowlist, by its name and the addresses it is reached at. */
export interface Allowlist {
  readonly name: string
  readonly addresses: readonly Ip[]
  readonly allow: readonly Cidr[]
}

export interface Allowlists {
  /** The service a connection goes to: by the name asked for, else by the address. Undefined: one without an allowlist. */
  find(host: string | undefined, address: string): Allowlist | undefined
}

/** Looks services up. Of two at one address the first counts. */
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

/** Whether a connection from this address gets in; one that does not leave at all gets in nowhere. */
export function letsIn({ allow }: Allowlist, source: Ip | undefined): boolean {
  return source !== undefined && allow.some((network) => containsIp(network, source))
}

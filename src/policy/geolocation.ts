// Where other sites believe the account's addresses are, at a given time ([G1], [G2]): their databases lag behind. Pure; the clock is
// the caller's.

import { containsIp } from '../net/cidr.ts'
import { equalIp, type Ip } from '../net/ip.ts'
import type { Account, DedicatedEgressIp } from './account.ts'
import type { AccountTables } from './account-tables.ts'
import type { Colo, Place } from './place.ts'

/** What a site's database says of an address. `known` is false while it still shows where the address was before. */
export interface SeenLocation {
  readonly country?: string
  readonly city?: string
  readonly place?: Place
  readonly known: boolean
}

/** What a site sees of one of the account's egress addresses at an instant (epoch ms). Before a dedicated IP's
 *  `geolocationUpdatedAt` that is the account's home country; from that instant on, its geolocation. Undefined for
 *  addresses that are not the account's. */
export function locationSeen(tables: AccountTables, address: Ip, at: number): SeenLocation | undefined {
  const { account } = tables
  const dedicated = dedicatedIpOf(account, address)
  if (dedicated !== undefined) {
    if (at < (dedicated.geolocationUpdatedAt ?? Number.NEGATIVE_INFINITY)) {
      return { country: account.settings.homeCountry, known: false }
    }
    return seenAt(dedicated.geolocation)
  }
  const colo = sharedColoOf(tables, address)
  return colo === undefined ? undefined : seenAt(colo)
}

/** The dedicated IP whose IPv4 address this is, or whose IPv6 range it lies in. */
export function dedicatedIpOf(account: Account, address: Ip): DedicatedEgressIp | undefined {
  return account.dedicatedIps.find(({ ipv4, ipv6 }) => {
    if (address.family === 4) return ipv4 !== undefined && equalIp(ipv4.address, address)
    return ipv6 !== undefined && containsIp(ipv6.range, address)
  })
}

/** The colo whose shared egress this is. */
function sharedColoOf({ account, shared }: AccountTables, address: Ip): Colo | undefined {
  const { range } = address.family === 4 ? account.sharedEgress.ipv4 : account.sharedEgress.ipv6
  if (!containsIp(range, address)) return undefined
  return [...account.colos.values()].find(({ code }) => equalIp(shared.egressOf(code, address.family).address, address))
}

function seenAt(place: Place): SeenLocation {
  const { city, country } = place
  return { ...(country === undefined ? {} : { country }), ...(city === undefined ? {} : { city }), place, known: true }
}

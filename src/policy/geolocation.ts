// Where other sites place the account's addresses at a given time ([G1], [G2]): their databases lag behind. Pure: the
// caller passes the time.

import { containsIp } from '../net/cidr.ts'
import { equalIp, type Ip } from '../net/ip.ts'
import type { Account, DedicatedEgressIp } from './account.ts'
import type { AccountTables } from './account-tables.ts'
import type { Colo, Place } from './place.ts'

/** A site's view of an address. `known` is false while its database still has the previous place. */
export interface SeenLocation {
  readonly country?: string
  readonly city?: string
  readonly place?: Place
  readonly known: boolean
}

/** Where a site places one of the account's egress addresses at an instant (epoch ms): before a dedicated IP's
 *  `geolocationUpdatedAt` in the account's home country, from then on at its geolocation. Undefined for addresses
 *  the account does not have. */
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

/** The dedicated IP with this IPv4 address, or whose IPv6 range contains it. */
export function dedicatedIpOf(account: Account, address: Ip): DedicatedEgressIp | undefined {
  return account.dedicatedIps.find(({ ipv4, ipv6 }) => {
    if (address.family === 4) return ipv4 !== undefined && equalIp(ipv4.address, address)
    return ipv6 !== undefined && containsIp(ipv6.range, address)
  })
}

/** The colo with this shared egress address. */
function sharedColoOf({ account, shared }: AccountTables, address: Ip): Colo | undefined {
  const { range } = address.family === 4 ? account.sharedEgress.ipv4 : account.sharedEgress.ipv6
  if (!containsIp(range, address)) return undefined
  return [...account.colos.values()].find(({ code }) => equalIp(shared.egressOf(code, address.family).address, address))
}

function seenAt(place: Place): SeenLocation {
  const { city, country } = place
  return { ...(country === undefined ? {} : { country }), ...(city === undefined ? {} : { city }), place, known: true }
}

// Where other sites place an address at a given time ([G1], [G2]): their databases lag behind. For the account's own addresses
// from the policy, with the configured delay; for all others from the geo database. Reads no clock: the caller passes the
// time.

import { containsIp } from '../net/cidr.ts'
import { equalIp, type Ip } from '../net/ip.ts'
import type { Account, DedicatedEgressIp } from '../policy/account.ts'
import type { AccountTables } from '../policy/account-tables.ts'
import { type Colo, countryFacts, type Place } from '../policy/place.ts'

/** A place, and for an address that has moved its next place, from `changesAt` on (epoch ms of lab time). */
export interface SiteView {
  readonly place: Place
  readonly changesAt?: number
  readonly comingPlace?: Place
}

/** The site's view at an instant (epoch ms of lab time). `placeOf` is the geo database. */
export function siteViewOf(
  tables: AccountTables,
  placeOf: (address: Ip) => Place | undefined,
  address: Ip,
  at: number,
): SiteView | undefined {
  const seen = locationSeen(tables, address, at)
  if (seen === undefined) {
    const place = placeOf(address)
    return place === undefined ? undefined : { place }
  }
  const place = seen.place ?? middleOf(seen.country)
  if (place === undefined) return undefined
  const moved = seen.known ? undefined : dedicatedIpOf(tables.account, address)
  if (moved?.geolocationUpdatedAt === undefined) return { place: withContinent(place) }
  return {
    place: withContinent(place),
    changesAt: moved.geolocationUpdatedAt,
    comingPlace: withContinent(moved.geolocation),
  }
}

function middleOf(country: string | undefined): Place | undefined {
  const facts = country === undefined ? undefined : countryFacts(country)
  return country === undefined || facts === undefined ? undefined : { country, ...facts }
}

/** Only the fields of a place, whatever else the value has (a data center's code, say). */
function withContinent({ city, country, continent, latitude, longitude }: Place): Place {
  const known = continent ?? countryFacts(country ?? '')?.continent
  return {
    ...(city === undefined ? {} : { city }),
    ...(country === undefined ? {} : { country }),
    ...(known === undefined ? {} : { continent: known }),
    latitude,
    longitude,
  }
}

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

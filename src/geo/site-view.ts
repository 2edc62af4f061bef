// Where another site's geolocation database places an address ([G2]): for the account's own addresses from the policy,
// with the configured delay; for all others from the geo database.

import type { Ip } from '../net/ip.ts'
import type { AccountTables } from '../policy/account-tables.ts'
import { dedicatedIpOf, locationSeen } from '../policy/geolocation.ts'
import { countryFacts, type Place } from '../policy/place.ts'

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

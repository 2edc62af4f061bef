// How the rest of the world sees the lab's addresses, for the test origins ([G1], [G2]).

import { countryFacts } from '../geo/country-facts.ts'
import type { Ip } from '../net/ip.ts'
import type { Account } from '../policy/account.ts'
import { dedicatedIpOf, locationSeen } from '../policy/geolocation.ts'
import type { Place } from '../policy/place.ts'

interface SiteView {
  readonly place: Place
  readonly changesAt?: number
  readonly comingPlace?: Place
}

/** What a site's database says of an address at an instant (epoch ms): the account's own addresses as the lab has them, any
 *  other as the geo database does. */
export function siteViewOf(
  account: Account,
  placeOf: (address: Ip) => Place | undefined,
  address: Ip,
  at: number,
): SiteView | undefined {
  const seen = locationSeen(account, address, at)
  if (seen === undefined) {
    const place = placeOf(address)
    return place === undefined ? undefined : { place }
  }
  if (seen.place !== undefined) return { place: seen.place }
  const place = countryPlace(seen.country ?? account.settings.homeCountry)
  const dedicated = dedicatedIpOf(account, address)
  if (place === undefined || dedicated?.geolocationUpdatedAt === undefined) return undefined
  return { place, changesAt: dedicated.geolocationUpdatedAt, comingPlace: dedicated.geolocation }
}

function countryPlace(country: string): Place | undefined {
  const facts = countryFacts(country)
  return facts === undefined ? undefined : { country, ...facts }
}

// Which dedicated IP a connection leaves from when no rule matched (gateway-egress section 5). Pure geography and a hash: the
// answer is the same in every process.

import type { Family } from '../net/ip.ts'
import type { Account, AccountSettings, DedicatedEgressIp } from './account.ts'
import { hash32 } from './hash.ts'
import { distanceKm, type Place } from './place.ts'

/** What settled the choice, for the reason in words. */
export type BalanceStep = 'only' | 'nearest-user' | 'nearest-destination' | 'user-hash'

export interface Balanced {
  readonly dedicated: DedicatedEgressIp
  readonly by: BalanceStep
  /** kilometres from the user; undefined where the user's place is unknown */
  readonly distance: number | undefined
}

export interface BalanceInput {
  readonly family: Family
  /** the user's place; without one every candidate counts as equally near */
  readonly user: Place | undefined
  readonly destination: Place | undefined
  /** stable name of the user ([B4]) */
  readonly userKey: string
}

export interface Balancer {
  /** Undefined when no dedicated IP of the family is at a colo that is up. */
  choose(input: BalanceInput): Balanced | undefined
}

interface Candidate {
  readonly dedicated: DedicatedEgressIp
  readonly at: { readonly latitude: number; readonly longitude: number }
  /** what the rendezvous hash is taken over; the same however the account is ordered */
  readonly key: string
}

interface Tie {
  readonly candidates: readonly Candidate[]
  readonly distance: number | undefined
}

/** Prepares an account's candidates: the dedicated IPs whose colo is up ([B1]). */
export function createBalancer(account: Account): Balancer {
  const tolerance = account.settings.balanceTolerance
  const up: Record<Family, readonly Candidate[]> = { 4: candidatesOf(account, 4), 6: candidatesOf(account, 6) }
  const known: Record<Family, WeakMap<Place, Tie>> = { 4: new WeakMap(), 6: new WeakMap() }

  function nearUser(family: Family, place: Place | undefined): Tie {
    if (place === undefined) return { candidates: up[family], distance: undefined }
    const before = known[family].get(place)
    if (before !== undefined) return before
    const tie = nearest(up[family], place, tolerance)
    known[family].set(place, tie)
    return tie
  }

  return {
    choose({ family, user, destination, userKey }) {
      const near = nearUser(family, user)
      const [first, second] = near.candidates
      if (first === undefined) return undefined
      if (second === undefined) {
        const by = up[family].length === 1 ? 'only' : 'nearest-user'
        return { dedicated: first.dedicated, by, distance: near.distance }
      }
      const tied =
        destination === undefined ? near.candidates : nearest(near.candidates, destination, tolerance).candidates
      const [settled] = tied
      if (tied.length === 1 && settled !== undefined) {
        return { dedicated: settled.dedicated, by: 'nearest-destination', distance: near.distance }
      }
      return { dedicated: rendezvous(tied, first, userKey).dedicated, by: 'user-hash', distance: near.distance }
    },
  }
}

function candidatesOf(account: Account, family: Family): readonly Candidate[] {
  return account.dedicatedIps.flatMap((dedicated) => {
    const address = family === 4 ? dedicated.ipv4?.address.text : dedicated.ipv6?.range.text
    const colo = account.colos.get(dedicated.colo)
    if (address === undefined || colo === undefined || account.colosDown.has(colo.code)) return []
    return [{ dedicated, at: colo, key: address }]
  })
}

/** The candidates within the tolerance of the nearest to a place ([B2], [B3]), in their given order. */
function nearest(candidates: readonly Candidate[], place: Place, tolerance: AccountSettings['balanceTolerance']): Tie {
  const distances = candidates.map((candidate) => distanceKm(candidate.at, place))
  const least = Math.min(...distances)
  const limit = least + Math.max(least * tolerance.share, tolerance.km)
  return { candidates: candidates.filter((_, at) => (distances[at] ?? limit) <= limit), distance: least }
}

/** Highest random weight: losing an address moves only the users who were on it ([B4]). */
function rendezvous(tied: readonly Candidate[], first: Candidate, userKey: string): Candidate {
  const user = hash32(userKey)
  let best = first
  let weight = -1
  for (const candidate of tied) {
    const own = hash32(candidate.key, user)
    if (own > weight || (own === weight && candidate.key < best.key)) {
      best = candidate
      weight = own
    }
  }
  return best
}

// Chooses the dedicated IP a connection leaves from when no rule matched ([B1] to [B5]). Pure geography and
// a hash, so the result is the same in every process. Ties are computed over all of the account's addresses, including
// those at colos that are down, so that an outage moves only users of the lost address ([B4]).

import type { Family } from '../net/ip.ts'
import type { Account, AccountSettings, DedicatedEgressIp } from './account.ts'
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
  /** Undefined when no dedicated IP of the family is at a colo that is up. Equal results for one place are the same
   *  object. */
  choose(input: BalanceInput): Balanced | undefined
}

interface BalanceCandidate {
  readonly dedicated: DedicatedEgressIp
  readonly at: { readonly latitude: number; readonly longitude: number }
  /** what the rendezvous hash is taken over; independent of the order of the account's IPs */
  readonly key: string
  /** its colo is up ([B1]) */
  readonly up: boolean
}

/** Candidates about equally near a place, with results computed before. */
interface Tie {
  /** including those at colos that are down */
  readonly all: readonly BalanceCandidate[]
  /** those that are up; empty only where no candidate is up */
  readonly candidates: readonly BalanceCandidate[]
  /** kilometres to the nearest that is up */
  readonly distance: number | undefined
  readonly byDestination: WeakMap<Place, Tie>
  readonly answers: Balanced[]
}

/** Prepares an account's candidates: its dedicated IPs, of which only those at a colo that is up are chosen ([B1]). */
export function createBalancer(account: Account): Balancer {
  const tolerance = account.settings.balanceTolerance
  const candidates: Record<Family, readonly BalanceCandidate[]> = {
    4: candidatesOf(account, 4),
    6: candidatesOf(account, 6),
  }
  const known: Record<Family, WeakMap<Place, Tie>> = { 4: new WeakMap(), 6: new WeakMap() }

  const unplaced: Record<Family, Tie> = { 4: tieOf(candidates[4], undefined), 6: tieOf(candidates[6], undefined) }

  function nearUser(family: Family, place: Place | undefined): Tie {
    return place === undefined ? unplaced[family] : nearest(known[family], candidates[family], place, tolerance)
  }

  return {
    choose({ family, user, destination, userKey }) {
      const near = nearUser(family, user)
      const [first, second] = near.candidates
      if (first === undefined) return undefined
      if (second === undefined)
        return answer(near, first, unplaced[family].candidates.length === 1 ? 'only' : 'nearest-user')
      const { candidates: tied } =
        destination === undefined ? near : nearest(near.byDestination, near.all, destination, tolerance)
      const [settled] = tied
      if (tied.length === 1 && settled !== undefined) return answer(near, settled, 'nearest-destination')
      return answer(near, rendezvous(tied, first, userKey), 'user-hash')
    },
  }
}

function answer({ answers, distance }: Tie, { dedicated }: BalanceCandidate, by: BalanceStep): Balanced {
  const before = answers.find((one) => one.dedicated === dedicated && one.by === by)
  if (before !== undefined) return before
  const made = Object.freeze({ dedicated, by, distance })
  answers.push(made)
  return made
}

function tieOf(all: readonly BalanceCandidate[], distance: number | undefined): Tie {
  return { all, candidates: all.filter(({ up }) => up), distance, byDestination: new WeakMap(), answers: [] }
}

function candidatesOf(account: Account, family: Family): readonly BalanceCandidate[] {
  return account.dedicatedIps.flatMap((dedicated) => {
    const address = family === 4 ? dedicated.ipv4?.address.text : dedicated.ipv6?.range.text
    const colo = account.colos.get(dedicated.colo)
    if (address === undefined || colo === undefined) return []
    return [{ dedicated, at: colo, key: address, up: !account.colosDown.has(colo.code) }]
  })
}

/** The candidates within the tolerance of the nearest to a place ([B2], [B3]), in their given order; where all of
 *  those are down, the same among the rest. Computed once per place. */
function nearest(
  known: WeakMap<Place, Tie>,
  candidates: readonly BalanceCandidate[],
  place: Place,
  tolerance: AccountSettings['balanceTolerance'],
): Tie {
  const before = known.get(place)
  if (before !== undefined) return before
  let rest = candidates.map((candidate) => ({ candidate, distance: distanceKm(candidate.at, place) }))
  let made = tieOf([], undefined)
  while (rest.length > 0 && made.candidates.length === 0) {
    const least = Math.min(...rest.map(({ distance }) => distance))
    const limit = least + Math.max(least * tolerance.share, tolerance.km)
    const within = rest.filter(({ distance }) => distance <= limit)
    const up = within.filter(({ candidate }) => candidate.up).map(({ distance }) => distance)
    made = tieOf(
      within.map(({ candidate }) => candidate),
      Math.min(...up),
    )
    rest = rest.filter(({ distance }) => distance > limit)
  }
  known.set(place, made)
  return made
}

/** Highest random weight (rendezvous hashing): losing an address moves only the users who were on it ([B4]). */
function rendezvous(tied: readonly BalanceCandidate[], first: BalanceCandidate, userKey: string): BalanceCandidate {
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

/** Unsigned 32-bit hash of text: FNV-1a over its UTF-16 units from `seed`, then murmur3's finaliser, so that texts
 *  that differ in one character give unrelated numbers. */
export function hash32(text: string, seed = 0): number {
  let hash = (0x811c9dc5 ^ seed) >>> 0
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

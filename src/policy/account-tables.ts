// The tables of one account version that decisions look up, prepared once per version and kept with it; and the data
// center a user's device connects to: the nearest that is up ([T4]), with the account's geography prepared so that a
// distance is computed once.

import { type Family, flatText } from '../net/ip.ts'
import type { Account, DedicatedEgressIp } from './account.ts'
import { type Balancer, createBalancer } from './balance.ts'
import type { Decision, Egress } from './decision.ts'
import {
  createSharedAddresses,
  findDedicatedByIpv4,
  findDedicatedByIpv6,
  type SharedAddresses,
  userAddressIn,
} from './egress-address.ts'
import type { Flow } from './flow.ts'
import type { Colo, Place } from './place.ts'
import { createRouteTable, type RouteTable } from './routes.ts'

export interface AccountTables {
  /** the account these tables were made from */
  readonly account: Account
  readonly ingress: Ingress
  readonly balancer: Balancer
  readonly routes: RouteTable
  readonly shared: SharedAddresses
  readonly decisions: DecisionCache
  /** The dedicated IP a rule names by this address as written; undefined when the account does not own it. */
  ownerOf(written: string, family: Family): DedicatedEgressIp | undefined
  /** The egress for a dedicated IP. Undefined when it has no address of the family. `userKey` as in {@link
   *  userKeyOf}; only IPv6 depends on it. */
  egressOf(dedicated: DedicatedEgressIp, family: Family, userKey: string, fallback: boolean): Egress | undefined
}

/** A user's address costs a few microseconds to spell, so the latest ones of each range are kept. */
const REMEMBERED_USER_ADDRESSES = 10_000

/** Compiles the tables of an account. Throws a RangeError for an account without a data center. */
export function createAccountTables(account: Account): AccountTables {
  const owners: Record<Family, Map<string, DedicatedEgressIp | undefined>> = { 4: new Map(), 6: new Map() }
  const egresses = new Map<string, Map<string, Egress>>()
  return {
    account,
    ingress: createIngress(account),
    balancer: createBalancer(account),
    routes: createRouteTable(account),
    shared: createSharedAddresses(account),
    decisions: new DecisionCache(),
    ownerOf(written, family) {
      const before = owners[family].get(written)
      if (before !== undefined) return before
      const find = family === 4 ? findDedicatedByIpv4 : findDedicatedByIpv6
      const owner = find(account, written)
      if (owner !== undefined) owners[family].set(written, owner)
      return owner
    },
    egressOf(dedicated, family, userKey, fallback) {
      const home = family === 4 ? dedicated.ipv4?.address.text : dedicated.ipv6?.range.text
      if (home === undefined) return undefined
      const ofHome = egresses.get(home) ?? new Map<string, Egress>()
      const key = family === 4 ? String(fallback) : userKey
      const before = ofHome.get(key)
      if (before !== undefined) return before
      const made = family === 4 ? fromIpv4(dedicated, fallback) : fromIpv6(dedicated, userKey)
      if (ofHome.size >= REMEMBERED_USER_ADDRESSES) ofHome.clear()
      if (made !== undefined) egresses.set(home, ofHome.set(key, made))
      return made
    },
  }
}

function fromIpv4(dedicated: DedicatedEgressIp, fallback: boolean): Egress | undefined {
  if (dedicated.ipv4 === undefined) return undefined
  const { address, standIns } = dedicated.ipv4
  return Object.freeze({ family: 4, address, standIns, dedicated, fallback })
}

function fromIpv6(dedicated: DedicatedEgressIp, userKey: string): Egress | undefined {
  if (dedicated.ipv6 === undefined) return undefined
  const { range, isItself } = dedicated.ipv6
  const address = userAddressIn(range, userKey)
  const standIns = isItself === true ? [address, ...dedicated.ipv6.standIns] : dedicated.ipv6.standIns
  return Object.freeze({ family: 6, address, standIns, dedicated, fallback: false })
}

/** Decisions by their cause: the rule, the balancer's choice or the account, compared by identity and held weakly. */
class DecisionCache {
  readonly #known = new WeakMap<object, readonly Map<Colo, Decision>[]>()

  find(cause: object, flow: Flow, ingress: Colo): Decision | undefined {
    return this.#known.get(cause)?.[kindOf(flow)]?.get(ingress)
  }

  /** Stores a decision and returns it frozen. Its reason is flattened to one string, since every record of it prints
   *  it. */
  keep(cause: object, flow: Flow, ingress: Colo, decision: Decision): Decision {
    const byKind = this.#known.get(cause) ?? [new Map(), new Map(), new Map(), new Map()]
    this.#known.set(cause, byKind)
    const kept = Object.freeze({ ...decision, reason: flatText(decision.reason) })
    byKind[kindOf(flow)]?.set(ingress, kept)
    return kept
  }
}

/** What a decision depends on besides its cause and the data center ([E4], [E5]), as an index 0 … 3. */
function kindOf({ destination, proxiedByCloudflare }: Flow): number {
  return (destination.ip.family === 4 ? 0 : 1) + (proxiedByCloudflare ? 2 : 0)
}

/** Finds the nearest colo that is up; caches the result per place. */
interface Ingress {
  /** The nearest colo that is up. Without a place: the account's home colo, or the nearest to it that is up.
   *  Undefined when every colo is down. */
  nearest(place: Place | undefined): Colo | undefined
}

/** Prepares the colos of an account. Throws RangeError for an account without colos. */
export function createIngress(account: Account): Ingress {
  const up = [...account.colos.values()].filter((colo) => !account.colosDown.has(colo.code))
  const vectors = new Float64Array(up.flatMap(toUnitVector))
  const home = homeColo(account)
  const homeUp = account.colosDown.has(home.code) ? search(up, vectors, home) : home
  const known = new WeakMap<Place, Colo>()
  return {
    nearest(place) {
      if (place === undefined) return homeUp
      const before = known.get(place)
      if (before !== undefined) return before
      const found = search(up, vectors, place)
      if (found !== undefined) known.set(place, found)
      return found
    },
  }
}

/** The colo of users whose place is unknown, up or down. Throws RangeError for an account without colos. */
export function homeColo(account: Account): Colo {
  const home = account.colos.get(account.settings.homeColo) ?? account.colos.values().next().value
  if (home === undefined) throw new RangeError('an account needs at least one colo')
  return home
}

/** On the unit sphere the nearest point is the one with the greatest dot product; ties go to the earlier colo. */
function search(colos: readonly Colo[], vectors: Float64Array, place: ColoPosition): Colo | undefined {
  const [x, y, z] = toUnitVector(place)
  let best: Colo | undefined
  let closeness = Number.NEGATIVE_INFINITY
  for (let at = 0; at < colos.length; at++) {
    const i = at * 3
    const dot = x * (vectors[i] ?? 0) + y * (vectors[i + 1] ?? 0) + z * (vectors[i + 2] ?? 0)
    if (dot > closeness) {
      closeness = dot
      best = colos[at]
    }
  }
  return best
}

interface ColoPosition {
  readonly latitude: number
  readonly longitude: number
}

function toUnitVector({ latitude, longitude }: ColoPosition): [number, number, number] {
  const phi = (latitude * Math.PI) / 180
  const lambda = (longitude * Math.PI) / 180
  return [Math.cos(phi) * Math.cos(lambda), Math.cos(phi) * Math.sin(lambda), Math.sin(phi)]
}

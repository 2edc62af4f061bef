// The lookup tables of one version of an account: everything a decision looks up, compiled once per revision and kept
// in its Snapshot.

import type { Family } from '../net/ip.ts'
import type { Account, DedicatedEgressIp } from './account.ts'
import { type Balancer, createBalancer } from './balance.ts'
import type { Egress } from './decision.ts'
import { DecisionCache } from './decision-cache.ts'
import {
  createSharedAddresses,
  findDedicatedByIpv4,
  findDedicatedByIpv6,
  type SharedAddresses,
  userAddressIn,
} from './egress-address.ts'
import { createIngress, type Ingress } from './ingress.ts'
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
  /** The egress for a dedicated IP. Undefined when it has no address of the family. `userKey` as in {@link userKeyOf};
   *  only IPv6 depends on it. */
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

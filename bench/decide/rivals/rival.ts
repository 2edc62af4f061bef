// What every engine in the comparison must do: take the same rules, find the same first match.

import type { SyntheticList, SyntheticWorld } from '../../../src/load-test/synthetic-world.ts'
import { cidr, containsIp } from '../../../src/net/cidr.ts'
import type { Flow } from '../../../src/policy/flow.ts'

/** Answers the position of the first rule that matches, or -1. */
export type FirstMatch = (flow: Flow) => number | Promise<number>

export interface Rival {
  readonly name: string
  /** how its rules were written, and what it was helped with */
  readonly how: string
  prepare(world: SyntheticWorld): FirstMatch | Promise<FirstMatch>
}

/** The facts of a flow as the rivals' rules name them. */
export interface PlainFacts {
  readonly email: string
  readonly groups: readonly string[]
  readonly vnet: string
  readonly ip: string
  readonly host: string
  readonly domains: readonly string[]
  readonly country: string
  readonly port: number
}

export function plainFacts(flow: Flow): PlainFacts {
  const host = flow.host ?? ''
  const labels = host.split('.')
  return {
    email: flow.identity?.email ?? '',
    groups: flow.identity?.groups.map((group) => group.name) ?? [],
    vnet: flow.virtualNetworkId,
    ip: flow.destination.ip.text,
    host,
    domains: labels.map((_, at) => labels.slice(at).join('.')),
    country: flow.destinationPlace?.country ?? '',
    port: flow.destination.port,
  }
}

/** Membership of lists by id, for engines without lists of their own. */
export function listMembership(lists: readonly SyntheticList[]): (id: string, facts: PlainFacts) => boolean {
  const byId = new Map(lists.map((list) => [list.id, { of: list.of, items: new Set(list.items) }]))
  return (id, facts) => {
    const list = byId.get(id)
    if (list === undefined) return false
    if (list.of === 'prefix') return list.items.has(facts.ip)
    return list.of === 'email' ? list.items.has(facts.email) : facts.domains.some((domain) => list.items.has(domain))
  }
}

/** Is the flow's destination inside the prefix? Prefixes are parsed once and kept. */
export function createPrefixTest(): (flow: Flow, prefix: string) => boolean {
  const parsed = new Map<string, ReturnType<typeof cidr>>()
  return (flow, prefix) => {
    const known = parsed.get(prefix) ?? cidr(prefix)
    parsed.set(prefix, known)
    return containsIp(known, flow.destination.ip)
  }
}

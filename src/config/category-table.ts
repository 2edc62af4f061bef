// The content categories and applications of a destination in the configuration's table: by its name, a parent domain
// or its address.

import { containsIp } from '../net/cidr.ts'
import type { Target } from '../net/endpoint.ts'
import type { Ip } from '../net/ip.ts'
import type { Category } from './lab-config.ts'

export interface Categories {
  readonly contentCategories: readonly number[]
  readonly applications: readonly number[]
}

const NONE: Categories = Object.freeze({ contentCategories: [], applications: [] })

/** Prepares the table for lookup; all matching entries count, each number once. */
export function createCategoryTable(entries: readonly Category[]): (target: Target, address: Ip) => Categories {
  if (entries.length === 0) return () => NONE
  const byHost = Map.groupBy(
    entries.filter(({ host }) => host !== undefined),
    ({ host = '' }) => host.toLowerCase(),
  )
  const networks = entries.filter(({ network }) => network !== undefined)
  return (target, address) => {
    const fitting = [
      ...(target.kind === 'name' ? domainsOf(target.name).flatMap((domain) => byHost.get(domain) ?? []) : []),
      ...networks.filter(({ network }) => network !== undefined && containsIp(network, address)),
    ]
    if (fitting.length === 0) return NONE
    return {
      contentCategories: distinct(fitting.flatMap((entry) => entry.contentCategories)),
      applications: distinct(fitting.flatMap((entry) => entry.applications)),
    }
  }
}

function domainsOf(name: string): string[] {
  const labels = name.split('.')
  return labels.map((_, at) => labels.slice(at).join('.'))
}

function distinct(numbers: readonly number[]): readonly number[] {
  return [...new Set(numbers)]
}

/** Every number the table has, with a name: the entry's, or that of the host or network it was first declared for. */
export function namedNumbers(
  entries: readonly Category[],
  of: keyof Categories,
): readonly { readonly id: number; readonly name: string }[] {
  const names = new Map<number, string>()
  for (const entry of entries) {
    const own = of === 'applications' ? entry.name : undefined
    for (const id of entry[of]) {
      if (own !== undefined || !names.has(id)) names.set(id, own ?? entry.host ?? entry.network?.text ?? String(id))
    }
  }
  return [...names].map(([id, name]) => ({ id, name }))
}

// What the target would say once every step was carried out: for replaying sessions on it before anything is done.

import type { PolicyChanges, PolicyStep, PolicyThing, PortablePolicy } from '../config/portable-policy.ts'
import { listFrom, networkFrom, ruleFrom } from './from-export.ts'

/** The target after the changes. Things that do not exist yet go by the ids their source knows them by. */
export function resultingPolicy(there: PortablePolicy, { steps }: PolicyChanges): PortablePolicy {
  return {
    ...there,
    rules: after('rule', there.rules, steps, ruleFrom),
    lists: after('list', there.lists, steps, (fields) => listFrom(fields)),
    virtualNetworks: after('virtual network', there.virtualNetworks, steps, networkFrom),
  }
}

function after<T extends { readonly id?: string }>(
  thing: PolicyThing,
  there: readonly T[],
  steps: readonly PolicyStep[],
  read: (fields: PolicyStep['body']) => T,
): T[] {
  const own = steps.filter((step) => step.thing === thing)
  const touched = new Set(own.map(({ id }) => id))
  const last = new Map(own.map((step) => [step.id ?? step.sourceId ?? step.name, step]))
  const written = [...last].filter(([, { action }]) => action !== 'delete')
  return [
    ...there.filter(({ id }) => id === undefined || !touched.has(id)),
    ...written.map(([id, { body }]) => read({ ...body, id })),
  ]
}

// Rules speak of lists and virtual networks by id, and ids differ from account to account: which ids a rule speaks of, and the
// same rule speaking of others.

import type { JsonObject } from '../config/lab-state.ts'
import type { PortablePolicy, PortableRule } from '../config/portable-policy.ts'

const EXPRESSIONS = ['traffic', 'identity', 'device_posture'] as const
/** With or without dashes, as lists are written both ways. */
const UUID = /\b[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}\b/gi

/** The policy with only those lists and virtual networks that its rules speak of. */
export function onlySpokenOf(policy: PortablePolicy): PortablePolicy {
  const ids = new Set(policy.rules.flatMap(({ fields }) => expressionsOf(fields).flatMap(idsIn)))
  const isSpokenOf = ({ id }: { readonly id?: string }) => id !== undefined && ids.has(plain(id))
  return {
    ...policy,
    lists: policy.lists.filter(isSpokenOf),
    virtualNetworks: policy.virtualNetworks.filter(isSpokenOf),
  }
}

/** The rule with these ids (old → new) replaced in its expressions. */
export function renameIds(rule: PortableRule, ids: ReadonlyMap<string, string>): PortableRule {
  return { ...rule, fields: renameIdsIn(rule.fields, ids) }
}

/** The same for the fields alone. */
export function renameIdsIn(fields: JsonObject, ids: ReadonlyMap<string, string>): JsonObject {
  const byPlain = new Map([...ids].map(([from, to]) => [plain(from), to]))
  const renamed = EXPRESSIONS.flatMap((name) => {
    const text = fields[name]
    return typeof text === 'string' ? [[name, text.replace(UUID, (id) => byPlain.get(plain(id)) ?? id)] as const] : []
  })
  return { ...fields, ...Object.fromEntries(renamed) }
}

function expressionsOf(fields: JsonObject): string[] {
  return EXPRESSIONS.flatMap((name) => (typeof fields[name] === 'string' ? [fields[name]] : []))
}

function idsIn(text: string): string[] {
  return [...text.matchAll(UUID)].map(([id]) => plain(id))
}

function plain(id: string): string {
  return id.replaceAll('-', '').toLowerCase()
}

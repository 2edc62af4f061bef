// Objects as Cloudflare's API returns them: single ones, whole answers, and the JSON that `rules pull` writes.

import type { Json, JsonObject } from '../config/lab-state.ts'
import type { PortableList, PortableNetwork, PortablePolicy, PortableRule } from './portable-policy.ts'

/** Is this what the API, or `rules pull` as JSON, writes? Rules of configuration files have no `action` or have `egress`. */
export function isExport(data: unknown): boolean {
  const whole = objectOf(data)
  if (whole !== undefined && 'result' in whole) return true
  const rules = objectsIn(Array.isArray(data) ? data : whole?.rules)
  if (rules.length > 0) return rules.every((rule) => 'action' in rule && !('egress' in rule))
  return objectsIn(whole?.virtual_networks).some(
    (network) => 'is_default_network' in network || 'is_default' in network,
  )
}

/** The policy in an export. Things are told apart by what only they have. */
export function fromExport(source: string, data: unknown): PortablePolicy {
  const whole = objectOf(data)
  const loose = Array.isArray(data) ? data : 'result' in (whole ?? {}) ? [whole?.result ?? []].flat() : []
  const lists = objectsIn(loose).filter((item) => 'items' in item || ('type' in item && !('action' in item)))
  const networks = objectsIn(loose).filter((item) => 'is_default_network' in item || 'is_default' in item)
  const rules = objectsIn(loose).filter((item) => 'action' in item)
  return {
    source,
    rules: [...rules, ...objectsIn(whole?.rules)].filter(isLive).map(ruleFrom),
    lists: [...lists, ...objectsIn(whole?.lists)].filter(isLive).map((list) => listFrom(list)),
    virtualNetworks: [...networks, ...objectsIn(whole?.virtual_networks)].filter(isLive).map(networkFrom),
    notes: [],
  }
}

function isLive({ deleted_at: deletedAt }: JsonObject): boolean {
  return deletedAt === undefined || deletedAt === null
}

export function ruleFrom(fields: JsonObject): PortableRule {
  const [id, precedence] = [textIn(fields, 'id'), numberIn(fields, 'precedence')]
  return {
    name: textIn(fields, 'name') ?? '',
    fields,
    ...(id === undefined ? {} : { id }),
    ...(precedence === undefined ? {} : { precedence }),
  }
}

/** `items`: where they were asked for apart. */
export function listFrom(fields: JsonObject, items: Json | undefined = fields.items): PortableList {
  const id = textIn(fields, 'id')
  return {
    name: textIn(fields, 'name') ?? '',
    type: textIn(fields, 'type') ?? '',
    description: textIn(fields, 'description') ?? '',
    items: (Array.isArray(items) ? items : []).flatMap((item: Json) => {
      const value = typeof item === 'string' ? item : textIn(objectOf(item), 'value')
      return value === undefined ? [] : [{ value, description: textIn(objectOf(item), 'description') ?? null }]
    }),
    fields,
    ...(id === undefined ? {} : { id }),
  }
}

export function networkFrom(fields: JsonObject): PortableNetwork {
  const id = textIn(fields, 'id')
  return {
    name: textIn(fields, 'name') ?? '',
    comment: textIn(fields, 'comment') ?? '',
    isDefault: fields.is_default_network === true || fields.is_default === true,
    fields,
    ...(id === undefined ? {} : { id }),
  }
}

/** The value where it is an object, else undefined. */
export function objectOf(value: unknown): JsonObject | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : undefined
}

/** The members of an array that are objects; none for anything else. */
export function objectsIn(value: unknown): readonly JsonObject[] {
  return Array.isArray(value) ? value.map(objectOf).filter((item) => item !== undefined) : []
}

export function textIn(value: JsonObject | undefined, name: string): string | undefined {
  const found = value === undefined || !Object.hasOwn(value, name) ? undefined : value[name]
  return typeof found === 'string' ? found : undefined
}

export function numberIn(value: JsonObject | undefined, name: string): number | undefined {
  const found = value === undefined || !Object.hasOwn(value, name) ? undefined : value[name]
  return typeof found === 'number' ? found : undefined
}

/** Says the same as not being there: null, false, '', [], {}, or an object of nothing else. */
export function isEmpty(value: Json | undefined): boolean {
  if (value === undefined || value === null || value === false || value === '') return true
  if (typeof value !== 'object') return false
  return Array.isArray(value) ? value.length === 0 : Object.values(value).every(isEmpty)
}

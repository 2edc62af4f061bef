// One rule against another: what would be sent to make the target's rule say what the source's says, and which fields that
// changes. Expressions are compared in normal form, and what says nothing equals what is not there.

import type { Json, JsonObject } from '../config/lab-state.ts'
import { normalForm } from '../config/rule-document.ts'
import { SLOT_NAMES } from '../policy/fields.ts'
import { EXPRESSION_SLOTS } from '../policy/rule.ts'
import { isEmpty, objectOf } from './from-export.ts'
import type { PolicyDifference, PortablePolicy, PortableRule } from './portable-policy.ts'

/** What the API takes of a rule. */
const SENT = [
  'name',
  'description',
  'action',
  'enabled',
  'filters',
  'precedence',
  'traffic',
  'identity',
  'device_posture',
  'rule_settings',
  'schedule',
  'expiration',
] as const
const SENT_NAMES: ReadonlySet<string> = new Set(SENT)

/** Replacing a rule is whole: what is left out returns to its default. So the target's fields stay where the source says
 *  nothing of them; its egress settings are the source's, also when that has none. */
export function bodyFor(wanted: PortableRule, there: PortableRule | undefined, precedence: number): JsonObject {
  const merged: JsonObject = { ...there?.fields, ...wanted.fields }
  const settings = settingsFor(objectOf(wanted.fields.rule_settings), objectOf(there?.fields.rule_settings))
  // a slice of a rule is meant to be used; the API makes a rule disabled that does not say
  const enabled = merged.enabled ?? true
  const fields = { ...merged, name: wanted.name, enabled, precedence, rule_settings: settings }
  return pick(fields)
}

/** The body that only moves a rule. */
export function movedBody(there: PortableRule, precedence: number): JsonObject {
  return pick({ ...there.fields, precedence })
}

/** Fields of the source that the API has no place for, as far as is known here. */
export function unknownFields({ fields }: PortableRule, known: ReadonlySet<string>): string[] {
  return Object.keys(fields).filter((name) => !SENT_NAMES.has(name) && !known.has(name) && !isEmpty(fields[name]))
}

/** What the body changes in the target's rule; everything it says, for a rule that is not there. */
export function differencesOf(body: JsonObject, there: PortableRule | undefined): PolicyDifference[] {
  const before = flat(normal(pick(there?.fields ?? {})))
  const after = flat(normal(body))
  return [...new Set([...before.keys(), ...after.keys()])].flatMap((field) => {
    const [old, now] = [before.get(field), after.get(field)]
    if (comparable(old) === comparable(now)) return []
    return [{ field, ...(old === undefined ? {} : { before: old }), ...(now === undefined ? {} : { after: now }) }]
  })
}

function pick(fields: JsonObject): JsonObject {
  return Object.fromEntries(
    SENT.flatMap((name): [string, Json][] => {
      const value = fields[name]
      return value === undefined || value === null ? [] : [[name, value]]
    }),
  )
}

function settingsFor(wanted: JsonObject = {}, there: JsonObject = {}): JsonObject | null {
  const { egress: _, ...rest } = { ...there, ...wanted }
  const egress = wanted.egress
  const settings = isEmpty(egress) ? rest : { ...rest, egress: egress ?? null }
  return Object.keys(settings).length === 0 ? null : settings
}

function normal(body: JsonObject): JsonObject {
  if (body.action !== 'egress') return body
  const { filters = ['egress'] } = body
  const expressions = EXPRESSION_SLOTS.map((slot) => {
    const text = body[SLOT_NAMES[slot]]
    const written = typeof text === 'string' ? text : ''
    const normal = normalForm(slot, written, 'lenient')
    // as it is where it does not parse: the target will say so
    return [SLOT_NAMES[slot], normal.ok ? normal.text : written] as const
  })
  return { ...body, filters, ...Object.fromEntries(expressions) }
}

/** The same text for what says the same: the id of a list is one with dashes and without. */
function comparable(value: Json | undefined): string {
  return (JSON.stringify(value) ?? '').replace(LIST, (_, sign, id) => sign + plainId(id))
}

/** Every value that says something, by its dotted path. */
function flat(fields: JsonObject, prefix = ''): Map<string, Json> {
  const entries = Object.entries(fields).flatMap(([name, value]): (readonly [string, Json])[] => {
    if (isEmpty(value)) return name === 'enabled' ? [['enabled', false]] : []
    const inner = objectOf(value)
    return inner === undefined ? [[prefix + name, value]] : [...flat(inner, `${prefix}${name}.`)]
  })
  return new Map(entries)
}

const EXPRESSIONS = ['traffic', 'identity', 'device_posture'] as const
/** A list is `$ID`, a network or a posture check `"ID"`. */
const REFERENCE = /(?<sign>\$)(?<list>[\w.-]+)|(?<quote>")(?<text>[\w.-]+)(?=")/g
/** With or without dashes, as lists are written both ways. */
const LIST = /(\$)([0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12})\b/gi

/** The policy with only those lists and virtual networks that its rules use. */
export function onlySpokenOf(policy: PortablePolicy): PortablePolicy {
  const ids = new Set(policy.rules.flatMap(({ fields }) => expressionsOf(fields).flatMap(idsIn)))
  const isSpokenOf = ({ id }: { readonly id?: string }) => id !== undefined && ids.has(plainId(id))
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
  const byPlain = new Map([...ids].map(([from, to]) => [plainId(from), to]))
  const renamed = EXPRESSIONS.flatMap((name) => {
    const text = fields[name]
    return typeof text === 'string' ? [[name, renamedText(text, byPlain)] as const] : []
  })
  return { ...fields, ...Object.fromEntries(renamed) }
}

function renamedText(text: string, byPlain: ReadonlyMap<string, string>): string {
  if (byPlain.size === 0) return text
  return text.replace(REFERENCE, (whole, sign, list, quote, quoted) => {
    const id = byPlain.get(plainId(list ?? quoted))
    return id === undefined ? whole : (sign ?? quote) + id
  })
}

/** The expressions of a rule that are there. */
export function expressionsOf(fields: JsonObject): string[] {
  return EXPRESSIONS.flatMap((name) => (typeof fields[name] === 'string' ? [fields[name]] : []))
}

/** Everything in an expression that may be an id, as {@link plainId} has them. */
export function idsIn(text: string): string[] {
  return [...text.matchAll(REFERENCE)].map(({ groups }) => plainId(groups?.list ?? groups?.text ?? ''))
}

/** An id without dashes, in lower case: ids of lists are written both ways. */
export function plainId(id: string): string {
  return id.replaceAll('-', '').toLowerCase()
}

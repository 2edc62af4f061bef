// Writes a policy as text: YAML in the form of configuration files, or JSON in the form of the API, with every field of its source.

import { stringify } from 'yaml'
import type { Json, JsonObject } from '../config/lab-state.ts'
import { SERVER_FIELDS } from '../config/rule-document.ts'
import { isEmpty, objectOf, textIn } from './from-export.ts'
import type { PortableList, PortableNetwork, PortablePolicy, PortableRule } from './portable-policy.ts'

/** The rule fields that YAML can hold; only JSON keeps the others. */
const RULE_FIELDS = new Set([
  'id',
  'name',
  'description',
  'enabled',
  'precedence',
  'action',
  'filters',
  'traffic',
  'identity',
  'device_posture',
  'rule_settings',
])
/** Fields that only the API writes. */
export const API_FIELDS: ReadonlySet<string> = new Set([
  'id',
  'account_id',
  'created_at',
  'updated_at',
  'deleted_at',
  ...SERVER_FIELDS,
])

export interface WrittenPolicy {
  readonly text: string
  /** what this form cannot hold, one clause each */
  readonly notes: readonly string[]
}

/** All of it, as `rules push` reads it again. */
export function writeJsonPolicy({ rules, lists, virtualNetworks }: PortablePolicy): WrittenPolicy {
  const document = {
    rules: rules.map(({ fields }) => fields),
    lists: lists.map(({ fields, items }) => ({ ...fields, items: items.map(listItem) })),
    virtual_networks: virtualNetworks.map(({ fields }) => fields),
  }
  return { text: `${JSON.stringify(document, null, 2)}\n`, notes: [] }
}

function listItem({ value, description }: PortableList['items'][number]): JsonObject {
  return description === null ? { value } : { value, description }
}

/** Egress rules with the lists and virtual networks, as sections of a configuration file. */
export function writeYamlPolicy({ source, rules, lists, virtualNetworks }: PortablePolicy): WrittenPolicy {
  const egress = rules.filter(isEgress)
  const others = rules.length - egress.length
  const document = {
    ...(virtualNetworks.length === 0 ? {} : { virtual_networks: virtualNetworks.map(yamlNetwork) }),
    ...(lists.length === 0 ? {} : { lists: lists.map(yamlList) }),
    rules: egress.toSorted((a, b) => (a.precedence ?? 0) - (b.precedence ?? 0)).map(yamlRule),
  }
  const head = `# Rules of ${source}, as sections of a configuration file (docs/bring-your-rules.md).\n`
  return {
    text: head + stringify(document, { lineWidth: 0 }),
    notes: [
      ...(others === 0
        ? []
        : [
            `${others} ${others === 1 ? 'rule that is not an egress rule' : 'rules that are not egress rules'} left out; use JSON to keep ${others === 1 ? 'it' : 'them'}`,
          ]),
      ...egress.flatMap(lostFields),
      ...lists.flatMap(lostDescriptions),
    ],
  }
}

function isEgress({ fields }: PortableRule): boolean {
  return fields.action === 'egress'
}

function yamlRule({ id, name, precedence, fields }: PortableRule) {
  const egress = objectOf(objectOf(fields.rule_settings)?.egress)
  const text = (field: string) => {
    const value = textIn(fields, field) ?? ''
    return value === '' ? {} : { [field]: value }
  }
  return {
    name,
    ...(id === undefined ? {} : { id }),
    ...text('description'),
    ...(fields.enabled === false ? { enabled: false } : {}),
    ...(precedence === undefined ? {} : { precedence }),
    ...text('traffic'),
    ...text('identity'),
    ...text('device_posture'),
    ...(isEmpty(egress) ? {} : { egress: withoutEmpty(egress ?? {}) }),
  }
}

function withoutEmpty(fields: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => !isEmpty(value))) as { [key: string]: Json }
}

function yamlList({ id, name, type, items }: PortableList) {
  return { name, ...(id === undefined ? {} : { id }), type, items: items.map(({ value }) => value) }
}

function yamlNetwork({ id, name, comment, isDefault }: PortableNetwork) {
  return {
    name,
    ...(id === undefined ? {} : { id }),
    ...(comment === '' ? {} : { comment }),
    ...(isDefault ? { default: true } : {}),
  }
}

function lostFields({ name, fields }: PortableRule): string[] {
  const settings = Object.entries(objectOf(fields.rule_settings) ?? {})
  const lost = [
    ...Object.entries(fields).filter(
      ([field, value]) => !RULE_FIELDS.has(field) && !API_FIELDS.has(field) && !isEmpty(value),
    ),
    ...settings.filter(([field, value]) => field !== 'egress' && !isEmpty(value)),
  ].map(([field]) => `\`${field}\``)
  return lost.length === 0
    ? []
    : [`${lost.join(', ')} of rule \`${name}\` cannot be written as YAML; use JSON to keep it`]
}

function lostDescriptions({ name, items, description }: PortableList): string[] {
  const described = description !== '' || items.some((item) => (item.description ?? '') !== '')
  return described ? [`item descriptions of list \`${name}\` cannot be written as YAML; use JSON to keep them`] : []
}

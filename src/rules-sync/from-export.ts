// Objects as Cloudflare's API returns them: single ones, whole answers, and the JSON that `rules pull` writes.

import type { Json, JsonObject } from '../config/lab-state.ts'
import { counted } from '../errors/counted.ts'
import { InputError, type Issue } from '../errors/issue.ts'
import type { PortableList, PortableNetwork, PortablePolicy, PortableRule } from './portable-policy.ts'
import { asTyped, misfitIssue } from './terraform/resource-types.ts'

/** Fields of rules that configuration files do not have. */
const API_RULE_FIELDS = ['rule_settings', 'created_at', 'updated_at', 'deleted_at', 'version', 'schedule', 'expiration']
const SECTIONS = ['rules', 'lists', 'virtual_networks']

/** Is this what the API, or `rules pull` as JSON, writes: an answer, its things, one of them? Rules of configuration files
 *  have `egress`, and nothing that only the API says. */
export function isExport(data: unknown): boolean {
  const whole = objectOf(data)
  if (whole !== undefined && ('result' in whole || 'success' in whole)) return true
  const things = looseThings(data)
  const rules = things.filter(isRule)
  const isOfApi = (rule: JsonObject) => API_RULE_FIELDS.some((name) => name in rule)
  if (rules.some((rule) => 'egress' in rule)) return false
  if (rules.length > 0) return rules.some(isOfApi) || rules.every((rule) => 'action' in rule)
  const isAlone = whole === undefined || !SECTIONS.some((name) => name in whole)
  return things.some((thing) => isNetwork(thing) || (isAlone && isList(thing)))
}

/** The policy in an export. Things are told apart by what only they have. Throws an InputError for an answer that refuses,
 *  and for things that are not whole. */
export function fromExport(source: string, data: unknown): PortablePolicy {
  const things = looseThings(data).filter(isLive)
  const [rules, lists, networks] = [things.filter(isRule), things.filter(isList), things.filter(isNetwork)]
  const issues = [
    ...refusals(source, data),
    ...kindless(source, rules),
    ...rules.flatMap((rule) => misfitsOf(source, rule)),
  ]
  if (issues.length > 0) throw new InputError(issues)
  const others = things.length - rules.length - lists.length - networks.length
  const listsWithItems = lists.filter((list) => !isWithoutItems(list))
  return {
    source,
    rules: rules.map((rule) => ruleFrom(withKind(rule))),
    lists: listsWithItems.map((list) => listFrom(list)),
    virtualNetworks: networks.map(networkFrom),
    notes: [
      ...(others === 0
        ? []
        : [`${counted(others, 'entry', 'entries')} left out: neither rules, lists nor virtual networks`]),
      ...lists
        .filter(isWithoutItems)
        .map((list) => `list \`${textIn(list, 'name')}\` left out: the answer has no items of it`),
      ...pageNotes(data),
    ],
  }
}

/** Everything in answers, arrays and documents of sections, at whatever depth they put it. */
function looseThings(data: unknown): readonly JsonObject[] {
  if (Array.isArray(data)) return data.flatMap(looseThings)
  const whole = objectOf(data)
  if (whole === undefined) return []
  if ('result' in whole) return looseThings(whole.result)
  const sections = SECTIONS.filter((name) => Array.isArray(whole[name]))
  return sections.length === 0 ? [whole] : sections.flatMap((name) => looseThings(whole[name]))
}

function isNetwork(thing: JsonObject): boolean {
  return 'is_default_network' in thing || 'is_default' in thing
}

function isList(thing: JsonObject): boolean {
  return !isNetwork(thing) && !isRule(thing) && ('items' in thing || ('type' in thing && 'name' in thing))
}

function isRule(thing: JsonObject): boolean {
  return RULE_FIELDS.some((name) => name in thing)
}

const RULE_FIELDS = ['action', 'filters', 'traffic', 'precedence', 'rule_settings', 'egress', 'device_posture']

/** Lists come without their items from everywhere but their own route. */
function isWithoutItems(list: JsonObject): boolean {
  return !('items' in list) && list.count !== 0
}

/** Slices of answers leave out what kind of rule it is; egress settings tell. */
function withKind(rule: JsonObject): JsonObject {
  const isOfAnother = Array.isArray(rule.filters) && !rule.filters.includes('egress')
  return 'action' in rule || isOfAnother ? rule : { action: 'egress', ...rule }
}

/** Files are edited by hand. */
function misfitsOf(file: string, rule: JsonObject): Issue[] {
  const { misfits } = asTyped('rule', rule)
  return misfits.map((misfit) => ({ ...misfitIssue(misfit, `rule \`${textIn(rule, 'name') ?? ''}\``), file }))
}

function kindless(file: string, rules: readonly JsonObject[]): Issue[] {
  const without = rules.filter(({ action, filters, rule_settings: settings }) => {
    return action === undefined && filters === undefined && isEmpty(objectOf(settings)?.egress)
  })
  if (without.length === 0) return []
  const message = `${counted(without.length, 'rule')} without \`action\` and \`filters\`, such as \`${textIn(without[0], 'name') ?? ''}\`: of what kind is not known`
  return [{ severity: 'error', code: 'rules.no_kind', message, hint: 'keep both in the slice', file }]
}

/** An answer that is not an answer: `{"success": false, "errors": […]}`. */
function refusals(file: string, data: unknown): Issue[] {
  return answersIn(data).flatMap((answer): Issue[] => {
    if (answer.success !== false) return []
    const told = objectsIn(answer.errors).map(({ code, message }) => `${String(message)} (${String(code)})`)
    const message = `the API refused here: ${told.join('; ') || 'it gives no reason'}`
    return [
      {
        severity: 'error',
        code: 'rules.refused',
        message,
        hint: 'ask it again with a token that may read Zero Trust',
        file,
      },
    ]
  })
}

function pageNotes(data: unknown): string[] {
  return answersIn(data).flatMap(({ result_info: info }) => {
    const { page, total_pages: pages } = Object(info)
    return typeof pages === 'number' && pages > 1
      ? [`this is page ${String(page)} of ${pages}; the others are not here`]
      : []
  })
}

function answersIn(data: unknown): readonly JsonObject[] {
  return objectsIn([data].flat()).filter((value) => 'success' in value || 'result' in value)
}

function isLive({ deleted_at: deletedAt }: JsonObject): boolean {
  return deletedAt === undefined || deletedAt === null
}

/** A rule from the API's JSON or Terraform's arguments; `fields` keeps all of it. */
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

/** A virtual network from the API's JSON or Terraform's arguments; what is absent is ''. */
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

/** A member of an object where it is a text, else undefined. */
export function textIn(value: JsonObject | undefined, name: string): string | undefined {
  const found = value === undefined || !Object.hasOwn(value, name) ? undefined : value[name]
  return typeof found === 'string' ? found : undefined
}

/** A member of an object where it is a number, else undefined. */
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

// Filtering and sorting of Cloudflare's Gateway lists (`filter=field:value`, `search`, `order_by`, `direction`), the
// same for every resource that has them.

import { parseInstantMs } from '../config/formats.ts'
import { type Cidr, parseCidr } from '../net/cidr.ts'
import { type Ip, parseIp } from '../net/ip.ts'
import { invalidField } from './api-error.ts'
import type { Paging } from './response.ts'
import type { QueryParameter } from './router.ts'

export interface Selection<T> {
  /** what `search` looks through */
  readonly searchIn: (item: T) => readonly string[]
  /** field of `filter` → does the item fit this value? */
  readonly filters: Readonly<Record<string, Filter<T>>>
  /** field of `order_by` → what to sort by, and whether it descends by default */
  readonly orders: Readonly<Record<string, { readonly by: (item: T) => string | number; readonly descends?: boolean }>>
  /** order when `order_by` is absent */
  readonly standardOrder?: (item: T) => number
}

export interface Filter<T> {
  readonly fits: (item: T, value: string) => boolean
  /** the values there can be; any, where absent */
  readonly values?: readonly string[] | RegExp
}

/** The parameters of such a list. */
export function selectionParameters<T>({ filters, orders }: Selection<T>): readonly QueryParameter[] {
  const fields = Object.keys(filters).join(', ')
  const forms = Object.entries(filters).map(([field, { values }]) => `${field}:${valuesPattern(values)}`)
  const items = { type: 'string', pattern: `^(${forms.join('|')})$` }
  return [
    { name: 'search', schema: { type: 'string' }, description: 'part of a name or description, case-insensitive' },
    { name: 'filter', schema: { type: 'array', items }, description: `\`field:value\`, repeatable; fields: ${fields}` },
    { name: 'order_by', schema: { enum: Object.keys(orders) }, description: 'field to sort by' },
    { name: 'direction', schema: { enum: ['asc', 'desc'] }, description: 'sort direction' },
  ]
}

function valuesPattern(values: Filter<unknown>['values']): string {
  if (values === undefined) return '[\\s\\S]*'
  return values instanceof RegExp ? values.source.replace(/^\^|\$$/g, '') : `(${values.join('|')})`
}

/** The items a query asks for, in its order. Throws ApiError for fields that do not exist. */
export function select<T>(items: readonly T[], query: URLSearchParams, selection: Selection<T>): T[] {
  const tests = [...query.getAll('filter'), ...query.getAll('filter[]')].map((text) => filterOf(text, selection))
  const search = textOf(query, 'search')?.toLowerCase()
  if (search !== undefined) {
    tests.push((item) => selection.searchIn(item).some((text) => text.toLowerCase().includes(search)))
  }
  return sort(
    items.filter((item) => tests.every((test) => test(item))),
    query,
    selection,
  )
}

function filterOf<T>(text: string, { filters }: Selection<T>): (item: T) => boolean {
  const colon = text.indexOf(':')
  const field = colon < 0 ? text : text.slice(0, colon)
  const filter = Object.hasOwn(filters, field) ? filters[field] : undefined
  if (colon < 0 || filter === undefined) {
    throw invalidField('filter', `\`${text}\` must be \`field:value\` with one of ${Object.keys(filters).join(', ')}`)
  }
  const value = text.slice(colon + 1)
  const { fits, values } = filter
  if (values instanceof RegExp && !values.test(value)) {
    throw invalidField('filter', `\`${value}\` is not a \`${field}\``)
  }
  if (Array.isArray(values) && !values.includes(value)) {
    throw invalidField('filter', `\`${field}\` must be one of ${values.join(', ')}, not \`${value}\``)
  }
  return (item) => fits(item, value)
}

function sort<T>(items: T[], query: URLSearchParams, { orders, standardOrder }: Selection<T>): T[] {
  const field = wordOf(query, 'order_by', Object.keys(orders))
  const direction = wordOf(query, 'direction', ['asc', 'desc'])
  const order = field === undefined ? undefined : orders[field]
  const by = order?.by ?? standardOrder
  if (by === undefined) return items
  const sign = (direction ?? (order?.descends === true ? 'desc' : 'asc')) === 'desc' ? -1 : 1
  return items.sort((a, b) => sign * compare(by(a), by(b)))
}

function compare(a: string | number, b: string | number): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** Does the id contain this, dashes aside? */
export function idContains(id: string, part: string): boolean {
  return id.replaceAll('-', '').includes(part.replaceAll('-', '').toLowerCase())
}

/** Does the name contain this, letter case aside? */
export function nameContains(name: string, part: string): boolean {
  return name.toLowerCase().includes(part.toLowerCase())
}

const MAX_PER_PAGE = 1000
const MAX_PAGE = 1_000_000

export const PAGING: readonly QueryParameter[] = [
  { name: 'page', schema: { type: 'integer', minimum: 1, maximum: MAX_PAGE }, description: 'page, counted from 1' },
  { name: 'per_page', schema: { type: 'integer', minimum: 1, maximum: MAX_PER_PAGE }, description: 'items per page' },
]

/** `page` and `per_page`. */
export function pagingOf(query: URLSearchParams, standard = 20): Paging {
  return {
    page: integerOf(query, 'page', 1, MAX_PAGE) ?? 1,
    perPage: integerOf(query, 'per_page', 1, MAX_PER_PAGE) ?? standard,
  }
}

/** The text of a parameter; absent and empty are the same. */
export function textOf(query: URLSearchParams, name: string): string | undefined {
  const text = query.get(name)
  return text === null || text === '' ? undefined : text
}

/** A parameter that is `true` or `false`; undefined where it is absent or empty. Throws ApiError 400 for anything
 *  else. */
export function booleanOf(query: URLSearchParams, name: string): boolean | undefined {
  const text = textOf(query, name)
  if (text === undefined) return undefined
  if (text !== 'true' && text !== 'false') throw invalidField(name, `\`${name}\` must be \`true\` or \`false\``)
  return text === 'true'
}

/** A whole number from `least` to `most`; undefined where it is absent or empty. Throws ApiError 400 for anything
 *  else. */
export function integerOf(query: URLSearchParams, name: string, least: number, most: number): number | undefined {
  const text = textOf(query, name)
  if (text === undefined) return undefined
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN
  if (value >= least && value <= most) return value
  throw invalidField(name, `\`${name}\` must be a whole number from ${least} to ${most}`)
}

/** A network in CIDR notation; undefined where it is absent or empty. Throws ApiError 400 for anything else. */
export function cidrOf(query: URLSearchParams, name: string): Cidr | undefined {
  const text = textOf(query, name)
  if (text === undefined) return undefined
  const network = parseCidr(text)
  if (network === undefined) throw invalidField(name, `invalid address: \`${text}\` is not a network`)
  return network
}

/** A UUID with or without dashes, in lower case with them. */
export function uuidOf(query: URLSearchParams, name: string): string | undefined {
  const text = textOf(query, name)
  if (text === undefined) return undefined
  const parts = /^([\da-f]{8})-?([\da-f]{4})-?([\da-f]{4})-?([\da-f]{4})-?([\da-f]{12})$/i.exec(text)
  if (parts === null) throw invalidField(name, `\`${text}\` is not a UUID`)
  return parts.slice(1).join('-').toLowerCase()
}

/** An address that stands in the path. */
export function ipParam(text: string): Ip {
  const address = parseIp(text)
  if (address === undefined) throw invalidField('ip', `invalid address: \`${text}\` is not an IP address`)
  return address
}

/** Epoch ms of an RFC 3339 parameter. */
export function instantOf(query: URLSearchParams, name: string): number | undefined {
  const text = textOf(query, name)
  if (text === undefined) return undefined
  return parseInstant(decodedAgain(text), name)
}

/** Clients whose examples have the time encoded encode it a second time. */
function decodedAgain(text: string): string {
  return /^[\dTZ:.+-]*$/.test(text) ? text : text.replaceAll(/%3A/gi, ':').replaceAll(/%2B/gi, '+')
}

/** Epoch ms of a time in RFC 3339, or of the beginning of a day in UTC. Throws ApiError that points to `pointer`. */
export function parseInstant(text: string, pointer: string): number {
  const instant = parseInstantMs(text)
  if (instant === undefined) throw invalidField(pointer, `\`${text}\` is not a time in RFC 3339`)
  return instant
}

/** One of these words. */
export function wordOf<T extends string>(query: URLSearchParams, name: string, words: readonly T[]): T | undefined {
  const text = textOf(query, name)
  if (text === undefined) return undefined
  const word = words.find((candidate) => candidate === text)
  if (word === undefined) throw invalidField(name, `\`${name}\` must be one of ${words.join(', ')}`)
  return word
}

/** The words of a parameter that is repeated or holds several between commas. */
export function wordsOf(query: URLSearchParams, name: string): readonly string[] {
  const words = query.getAll(name).flatMap((text) => text.split(','))
  return words.filter((word) => word !== '')
}

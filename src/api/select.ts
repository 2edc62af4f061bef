// Filtering and sorting of Cloudflare's Gateway lists (`filter=field:value`, `search`, `order_by`, `direction`), the
// same for every resource that has them.

import { invalidField } from './api-error.ts'
import { textOf, wordOf } from './query.ts'
import type { QueryParameter } from './route.ts'

export interface Selection<T> {
  /** what `search` looks through */
  readonly searchIn: (item: T) => readonly string[]
  /** field of `filter` → does the item fit this value? */
  readonly filters: Readonly<Record<string, Filter<T>>>
  /** field of `order_by` → what to sort by, and whether it descends unless told otherwise */
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
  const items = { type: 'string', pattern: `^(${Object.keys(filters).join('|')}):` }
  return [
    { name: 'search', schema: { type: 'string' }, description: 'part of a name or description, letter case aside' },
    { name: 'filter', schema: { type: 'array', items }, description: `\`field:value\`, repeatable; fields: ${fields}` },
    { name: 'order_by', schema: { enum: Object.keys(orders) }, description: 'field to sort by' },
    { name: 'direction', schema: { enum: ['asc', 'desc'] }, description: 'sort direction' },
  ]
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
    throw invalidField('filter', `\`${value}\` is no \`${field}\``)
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

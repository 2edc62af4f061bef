// `/gateway/lists` and their items.

import type { Json, JsonObject, ListItem, Stored } from '../../config/lab-state.ts'
import { ChangeError } from '../../errors/change-error.ts'
import { canonicalListName } from '../../expression/lex/name.ts'
import { parseCidr } from '../../net/cidr.ts'
import { invalidField, notFound } from '../api-error.ts'
import { listOf, ok } from '../response.ts'
import type { Route, RouteCall } from '../router.ts'
import {
  idContains,
  nameContains,
  PAGING,
  pagingOf,
  type Selection,
  select,
  selectionParameters,
  textOf,
} from '../select.ts'
import { DELETED, LIST, LIST_ITEM, LIST_SUMMARY } from '../shapes/cloudflare.ts'
import { find, liveOf, NAME, newId, objectOf, seconds, sentOr, TEXT, textField, written } from './stored.ts'

const PATH = '/client/v4/accounts/{account_id}/gateway/lists'
const TYPES = ['SERIAL', 'URL', 'DOMAIN', 'EMAIL', 'IP', 'CATEGORY', 'LOCATION', 'DEVICE', 'AAGUID'] as const
const MAX_ITEMS = 5000

const ITEM = {
  type: 'object',
  additionalProperties: false,
  required: ['value'],
  properties: { value: NAME, description: TEXT, created_at: {} },
} as const
const ITEMS = { type: ['array', 'null'], maxItems: MAX_ITEMS, items: ITEM } as const
const SHARED = { name: NAME, description: TEXT, items: ITEMS, count: {}, type: { enum: TYPES } }

const SELECTION: Selection<Stored<'list'>> = {
  searchIn: ({ value }) => [value.name, value.description],
  filters: {
    name: { fits: ({ value }, text) => nameContains(value.name, text) },
    id: { fits: ({ value }, text) => idContains(value.id, text) },
    type: { fits: ({ value }, text) => value.type === text, values: TYPES },
    item_count: { fits: ({ value }, text) => value.items.length === Number(text), values: /^\d{1,9}$/ },
  },
  orders: {
    name: { by: ({ value }) => value.name.toLowerCase() },
    created_at: { by: ({ createdAt }) => createdAt, descends: true },
    updated_at: { by: ({ updatedAt }) => updatedAt, descends: true },
    item_count: { by: ({ value }) => value.items.length },
  },
  standardOrder: ({ createdAt }) => createdAt,
}

export const LIST_ROUTES: readonly Route[] = [
  {
    method: 'GET',
    path: PATH,
    summary: 'returns all lists, without their items',
    access: 'token',
    answers: { kind: 'list', schema: LIST_SUMMARY },
    query: [{ name: 'type', schema: { enum: TYPES }, description: 'type of list' }, ...selectionParameters(SELECTION)],
    handle: (call) => {
      const type = textOf(call.query, 'type')
      const all = liveOf(call, 'list').filter(({ value }) => type === undefined || value.type === type)
      return listOf(select(all, call.query, SELECTION).map((list) => summary(list)))
    },
  },
  {
    method: 'POST',
    path: PATH,
    summary: 'creates a list',
    access: 'token',
    answers: { kind: 'result', schema: LIST },
    body: objectOf(SHARED, ['name', 'type']),
    handle: create,
  },
  {
    method: 'GET',
    path: `${PATH}/{id}`,
    summary: 'one list with its items',
    access: 'token',
    answers: { kind: 'result', schema: LIST },
    handle: (call) => ok(full(find(call, 'list', call.params.id ?? '', 'list'))),
  },
  {
    method: 'PUT',
    path: `${PATH}/{id}`,
    summary: 'replaces the name, the description and, if given, the items',
    access: 'token',
    answers: { kind: 'result', schema: LIST },
    body: objectOf(SHARED, ['name']),
    handle: replace,
  },
  {
    method: 'PATCH',
    path: `${PATH}/{id}`,
    summary: 'appends and removes items',
    access: 'token',
    answers: { kind: 'result', schema: LIST },
    body: objectOf({
      append: ITEMS,
      remove: { type: ['array', 'null'], maxItems: MAX_ITEMS, items: { type: 'string' } },
    }),
    handle: edit,
  },
  {
    method: 'DELETE',
    path: `${PATH}/{id}`,
    summary: 'deletes a list that no rule uses',
    access: 'token',
    answers: { kind: 'result', schema: DELETED },
    handle: remove,
  },
  {
    method: 'GET',
    path: `${PATH}/{id}/items`,
    summary: "pages through a list's items",
    access: 'token',
    answers: { kind: 'list', schema: LIST_ITEM },
    query: PAGING,
    handle: (call) => {
      const stored = find(call, 'list', call.params.id ?? '', 'list')
      return listOf(itemsOf(stored), pagingOf(call.query, 50))
    },
  },
]

function create(call: RouteCall) {
  const id = newId()
  const { body } = call
  const type = textField(body, 'type')
  call.change((draft) => {
    const items = readItems(body.items, type, draft.now)
    const made = { id, name: textField(body, 'name'), type, description: textField(body, 'description'), items }
    draft.put('list', Array.isArray(body.items) ? made : { ...made, isWithoutItems: true })
  })
  return ok(full(written(call, 'list', id)))
}

function replace(call: RouteCall) {
  const { body } = call
  return alter(call, (before, now) => {
    if (sentOr(body, 'type', before.type) !== before.type) throw invalidField('/type', 'the type of a list is fixed')
    const items = readItems(body.items, before.type, now)
    const [name, description] = [textField(body, 'name'), textField(body, 'description')]
    if (!Array.isArray(body.items)) return { ...before, name, description }
    const { isWithoutItems: _made, ...rest } = before
    return { ...rest, name, description, items: keepTimes(items, before.items) }
  })
}

function edit(call: RouteCall) {
  const { body } = call
  return alter(call, (before, now) => {
    const sent = Array.isArray(body.remove) ? (body.remove as string[]) : []
    const gone = new Set(sent.map((value) => normalItem(value, before.type)))
    const kept = before.items.filter(({ value }) => !gone.has(value))
    const items = once([...kept, ...readItems(body.append, before.type, now, '/append')])
    if (items.length > MAX_ITEMS) throw invalidField('/append', `a list holds at most ${MAX_ITEMS} items`)
    return { ...before, items }
  })
}

function alter(call: RouteCall, change: (before: Stored<'list'>['value'], now: number) => Stored<'list'>['value']) {
  const id = (call.params.id ?? '').toLowerCase()
  call.change((draft) => {
    const before = draft.get('list', id)
    if (before === undefined) throw notFound(`list \`${id}\` not found`)
    draft.put('list', change(before, draft.now))
  })
  return ok(full(written(call, 'list', id)))
}

function remove(call: RouteCall) {
  const id = (call.params.id ?? '').toLowerCase()
  call.change((draft) => {
    const user = draft
      .all('rule')
      .find((rule) => mentions(`${rule.traffic} ${rule.identity} ${rule.devicePosture}`, id))
    if (user !== undefined) {
      throw new ChangeError('change.in_use', `list \`${id}\` is used by rule \`${user.name}\` (${user.id})`)
    }
    if (!draft.remove('list', id)) throw notFound(`list \`${id}\` not found`)
  })
  return ok({ id })
}

function mentions(expressions: string, id: string): boolean {
  const names = expressions.match(/\$[0-9a-zA-Z_.-]+/g) ?? []
  return names.some((name) => canonicalListName(name.slice(1)) === canonicalListName(id))
}

function readItems(sent: Json | undefined, type: string, now: number, pointer = '/items'): ListItem[] {
  const items = (Array.isArray(sent) ? (sent as JsonObject[]) : []).map((item, at) => {
    const value = normalItem(textField(item, 'value'), type)
    if (type === 'IP' && parseCidr(value) === undefined) {
      throw invalidField(
        `${pointer}/${at}/value`,
        `invalid address: \`${value}\` is neither an IP address nor a network`,
      )
    }
    const description = typeof item.description === 'string' ? item.description : null
    return { value, description, createdAt: now }
  })
  return once(items)
}

/** An item as Cloudflare stores it: the host of a URL in lower case, and no slash at its end. */
function normalItem(value: string, type: string): string {
  if (type !== 'URL') return value
  return value.replace(/^([a-z][a-z0-9+.-]*:\/\/)?[^/?#]*/i, (origin) => origin.toLowerCase()).replace(/\/$/, '')
}

/** Items that are one after normalising are one; the first stays. */
function once(items: readonly ListItem[]): ListItem[] {
  const byValue = new Map<string, ListItem>()
  for (const item of items) if (!byValue.has(item.value)) byValue.set(item.value, item)
  return [...byValue.values()]
}

/** Items that stay have been there since they first came. */
function keepTimes(items: readonly ListItem[], before: readonly ListItem[]): ListItem[] {
  const known = new Map(before.map(({ value, createdAt }) => [value, createdAt]))
  return items.map((item) => ({ ...item, createdAt: known.get(item.value) ?? item.createdAt }))
}

function summary({ value, createdAt, updatedAt }: Stored<'list'>) {
  const { id, name, type, description, items } = value
  const times = { created_at: seconds(createdAt), updated_at: seconds(updatedAt) }
  return { id, name, type, description, count: items.length, ...times }
}

function full(stored: Stored<'list'>) {
  const { items, isWithoutItems } = stored.value
  return items.length === 0 && isWithoutItems ? summary(stored) : { ...summary(stored), items: itemsOf(stored) }
}

/** Items of the configuration file have no time of their own: they are as old as their list. A description that was never
 *  sent is not there, so that declarative clients see what they sent. */
function itemsOf({ value, createdAt: listCreatedAt }: Stored<'list'>) {
  return value.items.map((item) => {
    const createdAt = seconds(item.createdAt === 0 ? listCreatedAt : item.createdAt)
    const description = item.description === null ? {} : { description: item.description }
    return { value: item.value, ...description, created_at: createdAt }
  })
}

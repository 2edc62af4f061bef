// Reading documents for presentation: live ones, deleted ones, by id; and Cloudflare's spellings of times and ids.

import { randomUUID } from 'node:crypto'
import type { Kind, Stored } from '../../config/lab-state.ts'
import { notFound } from '../api-error.ts'
import type { RouteCall, RouteSchema } from '../router.ts'

/** All documents of a kind, deleted ones too where they are kept, in the order they were made. */
export function allOf<K extends Kind>(call: RouteCall, kind: K): Stored<K>[] {
  return [...call.ports.plane.current().state[kind].values()] as Stored<K>[]
}

/** Those that are not deleted. */
export function liveOf<K extends Kind>(call: RouteCall, kind: K): Stored<K>[] {
  return allOf(call, kind).filter(({ deletedAt }) => deletedAt === null)
}

/** A document by id. Throws ApiError 404 in the words of `what`, also for deleted ones. */
export function find<K extends Kind>(call: RouteCall, kind: K, id: string, what: string): Stored<K> {
  const stored = call.ports.plane.current().state[kind].get(id.toLowerCase()) as Stored<K> | undefined
  if (stored === undefined || stored.deletedAt !== null) throw notFound(`${what} \`${id}\` not found`)
  return stored
}

/** The document just written; it must be there. */
export function written<K extends Kind>(call: RouteCall, kind: K, id: string): Stored<K> {
  const stored = call.ports.plane.current().state[kind].get(id) as Stored<K> | undefined
  if (stored === undefined) throw new Error(`${kind} ${id} disappeared after it was written`)
  return stored
}

/** Gateway resources tell time in whole seconds. */
export function seconds(epochMs: number): string {
  return new Date(epochMs).toISOString().replace(/\.\d+Z$/, 'Z')
}

/** Networks and tunnels tell time in microseconds; the lab's are as fine as its clock. */
export function micros(epochMs: number): string {
  return new Date(epochMs).toISOString().replace('Z', '000Z')
}

/** When a document was deleted, in the API's form (RFC 3339 with microseconds); null for a live one. */
export function deletedMicros({ deletedAt }: Stored): string | null {
  return deletedAt === null ? null : micros(deletedAt)
}

/** A new random id, a UUID version 4 (RFC 9562 section 5.4). */
export function newId(): string {
  return randomUUID()
}

/** A text field as clients send it: null, absent and empty are the same. */
export function textField(body: { readonly [key: string]: unknown }, name: string): string {
  const value = body[name]
  return typeof value === 'string' ? value : ''
}

/** The field where it was sent, else what stood there. */
export function sentOr<T>(body: { readonly [key: string]: unknown }, name: string, before: T): T {
  const value = body[name]
  return value === undefined || value === null ? before : (value as T)
}

export const TEXT = { type: ['string', 'null'], maxLength: 4096 } as const
export const NAME = { type: 'string', minLength: 1, maxLength: 256 } as const
export const FLAG = { type: ['boolean', 'null'] } as const
export const UUID = {
  type: 'string',
  pattern: '^[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}$',
} as const
export const NETWORK = { type: 'string', format: 'cidr' } as const
/** Kept as it is, whatever is inside. */
export const ANY_OBJECT = { type: ['object', 'null'] } as const

/** What the API itself writes, and clients that read, change and send back hand in again: taken and ignored. */
export const ECHOED = {
  id: {},
  account_id: {},
  created_at: {},
  updated_at: {},
  deleted_at: {},
} as const

/** An object of these members and no others, or null. */
export function membersOf(properties: RouteSchema): RouteSchema {
  return { type: ['object', 'null'], additionalProperties: false, properties }
}

/** The same for members that may hold anything. */
export function anyMembersOf(...names: readonly string[]): RouteSchema {
  return membersOf(Object.fromEntries(names.map((name) => [name, {}])))
}

/** A body of these fields and no others. */
export function objectOf(properties: RouteSchema, required: readonly string[] = []): RouteSchema {
  return { type: 'object', additionalProperties: false, required, properties: { ...ECHOED, ...properties } }
}

// Pieces of request schemas that several resources share.

import type { Schema } from '../route.ts'

export const TEXT = { type: ['string', 'null'], maxLength: 4096 } as const
export const NAME = { type: 'string', minLength: 1, maxLength: 256 } as const
export const FLAG = { type: ['boolean', 'null'] } as const
export const UUID = {
  type: 'string',
  pattern: '^[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}$',
} as const
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

/** A body of these fields and no others. */
export function objectOf(properties: Schema, required: readonly string[] = []): Schema {
  return { type: 'object', additionalProperties: false, required, properties: { ...ECHOED, ...properties } }
}

// What every JSON answer wears: Cloudflare's envelope, around a result or around a refusal.

import { type TSchema, Type } from 'typebox'
import { ANY_OBJECT, COUNT, object, TEXT } from './shape.ts'

const MESSAGE = object({ code: Type.Integer(), message: TEXT }, 'Message')

const REFUSAL = object(
  {
    code: Type.Integer(),
    message: TEXT,
    source: Type.Optional(object({ pointer: TEXT })),
    details: Type.Optional(ANY_OBJECT),
  },
  'Refusal',
)

const RESULT_INFO = object(
  { page: COUNT, per_page: COUNT, count: COUNT, total_count: COUNT, total_pages: COUNT },
  'ResultInfo',
)

const GOOD = {
  success: Type.Literal(true),
  errors: Type.Array(REFUSAL, { maxItems: 0 }),
  messages: Type.Array(MESSAGE),
}

/** The envelope around one result. */
export function resultEnvelope(result: TSchema): TSchema {
  return object({ result, ...GOOD })
}

/** The envelope around a page of items. */
export function listEnvelope(item: TSchema): TSchema {
  return object({ result: Type.Array(item), ...GOOD, result_info: RESULT_INFO })
}

/** The envelope of every refusal, on every route. */
export const FAILURE = object(
  {
    result: Type.Null(),
    success: Type.Literal(false),
    errors: Type.Array(REFUSAL, { minItems: 1 }),
    messages: Type.Array(MESSAGE),
  },
  'Failure',
)

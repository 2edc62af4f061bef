// How the API's answers are described: TypeBox schemas, each the one source of a JSON Schema for the OpenAPI document and of a
// TypeScript type for whoever reads the answer, the console included.

import { type Static, type TObject, type TProperties, type TSchema, Type } from 'typebox'
import type { Json } from '../../config/lab-state.ts'

/** The type an answer of this schema has, read-only through and through. */
export type Shape<S extends TSchema> = Frozen<Static<S>>

/** What holds any JSON stays as it is: it is read-only already, and has no end. */
export type Frozen<T> = [Json] extends [T] ? T : T extends object ? { readonly [K in keyof T]: Frozen<T[K]> } : T

/** An object of these members and no others. With a `title` it has a name of its own in the document. */
export function object<P extends TProperties>(properties: P, title?: string): TObject<P> {
  return Type.Object(properties, { additionalProperties: false, ...(title === undefined ? {} : { title }) })
}

/** A schema that takes null as well. */
export function nullable<S extends TSchema>(schema: S) {
  return Type.Union([schema, Type.Null()])
}

export const TEXT = Type.String()
export const FLAG = Type.Boolean()
export const COUNT = Type.Integer({ minimum: 0 })
export const NOTHING_OR_TEXT = nullable(Type.String())
/** CIDR notation */
export const NETWORK = Type.String({ format: 'cidr' })
/** RFC 3339 */
export const TIME = Type.String({ format: 'date-time' })
/** epoch milliseconds of the lab's clock */
export const EPOCH_MS = Type.Number({ description: "epoch milliseconds of the lab's clock" })
/** Anything JSON has. */
export const ANY_JSON = Type.Unsafe<Json>({})
export const ANY_OBJECT = Type.Unsafe<{ readonly [key: string]: Json }>({ type: 'object' })

/** Two numbers in this order; 2020-12's spelling, which OpenAPI 3.1 wants and TypeBox has not. */
export function pair(description: string) {
  const number = { type: 'number' }
  return Type.Unsafe<[number, number]>({
    type: 'array',
    prefixItems: [number, number],
    minItems: 2,
    maxItems: 2,
    description,
  })
}

export const FAMILY = Type.Unsafe<4 | 6>({ enum: [4, 6] })

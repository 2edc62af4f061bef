// The words that describe the shape of a file people write. Each makes a JSON Schema (2020-12), from which come the
// check of the file (check-shape.ts), the published schema (scripts/schemas.ts) and the TypeScript type (`Static`).
//
// A key is required unless it is `optional` or has a default; `Static` knows a key with a default as present, since
// checking a file fills defaults in. Of TypeBox only types are used: to load it takes a tenth of a second of processor time,
// in every verb and every worker.

import type { Static, TObject, TOptional, TProperties, TSchema, TUnsafe } from 'typebox'

/** Keywords of JSON Schema that narrow a value down. `format` is a name of formats.ts. */
export interface Keywords {
  readonly default?: unknown
  readonly examples?: readonly unknown[]
  readonly format?: string
  readonly pattern?: string
  readonly minLength?: number
  readonly maxLength?: number
  readonly minimum?: number
  readonly maximum?: number
  readonly minItems?: number
  readonly maxItems?: number
  readonly uniqueItems?: boolean
  readonly minProperties?: number
  readonly maxProperties?: number
  readonly dependentRequired?: Readonly<Record<string, readonly string[]>>
}

const OPTIONAL = new WeakSet<object>()

/** A key that may be left out. */
export function optional<S extends TSchema>(schema: S): TOptional<S> {
  const copy = { ...schema } as TOptional<S>
  OPTIONAL.add(copy)
  return copy
}

function schemaOf<T>(keywords: object): TUnsafe<T> {
  return keywords as TUnsafe<T>
}

/** Text that is not empty, or of a format. */
export function text(description: string, keywords: Keywords = {}): TUnsafe<string> {
  return anyText(description, keywords.format === undefined ? { minLength: 1, ...keywords } : keywords)
}

/** Text that may be empty. */
export function anyText(description: string, keywords: Keywords = {}): TUnsafe<string> {
  return schemaOf<string>({ description, type: 'string', ...keywords })
}

/** A whole number. */
export function whole(description: string, keywords: Keywords = {}): TUnsafe<number> {
  return schemaOf<number>({ description, type: 'integer', ...keywords })
}

/** Any number. */
export function amount(description: string, keywords: Keywords = {}): TUnsafe<number> {
  return schemaOf<number>({ description, type: 'number', ...keywords })
}

/** True or false. */
export function flag(description: string, byDefault?: boolean): TUnsafe<boolean> {
  return schemaOf<boolean>({ description, type: 'boolean', ...(byDefault === undefined ? {} : { default: byDefault }) })
}

/** One of these values and no other. */
export function oneOf<const V extends string | number | boolean>(
  description: string,
  values: readonly V[],
  keywords: Keywords = {},
): TUnsafe<V> {
  const type = typeof values[0] === 'number' ? 'integer' : typeof values[0]
  return schemaOf<V>({ description, type, enum: values, ...keywords })
}

/** A list that has to be given. */
export function listOf<S extends TSchema>(
  description: string,
  items: S,
  keywords: Keywords = {},
): TUnsafe<readonly Static<S>[]> {
  return schemaOf<readonly Static<S>[]>({ description, type: 'array', items, ...keywords })
}

/** A list that is empty by default. */
export function list<S extends TSchema>(description: string, items: S, keywords: Keywords = {}) {
  return listOf(description, items, { default: [], ...keywords })
}

/** A block of these keys and no others. */
export function block<P extends TProperties>(
  description: string,
  properties: P,
  keywords: Keywords = {},
): TUnsafe<Readonly<Static<TObject<P>>>> {
  const required = Object.entries(properties).flatMap(([key, schema]) =>
    OPTIONAL.has(schema) || Object.hasOwn(schema, 'default') ? [] : [key],
  )
  return schemaOf<Readonly<Static<TObject<P>>>>({
    description,
    type: 'object',
    additionalProperties: false,
    ...(required.length === 0 ? {} : { required }),
    properties,
    ...keywords,
  })
}

/** A block that may be left out, since all its keys have defaults. */
export function section<P extends TProperties>(description: string, properties: P) {
  return block(description, properties, { default: {} })
}

/** A block of keys that its author chooses. `keys` is the format of a key. */
export function tableOf<S extends TSchema>(
  description: string,
  values: S,
  { keys, ...keywords }: Keywords & { readonly keys?: string } = {},
): TUnsafe<Readonly<Record<string, Static<S>>>> {
  const propertyNames = keys === undefined ? {} : { propertyNames: { format: keys } }
  return schemaOf<Readonly<Record<string, Static<S>>>>({
    description,
    type: 'object',
    ...propertyNames,
    additionalProperties: values,
    ...keywords,
  })
}

interface Simple {
  readonly string: string
  readonly boolean: boolean
  readonly integer: number
}

/** Text (or a switch, or a number) where that says enough, else the value that says more. `V`: what the format leaves of texts. */
export function or<K extends keyof Simple, S extends TSchema, V extends Simple[K] = Simple[K]>(
  kind: K,
  schema: S,
  keywords: Keywords = {},
) {
  return schemaOf<V | Static<S>>({ ...schema, type: [kind, Object(schema).type], ...keywords })
}

/** The value, or `null`. */
export function nullable<S extends TSchema>(schema: S, keywords: Keywords = {}) {
  return schemaOf<Static<S> | null>({ ...schema, type: [Object(schema).type, 'null'], ...keywords })
}

/** A whole file: keys that begin with `x-` are its author's own. `name` is the file of the published schema. */
export function wholeFile<P extends TProperties>(name: string, title: string, description: string, properties: P) {
  const schema = block(description, properties)
  return schemaOf<Static<typeof schema>>({
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    $id: `https://egresslab.invalid/${name}`,
    title,
    ...schema,
    patternProperties: { '^x-': { description: 'Ignored: a place for YAML anchors and notes of your own.' } },
  })
}

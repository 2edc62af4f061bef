// The types and run-time values of the expression language ([L2] and [L20]), and what an expression may refer to: fields with
// types and slots. The language defines no field itself.

import type { Ip } from '../net/ip.ts'

export type ScalarType = 'Bool' | 'Int' | 'Bytes' | 'Ip'
export type ValueType = ScalarType | { readonly array: ValueType } | { readonly map: ValueType }

/** A run-time value. Int: a `number` where it is a safe integer, else a `bigint`, so that equal integers are always
 *  `===`. Bytes: a string of which every code unit is one byte (UTF-8 of text), so that `===`, `<` and `includes`
 *  are byte-wise. Array: in order. Map: keys are byte strings, iterated in key-byte order. */
export type Value = boolean | number | bigint | string | Ip | readonly Value[] | ReadonlyMap<string, Value>

/** The values of one connection by the scheme's field slots; `undefined` is missing. */
export type FieldValues = readonly (Value | undefined)[]

/** The contents of one named list. Read at evaluation time, so contents may change without recompilation. */
export interface ListContents {
  has(value: Value): boolean
}

/** The named lists of one evaluation by canonical list name (lower case, without hyphens for UUIDs). An absent name
 *  contains nothing. */
export type Lists = ReadonlyMap<string, ListContents>

/** UTF-8 bytes of text, one code unit per byte; plain ASCII comes back as it is. */
export function bytesOf(text: string): string {
  for (let at = 0; at < text.length; at++) if (text.charCodeAt(at) > 0x7f) return encode(text)
  return text
}

/** The text that these bytes encode in UTF-8, with U+FFFD for invalid bytes. */
export function textOf(bytes: string): string {
  return new TextDecoder().decode(Uint8Array.from(bytes, (unit) => unit.charCodeAt(0)))
}

function encode(text: string): string {
  let bytes = ''
  for (const byte of new TextEncoder().encode(text)) bytes += String.fromCharCode(byte)
  return bytes
}

/** A type as the engine writes it in messages: `Bytes`, `Array(Bytes)`, `Map(Array(Bytes))`. */
export function formatType(type: ValueType): string {
  if (typeof type === 'string') return type
  return 'array' in type ? `Array(${formatType(type.array)})` : `Map(${formatType(type.map)})`
}

/** An integer in its one run-time form: a number where that is exact, else a bigint. */
export function intOf(value: bigint): number | bigint {
  const number = Number(value)
  return Number.isSafeInteger(number) ? number : value
}

export interface Field {
  readonly name: string
  readonly type: ValueType
  /** index into FieldValues */
  readonly slot: number
}

export interface Scheme {
  readonly fields: ReadonlyMap<string, Field>
  /** value types for which `in $name` is allowed */
  readonly listTypes: ReadonlySet<'Int' | 'Bytes' | 'Ip'>
  /** result of `!=` on a missing value ([L10]; default true) */
  readonly missingNotEqual: boolean
  /** other spellings of `field[*]` (compatibility note [C4]): `identity.groups[*].name` → `identity.groups.name` */
  readonly objectArrays: ReadonlyMap<string, ReadonlyMap<string, string>>
  /** arrays of `key=value` texts, which people write with quotes inside ([C6]) */
  readonly pairTexts: ReadonlySet<string>
  /** for unknown names: a hint of one clause where the name belongs or what to write instead; undefined for none */
  readonly adviseUnknown?: (name: string) => string | undefined
}

export interface SchemeOptions {
  readonly listTypes?: readonly ('Int' | 'Bytes' | 'Ip')[]
  readonly missingNotEqual?: boolean
  readonly objectArrays?: Readonly<Record<string, Readonly<Record<string, string>>>>
  readonly pairTexts?: readonly string[]
  readonly adviseUnknown?: (name: string) => string | undefined
}

/** Creates a scheme of these fields; slots follow the order of the entries. Throws RangeError for a name the grammar
 *  cannot express. */
export function createScheme(fields: Readonly<Record<string, ValueType>>, options: SchemeOptions = {}): Scheme {
  const entries = Object.entries(fields).map(([name, type], slot) => {
    if (!/^[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*$/.test(name) || name.startsWith('not')) {
      throw new RangeError(`\`${name}\` cannot be a field name`)
    }
    return [name, Object.freeze({ name, type, slot })] as const
  })
  const aliases = Object.entries(options.objectArrays ?? {}).map(
    ([name, members]) => [name, new Map(Object.entries(members))] as const,
  )
  return Object.freeze({
    fields: new Map(entries),
    listTypes: new Set(options.listTypes ?? (['Int', 'Bytes', 'Ip'] as const)),
    missingNotEqual: options.missingNotEqual ?? true,
    objectArrays: new Map(aliases),
    pairTexts: new Set(options.pairTexts),
    ...(options.adviseUnknown === undefined ? {} : { adviseUnknown: options.adviseUnknown }),
  })
}

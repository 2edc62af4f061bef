// The types and run-time values of the expression language ([L2] and [L20]).

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

// Converts facts between JSON and run-time values, by the field's type: the same string is text for one field and an
// address for another.

import { type Ip, parseIp } from '../net/ip.ts'
import { bytesOf, formatType, intOf, textOf, type Value, type ValueType } from './value.ts'

export type JsonValue = null | boolean | number | string | readonly JsonValue[] | { readonly [key: string]: JsonValue }

/** `message` is one clause; `path` leads to the invalid part inside the value. */
export type FromJsonResult =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly message: string; readonly path: readonly (string | number)[] }

const MAX = 2n ** 63n - 1n
const MIN = -(2n ** 63n)

/** Reads a value of this type. Integers may be exact numbers, bigints or decimal strings; text becomes its UTF-8
 *  bytes; maps are ordered by key bytes. Never throws. */
export function fromJson(type: ValueType, json: unknown): FromJsonResult {
  try {
    return { ok: true, value: read(type, json, []) }
  } catch (problem) {
    if (problem instanceof JsonProblem) return { ok: false, message: problem.message, path: problem.path }
    throw problem
  }
}

/** A value as JSON: addresses and text as strings, integers beyond 2^53 as decimal strings. */
export function toJson(value: Value): JsonValue {
  if (typeof value === 'string') return textOf(value)
  if (typeof value === 'bigint') return value.toString()
  if (typeof value === 'boolean' || typeof value === 'number') return value
  if (isIp(value)) return value.text
  if (value instanceof Map) {
    const map = value as ReadonlyMap<string, Value>
    return Object.fromEntries([...map].map(([key, item]) => [textOf(key), toJson(item)]))
  }
  return (value as readonly Value[]).map(toJson)
}

class JsonProblem {
  readonly message: string
  readonly path: readonly (string | number)[]

  constructor(message: string, path: readonly (string | number)[]) {
    this.message = message
    this.path = path
  }
}

function isIp(value: Value): value is Ip {
  return typeof value === 'object' && 'words' in value
}

function read(type: ValueType, json: unknown, path: readonly (string | number)[]): Value {
  if (type === 'Int') return readInt(json, path)
  if (type === 'Ip') return readIp(json, path)
  if (type === 'Bool' && typeof json === 'boolean') return json
  if (type === 'Bytes' && typeof json === 'string') return bytesOf(json)
  if (typeof type === 'object' && 'array' in type && Array.isArray(json)) {
    return json.map((item, at) => read(type.array, item, [...path, at]))
  }
  if (typeof type === 'object' && 'map' in type && isObject(json)) return readMap(type.map, json, path)
  throw new JsonProblem(`expected ${describe(type)} but got ${shown(json)}`, path)
}

function readMap(type: ValueType, json: object, path: readonly (string | number)[]): Value {
  const entries = Object.entries(json).map(([key, item]) => [bytesOf(key), read(type, item, [...path, key])] as const)
  return new Map(entries.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))
}

function readInt(json: unknown, path: readonly (string | number)[]): Value {
  if (typeof json === 'number' && Number.isInteger(json)) {
    if (Number.isSafeInteger(json)) return json
    throw new JsonProblem('the integer is beyond 2^53 and loses precision as a JSON number; write it as a string', path)
  }
  const isText = typeof json === 'string' && /^-?\d+$/.test(json)
  if (!isText && typeof json !== 'bigint') throw new JsonProblem(`expected an integer but got ${shown(json)}`, path)
  const value = BigInt(json)
  if (value > MAX || value < MIN) throw new JsonProblem(`\`${json}\` does not fit 64 bits`, path)
  return intOf(value)
}

function readIp(json: unknown, path: readonly (string | number)[]): Value {
  const address = typeof json === 'string' ? parseIp(json) : undefined
  if (address === undefined) throw new JsonProblem(`expected an IP address but got ${shown(json)}`, path)
  return address
}

function isObject(json: unknown): json is object {
  return typeof json === 'object' && json !== null && !Array.isArray(json)
}

function describe(type: ValueType): string {
  if (type === 'Bool') return 'true or false'
  if (type === 'Bytes') return 'a string'
  if (typeof type === 'object')
    return 'array' in type ? `an array for ${formatType(type)}` : `an object for ${formatType(type)}`
  return type === 'Int' ? 'an integer' : 'an IP address'
}

function shown(json: unknown): string {
  if (json === null || json === undefined) return 'null'
  if (Array.isArray(json)) return 'an array'
  return typeof json === 'object' ? 'an object' : `\`${String(json).slice(0, 80)}\``
}

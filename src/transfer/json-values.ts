// Reading JSON of unknown shape without believing it.

import type { Json, JsonObject } from '../config/lab-state.ts'

/** The value where it is an object, else undefined. */
export function objectOf(value: unknown): JsonObject | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : undefined
}

/** The members of an array that are objects; none for anything else. */
export function objectsIn(value: unknown): readonly JsonObject[] {
  return Array.isArray(value) ? value.map(objectOf).filter((item) => item !== undefined) : []
}

export function textIn(value: JsonObject | undefined, name: string): string | undefined {
  const found = value === undefined || !Object.hasOwn(value, name) ? undefined : value[name]
  return typeof found === 'string' ? found : undefined
}

export function numberIn(value: JsonObject | undefined, name: string): number | undefined {
  const found = value === undefined || !Object.hasOwn(value, name) ? undefined : value[name]
  return typeof found === 'number' ? found : undefined
}

/** Says the same as not being there: null, false, '', [], {}, or an object of nothing else. */
export function isEmpty(value: Json | undefined): boolean {
  if (value === undefined || value === null || value === false || value === '') return true
  if (typeof value !== 'object') return false
  return Array.isArray(value) ? value.length === 0 : Object.values(value).every(isEmpty)
}

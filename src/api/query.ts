// Reading query strings: each parameter is what it claims to be, or the request is refused with its name.

import { parseInstantMs } from '../config/quantities.ts'
import { type Cidr, parseCidr } from '../net/cidr.ts'
import type { Ip } from '../net/ip.ts'
import { parseIp } from '../net/ip.ts'
import type { Paging } from './answer.ts'
import { invalidField } from './api-error.ts'
import type { QueryParameter } from './route.ts'

const MAX_PER_PAGE = 1000
const MAX_PAGE = 1_000_000

export const PAGING: readonly QueryParameter[] = [
  { name: 'page', schema: { type: 'integer', minimum: 1, maximum: MAX_PAGE }, description: 'page, counted from 1' },
  { name: 'per_page', schema: { type: 'integer', minimum: 1, maximum: MAX_PER_PAGE }, description: 'items per page' },
]

/** `page` and `per_page`. */
export function pagingOf(query: URLSearchParams, standard = 20): Paging {
  return {
    page: integerOf(query, 'page', 1, MAX_PAGE) ?? 1,
    perPage: integerOf(query, 'per_page', 1, MAX_PER_PAGE) ?? standard,
  }
}

/** The text of a parameter; absent and empty are the same. */
export function textOf(query: URLSearchParams, name: string): string | undefined {
  const text = query.get(name)
  return text === null || text === '' ? undefined : text
}

export function booleanOf(query: URLSearchParams, name: string): boolean | undefined {
  const text = textOf(query, name)
  if (text === undefined) return undefined
  if (text !== 'true' && text !== 'false') throw invalidField(name, `\`${name}\` must be \`true\` or \`false\``)
  return text === 'true'
}

export function integerOf(query: URLSearchParams, name: string, least: number, most: number): number | undefined {
  const text = textOf(query, name)
  if (text === undefined) return undefined
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN
  if (value >= least && value <= most) return value
  throw invalidField(name, `\`${name}\` must be a whole number from ${least} to ${most}`)
}

export function cidrOf(query: URLSearchParams, name: string): Cidr | undefined {
  const text = textOf(query, name)
  if (text === undefined) return undefined
  const network = parseCidr(text)
  if (network === undefined) throw invalidField(name, `\`${text}\` is not a network`)
  return network
}

/** A UUID with or without dashes, in lower case with them. */
export function uuidOf(query: URLSearchParams, name: string): string | undefined {
  const text = textOf(query, name)
  if (text === undefined) return undefined
  const parts = /^([\da-f]{8})-?([\da-f]{4})-?([\da-f]{4})-?([\da-f]{4})-?([\da-f]{12})$/i.exec(text)
  if (parts === null) throw invalidField(name, `\`${text}\` is not a UUID`)
  return parts.slice(1).join('-').toLowerCase()
}

/** An address that stands in the path. */
export function ipParam(text: string): Ip {
  const address = parseIp(text)
  if (address === undefined) throw invalidField('ip', `\`${text}\` is not an IP address`)
  return address
}

/** Epoch ms of an RFC 3339 parameter. */
export function instantOf(query: URLSearchParams, name: string): number | undefined {
  const text = textOf(query, name)
  if (text === undefined) return undefined
  return parseInstant(text, name)
}

/** Epoch ms of a time in RFC 3339, or of the beginning of a day in UTC. Throws ApiError that points to `pointer`. */
export function parseInstant(text: string, pointer: string): number {
  const instant = parseInstantMs(text)
  if (instant === undefined) throw invalidField(pointer, `\`${text}\` is not a time in RFC 3339`)
  return instant
}

/** One of these words. */
export function wordOf<T extends string>(query: URLSearchParams, name: string, words: readonly T[]): T | undefined {
  const text = textOf(query, name)
  if (text === undefined) return undefined
  const word = words.find((candidate) => candidate === text)
  if (word === undefined) throw invalidField(name, `\`${name}\` must be one of ${words.join(', ')}`)
  return word
}

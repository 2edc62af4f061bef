// The keys of the rule index: what a flow must have for a rule to be able to match. Every different key has a number, so
// that building an index counts, groups and compares integers.

import { flatText } from '../../net/ip.ts'
import { type Prefix, prefixesOf } from './prefix-table.ts'

/** Where in a flow's values a key is looked up: a field, or one key of a map. In arrays any element counts. */
export interface FieldPathKey {
  readonly slot: number
  readonly mapKey: string | undefined
  readonly field: string
  /** type of the values found there */
  readonly type: 'Bytes' | 'Int' | 'Ip'
  /** whether several values may be found there */
  readonly isArray: boolean
  /** counted from 0 within one {@link KeyTable}; equal exactly for equal paths */
  readonly number: number
}

/** One thing a flow may have. */
export type IndexKey =
  | { readonly kind: 'value'; readonly path: PathKeys; readonly value: string | number | bigint }
  | {
      readonly kind: 'prefix'
      readonly path: PathKeys
      readonly of: 'Int' | 'IPv4' | 'IPv6'
      readonly prefix: Prefix
    }
  /** an integer outside 0 … 2^32-1 */
  | { readonly kind: 'outside'; readonly path: PathKeys }
  | { readonly kind: 'list'; readonly path: PathKeys; readonly name: string }
  /** text with this ending, compared without ASCII case; the ending starts with `.` or `@` */
  | { readonly kind: 'suffix'; readonly path: PathKeys; readonly suffix: string }

/** The number of a key in a {@link KeyTable}, counted from 0. */
export type KeyNumber = number

/** A flow meets it when it has at least one of the keys. */
export type Requirement = readonly KeyNumber[]

/** Numbers every key that rules name, equal keys alike, so that rules are compared and counted as integers. */
export class KeyTable {
  readonly keys: IndexKey[] = []
  readonly paths: PathKeys[] = []
  readonly #likelihoods: number[] = []
  readonly #byField = new Map<string, PathKeys>()
  readonly #byMapKey = new Map<string, PathKeys>()

  /** The path with these facts, the same for every call with the same field and map key. */
  path(facts: Omit<FieldPathKey, 'number'>): PathKeys {
    const { field, mapKey } = facts
    const known = mapKey === undefined ? this.#byField.get(field) : this.#byMapKey.get(`${field}[${mapKey}`)
    if (known !== undefined) return known
    const made = new PathKeys(facts, this.paths.length, this.keys)
    this.paths.push(made)
    if (mapKey === undefined) this.#byField.set(field, made)
    else this.#byMapKey.set(`${field}[${mapKey}`, made)
    return made
  }

  /** How likely a flow of a typical office has this key, from 0 to 1. */
  likelihood(key: KeyNumber): number {
    for (let next = this.#likelihoods.length; next <= key; next++) {
      const one = this.keys[next]
      this.#likelihoods.push(one === undefined ? 0 : likelihoodOf(one))
    }
    return this.#likelihoods[key] ?? 0
  }

  /** Sum over the keys: roughly the share of flows that meet the requirement. */
  weight(requirement: Requirement): number {
    let sum = 0
    for (const key of requirement) sum += this.likelihood(key)
    return sum
  }

  /** Whether finding this key in a table is equivalent to having it. Lists and endings are found by hashes, which may
   *  collide. */
  isFoundExactly(key: KeyNumber): boolean {
    const kind = this.keys[key]?.kind
    return kind === 'value' || kind === 'prefix'
  }
}

/** Prefixes of one word by one number: the word, then six bits for the length. */
const LENGTHS = 64
/** Ranges of ports are few and have up to thirty keys: these are made once. */
const PORTS = 65_536

/** The keys of one path. */
export class PathKeys implements FieldPathKey {
  readonly slot: number
  readonly mapKey: string | undefined
  readonly field: string
  readonly type: 'Bytes' | 'Int' | 'Ip'
  readonly isArray: boolean
  readonly number: number
  /** whether it is one text or integer of the connection itself */
  readonly isSimple: boolean
  readonly #keys: IndexKey[]
  readonly #values = new Map<string | number | bigint, KeyNumber>()
  readonly #prefixes = new Map<string | number, KeyNumber>()
  readonly #lists = new Map<string, KeyNumber>()
  readonly #suffixes = new Map<string, KeyNumber>()
  readonly #portRanges = new Map<number, Requirement>()
  #outside: KeyNumber | undefined

  constructor(facts: Omit<FieldPathKey, 'number'>, number: number, keys: IndexKey[]) {
    this.slot = facts.slot
    this.mapKey = facts.mapKey
    this.field = facts.field
    this.type = facts.type
    this.isArray = facts.isArray
    this.number = number
    this.isSimple = !facts.isArray && facts.type !== 'Ip' && fieldOriginOf(facts.field) === 'flow'
    this.#keys = keys
  }

  value(value: string | number | bigint): KeyNumber {
    const known = this.#values.get(value)
    if (known !== undefined) return known
    // a text of its own: one cut out of its rule costs another miss of the processor's cache with every comparison
    const kept = typeof value === 'string' ? flatText(value) : value
    return this.#add(this.#values, kept, { kind: 'value', path: this, value: kept })
  }

  list(name: string): KeyNumber {
    return this.#lists.get(name) ?? this.#add(this.#lists, name, { kind: 'list', path: this, name })
  }

  suffix(suffix: string): KeyNumber {
    return this.#suffixes.get(suffix) ?? this.#add(this.#suffixes, suffix, { kind: 'suffix', path: this, suffix })
  }

  prefix(of: 'Int' | 'IPv4' | 'IPv6', prefix: Prefix): KeyNumber {
    const { words, length } = prefix
    const id = words.length === 1 ? (words[0] ?? 0) * LENGTHS + length : `${words.join()}/${length}`
    return this.#prefixes.get(id) ?? this.#add(this.#prefixes, id, { kind: 'prefix', path: this, of, prefix })
  }

  outside(): KeyNumber {
    this.#outside ??= this.#keys.push({ kind: 'outside', path: this }) - 1
    return this.#outside
  }

  /** The keys of the integers from `low` to `high`, which fit 32 bits. */
  integers(low: number, high: number): Requirement {
    const made = () => prefixesOf({ first: [low], last: [high] }).map((prefix) => this.prefix('Int', prefix))
    if (high >= PORTS) return made()
    const id = low * PORTS + high
    const known = this.#portRanges.get(id) ?? made()
    this.#portRanges.set(id, known)
    return known
  }

  #add<T>(table: Map<T, KeyNumber>, id: T, key: IndexKey): KeyNumber {
    const number = this.#keys.push(key) - 1
    table.set(id, number)
    return number
  }
}

/** A first estimate, refined by how often rules name the key. */
function likelihoodOf(key: IndexKey): number {
  switch (key.kind) {
    case 'value':
      return LIKELIHOODS[key.path.field] ?? 0.1
    case 'prefix':
      return key.of === 'Int'
        ? 0.5 ** Math.max(1, (key.prefix.length - 16) / 2)
        : 0.5 ** (key.prefix.length / (key.of === 'IPv4' ? 2.5 : 10))
    case 'outside':
      return 0.001
    case 'list':
      // all lists are searched at once, behind a filter: a value that is in none of them costs nothing
      return 0.002
    case 'suffix':
      return 0.02
  }
}

const LIKELIHOODS: Readonly<Record<string, number>> = {
  'net.protocol': 0.9,
  'net.dst.port': 0.3,
  'net.src.port': 0.0001,
  'net.vnet_id': 0.3,
  'net.src.geo.continent': 0.3,
  'net.dst.geo.continent': 0.3,
  'proxy.endpoint': 0.3,
  'net.fqdn.host': 0.005,
  'net.fqdn.domains': 0.01,
  'identity.email': 0.0005,
  'identity.name': 0.0005,
}

// Which values belong to the user, which to the host name and which to the single connection: the index caches results
// per user, so it must know which values stay the same with the user.

export type FieldOrigin = 'user' | 'host' | 'flow'

/** Where a field's value comes from. */
export function fieldOriginOf(field: string): FieldOrigin {
  if (field.startsWith('identity.')) return 'user'
  return field === 'net.fqdn.host' || field === 'net.fqdn.domains' ? 'host' : 'flow'
}

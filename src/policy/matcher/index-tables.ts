// The lookup tables of an index: from the values a flow has to the rules stored under them. Built once per ruleset;
// only the contents of lists are bound later, by a search, so that a change of a list rebuilds nothing here.

import type { FieldValues, Value } from '../../expression/value.ts'
import type { BitmaskPrefilter, RuleRef } from './bitmask-prefilter.ts'
import { DomainTable, type HashCallback, SuffixTable } from './hash-tables.ts'
import type { IndexBucket, IndexEntry, IndexPartition } from './index-build.ts'
import { type FieldOrigin, type FieldPathKey, fieldOriginOf, type IndexKey } from './index-keys.ts'
import { type PrefixCallback, PrefixTable } from './prefix-table.ts'

/** What a key leads to: one rule, several as rows of {@link BitmaskPrefilter.rowsOf}, or a nested bucket. */
export type LookupEntry = RuleRef | Int32Array | BucketLookup

/** The lists named in one partition; a search binds them to their contents. */
export interface ListGroup {
  readonly path: FieldPathKey
  readonly names: readonly string[]
}

const LARGEST_WORD = 0xffffffff

/** Receives what the keys of a value lead to. */
export interface EntryVisitor extends PrefixCallback<LookupEntry> {
  readonly values: FieldValues
  visitLists(listGroup: number, value: Value, entries: readonly LookupEntry[]): void
  visitListsOfHash(listGroup: number, hash: number, entries: readonly LookupEntry[]): void
}

/** The tables of an index, without the contents of lists. */
export interface IndexLookup {
  readonly lookup: BucketLookup
  /** the lists that a search binds; others refer to them by position */
  readonly listGroups: readonly ListGroup[]
}

/** Builds the tables of an index. */
export function createLookup(bucket: IndexBucket, prefilter: BitmaskPrefilter): IndexLookup {
  const builder = { listGroups: [], prefilter }
  return { lookup: new BucketLookup(bucket, builder), listGroups: builder.listGroups }
}

/** What building tables needs, and the lists found meanwhile. */
interface TableBuilder {
  readonly listGroups: ListGroup[]
  readonly prefilter: BitmaskPrefilter
}

/** The tables of one bucket, by where the values they look up come from. */
export class BucketLookup {
  readonly #always: Int32Array
  readonly #partitions: Readonly<Record<FieldOrigin, readonly PartitionLookup[]>>

  constructor(bucket: IndexBucket, builder: TableBuilder) {
    this.#always = builder.prefilter.rowsOf(bucket.always)
    const made: Record<FieldOrigin, PartitionLookup[]> = { user: [], host: [], flow: [] }
    for (const partition of bucket.partitions) {
      made[fieldOriginOf(partition.path.field)].push(new PartitionLookup(partition, builder))
    }
    this.#partitions = made
  }

  search(origin: FieldOrigin, visitor: EntryVisitor): void {
    const partitions = this.#partitions[origin]
    for (let at = 0; at < partitions.length; at++) partitions[at]?.search(visitor)
  }

  /** Like `search('host', …)`, given only the host name. */
  searchName(name: string, visitor: EntryVisitor): void {
    const partitions = this.#partitions.host
    for (let at = 0; at < partitions.length; at++) partitions[at]?.searchName(name, visitor)
  }

  searchAlways(visitor: EntryVisitor): void {
    if (this.#always.length > 0) visitor.visit(this.#always)
  }

  searchAll(visitor: EntryVisitor): void {
    this.search('user', visitor)
    this.search('host', visitor)
    this.search('flow', visitor)
    // last, since an earlier match may rule most of them out
    this.searchAlways(visitor)
  }
}

interface KeyedEntry {
  readonly key: IndexKey
  readonly entry: LookupEntry
}

/** Looks hashes up in the lists of a partition, without a closure per flow. */
class ListHashes implements HashCallback {
  readonly #listGroup: number
  readonly #entries: readonly LookupEntry[]
  #visitor: EntryVisitor | undefined

  constructor(listGroup: number, entries: readonly LookupEntry[]) {
    this.#listGroup = listGroup
    this.#entries = entries
  }

  setVisitor(visitor: EntryVisitor): void {
    this.#visitor = visitor
  }

  visitHash(hash: number): void {
    this.#visitor?.visitListsOfHash(this.#listGroup, hash, this.#entries)
  }
}

class PartitionLookup {
  readonly #slot: number
  readonly #mapKey: string | undefined
  readonly #equal = new Map<string | number | bigint, LookupEntry>()
  /** instead of {@link #equal} where the keys are domains */
  readonly #domains: DomainTable<LookupEntry> | undefined
  readonly #integers: PrefixTable<LookupEntry> | undefined
  readonly #ipv4: PrefixTable<LookupEntry> | undefined
  readonly #ipv6: PrefixTable<LookupEntry> | undefined
  readonly #suffixes: SuffixTable<LookupEntry> | undefined
  readonly #outside: LookupEntry | undefined
  readonly #listEntries: readonly LookupEntry[]
  readonly #listGroup: number
  readonly #hashes: ListHashes

  constructor({ path, entries }: IndexPartition, builder: TableBuilder) {
    this.#slot = path.slot
    this.#mapKey = path.mapKey
    const keyed = entries.map(({ key, entry }) => ({ key, entry: lookupEntryOf(entry, builder) }))
    this.#domains = path.field === 'net.fqdn.domains' ? domainTable(keyed) : undefined
    for (const { key, entry } of this.#domains === undefined ? keyed : []) {
      if (key.kind === 'value') this.#equal.set(key.value, entry)
    }
    this.#integers = prefixTable(keyed, 'Int')
    this.#ipv4 = prefixTable(keyed, 'IPv4')
    this.#ipv6 = prefixTable(keyed, 'IPv6')
    this.#suffixes = suffixTable(keyed)
    this.#outside = keyed.find(({ key }) => key.kind === 'outside')?.entry
    const inLists = keyed.flatMap(({ key, entry }) => (key.kind === 'list' ? [{ name: key.name, entry }] : []))
    this.#listEntries = inLists.map(({ entry }) => entry)
    this.#listGroup =
      inLists.length === 0 ? -1 : builder.listGroups.push({ path, names: inLists.map(({ name }) => name) }) - 1
    this.#hashes = new ListHashes(this.#listGroup, this.#listEntries)
  }

  search(visitor: EntryVisitor): void {
    let value = visitor.values[this.#slot]
    if (value === undefined) return
    if (this.#mapKey !== undefined) value = isMap(value) ? value.get(this.#mapKey) : undefined
    if (value === undefined) return
    if (isArray(value)) for (let at = 0; at < value.length; at++) this.#lookUp(value[at], visitor)
    else this.#lookUp(value, visitor)
  }

  /** Passes what one value leads to to the visitor. */
  #lookUp(value: Value | undefined, visitor: EntryVisitor): void {
    if (value === undefined) return
    if (typeof value === 'string') {
      this.#lookUpText(value, visitor)
    } else if (typeof value === 'number' || typeof value === 'bigint') this.#lookUpNumber(value, visitor)
    else if (isIp(value)) {
      if (value.family === 4) this.#ipv4?.visitNumber(value.words[0] ?? 0, visitor)
      else this.#ipv6?.visitWords(value.words, visitor)
    }
    if (this.#listGroup >= 0) visitor.visitLists(this.#listGroup, value, this.#listEntries)
  }

  #lookUpText(value: string, visitor: EntryVisitor): void {
    if (this.#domains === undefined) {
      const entry = this.#equal.get(value)
      if (entry !== undefined) visitor.visit(entry)
    } else this.#domains.visit(value, visitor)
    this.#suffixes?.visit(value, visitor)
  }

  /** For fields of the host: the name gives their values. */
  searchName(name: string, visitor: EntryVisitor): void {
    if (this.#domains === undefined) {
      this.#lookUp(name, visitor)
      return
    }
    this.#hashes.setVisitor(visitor)
    this.#domains.visitParents(name, visitor, this.#listGroup < 0 ? undefined : this.#hashes)
    // an ending of a parent is an ending of the name
    this.#suffixes?.visit(name, visitor)
  }

  #lookUpNumber(value: number | bigint, visitor: EntryVisitor): void {
    const entry = this.#equal.get(value)
    if (entry !== undefined) visitor.visit(entry)
    if (typeof value === 'number' && value >= 0 && value <= LARGEST_WORD) this.#integers?.visitNumber(value, visitor)
    else if (this.#outside !== undefined) visitor.visit(this.#outside)
  }
}

/** Masks lie beside their rules: reading them from the table of all rules would cost a cache miss each. */
function lookupEntryOf(entry: IndexEntry, builder: TableBuilder): LookupEntry {
  if (typeof entry === 'number') return entry
  return entry instanceof Int32Array ? builder.prefilter.rowsOf(entry) : new BucketLookup(entry, builder)
}

function prefixTable(keyed: readonly KeyedEntry[], of: 'Int' | 'IPv4' | 'IPv6'): PrefixTable<LookupEntry> | undefined {
  const entries = keyed.flatMap(({ key, entry }) =>
    key.kind === 'prefix' && key.of === of ? [{ prefix: key.prefix, item: entry }] : [],
  )
  return entries.length === 0 ? undefined : new PrefixTable(of === 'IPv6' ? 4 : 1, entries)
}

function domainTable(keyed: readonly KeyedEntry[]): DomainTable<LookupEntry> {
  return new DomainTable(
    keyed.flatMap(({ key, entry }) =>
      key.kind === 'value' && typeof key.value === 'string' ? [{ text: key.value, item: entry }] : [],
    ),
  )
}

function suffixTable(keyed: readonly KeyedEntry[]): SuffixTable<LookupEntry> | undefined {
  const entries = keyed.flatMap(({ key, entry }) =>
    key.kind === 'suffix' ? [{ suffix: key.suffix, item: entry }] : [],
  )
  return entries.length === 0 ? undefined : new SuffixTable(entries)
}

function isArray(value: Value): value is readonly Value[] {
  return Array.isArray(value)
}

function isMap(value: Value): value is ReadonlyMap<string, Value> {
  return value instanceof Map
}

function isIp(value: Value): value is Extract<Value, { readonly words: readonly number[] }> {
  return typeof value === 'object' && 'words' in value
}

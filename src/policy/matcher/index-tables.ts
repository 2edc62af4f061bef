// The lookup tables of an index: from the values a flow has to the rules stored under them. Built once per ruleset;
// only the contents of lists are bound later, by a search, so that a change of a list rebuilds nothing here.

import type { FieldValues, Value } from '../../expression/value.ts'
import { DomainTable, type HashCallback, SuffixTable } from './hash-tables.ts'
import type { BuiltIndex, IndexBucket, IndexEntry, IndexPartition } from './index-build.ts'
import { type FieldOrigin, type FieldPathKey, fieldOriginOf, type IndexKey } from './key-table.ts'
import { type PrefixCallback, type PrefixEntry, PrefixTable } from './prefix-table.ts'

/** The lists named in one partition; a search binds them to their contents. */
export interface ListGroup {
  readonly path: FieldPathKey
  readonly names: readonly string[]
}

const LARGEST_WORD = 0xffffffff

/** Receives what the keys of a value lead to. */
export interface EntryVisitor extends PrefixCallback {
  readonly values: FieldValues
  visitLists(listGroup: number, value: Value, entries: Int32Array): void
  visitListsOfHash(listGroup: number, hash: number, entries: Int32Array): void
}

/** The tables of an index, without the contents of lists. */
export interface IndexLookup {
  readonly root: BucketLookup
  /** by number: an entry below zero is the complement of one */
  readonly buckets: readonly BucketLookup[]
  /** where entries from zero lead, see {@link BuiltIndex} */
  readonly rows: Int32Array
  /** the lists that a search binds; others refer to them by position */
  readonly listGroups: readonly ListGroup[]
}

/** Builds the tables of an index. `keys`: those its partitions name by number. */
export function createLookup({ root, buckets, rows }: BuiltIndex, keys: readonly IndexKey[]): IndexLookup {
  const builder: TableBuilder = { keys, listGroups: [] }
  return {
    root: new BucketLookup(root, builder),
    buckets: buckets.map((bucket) => new BucketLookup(bucket, builder)),
    rows,
    listGroups: builder.listGroups,
  }
}

/** What building tables needs, and the lists found meanwhile. */
interface TableBuilder {
  readonly keys: readonly IndexKey[]
  readonly listGroups: ListGroup[]
}

/** The tables of one bucket, by where the values they look up come from. */
export class BucketLookup {
  readonly #always: IndexEntry | undefined
  readonly #partitions: Readonly<Record<FieldOrigin, readonly PartitionLookup[]>>

  constructor({ always, partitions }: IndexBucket, builder: TableBuilder) {
    this.#always = always
    const made: Record<FieldOrigin, PartitionLookup[]> = { user: [], host: [], flow: [] }
    for (const partition of partitions) {
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
    if (this.#always !== undefined) visitor.visit(this.#always)
  }

  searchAll(visitor: EntryVisitor): void {
    this.search('user', visitor)
    this.search('host', visitor)
    this.search('flow', visitor)
    // last, since an earlier match may rule most of them out
    this.searchAlways(visitor)
  }
}

/** Looks hashes up in the lists of a partition, without a closure per flow. */
class ListHashes implements HashCallback {
  readonly #listGroup: number
  readonly #entries: Int32Array
  #visitor: EntryVisitor | undefined

  constructor(listGroup: number, entries: Int32Array) {
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
  readonly #equal = new Map<string | number | bigint, IndexEntry>()
  /** instead of {@link #equal} where the keys are domains */
  readonly #domains: DomainTable | undefined
  readonly #integers: PrefixTable | undefined
  readonly #ipv4: PrefixTable | undefined
  readonly #ipv6: PrefixTable | undefined
  readonly #suffixes: SuffixTable | undefined
  readonly #outside: IndexEntry | undefined
  readonly #listEntries: Int32Array
  readonly #listGroup: number
  readonly #hashes: ListHashes

  constructor({ path, keys, entries }: IndexPartition, { keys: table, listGroups }: TableBuilder) {
    this.#slot = path.slot
    this.#mapKey = path.mapKey
    const sorted = new SortedKeys()
    for (let at = 0; at < keys.length; at++) {
      const key = table[keys[at] ?? -1]
      if (key !== undefined) sorted.add(key, entries[at] ?? 0)
    }
    if (path.field === 'net.fqdn.domains') this.#domains = new DomainTable(sorted.values)
    else for (const { key, entry } of sorted.values) this.#equal.set(key, entry)
    this.#integers = prefixTable(1, sorted.prefixes.Int)
    this.#ipv4 = prefixTable(1, sorted.prefixes.IPv4)
    this.#ipv6 = prefixTable(4, sorted.prefixes.IPv6)
    this.#suffixes = sorted.suffixes.length === 0 ? undefined : new SuffixTable(sorted.suffixes)
    this.#outside = sorted.outside
    this.#listEntries = Int32Array.from(sorted.lists, ({ entry }) => entry)
    this.#listGroup = sorted.lists.length === 0 ? -1 : listGroups.length
    if (sorted.lists.length > 0) listGroups.push({ path, names: sorted.lists.map(({ name }) => name) })
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

/** The keys of a partition by how they are looked up. */
class SortedKeys {
  readonly values: { readonly key: string | number | bigint; readonly entry: IndexEntry }[] = []
  readonly prefixes: Record<'Int' | 'IPv4' | 'IPv6', PrefixEntry[]> = { Int: [], IPv4: [], IPv6: [] }
  readonly lists: { readonly name: string; readonly entry: IndexEntry }[] = []
  readonly suffixes: { readonly suffix: string; readonly entry: IndexEntry }[] = []
  outside: IndexEntry | undefined

  add(key: IndexKey, entry: IndexEntry): void {
    switch (key.kind) {
      case 'value':
        this.values.push({ key: key.value, entry })
        return
      case 'prefix':
        this.prefixes[key.of].push({ prefix: key.prefix, entry })
        return
      case 'list':
        this.lists.push({ name: key.name, entry })
        return
      case 'suffix':
        this.suffixes.push({ suffix: key.suffix, entry })
        return
      case 'outside':
        this.outside = entry
    }
  }
}

function prefixTable(width: number, entries: readonly PrefixEntry[]): PrefixTable | undefined {
  return entries.length === 0 ? undefined : new PrefixTable(width, entries)
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

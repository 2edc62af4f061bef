// Builds the index: puts each rule under the keys of one of its requirements, the one that the fewest flows meet. Where
// many rules share a key they get a nested bucket by what else they require. Built once per ruleset, then immutable.

import { MaskBuilder, ROW, type RuleRef, ruleRefOf } from './bitmask-prefilter.ts'
import { type IndexedRules, IntegerRow } from './index-keys.ts'
import type { KeyNumber, PathKeys } from './key-table.ts'

/** What a key leads to: where its rules begin in the rows, or the complement of the number of a nested bucket. */
export type IndexEntry = number

/** Rules to try for every flow, and a partition for each path whose values are looked up. */
export interface IndexBucket {
  /** undefined: there are none */
  readonly always: IndexEntry | undefined
  readonly partitions: readonly IndexPartition[]
}

/** Keys of one path and what each leads to, side by side. */
export interface IndexPartition {
  readonly path: PathKeys
  readonly keys: KeyNumber[]
  readonly entries: IndexEntry[]
}

/** An index before its tables are made. */
export interface BuiltIndex {
  readonly root: IndexBucket
  /** the nested ones, by number */
  readonly buckets: readonly IndexBucket[]
  /** at an entry the number of words that follow, then that many words of rows, see MaskBuilder.writeRow */
  readonly rows: Int32Array
  readonly masks: MaskBuilder
}

/** Up to this many rules under one key are tried one by one rather than indexed again. */
const MAX_PER_KEY = 64
const MAX_DEPTH = 4
/** In a nested bucket a rule with more keys than this stays out of the partitions: it would be repeated too often. */
const MAX_NESTED_KEYS = 16
/** A requirement that more than this share of flows meets is not worth a lookup. */
const TOO_COMMON = 0.6
/** A rule is indexed under one of its first requirements, as many as a word has bits. */
const MOST_REQUIREMENTS = 31

/** Builds an index of rules given in order of precedence. `maxPerKey`: how many rules one key may hold before they get
 *  a nested bucket. */
export function buildIndex(rules: IndexedRules, maxPerKey = MAX_PER_KEY): BuiltIndex {
  return new Builder(rules, maxPerKey).build()
}

/** Rules that share a key: positions, and for each the bits of its requirements that are known to be met there. */
interface PendingRules {
  readonly positions: Int32Array
  readonly met: Int32Array
}

const NONE = -1

class Builder {
  readonly #rules: IndexedRules
  readonly #maxPerKey: number
  readonly #masks: MaskBuilder
  readonly #rows = new IntegerRow()
  readonly #buckets: IndexBucket[] = []
  /** per key how often rules name it, per path how often they name any key of it; zero between uses */
  readonly #counts: Int32Array
  readonly #totals: Int32Array
  /** per key the last item seen with it, so that no item is put twice under one key */
  readonly #lastItem: Int32Array
  /** items counted over the whole build */
  #item = 0
  /** per requirement: whether the masks decide it, and whether finding it in a table does */
  readonly #decided: Uint8Array
  readonly #foundExactly: Uint8Array

  constructor(rules: IndexedRules, maxPerKey: number) {
    this.#rules = rules
    this.#maxPerKey = maxPerKey
    this.#masks = new MaskBuilder(rules)
    this.#counts = new Int32Array(rules.table.keys.length)
    this.#totals = new Int32Array(rules.table.paths.length)
    this.#lastItem = new Int32Array(rules.table.keys.length).fill(NONE)
    this.#decided = new Uint8Array(rules.requirementCount)
    this.#foundExactly = new Uint8Array(rules.requirementCount)
    for (let at = 0; at < rules.requirementCount; at++) {
      this.#decided[at] = this.#masks.decides(at) ? 1 : 0
      this.#foundExactly[at] = rules.isFoundExactly(at) ? 1 : 0
    }
  }

  build(): BuiltIndex {
    const { length } = this.#rules
    const positions = Int32Array.from({ length }, (_, at) => at)
    const root = this.#buildBucket({ positions, met: new Int32Array(length) }, 0)
    const rows = this.#rows.values.slice(0, this.#rows.length)
    return { root, buckets: this.#buckets, rows, masks: this.#masks }
  }

  #buildBucket(items: PendingRules, depth: number): IndexBucket {
    const chosen = this.#chooseRequirements(items, depth === 0 ? Number.POSITIVE_INFINITY : MAX_NESTED_KEYS)
    const keys = this.#namedBy(chosen)
    const starts = this.#startsOf(keys)
    const grouped = this.#group(items, chosen, starts.total)
    const always: RuleRef[] = []
    for (let at = 0; at < chosen.length; at++) {
      if (chosen[at] === NONE) always.push(this.#refOf(items, at))
    }
    const partitions = new Map<PathKeys, IndexPartition>()
    let from = 0
    for (const [number, key] of keys.entries()) {
      const path = this.#rules.table.keys[key]?.path
      const to = starts.ends[number] ?? from
      if (path === undefined) continue
      const partition = partitions.get(path) ?? { path, keys: [], entries: [] }
      partitions.set(path, partition)
      const own = { positions: grouped.positions.subarray(from, to), met: grouped.met.subarray(from, to) }
      partition.keys.push(key)
      partition.entries.push(this.#entryFor(own, depth + 1))
      from = to
    }
    return {
      always: always.length === 0 ? undefined : this.#writeRows(always),
      partitions: [...partitions.values()],
    }
  }

  /** For each item the requirement that the smallest share of flows meets; {@link NONE} where none is worth a lookup. */
  #chooseRequirements(items: PendingRules, mostKeys: number): Int32Array {
    this.#count(items, 1)
    const chosen = new Int32Array(items.positions.length)
    for (let at = 0; at < chosen.length; at++) chosen[at] = this.#rarest(items, at, mostKeys)
    this.#count(items, -1)
    return chosen
  }

  #count({ positions, met }: PendingRules, by: 1 | -1): void {
    const rules = this.#rules
    const keys = rules.table.keys
    for (let at = 0; at < positions.length; at++) {
      const rule = positions[at] ?? 0
      const from = rules.requirementsFrom(rule)
      for (let requirement = from; requirement < rules.exclusionsFrom(rule); requirement++) {
        if (isMet(met[at] ?? 0, requirement - from)) continue
        const end = rules.keysFrom(requirement + 1)
        for (let next = rules.keysFrom(requirement); next < end; next++) {
          const key = rules.key(next)
          this.#counts[key] = (this.#counts[key] ?? 0) + by
          const path = keys[key]?.path.number ?? 0
          this.#totals[path] = (this.#totals[path] ?? 0) + by
        }
      }
    }
  }

  #rarest({ positions, met }: PendingRules, at: number, mostKeys: number): number {
    const rules = this.#rules
    const rule = positions[at] ?? 0
    const from = rules.requirementsFrom(rule)
    const to = Math.min(rules.exclusionsFrom(rule), from + MOST_REQUIREMENTS)
    let best = NONE
    let least = TOO_COMMON
    for (let requirement = from; requirement < to; requirement++) {
      if (isMet(met[at] ?? 0, requirement - from)) continue
      const share = this.#shareOf(requirement, mostKeys, least)
      if (share >= least) continue
      best = requirement
      least = share
    }
    return best
  }

  /** Sum over the keys of the geometric means of the estimate and the share of rules that name the key; not less than
   *  `enough` where it has too many keys. */
  #shareOf(requirement: number, mostKeys: number, enough: number): number {
    const rules = this.#rules
    const from = rules.keysFrom(requirement)
    const to = rules.keysFrom(requirement + 1)
    if (to - from > mostKeys) return enough
    let share = 0
    for (let at = from; at < to && share < enough; at++) {
      const key = rules.key(at)
      const total = this.#totals[rules.table.keys[key]?.path.number ?? 0] ?? 1
      share += Math.sqrt((rules.table.likelihood(key) * (this.#counts[key] ?? 1)) / total)
    }
    return share
  }

  /** The keys of these requirements in the order in which they come, with the number of items of each in the counts. */
  #namedBy(chosen: Int32Array): KeyNumber[] {
    const named: KeyNumber[] = []
    const first = this.#item
    for (let at = 0; at < chosen.length; at++) {
      const requirement = chosen[at] ?? NONE
      if (requirement === NONE) continue
      const end = this.#rules.keysFrom(requirement + 1)
      for (let next = this.#rules.keysFrom(requirement); next < end; next++) {
        const key = this.#rules.key(next)
        if (this.#lastItem[key] === first + at) continue
        this.#lastItem[key] = first + at
        const before = this.#counts[key] ?? 0
        if (before === 0) named.push(key)
        this.#counts[key] = before + 1
      }
    }
    this.#item += chosen.length
    return named
  }

  /** Where the items of each key end, one key after the other; the counts then hold where they begin. */
  #startsOf(keys: readonly KeyNumber[]): { readonly ends: Int32Array; readonly total: number } {
    const ends = new Int32Array(keys.length)
    let total = 0
    for (const [number, key] of keys.entries()) {
      const count = this.#counts[key] ?? 0
      this.#counts[key] = total
      total += count
      ends[number] = total
    }
    return { ends, total }
  }

  /** The items by key. Leaves the counts at zero. */
  #group({ positions, met }: PendingRules, chosen: Int32Array, total: number): PendingRules {
    const rules = this.#rules
    const grouped = { positions: new Int32Array(total), met: new Int32Array(total) }
    const each = (visit: (key: KeyNumber, at: number, requirement: number) => void) => {
      for (let at = 0; at < chosen.length; at++) {
        const requirement = chosen[at] ?? NONE
        if (requirement === NONE) continue
        const end = rules.keysFrom(requirement + 1)
        for (let next = rules.keysFrom(requirement); next < end; next++) visit(rules.key(next), at, requirement)
      }
    }
    const first = this.#item
    each((key, at, requirement) => {
      if (this.#lastItem[key] === first + at) return
      this.#lastItem[key] = first + at
      const place = this.#counts[key] ?? 0
      this.#counts[key] = place + 1
      const rule = positions[at] ?? 0
      grouped.positions[place] = rule
      grouped.met[place] = (met[at] ?? 0) | (1 << (requirement - rules.requirementsFrom(rule)))
    })
    this.#item += chosen.length
    each((key) => {
      this.#counts[key] = 0
    })
    return grouped
  }

  #entryFor(items: PendingRules, depth: number): IndexEntry {
    const { length } = items.positions
    if (length > this.#maxPerKey && depth < MAX_DEPTH) {
      const written = this.#rows.length
      const nested = this.#buckets.length
      const bucket = this.#buildBucket(items, depth)
      const always = bucket.always === undefined ? 0 : this.#rows.at(bucket.always) / ROW
      if (bucket.partitions.length > 0 && always <= length * TOO_COMMON) return ~(this.#buckets.push(bucket) - 1)
      this.#rows.length = written
      this.#buckets.length = nested
    }
    const refs: RuleRef[] = []
    for (let at = 0; at < length; at++) refs.push(this.#refOf(items, at))
    return this.#writeRows(refs)
  }

  #writeRows(refs: readonly RuleRef[]): IndexEntry {
    const entry = this.#rows.length
    this.#rows.push(refs.length * ROW)
    for (const ref of refs) this.#masks.writeRow(this.#rows, ref)
    return entry
  }

  /** Finding the rule there proves that it matches if everything it says was found exactly or is decided by masks. */
  #refOf({ positions, met }: PendingRules, at: number): RuleRef {
    const rules = this.#rules
    const rule = positions[at] ?? 0
    return ruleRefOf(rule, rules.isExact(rule) && this.#isDecided(rule, met[at] ?? 0))
  }

  #isDecided(rule: number, met: number): boolean {
    const rules = this.#rules
    const from = rules.requirementsFrom(rule)
    const exclusions = rules.exclusionsFrom(rule)
    for (let requirement = from; requirement < exclusions; requirement++) {
      const isFound = isMet(met, requirement - from) && this.#foundExactly[requirement] === 1
      if (!isFound && this.#decided[requirement] !== 1) return false
    }
    for (let exclusion = exclusions; exclusion < rules.requirementsFrom(rule + 1); exclusion++) {
      if (!this.#masks.excludes(exclusion)) return false
    }
    return true
  }
}

function isMet(met: number, number: number): boolean {
  return number < MOST_REQUIREMENTS && (met & (1 << number)) !== 0
}

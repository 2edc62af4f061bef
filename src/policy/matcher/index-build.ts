// Files rules under the keys a flow must have for them to match: for each rule the requirement that the fewest flows meet. Rules
// that crowd under one key are filed again by what else they require. Built once per rule set, never changed.

import type { BitmaskPrefilter } from './bitmask-prefilter.ts'
import { isFoundExactly } from './exactness.ts'
import { type FieldPathKey, type IndexedRule, type IndexKey, likelihood, type Requirement } from './index-keys.ts'
import { type RuleRef, ruleRefOf } from './rule-ref.ts'

/** What stands under a key: one rule's ticket, several in ascending order, or a shelf of its own. */
export type IndexSlot = RuleRef | Int32Array | IndexBucket

/** Rules to look at whatever the flow, and compartments by where in the flow a key is found. */
export interface IndexBucket {
  readonly always: Int32Array
  readonly compartments: readonly IndexPartition[]
}

export interface IndexPartition {
  readonly path: FieldPathKey
  readonly entries: readonly { readonly key: IndexKey; readonly place: IndexSlot }[]
}

/** Fewer rules than this are looked at one by one sooner than filed again. */
const CROWD = 64
const MOST_SHELVES_DEEP = 4
/** Below the first shelf a rule with more keys than this would be repeated too often. */
const MOST_KEYS_BELOW = 16
/** Not worth a look-up: nearly every flow has it. */
const TOO_COMMON = 0.6

interface Item extends IndexedRule {
  readonly position: number
  /** those not yet known to hold where the item is filed */
  readonly requirements: readonly Requirement[]
}

/** How crowded a key may be before its rules are filed again, and which requirements need no look since the guards decide them. */
interface Filing {
  readonly crowd: number
  readonly guards: Pick<BitmaskPrefilter, 'decides' | 'excludes'>
}

/** Files rules given in order of precedence. `crowd`: how many rules may stand under one key before they are filed again. */
export function buildIndexBucket(rules: readonly IndexedRule[], guards: Filing['guards'], crowd = CROWD): IndexBucket {
  const items = rules.map(({ requirements, exclusions, isExact }, position) => {
    return { position, requirements, exclusions, isExact }
  })
  return fileItems(items, 0, { crowd, guards })
}

function ticketFor({ position, requirements, exclusions, isExact }: Item, { guards }: Filing): RuleRef {
  const isDecided =
    isExact &&
    requirements.every((requirement) => guards.decides(requirement)) &&
    exclusions.every((exclusion) => guards.excludes(exclusion))
  return ruleRefOf(position, isDecided)
}

function fileItems(items: readonly Item[], depth: number, filing: Filing): IndexBucket {
  const rarity = new Rarity(items)
  const always: number[] = []
  const compartments = new Map<string, Map<string, { key: IndexKey; items: Item[] }>>()
  const paths = new Map<string, FieldPathKey>()
  for (const item of items) {
    const best = rarity.rarest(item, depth === 0 ? Number.POSITIVE_INFINITY : MOST_KEYS_BELOW)
    if (best === undefined) {
      always.push(ticketFor(item, filing))
      continue
    }
    const rest = withoutRequirement(item, best)
    for (const key of best) {
      const pathId = key.path.id
      paths.set(pathId, key.path)
      const entries = compartments.get(pathId) ?? new Map<string, { key: IndexKey; items: Item[] }>()
      compartments.set(pathId, entries)
      const entry = entries.get(key.id) ?? { key, items: [] }
      entries.set(key.id, entry)
      if (entry.items.at(-1)?.position !== item.position) entry.items.push(rest)
    }
  }
  return {
    always: Int32Array.from(always),
    compartments: [...compartments].flatMap(([pathId, entries]) => {
      const path = paths.get(pathId)
      if (path === undefined) return []
      return [
        {
          path,
          entries: [...entries.values()].map(({ key, items }) => ({ key, place: placeFor(items, depth + 1, filing) })),
        },
      ]
    }),
  }
}

function withoutRequirement(item: Item, met: Requirement): Item {
  const requirements = item.requirements.filter((other) => other !== met)
  return { ...item, requirements, isExact: item.isExact && isFoundExactly(met) }
}

function placeFor(items: readonly Item[], depth: number, filing: Filing): IndexSlot {
  const [only] = items
  if (items.length === 1 && only !== undefined) return ticketFor(only, filing)
  if (items.length > filing.crowd && depth < MOST_SHELVES_DEEP) {
    const shelf = fileItems(items, depth, filing)
    if (shelf.compartments.length > 0 && shelf.always.length <= items.length * TOO_COMMON) return shelf
  }
  return Int32Array.from(items, (item) => ticketFor(item, filing))
}

/** How rare keys are among these rules: what many rules name, many flows are taken to have. */
class Rarity {
  readonly #counts = new Map<string, number>()
  readonly #totals = new Map<string, number>()

  constructor(items: readonly Item[]) {
    for (const { requirements } of items) {
      for (const requirement of requirements) for (const key of requirement) this.#count(key)
    }
  }

  #count(key: IndexKey): void {
    this.#counts.set(key.id, (this.#counts.get(key.id) ?? 0) + 1)
    this.#totals.set(key.path.id, (this.#totals.get(key.path.id) ?? 0) + 1)
  }

  /** The requirement the smallest share of flows meets; undefined when none is worth a look-up. */
  rarest(item: Item, mostKeys: number): Requirement | undefined {
    let best: Requirement | undefined
    let least = TOO_COMMON
    for (const requirement of item.requirements) {
      if (requirement.length > mostKeys) continue
      let share = 0
      for (const key of requirement) share += this.#shareOf(key)
      if (share < least) {
        best = requirement
        least = share
      }
    }
    return best
  }

  /** The geometric mean of the guess and of the share of rules that name the key. */
  #shareOf(key: IndexKey): number {
    const count = this.#counts.get(key.id) ?? 1
    return Math.sqrt((likelihood(key) * count) / (this.#totals.get(key.path.id) ?? 1))
  }
}

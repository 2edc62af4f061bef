// Builds the index: puts each rule under the keys of one of its requirements, the one that the fewest flows meet. Where
// many rules share a key they get a nested bucket by what else they require. Built once per ruleset, then immutable.

import type { Access, Comparison, Expression, Node } from '../../expression/tree.ts'
import { type BitmaskPrefilter, type RuleRef, ruleRefOf } from './bitmask-prefilter.ts'
import {
  type FieldPathKey,
  type IndexedRule,
  type IndexKey,
  likelihood,
  type Requirement,
  requirementsOfNode,
} from './index-keys.ts'

/** What a key leads to: one rule, several in ascending order, or a nested bucket. */
export type IndexEntry = RuleRef | Int32Array | IndexBucket

/** Rules to try for every flow, and a partition for each path whose values are looked up. */
export interface IndexBucket {
  readonly always: Int32Array
  readonly partitions: readonly IndexPartition[]
}

export interface IndexPartition {
  readonly path: FieldPathKey
  readonly entries: readonly { readonly key: IndexKey; readonly entry: IndexEntry }[]
}

/** Up to this many rules under one key are tried one by one rather than indexed again. */
const MAX_PER_KEY = 64
const MAX_DEPTH = 4
/** In a nested bucket a rule with more keys than this stays out of the partitions: it would be repeated too often. */
const MAX_NESTED_KEYS = 16
/** A requirement that more than this share of flows meets is not worth a lookup. */
const TOO_COMMON = 0.6

interface PendingRule extends IndexedRule {
  readonly position: number
  /** those not yet known to hold where the rule is indexed */
  readonly requirements: readonly Requirement[]
}

/** How many rules a key may hold before they get a nested bucket, and which requirements the prefilter decides
 *  exactly. */
interface BuildOptions {
  readonly maxPerKey: number
  readonly prefilter: Pick<BitmaskPrefilter, 'decides' | 'excludes'>
}

/** Indexes rules given in order of precedence. `maxPerKey`: how many rules one key may hold before they get a nested
 *  bucket. */
export function buildIndexBucket(
  rules: readonly IndexedRule[],
  prefilter: BuildOptions['prefilter'],
  maxPerKey = MAX_PER_KEY,
): IndexBucket {
  const items = rules.map(({ requirements, exclusions, isExact }, position) => {
    return { position, requirements, exclusions, isExact }
  })
  return buildBucket(items, 0, { maxPerKey, prefilter })
}

function ruleRefFor(
  { position, requirements, exclusions, isExact }: PendingRule,
  { prefilter }: BuildOptions,
): RuleRef {
  const isDecided =
    isExact &&
    requirements.every((requirement) => prefilter.decides(requirement)) &&
    exclusions.every((exclusion) => prefilter.excludes(exclusion))
  return ruleRefOf(position, isDecided)
}

function buildBucket(items: readonly PendingRule[], depth: number, options: BuildOptions): IndexBucket {
  const rarity = new Rarity(items)
  const always: number[] = []
  const partitions = new Map<string, Map<string, { key: IndexKey; items: PendingRule[] }>>()
  const paths = new Map<string, FieldPathKey>()
  for (const item of items) {
    const best = rarity.rarest(item, depth === 0 ? Number.POSITIVE_INFINITY : MAX_NESTED_KEYS)
    if (best === undefined) {
      always.push(ruleRefFor(item, options))
      continue
    }
    const rest = withoutRequirement(item, best)
    for (const key of best) {
      const pathId = key.path.id
      paths.set(pathId, key.path)
      const entries = partitions.get(pathId) ?? new Map<string, { key: IndexKey; items: PendingRule[] }>()
      partitions.set(pathId, entries)
      const rulesOfKey = entries.get(key.id) ?? { key, items: [] }
      entries.set(key.id, rulesOfKey)
      if (rulesOfKey.items.at(-1)?.position !== item.position) rulesOfKey.items.push(rest)
    }
  }
  return {
    always: Int32Array.from(always),
    partitions: [...partitions].flatMap(([pathId, entries]) => {
      const path = paths.get(pathId)
      if (path === undefined) return []
      return [
        {
          path,
          entries: [...entries.values()].map(({ key, items }) => ({ key, entry: entryFor(items, depth + 1, options) })),
        },
      ]
    }),
  }
}

function withoutRequirement(item: PendingRule, met: Requirement): PendingRule {
  const requirements = item.requirements.filter((other) => other !== met)
  return { ...item, requirements, isExact: item.isExact && isFoundExactly(met) }
}

function entryFor(items: readonly PendingRule[], depth: number, options: BuildOptions): IndexEntry {
  const [only] = items
  if (items.length === 1 && only !== undefined) return ruleRefFor(only, options)
  if (items.length > options.maxPerKey && depth < MAX_DEPTH) {
    const bucket = buildBucket(items, depth, options)
    if (bucket.partitions.length > 0 && bucket.always.length <= items.length * TOO_COMMON) return bucket
  }
  return Int32Array.from(items, (item) => ruleRefFor(item, options))
}

/** How rare keys are among these rules: a key that many rules name is assumed to occur in many flows. */
class Rarity {
  readonly #counts = new Map<string, number>()
  readonly #totals = new Map<string, number>()

  constructor(items: readonly PendingRule[]) {
    for (const { requirements } of items) {
      for (const requirement of requirements) for (const key of requirement) this.#count(key)
    }
  }

  #count(key: IndexKey): void {
    this.#counts.set(key.id, (this.#counts.get(key.id) ?? 0) + 1)
    this.#totals.set(key.path.id, (this.#totals.get(key.path.id) ?? 0) + 1)
  }

  /** The requirement the smallest share of flows meets; undefined when none is worth a lookup. */
  rarest(item: PendingRule, mostKeys: number): Requirement | undefined {
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

  /** The geometric mean of the estimate and the share of rules that name the key. */
  #shareOf(key: IndexKey): number {
    const count = this.#counts.get(key.id) ?? 1
    return Math.sqrt((likelihood(key) * count) / (this.#totals.get(key.path.id) ?? 1))
  }
}

// Whether an expression is true exactly when its requirements are met and its exclusions are not. If so, a flow for
// which that holds matches, and the expression need not be evaluated. Answers no when unsure.

/** Whether the requirements and exclusions of this expression, taken together, are equivalent to it. */
export function isExact({ root, scheme }: Expression): boolean {
  return isExactNode(root, scheme.missingNotEqual)
}

/** What must not be met for the expression to be true: its negated tests of plain fields, as requirements. */
export function exclusionsOf({ root, scheme }: Expression): Requirement[] {
  return excluded(root, scheme.missingNotEqual)
}

function excluded(node: Node, missingNotEqual: boolean): Requirement[] {
  if (node.kind === 'group') return excluded(node.item, missingNotEqual)
  if (node.kind === 'chain' && node.op === 'and') return node.items.flatMap((item) => excluded(item, missingNotEqual))
  if (node.kind !== 'not') return []
  const item = ungrouped(node.item)
  return isExactTest(item, missingNotEqual) ? requirementsOfNode(item, missingNotEqual) : []
}

/** Whether the node is a test that is false for a missing value and otherwise equivalent to its one requirement. */
function isExactTest(node: Node, missingNotEqual: boolean): boolean {
  return node.kind === 'comparison' && isExactComparison(node, 'scalar', missingNotEqual)
}

/** Whether finding one of its keys in a table is equivalent to the requirement. Lists and endings are found by
 *  hashes, which may collide. */
function isFoundExactly(requirement: Requirement): boolean {
  return requirement.every(({ kind }) => kind === 'value' || kind === 'prefix')
}

function isExactNode(node: Node, missingNotEqual: boolean): boolean {
  switch (node.kind) {
    case 'group':
      return isExactNode(node.item, missingNotEqual)
    case 'chain':
      return node.op === 'and' && node.items.every((item) => isExactNode(item, missingNotEqual))
    case 'quantifier': {
      // two comparisons in one `any` must hold at one position; only a single one is equivalent to its keys
      const item = ungrouped(node.item)
      return node.op === 'any' && item.kind === 'comparison' && isExactComparison(item, 'each', missingNotEqual)
    }
    case 'comparison':
      return isExactTest(node, missingNotEqual)
    case 'not':
      return isExactTest(ungrouped(node.item), missingNotEqual)
  }
}

function ungrouped(node: Node): Node {
  return node.kind === 'group' ? ungrouped(node.item) : node
}

function isExactComparison(node: Comparison, of: 'scalar' | 'each', missingNotEqual: boolean): boolean {
  const { access, test } = node
  if (!isRead(access, of)) return false
  if (test.kind !== 'in-set' && !(test.kind === 'order' && test.op === '==')) return false
  const [requirement, another] = requirementsOfNode(node, missingNotEqual)
  return requirement !== undefined && another === undefined && isFoundExactly(requirement)
}

/** A plain field, or every element of a plain array. */
function isRead({ field, indexes }: Access, of: 'scalar' | 'each'): boolean {
  const [first, second] = indexes
  if (of === 'scalar') return typeof field.type === 'string' && first === undefined
  return typeof field.type === 'object' && 'array' in field.type && first?.kind === 'each' && second === undefined
}

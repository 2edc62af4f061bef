// A cheap test before a rule is evaluated: per rule a few bit masks of the virtual networks, countries, ports and so on
// that it can match. It may admit a rule that does not match, never the reverse, and it knows for which requirements
// its answer is exact.

import type { FieldValues, Value } from '../../expression/value.ts'
import type { IndexedRules } from './index-keys.ts'
import type { IndexKey, KeyNumber, PathKeys } from './key-table.ts'

/** Masks per rule. Every rule has all of them; an unused mask admits every flow. */
const MASKS = 4
/** Length of a row: a rule reference and the masks of its rule. */
export const ROW = MASKS + 1
/** The bit of a missing value and of values no rule names: set in the masks of rules that do not test the field. */
const OTHER = 1 << 31
const BITS = 31
const EVERYTHING = -1

/** A field with more values than this gets no mask: 31 bits would hardly separate them. */
const MOST_VALUES = 2_000
/** A field gets a mask when at least this share of the rules tests it. */
const LEAST_SHARE = 0.02

/** See the head of this file. Immutable but for the bits of the current flow. */
export class BitmaskPrefilter {
  readonly #fields: readonly MaskedField[]
  #a = EVERYTHING
  #b = EVERYTHING
  #c = EVERYTHING
  #d = EVERYTHING

  constructor(fields: readonly MaskedField[]) {
    this.#fields = fields
  }

  /** Computes the bits of a flow, for the calls of {@link admitsRow} that follow. */
  load(values: FieldValues): void {
    const [a, b, c, d] = this.#fields
    this.#a = a === undefined ? EVERYTHING : a.bitOf(values[a.slot])
    this.#b = b === undefined ? EVERYTHING : b.bitOf(values[b.slot])
    this.#c = c === undefined ? EVERYTHING : c.bitOf(values[c.slot])
    this.#d = d === undefined ? EVERYTHING : d.bitOf(values[d.slot])
  }

  /** Whether the rule of the row that begins at `at` can match the flow. */
  admitsRow(rows: Int32Array, at: number): boolean {
    return (
      ((rows[at + 1] ?? 0) & this.#a) !== 0 &&
      ((rows[at + 2] ?? 0) & this.#b) !== 0 &&
      ((rows[at + 3] ?? 0) & this.#c) !== 0 &&
      ((rows[at + 4] ?? 0) & this.#d) !== 0
    )
  }
}

/** One mask of every rule, as flows are tested against it. */
interface MaskedField {
  readonly slot: number
  bitOf(value: Value | undefined): number
}

/** The masks of rules while an index is built. */
export class MaskBuilder {
  readonly prefilter: BitmaskPrefilter
  readonly #rules: IndexedRules
  readonly #dimensions: readonly Dimension[]
  /** by rule: {@link MASKS} masks */
  readonly #masks: Int32Array

  constructor(rules: IndexedRules) {
    this.#rules = rules
    this.#dimensions = chooseDimensions(rules)
    this.prefilter = new BitmaskPrefilter(this.#dimensions)
    this.#masks = new Int32Array(rules.length * MASKS).fill(EVERYTHING)
    for (let rule = 0; rule < rules.length; rule++) {
      const exclusions = rules.exclusionsFrom(rule)
      for (let at = rules.requirementsFrom(rule); at < exclusions; at++) this.#restrict(rule, at, false)
      for (let at = exclusions; at < rules.requirementsFrom(rule + 1); at++) {
        if (this.excludes(at)) this.#restrict(rule, at, true)
      }
    }
  }

  #restrict(rule: number, requirement: number, negated: boolean): void {
    const path = this.#rules.simplePath(requirement)
    if (path < 0) return
    for (let number = 0; number < this.#dimensions.length; number++) {
      const dimension = this.#dimensions[number]
      if (dimension?.path !== path) continue
      const mask = this.#maskOf(dimension, requirement)
      const at = rule * MASKS + number
      this.#masks[at] = (this.#masks[at] ?? EVERYTHING) & (negated ? ~mask : mask)
    }
  }

  #maskOf(dimension: Dimension, requirement: number): number {
    let mask = 0
    const end = this.#rules.keysFrom(requirement + 1)
    for (let at = this.#rules.keysFrom(requirement); at < end; at++) mask |= dimension.maskOf(this.#rules.key(at))
    return mask
  }

  /** Whether a rule is admitted only for flows that meet this requirement of it. */
  decides(requirement: number): boolean {
    const path = this.#rules.simplePath(requirement)
    if (path < 0) return false
    let isFound = false
    for (const dimension of this.#dimensions) {
      if (dimension.path !== path) continue
      if (!this.#isExact(dimension, requirement)) return false
      isFound = true
    }
    return isFound
  }

  /** Whether a rule is admitted exactly for flows that do not meet this. False for a field with two masks: it is met
   *  when both agree, and the negation of that is no mask. */
  excludes(exclusion: number): boolean {
    const path = this.#rules.simplePath(exclusion)
    const [dimension, another] = path < 0 ? [] : this.#dimensions.filter((one) => one.path === path)
    return dimension !== undefined && another === undefined && this.#isExact(dimension, exclusion)
  }

  #isExact(dimension: Dimension, requirement: number): boolean {
    const length = this.#rules.keysFrom(requirement + 1) - this.#rules.keysFrom(requirement)
    return dimension.isExactFor(length, this.#maskOf(dimension, requirement))
  }

  /** Writes the row of a rule: its reference, then its masks, so that a list that is read often needs no other
   *  memory. */
  writeRow(rows: { push(value: number): void }, ref: RuleRef): void {
    const at = positionOf(ref) * MASKS
    rows.push(ref)
    for (let mask = at; mask < at + MASKS; mask++) rows.push(this.#masks[mask] ?? EVERYTHING)
  }
}

interface Dimension extends MaskedField {
  /** the number of its path */
  readonly path: number
  maskOf(key: KeyNumber): number
  /** whether the masks of this slot admit only flows that meet a requirement of so many keys with this mask */
  isExactFor(length: number, mask: number): boolean
}

function chooseDimensions(rules: IndexedRules): Dimension[] {
  const { paths } = rules.table
  const keysOf = paths.map(() => new Set<KeyNumber>())
  const uses = paths.map(() => 0)
  for (let requirement = 0; requirement < rules.requirementCount; requirement++) {
    const path = rules.simplePath(requirement)
    const keys = keysOf[path]
    if (keys === undefined) continue
    uses[path] = (uses[path] ?? 0) + 1
    const end = rules.keysFrom(requirement + 1)
    for (let at = rules.keysFrom(requirement); at < end; at++) keys.add(rules.key(at))
  }
  const chosen: Dimension[] = []
  const byUse = paths
    .filter(({ number }) => (uses[number] ?? 0) > 0 && (uses[number] ?? 0) >= rules.length * LEAST_SHARE)
    .sort((a, b) => (uses[b.number] ?? 0) - (uses[a.number] ?? 0))
  for (const path of byUse) {
    const keys = [...(keysOf[path.number] ?? [])]
    const own = path.type === 'Int' ? integers(path, rules, keys) : texts(path, rules, keys)
    // one mask of a pair would exclude most rules but decide nothing exactly
    if (chosen.length + own.length <= MASKS) chosen.push(...own)
  }
  return chosen
}

/** Up to 31 texts get one bit each. More get two masks, as two digits of a number: exact for one text, while a
 *  requirement of several also admits other combinations of their digits. */
function texts({ slot, number: path }: PathKeys, { table }: IndexedRules, keys: readonly KeyNumber[]): Dimension[] {
  if (keys.length > MOST_VALUES) return []
  const isSmall = keys.length <= BITS
  const digit = (place: number): Dimension => {
    const masks = new Map<KeyNumber, number>()
    const bits = new Map<Value, number>()
    for (const [number, key] of keys.entries()) {
      const named = table.keys[key]
      const bit = 1 << (Math.floor(number / place) % BITS)
      masks.set(key, bit)
      if (named?.kind === 'value') bits.set(named.value, bit)
    }
    return {
      path,
      slot,
      bitOf: (value) => (value === undefined ? OTHER : (bits.get(value) ?? OTHER)),
      maskOf: (key) => masks.get(key) ?? 0,
      isExactFor: (length) => isSmall || (length === 1 && keys.length <= BITS * BITS),
    }
  }
  return isSmall ? [digit(1)] : [digit(1), digit(BITS)]
}

/** Integers by the intervals between the bounds that rules name. Values outside 32 bits, and rules that want them,
 *  count as {@link OTHER}. */
function integers({ slot, number: path }: PathKeys, { table }: IndexedRules, keys: readonly KeyNumber[]): Dimension[] {
  const bounds = new Set<number>([0])
  const ranges = new Map(keys.map((key) => [key, rangeOf(table.keys[key])] as const))
  for (const range of ranges.values()) {
    if (range === undefined) continue
    bounds.add(range[0])
    bounds.add(range[1] + 1)
  }
  if (bounds.size > MOST_VALUES) return []
  const sorted = Float64Array.from(bounds).sort()
  const bitAt = (interval: number) => 1 << (interval % BITS)
  const masks = new Map<KeyNumber, number>()
  for (const [key, range] of ranges) {
    let mask = range === undefined ? OTHER : 0
    if (range !== undefined)
      for (let at = intervalOf(sorted, range[0]); at <= intervalOf(sorted, range[1]); at++) mask |= bitAt(at)
    masks.set(key, mask)
  }
  const dimension: Dimension = {
    path,
    slot,
    bitOf: (value) =>
      typeof value === 'number' && value >= 0 && value <= 0xffffffff ? bitAt(intervalOf(sorted, value)) : OTHER,
    maskOf: (key) => masks.get(key) ?? 0,
    isExactFor: (_, mask) => bounds.size <= BITS && (mask & OTHER) === 0,
  }
  return [dimension]
}

function rangeOf(key: IndexKey | undefined): readonly [number, number] | undefined {
  if (key?.kind === 'prefix') {
    const first = key.prefix.words[0] ?? 0
    return [first, first + 2 ** (32 - key.prefix.length) - 1]
  }
  if (key?.kind !== 'value' || typeof key.value !== 'number') return undefined
  return key.value >= 0 && key.value <= 0xffffffff ? [key.value, key.value] : undefined
}

/** Index of the last bound that is not greater than the value. */
function intervalOf(bounds: Float64Array, value: number): number {
  let low = 0
  let high = bounds.length - 1
  while (low <= high) {
    const middle = (low + high) >>> 1
    if ((bounds[middle] ?? 0) <= value) low = middle + 1
    else high = middle - 1
  }
  return high
}

// A rule within the index: its position, and whether being found there and admitted by the prefilter proves that it
// matches. One integer, so that thousands lie side by side.

/** Position and proof mark in one integer, made by {@link ruleRefOf}. */
export type RuleRef = number

/** For a position below 2^30. References sort by position. */
export function ruleRefOf(position: number, isProof: boolean): RuleRef {
  return position * 2 + (isProof ? 1 : 0)
}

/** The position of the rule in order of precedence, from 0. */
export function positionOf(ref: RuleRef): number {
  return ref >> 1
}

/** Whether a flow that reaches this reference and is admitted by the prefilter matches without evaluation. */
export function isProof(ref: RuleRef): boolean {
  return (ref & 1) === 1
}

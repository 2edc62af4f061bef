// A cheap test before a rule is evaluated: per rule a few bit masks of the virtual networks, countries, ports and so on
// that it can match. It may admit a rule that does not match, never the reverse, and it knows for which requirements
// its answer is exact.

import type { FieldValues, Value } from '../../expression/value.ts'
import { type FieldPathKey, fieldOriginOf, type IndexedRule, type IndexKey, type Requirement } from './index-keys.ts'

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
  readonly #masks: Int32Array
  readonly #dimensions: readonly Dimension[]
  #a = EVERYTHING
  #b = EVERYTHING
  #c = EVERYTHING
  #d = EVERYTHING

  constructor(rules: readonly IndexedRule[]) {
    this.#dimensions = chooseDimensions(rules)
    this.#masks = new Int32Array(rules.length * MASKS).fill(EVERYTHING)
    for (const [position, { requirements, exclusions }] of rules.entries()) {
      for (const requirement of requirements) this.#restrict(position, requirement, (mask) => mask)
      for (const exclusion of exclusions) {
        if (this.excludes(exclusion)) this.#restrict(position, exclusion, (mask) => ~mask)
      }
    }
  }

  #restrict(position: number, requirement: Requirement, admitted: (mask: number) => number): void {
    const slot = simplePathOf(requirement)?.slot
    for (let number = 0; number < this.#dimensions.length; number++) {
      const dimension = this.#dimensions[number]
      if (dimension === undefined || dimension.slot !== slot) continue
      const at = position * MASKS + number
      this.#masks[at] = (this.#masks[at] ?? EVERYTHING) & admitted(dimension.maskOf(requirement))
    }
  }

  /** Whether a rule is admitted only for flows that meet this requirement of it. */
  decides(requirement: Requirement): boolean {
    const own = this.#dimensionsOf(requirement)
    return own.length > 0 && own.every((dimension) => dimension.isExactFor(requirement))
  }

  /** Whether a rule is admitted exactly for flows that do not meet this. False for a field with two masks: it is met
   *  when both agree, and the negation of that is no mask. */
  excludes(exclusion: Requirement): boolean {
    const [dimension, another] = this.#dimensionsOf(exclusion)
    return dimension !== undefined && another === undefined && dimension.isExactFor(exclusion)
  }

  #dimensionsOf(requirement: Requirement): readonly Dimension[] {
    const slot = simplePathOf(requirement)?.slot
    return slot === undefined ? [] : this.#dimensions.filter((dimension) => dimension.slot === slot)
  }

  /** Computes the bits of a flow, for the calls of {@link admits} and {@link admitsRow} that follow. */
  load(values: FieldValues): void {
    this.#a = this.#bitsOf(0, values)
    this.#b = this.#bitsOf(1, values)
    this.#c = this.#bitsOf(2, values)
    this.#d = this.#bitsOf(3, values)
  }

  /** Whether the rule at this position can match the flow. */
  admits(position: number): boolean {
    const masks = this.#masks
    const at = position * MASKS
    return (
      ((masks[at] ?? 0) & this.#a) !== 0 &&
      ((masks[at + 1] ?? 0) & this.#b) !== 0 &&
      ((masks[at + 2] ?? 0) & this.#c) !== 0 &&
      ((masks[at + 3] ?? 0) & this.#d) !== 0
    )
  }

  /** Rules in ascending order as rows: the reference of each followed by its masks, so that a list that is read
   *  often needs no other memory. */
  rowsOf(refs: Iterable<RuleRef>): Int32Array {
    const sorted = Int32Array.from(refs).sort()
    const rows = new Int32Array(sorted.length * ROW)
    for (const [at, ref] of sorted.entries()) {
      const position = positionOf(ref)
      rows[at * ROW] = ref
      rows.set(this.#masks.subarray(position * MASKS, (position + 1) * MASKS), at * ROW + 1)
    }
    return rows
  }

  /** Like {@link admits}, for the row that begins at `at`. */
  admitsRow(rows: Int32Array, at: number): boolean {
    return (
      ((rows[at + 1] ?? 0) & this.#a) !== 0 &&
      ((rows[at + 2] ?? 0) & this.#b) !== 0 &&
      ((rows[at + 3] ?? 0) & this.#c) !== 0 &&
      ((rows[at + 4] ?? 0) & this.#d) !== 0
    )
  }

  #bitsOf(number: number, values: FieldValues): number {
    const dimension = this.#dimensions[number]
    return dimension === undefined ? EVERYTHING : dimension.bitOf(values[dimension.slot])
  }
}

/** One mask of every rule. */
interface Dimension {
  readonly slot: number
  bitOf(value: Value | undefined): number
  maskOf(requirement: Requirement): number
  /** whether the masks of this slot admit only flows that meet the requirement */
  isExactFor(requirement: Requirement): boolean
}

/** The path of a requirement on one scalar text or integer field of the connection itself; undefined for any other. */
function simplePathOf(requirement: Requirement): FieldPathKey | undefined {
  const path = requirement[0]?.path
  if (path === undefined || path.isArray || path.type === 'Ip' || fieldOriginOf(path.field) !== 'flow') return undefined
  const isSimple = ({ kind }: IndexKey) =>
    kind === 'value' || (path.type === 'Int' && (kind === 'prefix' || kind === 'outside'))
  return requirement.every((key) => key.path.slot === path.slot && isSimple(key)) ? path : undefined
}

function chooseDimensions(rules: readonly IndexedRule[]): Dimension[] {
  const tested = new Map<number, { readonly path: FieldPathKey; readonly requirements: Requirement[] }>()
  for (const { requirements, exclusions } of rules) {
    for (const requirement of [...requirements, ...exclusions]) {
      const path = simplePathOf(requirement)
      if (path === undefined) continue
      const field = tested.get(path.slot) ?? { path, requirements: [] }
      tested.set(path.slot, field)
      field.requirements.push(requirement)
    }
  }
  const chosen: Dimension[] = []
  const byUse = [...tested.values()]
    .filter(({ requirements }) => requirements.length >= rules.length * LEAST_SHARE)
    .sort((a, b) => b.requirements.length - a.requirements.length)
  for (const { path, requirements } of byUse) {
    const own = path.type === 'Int' ? integers(path, requirements) : texts(path, requirements)
    // one mask of a pair would exclude most rules but decide nothing exactly
    if (chosen.length + own.length <= MASKS) chosen.push(...own)
  }
  return chosen
}

/** Up to 31 texts get one bit each. More get two masks, as two digits of a number: exact for one text, while a
 *  requirement of several also admits other combinations of their digits. */
function texts({ slot }: FieldPathKey, requirements: readonly Requirement[]): Dimension[] {
  const numbers = new Map<Value, number>()
  for (const key of requirements.flat()) {
    if (key.kind === 'value' && !numbers.has(key.value)) numbers.set(key.value, numbers.size)
  }
  if (numbers.size > MOST_VALUES) return []
  const isSmall = numbers.size <= BITS
  const digit = (place: number): Dimension => {
    const bits = new Map(
      [...numbers].map(([text, number]) => [text, 1 << (Math.floor(number / place) % BITS)] as const),
    )
    return {
      slot,
      bitOf: (value) => (value === undefined ? OTHER : (bits.get(value) ?? OTHER)),
      maskOf: (requirement) =>
        requirement.reduce((mask, key) => mask | (key.kind === 'value' ? (bits.get(key.value) ?? 0) : 0), 0),
      isExactFor: ({ length }) => isSmall || (length === 1 && numbers.size <= BITS * BITS),
    }
  }
  return isSmall ? [digit(1)] : [digit(1), digit(BITS)]
}

/** Integers by the intervals between the bounds that rules name. Values outside 32 bits, and rules that want them,
 *  count as {@link OTHER}. */
function integers({ slot }: FieldPathKey, requirements: readonly Requirement[]): Dimension[] {
  const bounds = new Set<number>([0])
  for (const key of requirements.flat()) {
    const range = rangeOf(key)
    if (range === undefined) continue
    bounds.add(range[0])
    bounds.add(range[1] + 1)
  }
  if (bounds.size > MOST_VALUES) return []
  const sorted = Float64Array.from(bounds).sort()
  const bitAt = (interval: number) => 1 << (interval % BITS)
  const dimension: Dimension = {
    slot,
    bitOf: (value) =>
      typeof value === 'number' && value >= 0 && value <= 0xffffffff ? bitAt(intervalOf(sorted, value)) : OTHER,
    maskOf: (requirement) => {
      let mask = 0
      for (const key of requirement) {
        const range = rangeOf(key)
        if (range === undefined) mask |= OTHER
        else for (let at = intervalOf(sorted, range[0]); at <= intervalOf(sorted, range[1]); at++) mask |= bitAt(at)
      }
      return mask
    },
    isExactFor: (requirement) => bounds.size <= BITS && requirement.every((key) => rangeOf(key) !== undefined),
  }
  return [dimension]
}

function rangeOf(key: IndexKey): readonly [number, number] | undefined {
  if (key.kind === 'prefix') {
    const first = key.prefix.words[0] ?? 0
    return [first, first + 2 ** (32 - key.prefix.length) - 1]
  }
  if (key.kind !== 'value' || typeof key.value !== 'number') return undefined
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

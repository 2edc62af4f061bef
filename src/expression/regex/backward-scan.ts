// Tests of text as automata that read a value from its last byte to its first, for proofs about all texts: names that
// share a domain then share their beginning. Deterministic; states are made when first reached.

import type { Test } from '../tree.ts'
import { EDGE, holds, kindsOfBytes } from './automaton.ts'
import { parsePattern } from './parse-pattern.ts'
import {
  ASSERT,
  type ByteClass,
  createProgram,
  FORK,
  type Pattern,
  type Program,
  rangesClass,
  repeat,
  sequence,
  TAKE,
} from './pattern.ts'

/** One test of a text (one code unit per byte), read backwards. */
export interface BackwardScan {
  readonly start: number
  /** The state after one more byte to the left. */
  step(state: number, byte: number): number
  /** Whether what was read so far, taken as the whole value, passes. */
  accepts(state: number): boolean
  /** Number of the class of each byte: bytes of one class are never told apart. */
  readonly columns: readonly number[]
}

/** The automaton of a test that is neither an equality nor a set of constants; undefined for those and for tests of
 *  other types. */
export function backwardScan(test: Test): BackwardScan | undefined {
  const pattern = patternOf(test)
  return pattern === undefined ? undefined : new Scan(createProgram(reversed(pattern)))
}

/** The scan of values that follow a fixed text, as `key=` before a value: passes where the text is `lead` and a value
 *  that passes. */
export function afterLead(lead: string, scan: BackwardScan): BackwardScan {
  const wanted = [...lead].reverse().map((unit) => unit.charCodeAt(0))
  const states: { readonly inner: number; readonly read: readonly number[] }[] = []
  const numbers = new Map<string, number>()
  const numberOf = (inner: number, read: readonly number[]) => {
    const key = `${inner}:${read.join()}`
    const known = numbers.get(key) ?? states.push({ inner, read }) - 1
    numbers.set(key, known)
    return known
  }
  const columns = Array.from({ length: 256 }, (_, byte) => (scan.columns[byte] ?? 0) * 257 + wanted.indexOf(byte) + 1)
  return {
    start: numberOf(scan.start, scan.accepts(scan.start) ? [0] : []),
    step(state, byte) {
      const { inner, read } = states[state] ?? { inner: scan.start, read: [] }
      const next = scan.step(inner, byte)
      const further = read.filter((at) => wanted[at] === byte).map((at) => at + 1)
      return numberOf(next, scan.accepts(next) ? [...further, 0] : further)
    },
    accepts: (state) => states[state]?.read.includes(wanted.length) ?? false,
    columns,
  }
}

const ANY = repeat({ kind: 'class', set: rangesClass([0, 255]) }, 0, Number.POSITIVE_INFINITY)
const START: Pattern = { kind: 'assert', what: 'start' }
const END: Pattern = { kind: 'assert', what: 'end' }

function patternOf(test: Test): Pattern | undefined {
  switch (test.kind) {
    case 'contains':
      return bytesOf(test.literal.value)
    case 'matches':
      return parsePattern(test.regex.pattern).pattern
    case 'wildcard': {
      const { parts, strict } = test.pattern
      const pieces = parts.flatMap((part, at) => [...(at === 0 ? [] : [ANY]), strict ? bytesOf(part) : folded(part)])
      return sequence([START, ...pieces, END])
    }
    case 'order': {
      const { op, literal } = test
      if (literal.type !== 'Bytes' || op === '==' || op === '!=') return undefined
      return sequence([START, ordered(literal.value, op.startsWith('<'), op.endsWith('=')), END])
    }
    default:
      return undefined
  }
}

function bytesOf(text: string): Pattern {
  return sequence([...text].map((unit) => ({ kind: 'byte', byte: unit.charCodeAt(0) })))
}

function folded(text: string): Pattern {
  return sequence(
    [...text].map((unit): Pattern => {
      const lower = unit.charCodeAt(0)
      const isLetter = unit >= 'a' && unit <= 'z'
      return isLetter
        ? { kind: 'class', set: rangesClass([lower, lower], [lower - 32, lower - 32]) }
        : { kind: 'byte', byte: lower }
    }),
  )
}

/** Texts before (or after) a constant in byte order. */
function ordered(constant: string, isBefore: boolean, orEqual: boolean): Pattern {
  let rest: Pattern | undefined = isBefore ? (orEqual ? sequence([]) : undefined) : afterAll(orEqual)
  for (let at = constant.length - 1; at >= 0; at--) {
    const byte = constant.charCodeAt(at)
    const other = isBefore ? rangesClass(...below(byte)) : rangesClass(...above(byte))
    const items: Pattern[] = [sequence([{ kind: 'class', set: other }, ANY])]
    if (isBefore) items.push(sequence([]))
    if (rest !== undefined) items.push(sequence([{ kind: 'byte', byte }, rest]))
    rest = { kind: 'choice', items }
  }
  return rest ?? { kind: 'class', set: new Uint8Array(256) }
}

function afterAll(orEqual: boolean): Pattern {
  return orEqual ? ANY : sequence([{ kind: 'class', set: rangesClass([0, 255]) }, ANY])
}

const below = (byte: number) => (byte === 0 ? [] : [[0, byte - 1] as const])
const above = (byte: number) => (byte === 255 ? [] : [[byte + 1, 255] as const])

function reversed(pattern: Pattern): Pattern {
  switch (pattern.kind) {
    case 'sequence':
      return sequence(pattern.items.map(reversed).reverse())
    case 'choice':
      return { kind: 'choice', items: pattern.items.map(reversed) }
    case 'repeat':
      return repeat(reversed(pattern.item), pattern.min, pattern.max)
    default:
      return pattern
  }
}

interface ScanState {
  readonly threads: readonly number[]
  /** kind of the byte to the right */
  readonly right: number
}

const PASSED = 0

class Scan implements BackwardScan {
  readonly start: number
  readonly columns: readonly number[]
  readonly #program: Program
  readonly #kinds: Uint8Array
  readonly #states: ScanState[] = [{ threads: [], right: EDGE }]
  readonly #numbers = new Map<string, number>()
  readonly #steps = new Map<number, number>()
  readonly #accepts: (boolean | undefined)[] = [true]

  constructor(program: Program) {
    this.#program = program
    this.#kinds = kindsOfBytes(program.assertions)
    this.columns = columnsOf(program.classes, this.#kinds)
    this.start = this.#numberOf({ threads: [program.start], right: EDGE })
  }

  step(state: number, byte: number): number {
    if (state === PASSED) return PASSED
    const key = state * 256 + byte
    const known = this.#steps.get(key)
    if (known !== undefined) return known
    const right = this.#kinds[byte] ?? EDGE
    const threads = this.#advance(state, byte, right)
    const next = threads === undefined ? PASSED : this.#numberOf({ threads, right })
    this.#steps.set(key, next)
    return next
  }

  accepts(state: number): boolean {
    const known = this.#accepts[state] ?? this.#advance(state, -1, EDGE) === undefined
    this.#accepts[state] = known
    return known
  }

  /** The threads after a byte (-1: the value's first byte was read), or undefined for a match. Assertions look at a
   *  value from left to right: what was read before is to the right. */
  #advance(state: number, byte: number, left: number): readonly number[] | undefined {
    const { ops, left: then, right: argument, classes, assertions, start } = this.#program
    const { threads, right } = this.#states[state] ?? { threads: [], right: EDGE }
    const reached = new Set<number>()
    const seen = new Set<number>()
    const pending = [...threads]
    for (let pc = pending.pop(); pc !== undefined; pc = pending.pop()) {
      if (pc === 0) return undefined
      if (seen.has(pc)) continue
      seen.add(pc)
      const [op, to, other] = [ops[pc], then[pc] ?? 0, argument[pc] ?? 0]
      if (op === FORK) pending.push(to, other)
      else if (op === ASSERT && holds(assertions[other] ?? 'start', left, right)) pending.push(to)
      else if (op === TAKE && byte >= 0 && classes[other]?.[byte] === 1) reached.add(to)
    }
    if (byte >= 0) reached.add(start)
    return [...reached].sort((a, b) => a - b)
  }

  #numberOf(state: ScanState): number {
    const key = `${state.right}:${state.threads.join()}`
    const known = this.#numbers.get(key) ?? this.#states.push(state) - 1
    this.#numbers.set(key, known)
    return known
  }
}

function columnsOf(classes: readonly ByteClass[], kinds: Uint8Array): readonly number[] {
  const numbers = new Map<string, number>()
  return Array.from({ length: 256 }, (_, byte) => {
    const key = `${kinds[byte]}:${classes.map((set) => set[byte]).join('')}`
    const known = numbers.get(key) ?? numbers.size
    numbers.set(key, known)
    return known
  })
}

// Runs a program over byte strings as a deterministic automaton whose states are built when first needed and dropped
// when there are too many. One table lookup per byte once warm, and at most the program's size per byte: linear for
// every pattern and value. test/expression compares it with RE2JS and with the platform's engine.

import { ASSERT, type Assertion, type ByteClass, FORK, PERL_CLASSES, type Program, TAKE } from './pattern.ts'

/** Entries of a row: not yet computed, no match possible, a match. Any other number is where a row begins. */
const UNKNOWN = 0
const DEAD = 1
const ACCEPT = 2

/** Numbers of table entries and stored threads at which all states are dropped (4 and 8 bytes each). */
const TABLE_LIMIT = 2 ** 18

/** Returns a function that tells whether the pattern matches anywhere in a value (one code unit per byte).
 *  `tableLimit`: as TABLE_LIMIT, in entries. */
export function createAutomaton(program: Program, tableLimit = TABLE_LIMIT): (value: string) => boolean {
  const automaton = new Automaton(program, tableLimit)
  return (value) => automaton.matches(value)
}

/** The threads at one position, and the kind of the byte before it. */
interface State {
  readonly threads: readonly number[]
  readonly before: number
}

class Automaton {
  readonly #program: Program
  readonly #tableLimit: number
  /** kind of each byte for assertions */
  readonly #kinds: Uint8Array
  /** column of each byte: bytes that the pattern does not distinguish share one */
  readonly #columns: Uint16Array
  /** one byte of each column */
  readonly #samples: readonly number[]
  /** the number of columns, with one more for the end of the value */
  readonly #width: number
  readonly #marks: Uint32Array
  #generation = 0
  #table: Int32Array
  #states: State[] = []
  #rows = new Map<string, number>()
  #first = 0
  /** threads of all states: for a large pattern they take the memory, not the table */
  #threadCount = 0

  constructor(program: Program, tableLimit: number) {
    this.#program = program
    this.#tableLimit = tableLimit
    this.#kinds = kindsOfBytes(program.assertions)
    const { columns, samples } = columnsOf(program, this.#kinds)
    this.#columns = columns
    this.#samples = samples
    this.#width = samples.length + 1
    this.#marks = new Uint32Array(program.ops.length)
    this.#table = new Int32Array(this.#width * 8)
    this.#forget()
  }

  matches(value: string): boolean {
    const columns = this.#columns
    let table = this.#table
    let row = this.#first
    for (let at = 0; at < value.length; at++) {
      const column = columns[value.charCodeAt(at) & 0xff] as number
      let next = table[row + column] as number
      if (next <= ACCEPT) {
        if (next === UNKNOWN) {
          next = this.#step(row, column)
          table = this.#table
        }
        if (next <= ACCEPT) return next === ACCEPT
      }
      row = next
    }
    const end = this.#width - 1
    const last = table[row + end] as number
    return (last === UNKNOWN ? this.#step(row, end) : last) === ACCEPT
  }

  /** Computes the transition from a row by a column, and stores it. */
  #step(row: number, column: number): number {
    const state = this.#states[row / this.#width] as State
    const atEnd = column === this.#width - 1
    const byte = atEnd ? -1 : (this.#samples[column] as number)
    const kind = atEnd ? EDGE : (this.#kinds[byte] as number)
    const threads = this.#advance(state, byte, kind)
    if (threads === ACCEPT || threads.length === 0)
      return this.#remember(row, column, threads === ACCEPT ? ACCEPT : DEAD)
    if (this.#isFull(threads.length)) {
      this.#forget()
      return this.#rowOf({ threads, before: kind })
    }
    return this.#remember(row, column, this.#rowOf({ threads, before: kind }))
  }

  #isFull(more: number): boolean {
    return (this.#states.length + 1) * this.#width > this.#tableLimit || this.#threadCount + more > this.#tableLimit
  }

  #remember(row: number, column: number, next: number): number {
    this.#table[row + column] = next
    return next
  }

  /** The threads after a byte (-1: the end of the value), or ACCEPT. */
  #advance(state: State, byte: number, kind: number): readonly number[] | typeof ACCEPT {
    const { ops, left, right, classes, assertions, start } = this.#program
    const reached: number[] = []
    const pending = [...state.threads]
    this.#generation++
    for (let pc = pending.pop(); pc !== undefined; pc = pending.pop()) {
      if (pc === 0) return ACCEPT
      if (this.#marks[pc] === this.#generation) continue
      this.#marks[pc] = this.#generation
      const op = ops[pc]
      const to = left[pc] as number
      const argument = right[pc] as number
      if (op === FORK) pending.push(argument, to)
      else if (op === ASSERT && holds(assertions[argument] ?? 'start', state.before, kind)) pending.push(to)
      else if (op === TAKE && byte >= 0 && classes[argument]?.[byte] === 1) reached.push(to)
    }
    if (byte >= 0 && this.#mayBeginLater()) reached.push(start)
    return [...new Set(reached)].sort((a, b) => a - b)
  }

  /** A pattern anchored to the start of the value is not tried again after it. */
  #mayBeginLater(): boolean {
    const { ops, right, assertions, start } = this.#program
    return ops[start] !== ASSERT || assertions[right[start] as number] !== 'start'
  }

  #rowOf(state: State): number {
    const key = `${state.before}:${state.threads.join()}`
    const known = this.#rows.get(key)
    if (known !== undefined) return known
    const row = this.#states.push(state) * this.#width - this.#width
    this.#rows.set(key, row)
    this.#threadCount += state.threads.length
    if (row + this.#width > this.#table.length) {
      const larger = new Int32Array(this.#table.length * 2)
      larger.set(this.#table)
      this.#table = larger
    }
    return row
  }

  /** Starts over with only the initial state. Rows 0 to 2 stay unused, since their numbers are the special entries. */
  #forget(): void {
    const none: State = { threads: [], before: EDGE }
    this.#states = [none, none, none]
    this.#threadCount = 0
    this.#rows = new Map()
    this.#table.fill(UNKNOWN)
    this.#first = this.#rowOf({ threads: [this.#program.start], before: EDGE })
  }
}

/** Groups bytes that every class and every assertion treats alike, and numbers the groups. */
function columnsOf(program: Program, kinds: Uint8Array): { columns: Uint16Array; samples: number[] } {
  const columns = Uint16Array.from(kinds)
  let samples = renumber(columns)
  for (const set of program.classes) {
    for (let byte = 0; byte < 256; byte++) columns[byte] = 2 * (columns[byte] as number) + (set[byte] as number)
    samples = renumber(columns)
  }
  return { columns, samples }
}

/** Numbers the distinct entries from 0 in order of appearance; also returns the index of each one's first
 *  appearance. */
function renumber(columns: Uint16Array): number[] {
  const known = new Int16Array(512).fill(-1)
  const samples: number[] = []
  for (let byte = 0; byte < 256; byte++) {
    const value = columns[byte] as number
    if (known[value] === -1) known[value] = samples.push(byte) - 1
    columns[byte] = known[value] as number
  }
  return samples
}

/** EDGE is the start of the value (looking back) or its end (looking ahead). */
export const EDGE = 0
export const OTHER = 1
export const LINE_FEED = 2
export const CARRIAGE_RETURN = 3
export const WORD = 4

const WORD_BYTES = PERL_CLASSES.w as ByteClass

/** The kind of every byte for these assertions; kinds that none of them distinguishes are merged. */
export function kindsOfBytes(assertions: readonly Assertion[]): Uint8Array {
  const kinds = new Uint8Array(256).fill(OTHER)
  if (assertions.some((what) => what.includes('word'))) {
    for (let byte = 0; byte < 256; byte++) if (WORD_BYTES[byte] === 1) kinds[byte] = WORD
  }
  if (assertions.some((what) => what.includes('line'))) kinds[0x0a] = LINE_FEED
  if (assertions.some((what) => what.startsWith('crlf'))) kinds[0x0d] = CARRIAGE_RETURN
  return kinds
}

/** Whether the assertion holds between a byte of kind `before` and one of kind `after`. */
export function holds(what: Assertion, before: number, after: number): boolean {
  switch (what) {
    case 'start':
      return before === EDGE
    case 'end':
      return after === EDGE
    case 'line-start':
      return before === EDGE || before === LINE_FEED
    case 'line-end':
      return after === EDGE || after === LINE_FEED
    case 'crlf-line-start':
      return before === EDGE || before === LINE_FEED || (before === CARRIAGE_RETURN && after !== LINE_FEED)
    case 'crlf-line-end':
      return after === EDGE || after === CARRIAGE_RETURN || (after === LINE_FEED && before !== CARRIAGE_RETURN)
    case 'word-boundary':
      return (before === WORD) !== (after === WORD)
    case 'not-word-boundary':
      return (before === WORD) === (after === WORD)
    case 'word-start':
      return before !== WORD && after === WORD
    case 'word-end':
      return before === WORD && after !== WORD
    case 'word-start-half':
      return before !== WORD
    case 'word-end-half':
      return after !== WORD
  }
}

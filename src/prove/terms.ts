// Conditions as text in SMT-LIB 2.6, which a solver reads: Booleans and the numbers of classes. Simplifies constants;
// solves nothing.

/** A term of sort Bool. */
export type Term = string

export const TRUE: Term = 'true'
export const FALSE: Term = 'false'

/** A variable that numbers the classes of an axis, from 0. */
export interface ClassVariable {
  readonly name: string
  readonly bits: number
  readonly count: number
}

/** Logical negation, simplified: no `(not (not a))`, no negated constant. */
export function not(term: Term): Term {
  if (term === TRUE) return FALSE
  if (term === FALSE) return TRUE
  return term.startsWith('(not ') ? term.slice(5, -1) : `(not ${term})`
}

/** The conjunction; TRUE for none, without repeated and neutral terms. */
export function and(terms: readonly Term[]): Term {
  return joined('and', terms, TRUE, FALSE)
}

/** The disjunction; FALSE for none, without repeated and neutral terms. */
export function or(terms: readonly Term[]): Term {
  return joined('or', terms, FALSE, TRUE)
}

function joined(op: 'and' | 'or', terms: readonly Term[], neutral: Term, settling: Term): Term {
  const rest = new Set<Term>()
  for (const term of terms) {
    if (term === settling) return settling
    if (term !== neutral) rest.add(term)
  }
  const [only] = rest
  if (only === undefined) return neutral
  return rest.size === 1 ? only : `(${op} ${[...rest].join(' ')})`
}

/** Exactly one of the two. */
export function xor(a: Term, b: Term): Term {
  if (a === FALSE) return b
  if (b === FALSE) return a
  if (a === TRUE) return not(b)
  return b === TRUE ? not(a) : `(xor ${a} ${b})`
}

/** Both or neither. */
export function iff(a: Term, b: Term): Term {
  return not(xor(a, b))
}

/** `then` where `condition` holds, else `otherwise`. */
export function choose(condition: Term, then: Term, otherwise: Term): Term {
  if (condition === TRUE || then === otherwise) return then
  if (condition === FALSE) return otherwise
  if (then === TRUE) return or([condition, otherwise])
  if (then === FALSE) return and([not(condition), otherwise])
  if (otherwise === TRUE) return or([not(condition), then])
  return otherwise === FALSE ? and([condition, then]) : `(ite ${condition} ${then} ${otherwise})`
}

/** At most this many hold. */
export function atMost(limit: number, terms: readonly Term[]): Term {
  if (terms.length <= limit) return TRUE
  return limit === 0 ? and(terms.map(not)) : `((_ at-most ${limit}) ${terms.join(' ')})`
}

/** Sorted, disjoint ranges of class numbers, both ends included. */
export type ClassRanges = readonly (readonly [first: number, last: number])[]

/** Adjacent numbers as ranges; `numbers` in ascending order. */
export function rangesOfNumbers(numbers: Iterable<number>): ClassRanges {
  const ranges: [number, number][] = []
  for (const number of numbers) {
    const open = ranges.at(-1)
    if (open !== undefined && number <= open[1] + 1) open[1] = Math.max(open[1], number)
    else ranges.push([number, number])
  }
  return ranges
}

/** The variable is in one of the ranges. */
export function within({ name, bits, count }: ClassVariable, ranges: ClassRanges): Term {
  const inside = ranges.filter(([first, last]) => first <= last)
  if (inside.length === 1 && inside[0]?.[0] === 0 && inside[0][1] >= count - 1) return TRUE
  const number = (value: number) => `(_ bv${value} ${bits})`
  return or(
    inside.map(([first, last]) => {
      if (first === last) return `(= ${name} ${number(first)})`
      if (first === 0) return `(bvule ${name} ${number(last)})`
      if (last >= count - 1) return `(bvule ${number(first)} ${name})`
      return `(and (bvule ${number(first)} ${name}) (bvule ${name} ${number(last)}))`
    }),
  )
}

/** What a solver is told, in order. */
export class Script {
  readonly #lines: string[] = []
  readonly #names = new Map<Term, Term>()
  readonly #variables: string[] = []
  readonly #bits = new Map<string, number>()
  #count = 0
  #taken = 0

  /** All variables whose values make up a connection. */
  get variables(): readonly string[] {
    return this.#variables
  }

  /** Number of definitions and assertions so far. */
  get size(): number {
    return this.#lines.length
  }

  /** A free Boolean. */
  boolean(name: string): Term {
    this.#lines.push(`(declare-const ${name} Bool)`)
    this.#variables.push(name)
    return name
  }

  /** A variable for a class number below `count`. */
  classes(name: string, count: number): ClassVariable {
    const bits = Math.max(1, Math.ceil(Math.log2(Math.max(2, count))))
    this.#lines.push(`(declare-const ${name} (_ BitVec ${bits}))`)
    this.#variables.push(name)
    this.#bits.set(name, bits)
    if (count < 2 ** bits) this.assert(`(bvule ${name} (_ bv${Math.max(0, count - 1)} ${bits}))`)
    return { name, bits, count }
  }

  assert(term: Term): void {
    if (term !== TRUE) this.#lines.push(`(assert ${term})`)
  }

  /** A short name for a term; the same one for the same term. */
  name(term: Term): Term {
    if (term.length < 24) return term
    const known = this.#names.get(term)
    if (known !== undefined) return known
    const name = `t${++this.#count}`
    this.#lines.push(`(declare-const ${name} Bool)`, `(assert (= ${name} ${term}))`)
    this.#names.set(term, name)
    return name
  }

  /** What was added since the last call. */
  take(): string {
    const text = this.#lines.slice(this.#taken).join('\n')
    this.#taken = this.#lines.length
    return text
  }
}

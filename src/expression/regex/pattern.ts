// A regular expression as a tree over bytes, with flags, escapes, classes and names resolved. Does not record greed:
// only whether a value matches is ever needed. A class is a set of single bytes, a table of 256 flags built once per pattern.

/** `set[byte]` is 1 for a byte in the set. */
export type ByteClass = Uint8Array

/** The empty set. */
export function emptyClass(): ByteClass {
  return new Uint8Array(256)
}

/** From pairs of first and last byte. */
export function rangesClass(...pairs: readonly (readonly [number, number])[]): ByteClass {
  const set = emptyClass()
  for (const [first, last] of pairs) set.fill(1, first, last + 1)
  return set
}

/** All bytes that are not in the set. */
export function negate(set: ByteClass): ByteClass {
  return set.map((flag) => 1 - flag)
}

export const CLASS_OPERATORS = {
  '&&': (a: ByteClass, b: ByteClass): ByteClass => a.map((flag, byte) => flag & (b[byte] ?? 0)),
  '--': (a: ByteClass, b: ByteClass): ByteClass => a.map((flag, byte) => flag & (1 - (b[byte] ?? 0))),
  '~~': (a: ByteClass, b: ByteClass): ByteClass => a.map((flag, byte) => flag ^ (b[byte] ?? 0)),
} as const

/** The set with both cases of each of its ASCII letters. */
export function foldCase(set: ByteClass): ByteClass {
  const folded = set.slice()
  for (let upper = 0x41; upper <= 0x5a; upper++) {
    const either = (set[upper] ?? 0) | (set[upper + 32] ?? 0)
    folded[upper] = either
    folded[upper + 32] = either
  }
  return folded
}

const DIGIT = [0x30, 0x39] as const
const UPPER = [0x41, 0x5a] as const
const LOWER = [0x61, 0x7a] as const

/** `\d`, `\s`, `\w`, ASCII only. */
export const PERL_CLASSES: Readonly<Record<string, ByteClass>> = {
  d: rangesClass(DIGIT),
  s: rangesClass([0x09, 0x0d], [0x20, 0x20]),
  w: rangesClass(DIGIT, UPPER, [0x5f, 0x5f], LOWER),
}

/** `[:name:]`, ASCII only. */
export const POSIX_CLASSES: Readonly<Record<string, ByteClass>> = {
  alnum: rangesClass(DIGIT, UPPER, LOWER),
  alpha: rangesClass(UPPER, LOWER),
  ascii: rangesClass([0x00, 0x7f]),
  blank: rangesClass([0x09, 0x09], [0x20, 0x20]),
  cntrl: rangesClass([0x00, 0x1f], [0x7f, 0x7f]),
  digit: rangesClass(DIGIT),
  graph: rangesClass([0x21, 0x7e]),
  lower: rangesClass(LOWER),
  print: rangesClass([0x20, 0x7e]),
  punct: rangesClass([0x21, 0x2f], [0x3a, 0x40], [0x5b, 0x60], [0x7b, 0x7e]),
  space: rangesClass([0x09, 0x0d], [0x20, 0x20]),
  upper: rangesClass(UPPER),
  word: rangesClass(DIGIT, UPPER, [0x5f, 0x5f], LOWER),
  xdigit: rangesClass(DIGIT, [0x41, 0x46], [0x61, 0x66]),
}

export type Pattern =
  | { readonly kind: 'empty' }
  | { readonly kind: 'byte'; readonly byte: number }
  | { readonly kind: 'class'; readonly set: ByteClass }
  | { readonly kind: 'sequence'; readonly items: readonly Pattern[] }
  | { readonly kind: 'choice'; readonly items: readonly Pattern[] }
  /** `max` may be Infinity */
  | { readonly kind: 'repeat'; readonly item: Pattern; readonly min: number; readonly max: number }
  | { readonly kind: 'assert'; readonly what: Assertion }

/** Zero-width positions; `crlf-` ones also accept `\r` and `\r
 *  ` as line ends. */
export type Assertion =
  | 'start'
  | 'end'
  | 'line-start'
  | 'line-end'
  | 'crlf-line-start'
  | 'crlf-line-end'
  | 'word-boundary'
  | 'not-word-boundary'
  | 'word-start'
  | 'word-end'
  | 'word-start-half'
  | 'word-end-half'

export const EMPTY: Pattern = { kind: 'empty' }

/** The items in sequence, flattened, without empty ones. */
export function sequence(items: readonly Pattern[]): Pattern {
  const flat = items.flatMap((item) => (item.kind === 'sequence' ? item.items : item.kind === 'empty' ? [] : [item]))
  const [only] = flat
  if (only === undefined) return EMPTY
  return flat.length === 1 ? only : { kind: 'sequence', items: flat }
}

/** `max` may be Infinity. A zero-width item is never repeated, and zero repetitions are empty. */
export function repeat(item: Pattern, min: number, max: number): Pattern {
  const most = takesNothing(item) ? 1 : Number.POSITIVE_INFINITY
  const [low, high] = [Math.min(min, most), Math.min(max, most)]
  if (high === 0) return EMPTY
  return low === 1 && high === 1 ? item : { kind: 'repeat', item, min: low, max: high }
}

/** Whether it can only match the empty text. */
export function takesNothing(pattern: Pattern): boolean {
  switch (pattern.kind) {
    case 'empty':
    case 'assert':
      return true
    case 'byte':
    case 'class':
      return false
    case 'sequence':
    case 'choice':
      return pattern.items.every(takesNothing)
    case 'repeat':
      return takesNothing(pattern.item)
  }
}

// A byte pattern as a small program for a set of threads (Thompson's construction): consume a byte, fork, assert, or
// match. Repetitions are expanded; their cost is limited before this point.

export const MATCH = 0
export const TAKE = 1
export const FORK = 2
export const ASSERT = 3

/** Instruction `pc` is `ops[pc]`. TAKE: a byte of class `right[pc]`, then `left[pc]`. FORK: `left[pc]` and
 *  `right[pc]`. ASSERT: if assertion `right[pc]` holds, `left[pc]`. MATCH: the pattern matches; it is instruction 0. */
export interface Program {
  readonly ops: readonly number[]
  readonly left: readonly number[]
  readonly right: readonly number[]
  readonly classes: readonly ByteClass[]
  readonly assertions: readonly Assertion[]
  readonly start: number
}

/** Compiles a pattern. Its size must have been limited before. */
export function createProgram(pattern: Pattern): Program {
  const writer = new Writer()
  const start = writer.write(pattern, 0)
  const { ops, left, right, classes, assertions } = writer
  return { ops, left, right, classes, assertions, start }
}

class Writer {
  readonly ops: number[] = [MATCH]
  readonly left: number[] = [0]
  readonly right: number[] = [0]
  readonly classes: ByteClass[] = []
  readonly assertions: Assertion[] = []
  readonly #bytes = new Map<number, number>()
  readonly #sets = new Map<ByteClass, number>()

  /** Emits a pattern that continues at `next`; returns its first instruction. */
  write(pattern: Pattern, next: number): number {
    switch (pattern.kind) {
      case 'empty':
        return next
      case 'byte':
        return this.#add(TAKE, next, this.#byteOf(pattern.byte))
      case 'class':
        return this.#add(TAKE, next, this.#classOf(pattern.set))
      case 'assert':
        return this.#add(ASSERT, next, this.#assertionOf(pattern.what))
      case 'sequence':
        return pattern.items.reduceRight((then, item) => this.write(item, then), next)
      case 'choice':
        return pattern.items
          .map((item) => this.write(item, next))
          .reduceRight((rest, item) => this.#add(FORK, item, rest))
      case 'repeat':
        return this.#repeat(pattern.item, pattern.min, pattern.max, next)
    }
  }

  #repeat(item: Pattern, min: number, max: number, next: number): number {
    let then = next
    if (max === Number.POSITIVE_INFINITY) {
      const loop = this.#add(FORK, next, next)
      this.left[loop] = this.write(item, loop)
      then = loop
    } else {
      for (let times = min; times < max; times++) then = this.#add(FORK, this.write(item, then), next)
    }
    for (let times = 0; times < min; times++) then = this.write(item, then)
    return then
  }

  #add(op: number, left: number, right: number): number {
    this.ops.push(op)
    this.left.push(left)
    this.right.push(right)
    return this.ops.length - 1
  }

  #byteOf(byte: number): number {
    const known = this.#bytes.get(byte) ?? this.classes.push(rangesClass([byte, byte])) - 1
    this.#bytes.set(byte, known)
    return known
  }

  /** One entry per class of the pattern, even if a repetition emits it several times. */
  #classOf(set: ByteClass): number {
    const known = this.#sets.get(set) ?? this.classes.push(set) - 1
    this.#sets.set(set, known)
    return known
  }

  #assertionOf(what: Assertion): number {
    const known = this.assertions.indexOf(what)
    return known < 0 ? this.assertions.push(what) - 1 : known
  }
}

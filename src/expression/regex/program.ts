// A byte pattern as a small program for a set of threads (Thompson's construction): consume a byte, fork, assert, or
// match. Repetitions are expanded; their cost is limited before this point.

import { type ByteClass, rangesClass } from './byte-class.ts'
import type { Assertion, Pattern } from './pattern.ts'

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

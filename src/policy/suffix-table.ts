// Finds the endings a text has among many: of names (`.example.com`) and mail addresses (`@example.com`). Compares hashes taken from
// the end, so nothing is cut out of the text; two endings with one hash are both found.

import type { Visitor } from './prefix-table.ts'

const DOT = 0x2e
const AT = 0x40

/** What is stored under endings that start with `.` or `@`, without ASCII case. */
export class SuffixTable<T> {
  readonly #byHash = new Map<number, T[]>()

  constructor(entries: readonly { readonly suffix: string; readonly item: T }[]) {
    for (const { suffix, item } of entries) {
      let hash = 0
      for (let at = suffix.length - 1; at >= 0; at--) hash = step(hash, suffix.charCodeAt(at))
      const same = this.#byHash.get(hash)
      if (same === undefined) this.#byHash.set(hash, [item])
      else same.push(item)
    }
  }

  /** Shows the visitor what is stored under every ending of the text, the shortest first. */
  visit(text: string, visitor: Visitor<T>): void {
    let hash = 0
    for (let at = text.length - 1; at >= 0; at--) {
      const unit = text.charCodeAt(at)
      hash = step(hash, unit)
      if (unit !== DOT && unit !== AT) continue
      const items = this.#byHash.get(hash)
      if (items === undefined) continue
      for (let i = 0; i < items.length; i++) {
        const item = items[i]
        if (item !== undefined) visitor.visit(item)
      }
    }
  }
}

function step(hash: number, unit: number): number {
  const folded = unit >= 0x41 && unit <= 0x5a ? unit | 0x20 : unit
  return (Math.imul(hash ^ folded, 0x01000193) + 0x3c6ef372) | 0
}

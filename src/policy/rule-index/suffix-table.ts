// Finds the endings a text has among many: of names (`.example.com`) and mail addresses (`@example.com`). Compares hashes taken from
// the end, so nothing is cut out of the text; two endings with one hash are both found.

import type { Visitor } from './prefix-table.ts'
import { hashOfText, START, stepBack } from './text-hash.ts'

const DOT = 0x2e
const AT = 0x40

/** What is stored under endings that start with `.` or `@`, without ASCII case. */
export class SuffixTable<T> {
  readonly #byHash = new Map<number, T[]>()

  constructor(entries: readonly { readonly suffix: string; readonly item: T }[]) {
    for (const { suffix, item } of entries) {
      const hash = hashOfText(suffix)
      const same = this.#byHash.get(hash)
      if (same === undefined) this.#byHash.set(hash, [item])
      else same.push(item)
    }
  }

  /** Shows the visitor what is stored under every ending of the text, the shortest first. */
  visit(text: string, visitor: Visitor<T>): void {
    let hash = START
    for (let at = text.length - 1; at >= 0; at--) {
      const unit = text.charCodeAt(at)
      hash = stepBack(hash, unit)
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

// How many connections each egress address has to each destination right now: what [E7] limits. Counts; knows no port.

/** Counts by key, together over everything that opens connections. */
export interface UseCounts {
  /** Counts one more and answers how many there are now; `undefined`, and nothing counted, when there are `limit` already. */
  add(key: string, limit: number): number | undefined
  /** Takes one back. */
  remove(key: string): void
  /** what this process or thread holds itself: keys with at least one, and the most of one key */
  own(): { readonly keys: number; readonly most: number }
}

/** Counts of one thread that has them to itself. */
export class LocalUses implements UseCounts {
  readonly #counts = new Map<string, number>()

  add(key: string, limit: number): number | undefined {
    const used = (this.#counts.get(key) ?? 0) + 1
    if (used > limit) return undefined
    this.#counts.set(key, used)
    return used
  }

  remove(key: string): void {
    const left = (this.#counts.get(key) ?? 0) - 1
    if (left > 0) this.#counts.set(key, left)
    else this.#counts.delete(key)
  }

  has(key: string): boolean {
    return this.#counts.has(key)
  }

  own(): { readonly keys: number; readonly most: number } {
    let most = 0
    for (const count of this.#counts.values()) most = Math.max(most, count)
    return { keys: this.#counts.size, most }
  }
}

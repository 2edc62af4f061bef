// The last sessions, kept in memory for the API and the console. Fixed size: the oldest gives way (RS-10).

export interface Ring<T> {
  push(item: T): void
  /** oldest first */
  items(): T[]
  /** how many were ever pushed */
  readonly total: number
}

/** A ring of at most `capacity` items (at least 1). */
export function createRing<T>(capacity: number): Ring<T> {
  const slots: T[] = []
  let total = 0
  return {
    push(item) {
      slots[total % capacity] = item
      total++
    },
    items() {
      const start = total > capacity ? total % capacity : 0
      return [...slots.slice(start), ...slots.slice(0, start)]
    },
    get total() {
      return total
    },
  }
}

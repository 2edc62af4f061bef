// Things that come and go by thousands, in the order they came. Not a Set: when V8 makes room in one it leaves the old table behind,
// which refers to the new one and to all that was in it, and once such a table is old each lives on until the next major collection
// and with it every connection it ever held. Collections then take ten times as long.

/** Where an item is in the list: what {@link LinkedList.leave} takes. */
export class ListEntry<T> {
  item: T | undefined
  before: ListEntry<T> | undefined
  after: ListEntry<T> | undefined

  constructor(item: T, before: ListEntry<T> | undefined) {
    this.item = item
    this.before = before
  }
}

/** A doubly linked list: adding and removing cost the same at any size, and `empty` waits for the last item to go. */
export class LinkedList<T> {
  #first: ListEntry<T> | undefined
  #last: ListEntry<T> | undefined
  #size = 0
  #whenEmpty: (() => void)[] = []

  get size(): number {
    return this.#size
  }

  /** Adds an item at the end. */
  enter(item: T): ListEntry<T> {
    const place = new ListEntry(item, this.#last)
    if (this.#last === undefined) this.#first = place
    else this.#last.after = place
    this.#last = place
    this.#size++
    return place
  }

  /** Nothing refers to anything from this place any more; leaving twice does nothing. */
  leave(place: ListEntry<T>): void {
    if (place.item === undefined) return
    const { before, after } = place
    if (before === undefined) this.#first = after
    else before.after = after
    if (after === undefined) this.#last = before
    else after.before = before
    place.item = undefined
    place.before = undefined
    place.after = undefined
    this.#size--
    if (this.#size > 0 || this.#whenEmpty.length === 0) return
    const waiting = this.#whenEmpty
    this.#whenEmpty = []
    for (const resolve of waiting) resolve()
  }

  /** Resolves as soon as nothing is there. */
  empty(): Promise<void> {
    return this.#size === 0 ? Promise.resolve() : new Promise((resolve) => this.#whenEmpty.push(resolve))
  }

  /** Everything that is there now, the first that came first. */
  list(): T[] {
    const items: T[] = []
    for (let place = this.#first; place !== undefined; place = place.after) {
      if (place.item !== undefined) items.push(place.item)
    }
    return items
  }
}

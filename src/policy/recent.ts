// Remembers the latest of many things by name, in bounded memory. Two generations: what is asked for while it is in the older one
// moves to the newer, and a full newer one becomes the older. Cheaper than keeping an exact order of use, and never empty at once.

export class Recent<T> {
  readonly #most: number
  #newer = new Map<string, T>()
  #older = new Map<string, T>()

  /** Holds at least the latest `most` things, and at most twice as many. */
  constructor(most: number) {
    this.#most = most
  }

  get(name: string): T | undefined {
    const found = this.#newer.get(name)
    if (found !== undefined) return found
    const older = this.#older.get(name)
    if (older !== undefined) this.set(name, older)
    return older
  }

  set(name: string, thing: T): void {
    if (this.#newer.size >= this.#most) {
      this.#older = this.#newer
      this.#newer = new Map()
    }
    this.#newer.set(name, thing)
  }
}

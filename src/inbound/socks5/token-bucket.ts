// A token bucket: it refills steadily and holds one second's worth. Reads no clock.

/** Two buckets, for packets and for bytes; a packet has to fit both. */
export class RateLimit {
  readonly #packetsPerSecond: number
  readonly #bytesPerSecond: number
  #packets: number
  #bytes: number
  #filledAt: number

  /** `now`: monotonic ms */
  constructor(limits: { readonly packetsPerSecond: number; readonly bytesPerSecond: number }, now: number) {
    this.#packetsPerSecond = limits.packetsPerSecond
    this.#bytesPerSecond = limits.bytesPerSecond
    this.#packets = limits.packetsPerSecond
    this.#bytes = limits.bytesPerSecond
    this.#filledAt = now
  }

  /** Takes the tokens for a packet of this many bytes; false when there are too few. `now`: monotonic ms, may repeat
   *  between calls. */
  admits(bytes: number, now: number): boolean {
    if (now > this.#filledAt) {
      const seconds = (now - this.#filledAt) / 1000
      this.#packets = Math.min(this.#packetsPerSecond, this.#packets + seconds * this.#packetsPerSecond)
      this.#bytes = Math.min(this.#bytesPerSecond, this.#bytes + seconds * this.#bytesPerSecond)
      this.#filledAt = now
    }
    if (this.#packets < 1 || this.#bytes < bytes) return false
    this.#packets--
    this.#bytes -= bytes
    return true
  }
}

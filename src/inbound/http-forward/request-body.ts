// A request's body as a stream of its own. Whoever gives up on sending it on destroys this stream, and the client's
// connection stays whole, so that an early answer can still reach the client (FR-14).

import { Readable } from 'node:stream'

/** Where a body comes from. A stream of HTTP/2 that the client took back ends like a complete one, and says so in `aborted`. */
export type BodySource = Readable & { readonly aborted?: boolean }

export class RequestBody extends Readable {
  readonly #source: BodySource

  constructor(source: BodySource) {
    super({ highWaterMark: 64 * 1024 })
    this.#source = source
    source.on('data', this.#onData)
    source.on('end', this.#onEnd)
    source.on('close', this.#onClose)
    source.pause()
  }

  override _read(): void {
    this.#source.resume()
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#source.off('data', this.#onData)
    this.#source.off('end', this.#onEnd)
    this.#source.off('close', this.#onClose)
    done(error)
  }

  readonly #onData = (chunk: Buffer): void => {
    if (!this.push(chunk)) this.#source.pause()
  }

  readonly #onEnd = (): void => {
    if (this.#source.aborted) this.#cutOff()
    else this.push(null)
  }

  readonly #onClose = (): void => {
    if (!this.#source.readableEnded) this.#cutOff()
  }

  /** Gone before its end: the request must not look complete to the origin (FR-15). */
  #cutOff(): void {
    this.destroy(new Error('the client went away while sending'))
  }
}

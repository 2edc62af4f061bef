// A request's body as a stream of its own. Whoever gives up on sending it on destroys this stream, and the client's
// connection stays whole, so that an early answer can still reach the client (FR-14).

import { Readable } from 'node:stream'

export class RequestBody extends Readable {
  readonly #source: Readable

  constructor(source: Readable) {
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
    this.push(null)
  }

  /** Gone before its end: the request must not look complete to the origin. */
  readonly #onClose = (): void => {
    if (!this.#source.readableEnded) this.destroy(new Error('the client went away while sending'))
  }
}

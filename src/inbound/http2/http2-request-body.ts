// The body of a request on a stream of HTTP/2, moved as far as the origin takes it.

import type { ServerHttp2Stream } from 'node:http2'
import type { BodySink, RequestBody } from '../http-forward/request-body.ts'

export class Http2RequestBody implements RequestBody {
  isDone = false
  readonly #stream: ServerHttp2Stream
  readonly #onCutOff: () => void
  #sink: BodySink | undefined

  /** `onCutOff`: the client took the request back */
  constructor(stream: ServerHttp2Stream, onCutOff: () => void) {
    this.#stream = stream
    this.#onCutOff = onCutOff
  }

  start(sink: BodySink): void {
    this.#sink = sink
    this.#stream.on('data', this.#onData)
    this.#stream.on('end', this.#onEnd)
    this.#stream.on('close', this.#onClose)
    this.#stream.resume()
    // the head does not wait for the body
    sink.flush()
  }

  resume(): void {
    if (this.#sink !== undefined) this.#stream.resume()
  }

  stop(): void {
    if (this.#sink === undefined) return
    this.#sink = undefined
    this.#stream.off('data', this.#onData)
    this.#stream.off('end', this.#onEnd)
    this.#stream.off('close', this.#onClose)
  }

  readonly #onData = (chunk: Buffer): void => {
    const sink = this.#sink
    if (sink === undefined) return
    const hasRoom = sink.write(chunk)
    sink.flush()
    if (!hasRoom) this.#stream.pause()
  }

  /** A stream that the client took back ends like a complete one, and says so in `aborted`. */
  readonly #onEnd = (): void => {
    const sink = this.#sink
    if (this.#stream.aborted || sink === undefined) {
      this.#cutOff()
      return
    }
    this.isDone = true
    this.stop()
    sink.end()
  }

  readonly #onClose = (): void => {
    if (!this.isDone) this.#cutOff()
  }

  /** Gone before its end: the request must not look complete to the origin (FR-15). */
  #cutOff(): void {
    if (this.#sink === undefined) return
    this.stop()
    this.#onCutOff()
  }
}

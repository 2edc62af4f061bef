// The body of an HTTP/1 request: removes the client's framing and passes the bytes to the origin as fast as it takes
// them. And the bytes taken from a stream and not used yet, ahead of what the stream still has.

import { asGatewayError, GatewayError } from '../../errors/gateway-error.ts'
import { ChunkedDecoder } from '../../http1/chunked.ts'
import { requestError } from '../../http1/defect.ts'
import { CHUNKED } from '../../http1/framing.ts'
import type { ByteStream } from '../../transport/byte-stream.ts'
import type { BodySink, OnBodyFailure, RequestBody } from './responder.ts'

const LIMITS = {
  reading: 'request',
  maxExtensionBytes: 16 * 1024,
  maxTrailerBytes: 16 * 1024,
  maxTrailers: 500,
} as const

export interface BodyEvents {
  /** bytes have arrived, or the body waits for the client again */
  onProgress(): void
  /** the body waits for the origin */
  onBlocked(): void
  readonly onFailure: OnBodyFailure
}

/** One body on its way to the origin. Reading throws Defect where its framing is at fault. */
export class Http1RequestBody implements RequestBody {
  isDone = false
  readonly #input: HeldInput
  readonly #events: BodyEvents
  readonly #decoder: ChunkedDecoder | undefined
  #left: number
  #sink: BodySink | undefined
  #isBlocked = false
  #isPumping = false

  /** `length` in bytes, or CHUNKED. */
  constructor(input: HeldInput, length: number, events: BodyEvents) {
    this.#input = input
    this.#events = events
    this.#left = length
    this.#decoder = length === CHUNKED ? new ChunkedDecoder(LIMITS) : undefined
  }

  start(sink: BodySink): void {
    this.#sink = sink
    this.#isBlocked = false
    if (this.isDone) sink.end()
    else this.pump()
  }

  /** Reads the framing before the first data; true once it is there and valid, at once for a body without chunks.
   *  Throws Defect. */
  prime(): boolean {
    const decoder = this.#decoder
    if (decoder === undefined) return true
    while (!decoder.isAtData && !decoder.isDone) {
      const bytes = this.#input.take()
      if (bytes === undefined) return false
      this.#input.keep(bytes.subarray(decoder.takeFraming(bytes, 0)))
    }
    this.isDone = decoder.isDone
    return true
  }

  resume(): void {
    this.#isBlocked = false
    this.pump()
  }

  stop(): void {
    this.#sink = undefined
  }

  /** Moves what has arrived; to be called when the client's stream is readable. */
  pump(): void {
    const sink = this.#sink
    if (sink === undefined || this.isDone || this.#isPumping) return
    this.#isPumping = true
    try {
      while (!this.isDone && !this.#isBlocked && this.#sink === sink) {
        const bytes = this.#input.take()
        if (bytes === undefined) break
        this.#events.onProgress()
        this.#move(bytes, (data) => {
          if (this.#sink === sink && !sink.write(data)) this.#isBlocked = true
        })
      }
      if (this.isDone) sink.end()
      else sink.flush()
    } catch (thrown) {
      this.#sink = undefined
      this.#events.onFailure(asGatewayError(requestError(thrown)))
      return
    } finally {
      this.#isPumping = false
    }
    if (this.isDone || this.#sink === undefined) return
    if (this.#input.hasEnded) this.#cutOff()
    else if (this.#isBlocked) this.#events.onBlocked()
  }

  /** Discards what has arrived. Throws Defect. */
  drain(): void {
    while (!this.isDone) {
      const bytes = this.#input.take()
      if (bytes === undefined) return
      this.#move(bytes, ignore)
    }
  }

  #move(bytes: Buffer, onData: (data: Buffer) => void): void {
    const decoder = this.#decoder
    if (decoder === undefined) {
      const size = Math.min(bytes.length, this.#left)
      this.#left -= size
      if (size < bytes.length) this.#input.keep(bytes.subarray(size))
      if (this.#left === 0) this.isDone = true
      onData(size < bytes.length ? bytes.subarray(0, size) : bytes)
      return
    }
    let at = 0
    while (at < bytes.length && !decoder.isDone) {
      at = decoder.take(bytes, at)
      if (decoder.dataFrom < at) onData(bytes.subarray(decoder.dataFrom, at))
    }
    if (!decoder.isDone) return
    if (at < bytes.length) this.#input.keep(bytes.subarray(at))
    this.isDone = true
  }

  #cutOff(): void {
    this.#sink = undefined
    this.#events.onFailure(
      new GatewayError('request.malformed', 'the client closed the connection before its request was complete'),
    )
  }
}

function ignore(): void {}

/** A stream's bytes with some put back: `take` gives what is held first, then what the stream has. */
export class HeldInput {
  readonly #stream: ByteStream
  #held: Buffer | undefined
  /** the bytes {@link take} returned last are this object's own */
  #isOwn = false

  constructor(stream: ByteStream) {
    this.#stream = stream
  }

  /** The peer has sent everything, and all of it was taken. */
  get hasEnded(): boolean {
    return this.#held === undefined && this.#stream.hasEnded
  }

  /** Nothing comes behind what was read, or as much as `limit` was read ahead and nobody knows. */
  isLast(limit: number): boolean {
    return (this.#held?.length ?? 0) >= limit || this.#stream.hasEnded
  }

  /** Reads up to about `limit` bytes into memory of its own: only a reader notices how the stream ended. */
  readAhead(limit: number): void {
    let held = this.#held ?? Buffer.alloc(0)
    while (held.length < limit) {
      const bytes = this.#stream.read()
      if (bytes === undefined) break
      held = Buffer.concat([held, bytes])
      this.#held = held
    }
  }

  /** The next bytes, valid until the next call for any stream; undefined when there are none now. */
  take(): Buffer | undefined {
    const held = this.#held
    this.#held = undefined
    this.#isOwn = held !== undefined
    return held ?? this.#stream.read()
  }

  /** Keeps the unused end of what {@link take} returned for its next call. */
  keep(rest: Buffer): void {
    if (rest.length > 0) this.#held = this.#isOwn ? rest : Buffer.from(rest)
  }

  /** Puts everything back into the stream for its next reader. */
  release(): void {
    const held = this.#held
    this.#held = undefined
    if (held !== undefined) this.#stream.unread(held)
  }
}

// The answer on one HTTP/2 stream, for the forwarding that writes answers of HTTP/1.1 (RFC 9113 section 8.3.2).

import { constants, type ServerHttp2Stream } from 'node:http2'
import type { Answer } from '../http-forward/answer.ts'
import { responseHeaders } from './response-headers.ts'

export class StreamAnswer implements Answer {
  /** no connection to take over: streams do not switch protocols */
  readonly socket = null
  readonly #stream: ServerHttp2Stream
  readonly #isHead: boolean
  #trailers: readonly [string, string][] = []

  /** `method`: of the request */
  constructor(stream: ServerHttp2Stream, method: string) {
    this.#stream = stream
    this.#isHead = method === 'HEAD'
  }

  get headersSent(): boolean {
    return this.#stream.headersSent
  }

  get #gone(): boolean {
    return this.#stream.destroyed || this.#stream.closed
  }

  /** The reason phrase is not sent: HTTP/2 has none. */
  writeHead(status: number, _reason: string, fields: readonly string[]): void {
    if (this.#gone) return
    // trailers or not: without waiting for them Node would end the stream cleanly ahead of a reset (FR-09)
    this.#stream.respond(responseHeaders(status, fields), { waitForTrailers: true })
    this.#stream.once('wantTrailers', () => this.#stream.sendTrailers(Object.fromEntries(this.#trailers)))
  }

  inform(status: number, fields: readonly string[]): void {
    if (!this.#gone && !this.headersSent) this.#stream.additionalHeaders(responseHeaders(status, fields))
  }

  writeContinue(): void {
    this.inform(100, [])
  }

  write(chunk: Buffer): boolean {
    return this.#gone || this.#isHead || !this.#stream.writable || this.#stream.write(chunk)
  }

  once(event: 'drain', listener: () => void): void {
    this.#stream.once(event, listener)
  }

  addTrailers(trailers: readonly [string, string][]): void {
    this.#trailers = trailers.map(([name, value]) => [name.toLowerCase(), value])
  }

  end(body?: string | Buffer, encoding: 'utf8' | 'latin1' = 'utf8'): void {
    if (this.#gone) return
    // whoever refuses a HEAD may have a body for it, which must not be sent (RFC 9110 section 9.3.2)
    if (this.#isHead) this.#stream.end()
    else this.#stream.end(body, encoding)
  }

  /** Shows that the answer is not complete. */
  destroy(): void {
    if (!this.#gone) this.#stream.close(constants.NGHTTP2_INTERNAL_ERROR)
  }
}

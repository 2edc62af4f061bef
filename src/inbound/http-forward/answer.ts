// What the forwarding proxy writes to its client: error answers of its own, and the abrupt end that shows a client that a
// message is not complete (FR-09).

import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { GatewayError } from '../../errors/gateway-error.ts'
import { httpErrorAnswer } from '../../errors/to-http.ts'
import { resetStream } from '../../proxy/wire/reset-stream.ts'
import type { Clock } from '../../transport/timer-wheel.ts'

/** The answer to one request, as far as forwarding writes it: Node's ServerResponse, or a stream of HTTP/2. */
export interface Answer {
  readonly headersSent: boolean
  /** the connection, where the answer has one to itself */
  readonly socket: Socket | null
  writeHead(status: number, reason: string, fields: string[]): unknown
  /** an interim answer, where there is a call for it */
  inform?(status: number, fields: readonly string[]): void
  writeContinue(): void
  /** false: wait for `drain` */
  write(chunk: Buffer): boolean
  once(event: 'drain', listener: () => void): unknown
  addTrailers(trailers: readonly [string, string][]): void
  end(): unknown
  end(body: string | Buffer): unknown
  end(body: string, encoding: 'latin1'): unknown
  /** shows that the answer is not complete, where there is no `socket` to reset */
  destroy(): unknown
}

const DRAIN_MS = 10_000

/** Answers with the error and keeps the connection, or resets the connection when another answer has already begun. */
export function answerError(res: Answer, error: GatewayError): void {
  if (res.headersSent) {
    cut(res)
    return
  }
  const { status, reason, fields, body } = httpErrorAnswer(error)
  res.writeHead(status, reason, [...fields, 'Content-Length', String(body.length)])
  res.end(body)
}

/** Shows the client a reset, so that a truncated message cannot be taken for a whole one. */
export function cut(res: Answer): void {
  if (res.socket === null) res.destroy()
  else resetStream(res.socket)
}

/** Answered before the request was read to its end: the rest is thrown away for a while, so that the answer is not lost to a
 *  reset, and then the connection goes (FR-14). */
export function drainRest(req: IncomingMessage, clock: Clock): void {
  if (req.complete || req.socket.destroyed) return
  const patience = clock.after(DRAIN_MS, () => req.socket.destroy())
  req.once('close', () => patience.cancel())
  req.resume()
}

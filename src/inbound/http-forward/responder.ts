// The client's side of one exchange, whatever protocol it came by, and the answers the proxy gives of its own.

import type { GatewayError } from '../../errors/gateway-error.ts'
import { httpErrorAnswer } from '../../errors/to-http.ts'
import type { AnswerHead } from './forward-response.ts'

export interface Responder {
  /** the head of the final answer has been given */
  readonly hasBegun: boolean
  /** An interim answer (1xx); left out where the client's protocol has none. */
  interim(head: AnswerHead): void
  /** The final head. What follows at once may leave together with it: {@link flush} sends. */
  head(head: AnswerHead): void
  /** Bytes of the body, valid during the call only. False: wait until told that there is room again. */
  body(bytes: Buffer): boolean
  /** The answer is complete. */
  end(trailers: readonly string[]): void
  /** Sends what has been given so far. False: as with {@link body}. */
  flush(): boolean
  /** The answer cannot be completed: shows the client that it is broken (FR-09). What was not sent yet is taken back; false then: no
   *  head was sent, another answer may be given in its place. */
  cut(): boolean
  /** No request is taken behind this answer. */
  closeAfter(): void
}

/** What decides whether an answer of our own may have a body. */
export interface Asked {
  readonly method: string
  readonly expectsContinue: boolean
}

export const ALLOWED_METHODS = 'GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH'

/** Answers with the error, or shows that the answer under way is broken. A HEAD gets no body, and a client that waits for 100
 *  (Continue) none either: Java's waits for ever for one of 1 to 1,024 bytes. */
export function answerError(responder: Responder, error: GatewayError, asked: Asked): void {
  if (responder.hasBegun && responder.cut()) return
  const { status, reason, fields, body } = httpErrorAnswer(error)
  const bytes = Buffer.from(asked.expectsContinue ? '' : body)
  const isHead = asked.method === 'HEAD'
  const length = isHead ? 0 : bytes.length
  responder.head({ status, reason, fields: [...fields, 'Content-Length', String(bytes.length)], body: length })
  if (length > 0) responder.body(bytes)
  responder.end([])
}

/** OPTIONS with Max-Forwards 0 ends here (RFC 9110 section 7.6.2). */
export function answerOptions(responder: Responder): void {
  answerEmpty(responder, 200, 'OK', ['Allow', ALLOWED_METHODS])
}

/** A whole answer without a body. */
export function answerEmpty(responder: Responder, status: number, reason: string, fields: readonly string[]): void {
  responder.head({ status, reason, fields: [...fields, 'Content-Length', '0'], body: 0 })
  responder.end([])
}

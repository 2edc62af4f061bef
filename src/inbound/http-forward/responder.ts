// The two sides of one exchange, for every HTTP version: the body of a request on its way to an origin, which moves only
// while the origin takes it; and the client's side of the answer, with the responses the proxy makes itself.

import type { GatewayError } from '../../errors/gateway-error.ts'
import { type ErrorPage, httpErrorAnswer } from '../../errors/http-error-answer.ts'
import { valuesOf } from '../../http1/fields.ts'

/** The head of a response, as a {@link Responder} takes it. */
export interface AnswerHead {
  readonly status: number
  /** the canonical phrase; an origin's own is dropped */
  readonly reason: string
  /** flat list of names and values; includes Content-Length where the length is known, no other framing */
  readonly fields: readonly string[]
  /** bytes of the body; CHUNKED or UNTIL_CLOSE where its length is not known ahead */
  readonly body: number
}

/** Sends one response to the client. */
export interface Responder {
  /** the head of the final response was given */
  readonly hasBegun: boolean
  /** An interim response (1xx); dropped where the client's protocol has none. */
  interim(head: AnswerHead): void
  /** The head of the final response. It may be sent together with what follows at once; {@link flush} sends it. */
  head(head: AnswerHead): void
  /** Bytes of the body, valid only during the call. False: pause until the client can take more. */
  body(bytes: Buffer): boolean
  /** The response is complete. */
  end(trailers: readonly string[]): void
  /** Sends what was given so far. False: as for {@link body}. */
  flush(): boolean
  /** The response cannot be completed: cuts it off visibly (FR-09). False when nothing was sent yet: the head is
   *  discarded, and another response can be given instead. */
  cut(): boolean
  /** Closes the connection after this response. */
  closeAfter(): void
}

/** What decides whether a response of the proxy may have a body. */
export interface Asked {
  readonly method: string
  readonly expectsContinue: boolean
  /** for browsers */
  readonly errorPage?: ErrorPage | undefined
}

/** of a request that could not be read */
export const NOTHING_ASKED: Asked = { method: '', expectsContinue: false }

/** What a head asks that was not understood. */
export function askedBy({ method, fields }: { readonly method: string; readonly fields: readonly string[] }): Asked {
  return { method, expectsContinue: valuesOf(fields, 'expect').length > 0 }
}

export const ALLOWED_METHODS = 'GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH'

/** Responds with the error, or cuts off the response that has begun. No body for a HEAD, and none for a client that
 *  waits for 100 (Continue): Java's waits forever for one of 1 to 1,024 bytes. */
export function answerError(responder: Responder, error: GatewayError, asked: Asked): void {
  if (responder.hasBegun && responder.cut()) return
  const { status, reason, fields, body } = httpErrorAnswer(error, { page: asked.errorPage })
  const bytes = Buffer.from(asked.expectsContinue ? '' : body)
  const isHead = asked.method === 'HEAD'
  const length = isHead ? 0 : bytes.length
  responder.head({ status, reason, fields: [...fields, 'Content-Length', String(bytes.length)], body: length })
  if (length > 0) responder.body(bytes)
  responder.end([])
}

/** Responds to OPTIONS with Max-Forwards 0 (RFC 9110 section 7.6.2). */
export function answerOptions(responder: Responder): void {
  answerEmpty(responder, 200, 'OK', ['Allow', ALLOWED_METHODS])
}

/** Sends a complete response without a body. `fields` is a flat list of names and values. */
export function answerEmpty(responder: Responder, status: number, reason: string, fields: readonly string[]): void {
  responder.head({ status, reason, fields: [...fields, 'Content-Length', '0'], body: 0 })
  responder.end([])
}

/** Receives a request body. */
export interface BodySink {
  /** `bytes` are valid only during the call. False: pause until {@link RequestBody.resume}. */
  write(bytes: Buffer): boolean
  /** The body is complete. */
  end(): void
  /** Sends what {@link write} gathered. */
  flush(): void
}

export interface RequestBody {
  /** everything has been read from the client */
  readonly isDone: boolean
  /** Moves what has arrived to this sink, and the rest as it arrives. */
  start(sink: BodySink): void
  /** The sink can take more. */
  resume(): void
  /** The sink takes no more; the rest is discarded later. */
  stop(): void
}

/** Why a request body cannot be completed. */
export type OnBodyFailure = (error: GatewayError) => void

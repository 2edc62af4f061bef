// One request and its answer over an established link, through undici: the fast road of forwarded HTTP. What undici does not
// carry (Expect, Upgrade, TE) takes slow-exchange.ts.

import { type Dispatcher, errors } from 'undici'
import { asGatewayError, GatewayError } from '../../errors/gateway-error.ts'
import { type Answer, cut } from './answer.ts'
import type { ForwardRequest } from './forward-request.ts'
import { type ResponseRules, understandResponse } from './forward-response.ts'
import { allowedTrailers, valuesOf } from './hop-by-hop.ts'
import { type BodySource, RequestBody } from './request-body.ts'
import type { LinkSettings, UpstreamLink } from './upstream-link.ts'

const MOST_INTERIM_FIELDS = 32
const NOT_INTERIM = /^transfer-encoding$/i
const CONTROL = /[^\t\x20-\x7e\x80-\xff]/

/** Bytes that are cheaper to copy once more than to write beside the head. */
const MAX_JOINED = 16 * 1024

/** The two ends of one exchange with the client. */
export interface ClientSide {
  /** its body, and the version it came by where it is a message of HTTP/1 */
  readonly req: BodySource & { readonly httpVersion?: string }
  readonly res: Answer
  readonly request: ForwardRequest
}

/** How an exchange ended: the answer is complete, or it failed before (`answered: false`) or after its head was sent. */
export type Outcome =
  | { readonly kind: 'done' }
  | { readonly kind: 'failed'; readonly error: GatewayError; readonly answered: boolean; readonly silent: boolean }

export class Exchange implements Dispatcher.DispatchHandler {
  readonly #client: ClientSide
  readonly #rules: ResponseRules
  readonly #finish: (outcome: Outcome) => void
  #heard = false
  #over = false
  /** bytes of the body still to come, where the head says how many */
  #left = Number.NaN
  #ended = false

  constructor(client: ClientSide, rules: ResponseRules, finish: (outcome: Outcome) => void) {
    this.#client = client
    this.#rules = rules
    this.#finish = finish
  }

  /** Sends the request. `finish` is called exactly once, unless the exchange is abandoned. */
  start(link: UpstreamLink, settings: LinkSettings): void {
    const { req, request } = this.#client
    const { body, contentLength } = request
    const headers = ['host', request.host, ...request.fields]
    if (contentLength !== undefined) headers.push('content-length', contentLength)
    link.expect(settings, (status, fields) => this.#inform(status, fields))
    try {
      link
        .client(settings)
        .dispatch(
          { method: request.method, path: request.path, headers, body: body === 'none' ? null : new RequestBody(req) },
          this,
        )
    } catch (thrown) {
      this.#fail(asGatewayError(thrown))
    }
  }

  /** The client is gone: nothing more is written, the origin sees a reset (FR-15). */
  abandon(): void {
    this.#over = true
  }

  /** undici insists on it. */
  onRequestStart(): void {}

  onResponseStart(controller: Dispatcher.DispatchController, status: number): void {
    this.#heard = true
    const { res } = this.#client
    const response = understandResponse(status, rawList(controller.rawHeaders), this.#rules)
    this.#left = Number(valuesOf(response.fields, 'content-length')[0])
    res.writeHead(response.status, response.reason, response.fields)
  }

  /** An interim answer goes on to whoever knows what that is (FR-12). */
  #inform(status: number, given: readonly string[]): void {
    if (this.#over) return
    const { req, res } = this.#client
    if (req.httpVersion === '1.0') return
    const { reason, fields } = understandResponse(status, soundFields(given), this.#rules)
    writeInformation(res, status, reason, fields)
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#over) return
    const { res } = this.#client
    this.#left -= chunk.length
    if (this.#left === 0) this.#endWith(chunk)
    else if (!res.write(chunk)) this.#waitForDrain(controller)
  }

  #waitForDrain(controller: Dispatcher.DispatchController): void {
    const { res } = this.#client
    controller.pause()
    res.once('drain', () => controller.resume())
  }

  /** The end goes with the last bytes; small ones as text, which Node joins with the head. Together a tenth of a small answer's cost. */
  #endWith(chunk: Buffer): void {
    this.#ended = true
    if (chunk.length <= MAX_JOINED) this.#client.res.end(chunk.toString('latin1'), 'latin1')
    else this.#client.res.end(chunk)
  }

  onResponseEnd(controller: Dispatcher.DispatchController): void {
    if (this.#over) return
    const { res, request } = this.#client
    const trailers = request.takesTrailers ? allowedTrailers(rawList(controller.rawTrailers)) : []
    if (trailers.length > 0) res.addTrailers(pairs(trailers))
    if (!this.#ended) res.end()
    this.#conclude({ kind: 'done' })
  }

  onResponseError(_controller: Dispatcher.DispatchController, thrown: Error): void {
    this.#fail(namedError(thrown))
  }

  /** The connection broke while this exchange was on it. */
  originBroke(cause: Error): void {
    this.#fail(namedError(cause))
  }

  #fail(error: GatewayError): void {
    const { res } = this.#client
    const answered = res.headersSent
    if (answered && !this.#over) cut(res)
    this.#conclude({ kind: 'failed', error, answered, silent: !this.#heard })
  }

  #conclude(outcome: Outcome): void {
    if (this.#over) return
    this.#over = true
    this.#finish(outcome)
  }
}

/** What of an interim answer can be said; the answer itself is judged more strictly. */
function soundFields(fields: readonly string[]): string[] {
  const sound: string[] = []
  for (let at = 0; at < Math.min(fields.length, 2 * MOST_INTERIM_FIELDS); at += 2) {
    const [name = '', value = ''] = fields.slice(at, at + 2)
    if (!NOT_INTERIM.test(name) && !CONTROL.test(value)) sound.push(name, value)
  }
  return sound
}

/** A flat list of raw header bytes as Latin-1 text, in order and spelling (HH-12). */
function rawList(raw: Dispatcher.DispatchController['rawHeaders']): string[] {
  if (!Array.isArray(raw)) return []
  return raw.map((part) => (typeof part === 'string' ? part : part.toString('latin1')))
}

/** An interim answer (RFC 9110 section 15.2), as it came; Node has no call for all of them. */
export function writeInformation(res: Answer, status: number, reason: string, fields: readonly string[]): void {
  res.inform?.(status, fields)
  if (res.headersSent || res.socket === null) return
  let text = `HTTP/1.1 ${status} ${reason}\r\n`
  for (let at = 0; at < fields.length; at += 2) text += `${fields[at]}: ${fields[at + 1]}\r\n`
  res.socket.write(`${text}\r\n`, 'latin1')
}

export function pairs(fields: readonly string[]): [string, string][] {
  const list: [string, string][] = []
  for (let at = 0; at < fields.length; at += 2) list.push([fields[at] ?? '', fields[at + 1] ?? ''])
  return list
}

/** undici's errors in our catalogue. */
function namedError(thrown: Error): GatewayError {
  if (thrown instanceof GatewayError) return thrown
  if (thrown.cause instanceof GatewayError) return thrown.cause
  if (thrown instanceof errors.InvalidArgumentError || thrown instanceof errors.NotSupportedError) {
    return new GatewayError('request.malformed', 'the request holds something that cannot be sent on', {
      cause: thrown,
    })
  }
  if (thrown instanceof errors.HeadersTimeoutError) {
    return new GatewayError('origin.timeout', 'the origin took the request and did not answer in time', {
      cause: thrown,
    })
  }
  if (thrown instanceof errors.BodyTimeoutError) {
    return new GatewayError('origin.timeout', 'the origin stopped in the middle of its answer', { cause: thrown })
  }
  if (thrown instanceof errors.ResponseContentLengthMismatchError) {
    return new GatewayError('origin.incomplete_response', 'the origin cut its answer short', { cause: thrown })
  }
  if (thrown instanceof errors.HTTPParserError || thrown instanceof errors.HeadersOverflowError) {
    return new GatewayError('origin.malformed_response', 'the origin does not answer in sound HTTP', { cause: thrown })
  }
  if (thrown instanceof errors.SocketError && /^bad /.test(thrown.message)) {
    return new GatewayError('origin.malformed_response', 'the origin sent an answer nobody asked for', {
      cause: thrown,
    })
  }
  return new GatewayError('origin.incomplete_response', 'the origin closed the connection in the middle', {
    cause: thrown,
  })
}

// Parses an origin's response as it arrives: interim heads, the final head, the body, each passed to the responder at
// once. Knows no stream.

import { asGatewayError, GatewayError } from '../../errors/gateway-error.ts'
import { ChunkedDecoder } from '../../http1/chunked.ts'
import { valuesOf } from '../../http1/fields.ts'
import { CHUNKED, responseFraming, UNTIL_CLOSE } from '../../http1/framing.ts'
import { trimBlanks } from '../../http1/grammar.ts'
import { HeadReader } from '../../http1/head-reader.ts'
import { keepsConnection } from '../../http1/persistence.ts'
import { parseResponseHead, type ResponseHead } from '../../http1/response-head.ts'
import { responseError } from './defects.ts'
import type { ForwardRequest } from './forward-request.ts'
import { type AnswerHead, forwardInterim, forwardResponse, type ResponseMarks } from './forward-response.ts'
import { allowedTrailers } from './hop-by-hop.ts'
import type { Responder } from './responder.ts'

export interface AnswerRules extends ResponseMarks {
  readonly maxHeadBytes: number
  readonly maxFields: number
}

/** Interim responses forwarded per request; more are dropped. */
const MAX_INTERIM = 16
const MAX_EXTENSION_BYTES = 16 * 1024

export class OriginResponse {
  /** the origin has not sent a byte */
  isSilent = true
  /** the final head has arrived */
  hasHead = false
  /** the final response is complete */
  isComplete = false
  /** the connection can carry another exchange */
  isReusable = false
  /** set by a 101: what follows is not HTTP */
  switchHead: AnswerHead | undefined
  readonly #rules: AnswerRules
  readonly #reader: HeadReader
  #request: ForwardRequest | undefined
  #status = 0
  #interims = 0
  /** bytes of the body still to come, CHUNKED or UNTIL_CLOSE */
  #left = 0
  #decoder: ChunkedDecoder | undefined

  constructor(rules: AnswerRules) {
    this.#rules = rules
    this.#reader = new HeadReader({
      maxHeadBytes: rules.maxHeadBytes,
      maxLineBytes: rules.maxHeadBytes,
      skipsEmptyLines: false,
    })
  }

  get isSwitch(): boolean {
    return this.switchHead !== undefined
  }

  /** of the final head; 0 before that, 101 after a switch */
  get status(): number {
    return this.switchHead?.status ?? (this.hasHead ? this.#status : 0)
  }

  /** Only the end of the connection ends this response. */
  get endsWithConnection(): boolean {
    return this.hasHead && this.#left === UNTIL_CLOSE
  }

  /** An error response that only the end of the connection ends. */
  get isRefusalUntilClose(): boolean {
    return this.endsWithConnection && this.#status >= 400
  }

  /** Prepares for the response to this request. */
  expect(request: ForwardRequest): void {
    this.#request = request
    this.isSilent = true
    this.hasHead = false
    this.isComplete = false
    this.isReusable = false
    this.switchHead = undefined
    this.#interims = 0
    this.#left = 0
    this.#decoder = undefined
    this.#reader.reset()
  }

  /** Parses bytes of the response and passes them on; returns how many belong to it. Throws Defect and GatewayError. */
  take(bytes: Buffer, responder: Responder): number {
    this.isSilent = false
    let at = 0
    while (!this.hasHead) {
      at = this.#reader.push(bytes, at)
      if (at < 0) {
        this.#checkBeginning()
        return bytes.length
      }
      const head = parseResponseHead(this.#reader.text, this.#rules.maxFields)
      this.#reader.reset()
      this.#takeHead(head, responder)
      if (this.isSwitch || this.isComplete) return at
    }
    return at < bytes.length ? this.#takeBody(bytes, at, responder) : at
  }

  /** Ends the response, with the trailers that may be forwarded. */
  finish(responder: Responder): void {
    const trailers = this.#decoder?.trailers ?? []
    const takes = trailers.length > 0 && this.#request?.takesTrailers === true
    responder.end(takes ? allowedTrailers(trailers) : [])
  }

  /** What is wrong with a head that was cut off, beside being cut off; undefined: nothing. */
  unfinishedHead(): GatewayError | undefined {
    const line = this.#reader.startLine
    if (this.hasHead || line === undefined) return undefined
    try {
      parseResponseHead(`${line}\r\n\r\n`, 0)
      return undefined
    } catch (thrown) {
      return this.errorOf(thrown)
    }
  }

  errorOf(thrown: unknown): GatewayError {
    return asGatewayError(responseError(thrown))
  }

  /** Fails at once where the bytes do not begin as HTTP. */
  #checkBeginning(): void {
    const error = this.unfinishedHead()
    if (error !== undefined) throw error
  }

  #takeHead(head: ResponseHead, responder: Responder): void {
    const request = this.#request
    if (head.status === 101) {
      this.#takeSwitch(head, request)
      return
    }
    if (head.status < 200) {
      if (this.#interims++ < MAX_INTERIM) responder.interim(forwardInterim(head, this.#rules.pseudonym))
      return
    }
    const framing = responseFraming(request?.method ?? '', head)
    this.hasHead = true
    this.#status = head.status
    this.isReusable = framing.isReusable && keepsConnection(head.version, head.fields)
    this.#left = framing.body
    this.#decoder = framing.body === CHUNKED ? new ChunkedDecoder(this.#chunkedLimits()) : undefined
    this.isComplete = framing.body === 0
    responder.head(forwardResponse(head, framing, this.#rules))
  }

  #takeSwitch(head: ResponseHead, request: ForwardRequest | undefined): void {
    const accepted = valuesOf(head.fields, 'upgrade')
    const protocol = request?.upgrade
    if (protocol === undefined || accepted.length !== 1 || trimBlanks(accepted[0] ?? '').toLowerCase() !== protocol) {
      throw new GatewayError('origin.malformed_response', 'the origin switched to a protocol that was not requested')
    }
    const { status, reason, fields } = forwardInterim(head, this.#rules.pseudonym)
    const upgraded = [...fields, 'Connection', 'Upgrade', 'Upgrade', protocol, ...this.#rules.annotation]
    this.switchHead = { status, reason, fields: upgraded, body: 0 }
  }

  #takeBody(bytes: Buffer, from: number, responder: Responder): number {
    if (this.#decoder !== undefined) return this.#takeChunks(this.#decoder, { bytes, from, responder })
    const end = this.#left === UNTIL_CLOSE ? bytes.length : Math.min(bytes.length, from + this.#left)
    if (this.#left !== UNTIL_CLOSE) {
      this.#left -= end - from
      this.isComplete = this.#left === 0
    }
    responder.body(from === 0 && end === bytes.length ? bytes : bytes.subarray(from, end))
    return end
  }

  #takeChunks(
    decoder: ChunkedDecoder,
    { bytes, from, responder }: { readonly bytes: Buffer; readonly from: number; readonly responder: Responder },
  ): number {
    let at = from
    while (at < bytes.length && !decoder.isDone) {
      at = decoder.take(bytes, at)
      if (decoder.dataFrom < at) responder.body(bytes.subarray(decoder.dataFrom, at))
    }
    this.isComplete = decoder.isDone
    return at
  }

  #chunkedLimits() {
    const { maxHeadBytes, maxFields } = this.#rules
    return {
      reading: 'response',
      maxExtensionBytes: MAX_EXTENSION_BYTES,
      maxTrailerBytes: maxHeadBytes,
      maxTrailers: maxFields,
    } as const
  }
}

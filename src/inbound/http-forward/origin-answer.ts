// Parses an origin's response as it arrives: interim heads, the final head, the body, each passed to the responder at
// once. A head is translated for the client: end-to-end fields in their order, one normalised length, the proxy's Via, the
// canonical reason phrase. Knows no stream.

import { STATUS_CODES } from 'node:http'
import { asGatewayError, GatewayError } from '../../errors/gateway-error.ts'
import { ANNOTATION_NAMES } from '../../errors/http-error-answer.ts'
import { ChunkedDecoder } from '../../http1/chunked.ts'
import { responseError } from '../../http1/defect.ts'
import { valuesOf } from '../../http1/fields.ts'
import { CHUNKED, keepsConnection, type ResponseFraming, responseFraming, UNTIL_CLOSE } from '../../http1/framing.ts'
import { isNamed, trimBlanks } from '../../http1/grammar.ts'
import { HeadReader } from '../../http1/head-reader.ts'
import { parseResponseHead, type ResponseHead } from '../../http1/message-head.ts'
import type { ForwardRequest } from './forward-request.ts'
import { allowedTrailers, endToEnd } from './hop-by-hop.ts'
import type { AnswerHead, Responder } from './responder.ts'

export interface AnswerRules {
  readonly maxHeadBytes: number
  readonly maxFields: number
  /** the proxy's name in Via */
  readonly pseudonym: string
  /** fields that match the response with its session; an origin's own of these names are dropped */
  readonly annotation: readonly string[]
}

/** Interim responses forwarded per request; more are dropped. */
const MAX_INTERIM = 16
const MAX_EXTENSION_BYTES = 16 * 1024

/** The response to one request, fed with what the origin sends. Feeding it throws Defect where the origin breaks
 *  HTTP/1.1. */
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

/** Via is rebuilt; Proxy-Status belongs to the proxy, so an origin cannot forge it (HH-10). */
const NOT_FORWARDED = new Set(['proxy-status', 'via'])
const NEITHER_LENGTH = new Set([...NOT_FORWARDED, 'content-length'])
const MAX_INTERIM_FIELDS = 32

/** The head of a final response for the client. */
function forwardResponse(
  head: ResponseHead,
  framing: ResponseFraming,
  { pseudonym, annotation }: Pick<AnswerRules, 'pseudonym' | 'annotation'>,
): AnswerHead {
  const { status } = head
  const fields = annotation.length === 0 ? head.fields : withoutAnnotation(head.fields)
  const kept = endToEnd(fields, status === 204 || status === 205 ? NEITHER_LENGTH : NOT_FORWARDED)
  if (framing.contentLength !== undefined) oneLength(kept, framing.contentLength)
  if (status === 205) kept.push('Content-Length', '0')
  addVia(kept, fields, pseudonym)
  kept.push(...annotation)
  return { status, reason: STATUS_CODES[status] ?? '', fields: kept, body: framing.body }
}

function withoutAnnotation(fields: readonly string[]): readonly string[] {
  const names: readonly string[] = ANNOTATION_NAMES
  return fields.filter((_, at) => !names.includes((fields[at - (at % 2)] ?? '').toLowerCase()))
}

/** The head of an interim response (1xx) for the client. `pseudonym`: the proxy's name in Via. */
function forwardInterim(head: ResponseHead, pseudonym: string): AnswerHead {
  const kept = endToEnd(head.fields, NEITHER_LENGTH).slice(0, 2 * MAX_INTERIM_FIELDS)
  // a 100 stays without fields, as clients that wait for it expect
  if (head.status !== 100) addVia(kept, head.fields, pseudonym)
  return { status: head.status, reason: STATUS_CODES[head.status] ?? '', fields: kept, body: 0 }
}

function addVia(kept: string[], fields: readonly string[], pseudonym: string): void {
  const before = valuesOf(fields, 'via')
  const own = `1.1 ${pseudonym}`
  kept.push('Via', before.length === 0 ? own : [...before, own].join(', '))
}

/** Reduces repeated equal lengths to one. */
function oneLength(kept: string[], length: number): void {
  let isWritten = false
  for (let at = 0; at < kept.length; at += 2) {
    if (!isNamed(kept[at] ?? '', 'content-length')) continue
    if (isWritten) {
      kept.splice(at, 2)
      at -= 2
    } else {
      kept[at + 1] = String(length)
      isWritten = true
    }
  }
}

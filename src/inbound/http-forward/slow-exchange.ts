// One request that needs what undici does not carry: Expect: 100-continue, trailers (TE), a switch to WebSocket, OPTIONS *. Goes
// through Node's own HTTP client on the dialled connection, which is used for this one request and then closed.

import { type ClientRequest, type IncomingMessage, request as openRequest } from 'node:http'
import { asGatewayError, GatewayError } from '../../errors/gateway-error.ts'
import type { Clock, Timer } from '../../transport/timer-wheel.ts'
import { cut } from './answer.ts'
import { type ClientSide, type Outcome, pairs, writeInformation } from './exchange.ts'
import type { ForwardRequest } from './forward-request.ts'
import { type ForwardResponse, type ResponseRules, understandResponse } from './forward-response.ts'
import { allowedTrailers } from './hop-by-hop.ts'
import { RequestBody } from './request-body.ts'
import type { LinkSettings, UpstreamLink } from './upstream-link.ts'

/** What becomes of a 101: the checked head and what the origin sent right behind it. */
export type Switched = (response: ForwardResponse, head: Buffer) => void

export class SlowExchange {
  readonly #client: ClientSide
  readonly #rules: ResponseRules
  readonly #finish: (outcome: Outcome) => void
  #outgoing: ClientRequest | undefined
  #body: RequestBody | undefined
  #over = false
  #deadline: Timer | undefined
  readonly #clock: Clock

  constructor(
    client: ClientSide,
    rules: ResponseRules & { readonly clock: Clock },
    finish: (outcome: Outcome) => void,
  ) {
    this.#client = client
    this.#rules = rules
    this.#clock = rules.clock
    this.#finish = finish
  }

  static needs(request: ForwardRequest): boolean {
    const { expectsContinue, takesTrailers, upgrade, path } = request
    return expectsContinue || takesTrailers || upgrade !== undefined || path === '*'
  }

  start(link: UpstreamLink, settings: LinkSettings, switched?: Switched): void {
    const { req, request } = this.#client
    const { socket } = link
    const outgoing = openRequest({
      createConnection: () => socket,
      method: request.method,
      path: request.path,
      headers: headersOf(request),
      maxHeaderSize: settings.maxHeadBytes,
    })
    this.#outgoing = outgoing
    outgoing.maxHeadersCount = 0
    outgoing.on('error', (cause) => this.#fail('origin.incomplete_response', 'the origin broke off', cause))
    outgoing.on('continue', () => this.#client.res.writeContinue())
    outgoing.on('information', ({ statusCode, statusMessage, rawHeaders }) => {
      if (statusCode !== 100) this.#guard(() => this.#inform(statusCode, statusMessage, rawHeaders))
    })
    outgoing.on('response', (incoming) => this.#guard(() => this.#answer(incoming)))
    outgoing.on('upgrade', (incoming, _socket, head) => this.#guard(() => this.#switch(incoming, head, switched)))
    this.#deadline = this.#clock.after(settings.responseTimeoutMs, () => {
      this.#end(new GatewayError('origin.timeout', 'the origin took the request and did not answer in time'))
      outgoing.destroy()
    })
    if (request.body === 'none') outgoing.end()
    else {
      outgoing.flushHeaders()
      this.#body = new RequestBody(req)
      this.#body.on('error', () => outgoing.destroy())
      this.#body.pipe(outgoing)
    }
  }

  abandon(): void {
    this.#over = true
    this.#deadline?.cancel()
    this.#outgoing?.destroy()
  }

  #inform(status: number, reason: string, fields: readonly string[]): void {
    const response = understandResponse(status, fields, this.#rules)
    if (this.#client.req.httpVersion !== '1.0') writeInformation(this.#client.res, status, reason, response.fields)
  }

  #answer(incoming: IncomingMessage): void {
    const { res, request } = this.#client
    const response = understandResponse(incoming.statusCode ?? 0, incoming.rawHeaders, this.#rules)
    this.#deadline?.cancel()
    this.#body?.destroy()
    res.writeHead(response.status, response.reason, response.fields)
    incoming.on('data', (chunk: Buffer) => {
      if (res.write(chunk)) return
      incoming.pause()
      res.once('drain', () => incoming.resume())
    })
    incoming.on('end', () => {
      if (!incoming.complete) return
      const trailers = request.takesTrailers ? allowedTrailers(incoming.rawTrailers) : []
      if (trailers.length > 0) res.addTrailers(pairs(trailers))
      res.end()
      this.#conclude({ kind: 'done' })
    })
    incoming.on('error', (cause) => this.#fail('origin.incomplete_response', 'the origin cut its answer short', cause))
  }

  #switch(incoming: IncomingMessage, head: Buffer, switched: Switched | undefined): void {
    const { request } = this.#client
    const accepted = incoming.headers.upgrade?.trim().toLowerCase()
    if (request.upgrade === undefined || switched === undefined || accepted !== request.upgrade) {
      throw new GatewayError('origin.malformed_response', 'the origin switched to a protocol nobody asked for')
    }
    const response = understandResponse(101, incoming.rawHeaders, this.#rules)
    response.fields.push('Connection', 'Upgrade', 'Upgrade', request.upgrade)
    this.#over = true
    this.#deadline?.cancel()
    switched(response, head)
  }

  #guard(step: () => void): void {
    try {
      step()
    } catch (thrown) {
      this.#outgoing?.destroy()
      this.#end(asGatewayError(thrown))
    }
  }

  #fail(code: 'origin.incomplete_response', message: string, cause: Error): void {
    const malformed = 'code' in cause && typeof cause.code === 'string' && cause.code.startsWith('HPE_')
    this.#end(
      malformed
        ? new GatewayError('origin.malformed_response', 'the origin does not answer in sound HTTP', { cause })
        : new GatewayError(code, message, { cause }),
    )
  }

  #end(error: GatewayError): void {
    const { res } = this.#client
    const answered = res.headersSent
    if (answered && !this.#over) cut(res)
    this.#conclude({ kind: 'failed', error, answered, silent: false })
  }

  #conclude(outcome: Outcome): void {
    if (this.#over) return
    this.#over = true
    this.#deadline?.cancel()
    this.#finish(outcome)
  }
}

/** The request's fields with framing and connection options made anew (FR-03). */
function headersOf(request: ForwardRequest): string[] {
  const headers = ['Host', request.host, ...request.fields]
  if (request.body === 'chunked') headers.push('Transfer-Encoding', 'chunked')
  else if (request.contentLength !== undefined) headers.push('Content-Length', request.contentLength)
  if (request.expectsContinue) headers.push('Expect', '100-continue')
  if (request.takesTrailers) headers.push('TE', 'trailers')
  if (request.upgrade !== undefined) headers.push('Connection', 'Upgrade', 'Upgrade', request.upgrade)
  else headers.push('Connection', request.takesTrailers ? 'close, TE' : 'close')
  return headers
}

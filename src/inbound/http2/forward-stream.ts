// A plain-http request as one stream of an HTTP/2 connection, translated to the HTTP/1.1 the origin gets (RFC 9113 section 8.3,
// TL-05) and carried by the same forwarding as any other. One connection to an origin serves one stream at a time.

import { constants, type ServerHttp2Stream } from 'node:http2'
import { asGatewayError, GatewayError } from '../../errors/gateway-error.ts'
import type { Arrival, Knock } from '../../proxy/arrival.ts'
import type { Identified } from '../../proxy/connection.ts'
import type { LaneSettings } from '../http-forward/client-lane.ts'
import { type ForwardRequest, understandForward } from '../http-forward/forward-request.ts'
import { Forwarding } from '../http-forward/forwarding.ts'
import { valuesOf } from '../http-forward/hop-by-hop.ts'
import { asksOwnPage, serveOwnPage } from '../own-pages.ts'
import { parseProxyCredentials } from '../proxy-credentials.ts'
import { showAuthority } from '../show-authority.ts'
import { answerSignIn, enterBySignIn, offerSignIn } from '../sign-in.ts'
import { refuseStream } from './refuse-stream.ts'
import { StreamAnswer } from './stream-answer.ts'

/** The head of a stream; `fields` are names and values without pseudo-header fields. */
export interface StreamHead {
  readonly pseudo: {
    readonly ':method'?: string
    readonly ':scheme'?: string
    readonly ':authority'?: string
    readonly ':path'?: string
  }
  readonly fields: readonly string[]
}

/** Connections to origins kept for the next stream of the same client connection. */
const MAX_IDLE = 8
const DRAIN_MS = 10_000
const AUTHORITY = /^[^\s@/\\?#,]+$/

/** The forwarded requests of one client connection. */
export class ForwardStreams {
  readonly #settings: LaneSettings
  readonly #idle: Forwarding[] = []
  #closed = false

  constructor(settings: LaneSettings) {
    this.#settings = settings
  }

  serve(knock: Knock, stream: ServerHttp2Stream, head: StreamHead): void {
    void this.#serve(knock, stream, head).catch((thrown) => {
      const error = asGatewayError(thrown)
      this.#settings.pipeline.refuse(knock, error)
      refuseStream(stream, error, { clock: this.#settings.pipeline.settings.clock, method: head.pseudo[':method'] })
    })
  }

  /** The client connection is gone. */
  close(): void {
    this.#closed = true
    for (const forwarding of this.#idle) forwarding.leave()
    this.#idle.length = 0
  }

  async #serve(knock: Knock, stream: ServerHttp2Stream, head: StreamHead): Promise<void> {
    const request = understandStream(head, stream.endAfterHeaders, this.#settings)
    const { target, authorization } = request
    if (request.endsHere) {
      stream.respond({ ':status': 200, allow: 'GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH' }, { endStream: true })
      return
    }
    const { ownPages } = this.#settings
    if (asksOwnPage(ownPages, request)) {
      await serveOwnPage(ownPages, {
        request,
        peer: knock.peer,
        body: stream,
        res: new StreamAnswer(stream, request.method),
      })
      return
    }
    const credentials = authorization === undefined ? undefined : parseProxyCredentials(authorization)
    const claimed = { ...knock, target, ...(credentials === undefined ? {} : { credentials }) }
    const entry = enterBySignIn(this.#settings.signIn, claimed, request)
    if ('answer' in entry) {
      answerSignIn(new StreamAnswer(stream, request.method), entry.answer)
      return
    }
    const { arrival } = entry
    const identified = await this.#identify(stream, arrival, request)
    if (identified === undefined) return
    if (stream.destroyed || stream.closed) return
    const forwarding = this.#idle.pop() ?? new Forwarding(this.#settings)
    const leave = () => forwarding.leave()
    stream.once('close', leave)
    let isDone = false
    this.#watch(stream, request, (error) => {
      if (!isDone) forwarding.abandon(error)
    })
    const work = { req: stream, res: new StreamAnswer(stream, request.method), request, arrival, identified }
    await forwarding.run(work, () => {
      isDone = true
      stream.off('close', leave)
      this.#drain(stream)
      if (this.#closed || this.#idle.length >= MAX_IDLE) forwarding.leave()
      else this.#idle.push(forwarding)
    })
  }

  /** Undefined: the browser was sent to the sign-in page. */
  async #identify(
    stream: ServerHttp2Stream,
    arrival: Arrival,
    request: ForwardRequest,
  ): Promise<Identified | undefined> {
    const { pipeline } = this.#settings
    try {
      return await pipeline.identify(arrival)
    } catch (thrown) {
      const error = asGatewayError(thrown)
      const page = offerSignIn(this.#settings, arrival, request, error)
      if (page === undefined) throw error
      pipeline.refuse(arrival, error)
      answerSignIn(new StreamAnswer(stream, request.method), page)
      return undefined
    }
  }

  /** What the client still sends is thrown away for a while, so that the answer is not lost to a reset (FR-14). */
  #drain(stream: ServerHttp2Stream): void {
    const { clock } = this.#settings.pipeline.settings
    const close = () => stream.close(constants.NGHTTP2_NO_ERROR)
    const patience = clock.after(DRAIN_MS, () => {
      stream.pause()
      // a closed stream is watched no more, and this one still has an answer to deliver
      if (stream.writableFinished) close()
      else stream.once('finish', close)
    })
    stream.once('close', () => patience.cancel())
    stream.resume()
  }

  /** Lets go of a client that neither sends what it announced nor takes its answer (RS-01); a body that waits for the origin, or an
   *  origin that thinks, is not the client's fault. */
  #watch(stream: ServerHttp2Stream, { method, body }: ForwardRequest, abandon: (error: GatewayError) => void): void {
    const { bodyIdleMs, pipeline } = this.#settings
    const check = () => {
      const why = whatStands(stream, body !== 'none')
      if (why === undefined) {
        stream.setTimeout(bodyIdleMs, check)
        return
      }
      const error = new GatewayError('request.timeout', why)
      abandon(error)
      refuseStream(stream, error, { clock: pipeline.settings.clock, method })
    }
    stream.setTimeout(bodyIdleMs, check)
  }
}

/** What the client does not go on with, after a time without a frame in either direction. */
function whatStands(stream: ServerHttp2Stream, hasBody: boolean): string | undefined {
  if (stream.writableLength > 0) return 'the client stopped reading the answer'
  return !hasBody || stream.readableEnded || stream.isPaused() ? undefined : 'the request body stands still'
}

/** Throws GatewayError `request.*`, `guard.loop`. nghttp2 has refused connection options, capitals in names and lengths that do
 *  not fit by then (RFC 9113 section 8.2); fields with CR, LF, NUL or blanks where none may be it has left out. */
function understandStream({ pseudo, fields }: StreamHead, ended: boolean, rules: LaneSettings): ForwardRequest {
  const { ':method': method = '', ':scheme': scheme = '', ':path': path = '' } = pseudo
  const hosts = valuesOf(fields, 'host')
  const authority = pseudo[':authority'] ?? hosts[0] ?? ''
  if (hosts.length > 1 || (hosts[0] !== undefined && hosts[0].toLowerCase() !== authority.toLowerCase())) {
    throw new GatewayError('request.malformed', 'the Host field says something else than :authority')
  }
  if (!AUTHORITY.test(authority)) {
    throw new GatewayError('request.bad_authority', `\`${showAuthority(authority)}\` is not a host to connect to`)
  }
  if (!path.startsWith('/') && path !== '*') throw new GatewayError('request.malformed', 'the :path is not a path')
  const url = `${scheme}://${authority}${path === '*' ? '' : path}`
  const request = understandForward({ method, url, version: '2', fields: asHttp1(fields, authority) }, rules)
  return ended || request.body !== 'none' || request.contentLength !== undefined
    ? request
    : { ...request, body: 'chunked' }
}

/** Host from :authority, and cookies that were split for compression as one field again (RFC 9113 section 8.2.3). */
function asHttp1(fields: readonly string[], authority: string): string[] {
  const kept = ['host', authority]
  for (let at = 0; at < fields.length; at += 2) {
    const name = fields[at] ?? ''
    if (name !== 'host' && name !== 'cookie') kept.push(name, fields[at + 1] ?? '')
  }
  const cookies = valuesOf(fields, 'cookie')
  if (cookies.length > 0) kept.push('cookie', cookies.join('; '))
  return kept
}

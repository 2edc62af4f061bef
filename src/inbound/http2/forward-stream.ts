// A plain-http request as one stream of an HTTP/2 connection, translated to the HTTP/1.1 the origin gets (RFC 9113 section 8.3,
// TL-05) and carried by the same forwarding as any other. One connection to an origin serves one stream at a time.

import { constants, type ServerHttp2Stream } from 'node:http2'
import { asGatewayError, GatewayError } from '../../errors/gateway-error.ts'
import { valuesOf } from '../../http1/fields.ts'
import { CHUNKED } from '../../http1/framing.ts'
import { endOf, TEXT, TOKEN } from '../../http1/grammar.ts'
import type { ClientInfo } from '../../proxy/arrival.ts'
import type { Session } from '../../proxy/session.ts'
import { Forwarding, type ForwardSettings, forward } from '../http-forward/forward.ts'
import { type ForwardRequest, understandForward } from '../http-forward/forward-request.ts'
import type { AnswerHead, BodySink, RequestBody } from '../http-forward/responder.ts'
import { showAuthority } from '../proxy-credentials.ts'
import { Http2Responder, refuseStream } from './http2-responder.ts'

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
  readonly #settings: ForwardSettings
  readonly #idle: Forwarding[] = []
  #closed = false

  constructor(settings: ForwardSettings) {
    this.#settings = settings
  }

  /** Answers how to give the stream up as malformed. */
  serve(clientInfo: ClientInfo, stream: ServerHttp2Stream, head: StreamHead): (error: GatewayError) => void {
    try {
      return this.#forward(clientInfo, stream, understandStream(head, stream.endAfterHeaders, this.#settings))
    } catch (thrown) {
      const error = asGatewayError(thrown)
      this.#settings.pipeline.refuse(clientInfo, error)
      refuseStream(stream, error, { clock: this.#settings.pipeline.settings.clock, method: head.pseudo[':method'] })
      return () => stream.close(constants.NGHTTP2_PROTOCOL_ERROR)
    }
  }

  /** The client connection is gone. */
  close(): void {
    this.#closed = true
    for (const forwarding of this.#idle) forwarding.leave()
    this.#idle.length = 0
  }

  #forward(clientInfo: ClientInfo, stream: ServerHttp2Stream, request: ForwardRequest): (error: GatewayError) => void {
    const forwarding = this.#idle.pop() ?? new Forwarding(this.#settings)
    let isOver = false
    const leave = () => {
      isOver = true
      forwarding.leave()
    }
    stream.once('close', leave)
    stream.on('drain', () => forwarding.resume())
    const body = request.bodyLength === 0 ? undefined : new Http2RequestBody(stream, () => forwarding.leave())
    this.#watch(stream, request, (error) => {
      if (!isOver) forwarding.abandon(error)
    })
    const client = {
      clientInfo,
      responder: new Http2Responder(stream),
      body,
      isOver: () => isOver || stream.destroyed || stream.closed,
      done: () => {
        stream.off('close', leave)
        if (isOver) return
        isOver = true
        body?.stop()
        this.#drain(stream)
        if (this.#closed || this.#idle.length >= MAX_IDLE) forwarding.leave()
        else this.#idle.push(forwarding)
      },
      // no stream asks for it (RFC 9113 section 8.6)
      switched: (_head: AnswerHead, session: Session) => session.kill('a stream cannot switch protocols'),
    }
    void forward(client, request, forwarding, this.#settings)
    return (error) => {
      if (!isOver) forwarding.abandon(error)
      stream.close(constants.NGHTTP2_PROTOCOL_ERROR)
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
  #watch(
    stream: ServerHttp2Stream,
    { method, bodyLength }: ForwardRequest,
    abandon: (error: GatewayError) => void,
  ): void {
    const { bodyIdleMs, pipeline } = this.#settings
    const check = () => {
      const why = whatStalls(stream, bodyLength !== 0)
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
function whatStalls(stream: ServerHttp2Stream, hasBody: boolean): string | undefined {
  if (stream.writableLength > 0) return 'the client stopped reading the answer'
  return !hasBody || stream.readableEnded || stream.isPaused() ? undefined : 'the request body stalled'
}

/** Throws GatewayError `request.*`, `guard.loop`. What RFC 9113 section 8.2 calls malformed has been refused by then. */
function understandStream({ pseudo, fields }: StreamHead, ended: boolean, rules: ForwardSettings): ForwardRequest {
  const { ':method': method = '', ':scheme': scheme = '', ':path': path = '' } = pseudo
  const hosts = valuesOf(fields, 'host')
  const authority = pseudo[':authority'] ?? hosts[0] ?? ''
  if (hosts.length > 1 || (hosts[0] !== undefined && hosts[0].toLowerCase() !== authority.toLowerCase())) {
    throw new GatewayError('request.malformed', 'the Host field says something else than :authority')
  }
  if (!AUTHORITY.test(authority)) {
    throw new GatewayError('request.bad_authority', `\`${showAuthority(authority)}\` is not a host to connect to`)
  }
  checkFields(fields)
  if (!path.startsWith('/') && path !== '*') throw new GatewayError('request.malformed', 'the :path is not a path')
  const url = `${scheme}://${authority}${path === '*' ? '' : path}`
  const request = understandForward({ method, url, version: '2', fields: asHttp1(fields, authority) }, rules)
  return ended || request.bodyLength !== 0 || request.contentLength !== undefined
    ? request
    : { ...request, bodyLength: CHUNKED }
}

/** What cannot be said in HTTP/1.1 goes no further, whatever let it through. */
function checkFields(fields: readonly string[]): void {
  for (let at = 0; at < fields.length; at += 2) {
    const name = fields[at] ?? ''
    const value = fields[at + 1] ?? ''
    if (name === '' || endOf(TOKEN, name, 0, name.length) < name.length) {
      throw new GatewayError('request.malformed', 'a header field has no valid name')
    }
    if (endOf(TEXT, value, 0, value.length) < value.length) {
      throw new GatewayError('request.malformed', 'a header field contains a control character')
    }
  }
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

/** The body of a request on a stream of HTTP/2, moved as far as the origin takes it. */
class Http2RequestBody implements RequestBody {
  isDone = false
  readonly #stream: ServerHttp2Stream
  readonly #onCutOff: () => void
  #sink: BodySink | undefined

  /** `onCutOff`: the client took the request back */
  constructor(stream: ServerHttp2Stream, onCutOff: () => void) {
    this.#stream = stream
    this.#onCutOff = onCutOff
  }

  start(sink: BodySink): void {
    this.#sink = sink
    this.#stream.on('data', this.#onData)
    this.#stream.on('end', this.#onEnd)
    this.#stream.on('close', this.#onClose)
    this.#stream.resume()
    // the head does not wait for the body
    sink.flush()
  }

  resume(): void {
    if (this.#sink !== undefined) this.#stream.resume()
  }

  stop(): void {
    if (this.#sink === undefined) return
    this.#sink = undefined
    this.#stream.off('data', this.#onData)
    this.#stream.off('end', this.#onEnd)
    this.#stream.off('close', this.#onClose)
  }

  readonly #onData = (chunk: Buffer): void => {
    const sink = this.#sink
    if (sink === undefined) return
    const hasRoom = sink.write(chunk)
    sink.flush()
    if (!hasRoom) this.#stream.pause()
  }

  /** A stream that the client took back ends like a complete one, and says so in `aborted`. */
  readonly #onEnd = (): void => {
    const sink = this.#sink
    if (this.#stream.aborted || sink === undefined) {
      this.#cutOff()
      return
    }
    this.isDone = true
    this.stop()
    sink.end()
  }

  readonly #onClose = (): void => {
    if (!this.isDone) this.#cutOff()
  }

  /** Gone before its end: the request must not look complete to the origin (FR-15). */
  #cutOff(): void {
    if (this.#sink === undefined) return
    this.stop()
    this.#onCutOff()
  }
}

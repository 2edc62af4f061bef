// A connection to one origin that carries the requests of one client connection, one at a time, as HTTP/1.1. It is
// reused only while everything it was decided on is the same (EG-02). Owns the session of that connection.

import type { CloseReason } from '../../errors/catalogue.ts'
import { GatewayError } from '../../errors/gateway-error.ts'
import type { Target } from '../../net/endpoint.ts'
import type { Session } from '../../proxy/session.ts'
import { formatInstant } from '../../proxy/session-record.ts'
import type { ClientContext, Identification } from '../../proxy/stage-values.ts'
import type { ByteStream, StreamEnd, StreamHandler } from '../../transport/byte-stream.ts'
import type { Clock } from '../../transport/timer-wheel.ts'
import { type ForwardRequest, formatRequestHead } from './forward-request.ts'
import { IdleTimer } from './idle-timer.ts'
import { OriginResponse } from './origin-answer.ts'
import { ResponseOutput } from './output.ts'
import type { AnswerHead, BodySink, RequestBody, Responder } from './responder.ts'

export interface OriginSettings {
  /** until the head of the response, while no byte of the request moves */
  readonly responseTimeoutMs: number
  /** silence inside a body */
  readonly idleTimeoutMs: number
  /** an idle connection, before the proxy closes it */
  readonly originKeepAliveMs: number
  readonly maxHeadBytes: number
  readonly maxFields: number
  /** the proxy's name in Via */
  readonly pseudonym: string
}

/** How an exchange ended. `silent`: the origin had not sent a byte. */
export type ExchangeOutcome =
  | { readonly kind: 'done' }
  | { readonly kind: 'failed'; readonly error: GatewayError; readonly silent: boolean }
  /** 101: the connection is a tunnel from now on, and the caller takes the session over */
  | { readonly kind: 'switched'; readonly head: AnswerHead }

/** Why a connection ends. */
export interface ConnectionEnd {
  readonly reason: CloseReason
  /** absent: it ends in order */
  readonly error?: GatewayError
}

/** The client is gone. */
export function resetByClient({ cause }: StreamEnd): ConnectionEnd {
  const error = new GatewayError('relay.client_reset', 'the client reset the connection', { cause })
  return { reason: error.rendering.close, error }
}

/** What a connection was made for, and the clocks it goes by. */
interface Made {
  readonly target: Target
  readonly identified: Identification
  readonly clock: Clock
  /** lab time, epoch ms */
  readonly now: () => number
}

/** One request and the responder for its response. */
export interface Exchange {
  readonly request: ForwardRequest
  readonly body: RequestBody | undefined
  readonly responder: Responder
  /** Called once, unless the connection is dropped before. */
  onOutcome(outcome: ExchangeOutcome): void
}

/** TCP keep-alive: idle seconds before the first probe (TU-10) */
const KEEP_ALIVE_S = 60

/** One connection to an origin, for the client it was opened for; says when it can take the next request. */
export class OriginConnection implements StreamHandler, BodySink {
  readonly session: Session
  readonly #stream: ByteStream
  readonly #target: Target
  readonly #identified: Identification
  readonly #settings: OriginSettings
  readonly #output: ResponseOutput
  readonly #timer: IdleTimer
  readonly #answer: OriginResponse
  readonly #now: () => number
  /** when the exchange began: monotonic ms, and lab time */
  #began = { tick: 0, at: 0 }
  #exchange: Exchange | undefined
  /** the whole request has been written */
  #isSent = true
  /** the client cannot take more for now */
  #isPaused = false
  #isReading = false
  #isOver = false

  constructor(session: Session, made: Made, settings: OriginSettings) {
    this.session = session
    this.#stream = session.upstream.channel
    this.#target = made.target
    this.#identified = made.identified
    this.#settings = settings
    this.#output = new ResponseOutput(this.#stream)
    this.#timer = new IdleTimer(made.clock, this.#expire)
    this.#now = made.now
    this.#answer = new OriginResponse({ ...settings, annotation: session.annotation })
    this.#stream.keepAlive(KEEP_ALIVE_S)
    session.onKill((error) => this.#killed(error))
  }

  /** True when this connection is idle and a new one for this request would be decided the same way. */
  serves(target: Target, { snapshot, context }: Identification): boolean {
    return (
      !this.#isOver &&
      this.#exchange === undefined &&
      !this.session.ended &&
      snapshot.revision === this.#identified.snapshot.revision &&
      sameTarget(target, this.#target) &&
      sameContext(context, this.#identified.context)
    )
  }

  /** Sends a request; not while another one is in progress. */
  start(exchange: Exchange): void {
    const { request, body } = exchange
    this.#exchange = exchange
    this.session.requests++
    this.#began = { tick: performance.now(), at: this.#now() }
    this.#answer.expect(request)
    this.#isPaused = false
    this.#isSent = body === undefined
    this.#output.text(formatRequestHead(request))
    this.#timer.set(this.#settings.responseTimeoutMs)
    if (body === undefined) this.#output.flush()
    else body.start(this)
    // not before: an origin that has left or spoken already does so within an exchange
    if (!this.#isOver && this.session.requests === 1) this.#stream.setHandler(this)
  }

  /** The client can take more of the response. */
  resume(): void {
    if (!this.#isPaused || this.#isOver) return
    this.#isPaused = false
    this.#timer.set(this.#settings.idleTimeoutMs)
    this.onReadable()
  }

  /** Ends the connection on the client's side; a request in progress is reset (FR-15). */
  drop(why: ConnectionEnd = { reason: 'CLIENT_CLOSED' }): void {
    const exchange = this.#exchange
    const isMidway = exchange !== undefined
    if (!this.#close()) return
    if (isMidway) this.#note(exchange)
    this.session.end(why)
    if (isMidway) this.#stream.reset()
    else this.#stream.destroy()
  }

  /** Gives the session and its stream to the caller. */
  release(): Session {
    this.#close()
    this.session.onKill(() => this.#stream.reset())
    return this.session
  }

  write(bytes: Buffer): boolean {
    if (this.#isOver) return true
    if (this.#exchange?.request.contentLength === undefined) this.#output.chunk(bytes)
    else this.#output.bytes(bytes)
    if (!this.#answer.hasHead) this.#timer.set(this.#settings.responseTimeoutMs)
    return !this.#output.isBlocked
  }

  end(): void {
    if (this.#isOver) return
    this.#isSent = true
    if (this.#exchange?.request.contentLength === undefined) this.#output.text('0\r\n\r\n')
    this.#output.flush()
  }

  flush(): void {
    this.#output.flush()
  }

  onWritable(): void {
    this.#output.isBlocked = false
    // a response that arrived meanwhile is read first: writing on could lose it to a reset
    this.onReadable()
    if (!this.#isOver && !this.#isSent) this.#exchange?.body?.resume()
  }

  onReadable(): void {
    if (this.#isReading) return
    this.#isReading = true
    try {
      while (!this.#isOver && !this.#isPaused) {
        const bytes = this.#stream.read()
        if (bytes === undefined) break
        if (this.#exchange === undefined) this.#unexpected(bytes)
        else this.#take(this.#exchange, bytes)
      }
    } finally {
      this.#isReading = false
    }
    if (!this.#isOver && !this.#isPaused && this.#stream.hasEnded) this.#ended()
    this.#exchange?.responder.flush()
  }

  onClose(end: StreamEnd): void {
    if (this.#isOver) return
    const { cause } = end
    const options = cause === undefined ? {} : { cause }
    const exchange = this.#exchange
    if (exchange === undefined) {
      this.#close()
      if (end.how === 'reset' || end.how === 'timeout') {
        const error = new GatewayError('relay.origin_reset', 'the origin reset the idle connection', options)
        this.session.end({ reason: error.rendering.close, error })
      } else {
        this.session.end({ reason: 'ORIGIN_CLOSED' })
      }
      return
    }
    // an error response before the end of the request: the reset is due to the rest of the request (FR-14)
    if (!this.#isSent && this.#answer.isRefusalUntilClose) this.#complete(exchange)
    else this.#fail(this.#cutShort(options))
  }

  /** Bytes of the response, not valid once the exchange is over: the buffer may be in use again. */
  #take(exchange: Exchange, bytes: Buffer): void {
    const { responder } = exchange
    const used = this.#guard(() => this.#answer.take(bytes, responder))
    if (used === undefined || this.#isOver) return
    if (this.#answer.isSwitch) {
      this.#switch(exchange, bytes.subarray(used))
      return
    }
    if (this.#answer.isComplete) {
      if (used < bytes.length) this.#answer.isReusable = false
      this.#complete(exchange)
      return
    }
    if (this.#answer.hasHead) this.#timer.set(this.#settings.idleTimeoutMs)
    if (!responder.flush()) this.#isPaused = true
  }

  #complete(exchange: Exchange): void {
    this.#answer.finish(exchange.responder)
    // the client may have disconnected at the last write
    if (this.#isOver) return
    this.#note(exchange)
    this.#exchange = undefined
    if (this.#answer.isReusable && this.#isSent && !this.#stream.hasEnded) {
      this.#timer.set(this.#settings.originKeepAliveMs)
    } else {
      exchange.body?.stop()
      this.#close()
      this.session.end({ reason: 'ORIGIN_CLOSED' })
      this.#stream.destroy()
    }
    exchange.onOutcome({ kind: 'done' })
  }

  #switch(exchange: Exchange, rest: Buffer): void {
    if (rest.length > 0) this.#stream.unread(Buffer.from(rest))
    const head = this.#answer.switchHead
    this.#note(exchange)
    this.#close()
    if (head !== undefined) exchange.onOutcome({ kind: 'switched', head })
  }

  /** FIN. */
  #ended(): void {
    const exchange = this.#exchange
    if (exchange === undefined) {
      this.#close()
      this.session.end({ reason: 'ORIGIN_CLOSED' })
      this.#stream.destroy()
    } else if (this.#answer.endsWithConnection) {
      this.#complete(exchange)
    } else {
      const unsound = this.#answer.unfinishedHead()
      this.#fail(unsound ?? this.#cutShort({}))
    }
  }

  /** Bytes without a request; some origins send 408 before they close an idle connection. */
  #unexpected(bytes: Buffer): void {
    const isTimeoutNotice = bytes.subarray(0, 12).toString('latin1') === 'HTTP/1.1 408'
    this.#close()
    if (isTimeoutNotice) {
      this.session.end({ reason: 'ORIGIN_CLOSED' })
    } else {
      const error = new GatewayError('origin.malformed_response', 'the origin sent a response without a request')
      this.session.end({ reason: error.rendering.close, error })
    }
    this.#stream.destroy()
  }

  #killed(error: GatewayError): void {
    if (this.#exchange !== undefined) {
      this.#fail(error)
      return
    }
    this.#close()
    this.session.end({ reason: error.rendering.close, error })
    this.#stream.reset()
  }

  readonly #expire = (): void => {
    if (this.#exchange === undefined) {
      // not an error: the client sent no further request
      this.#close()
      this.session.end({ reason: 'CLIENT_IDLE_TIMEOUT' })
      this.#stream.destroy()
    } else if (this.#isPaused) {
      this.#fail(new GatewayError('relay.idle', 'the client stopped reading the response'))
    } else if (this.#answer.hasHead) {
      this.#fail(new GatewayError('origin.timeout', 'the origin stalled in the middle of its response'))
    } else if (this.#isSent) {
      this.#fail(new GatewayError('origin.timeout', 'timed out waiting for the response of the origin'))
    } else if (this.#output.isBlocked) {
      this.#fail(new GatewayError('origin.timeout', 'the origin stopped reading the request'))
    } else {
      // the limit for a stalled request body is the client side's
      this.#timer.set(this.#settings.responseTimeoutMs)
    }
  }

  #guard<T>(step: () => T): T | undefined {
    try {
      return step()
    } catch (thrown) {
      this.#fail(this.#answer.errorOf(thrown))
      return undefined
    }
  }

  #fail(error: GatewayError): void {
    const exchange = this.#exchange
    const silent = this.#answer.isSilent
    if (exchange !== undefined) this.#note(exchange)
    exchange?.body?.stop()
    this.#close()
    this.session.end({ reason: error.rendering.close, error })
    this.#stream.reset()
    exchange?.onOutcome({ kind: 'failed', error, silent })
  }

  /** Puts an exchange that is over on the session's record. */
  #note({ request: { method, path, traceparent } }: Exchange): void {
    const { tick, at } = this.#began
    const durationMs = performance.now() - tick
    const [withoutQuery = ''] = path.split('?', 1)
    this.session.exchanged({
      at: formatInstant(at),
      method,
      path: withoutQuery,
      status: this.#answer.status,
      durationMs,
      ...(traceparent === undefined ? {} : { traceparent }),
    })
  }

  #cutShort(options: { readonly cause?: Error }): GatewayError {
    const why = this.#answer.isSilent
      ? 'the origin closed the connection before it responded'
      : 'the origin closed the connection in the middle of its response'
    return new GatewayError('origin.incomplete_response', why, { ...options, details: { defect: 'body-cut-short' } })
  }

  /** False when it was closed already. */
  #close(): boolean {
    if (this.#isOver) return false
    this.#isOver = true
    this.#exchange = undefined
    this.#timer.close()
    this.#stream.setHandler(undefined)
    return true
  }
}

function sameTarget(a: Target, b: Target): boolean {
  if (a.port !== b.port) return false
  return a.kind === 'ip' ? b.kind === 'ip' && a.ip.text === b.ip.text : b.kind === 'name' && a.name === b.name
}

/** Equal in everything that policy, guard and record use. */
function sameContext(a: ClientContext, b: ClientContext): boolean {
  return (
    a === b ||
    (a.identity?.id === b.identity?.id &&
      a.device?.id === b.device?.id &&
      a.virtualNetworkId === b.virtualNetworkId &&
      a.source.ip.text === b.source.ip.text &&
      a.internalSource?.text === b.internalSource?.text &&
      a.family === b.family)
  )
}

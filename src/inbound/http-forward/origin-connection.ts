// A connection to one origin that carries the requests of one client connection, one after the other, as HTTP/1.1. Kept between requests
// only while everything that its choice rested on is the same (EG-02). Owns the session of that connection.

import type { CloseReason } from '../../errors/catalogue.ts'
import { GatewayError } from '../../errors/gateway-error.ts'
import type { Target } from '../../net/endpoint.ts'
import type { Identified } from '../../proxy/pipeline.ts'
import type { Session } from '../../proxy/session.ts'
import type { Persona } from '../../proxy/stage-values.ts'
import type { ByteStream, StreamEnd, StreamHandler } from '../../transport/byte-stream.ts'
import type { Clock } from '../../transport/timer-wheel.ts'
import { formatRequestHead } from './format-request.ts'
import type { ForwardRequest } from './forward-request.ts'
import type { AnswerHead } from './forward-response.ts'
import { IdleTimer } from './idle-timer.ts'
import { OriginResponse } from './origin-answer.ts'
import { ResponseOutput } from './output.ts'
import type { BodySink, RequestBody } from './request-body.ts'
import type { Responder } from './responder.ts'

export interface OriginSettings {
  /** until the head of the response, while nothing of the request moves */
  readonly responseTimeoutMs: number
  /** silence inside a body */
  readonly idleTimeoutMs: number
  /** a connection without a request; then the proxy closes it */
  readonly originKeepAliveMs: number
  readonly maxHeadBytes: number
  readonly maxFields: number
  /** our name in Via */
  readonly pseudonym: string
}

/** How an exchange ended: the answer is complete, or it cannot be. `silent`: the origin had not said a byte. */
export type Outcome =
  | { readonly kind: 'done' }
  | { readonly kind: 'failed'; readonly error: GatewayError; readonly silent: boolean }
  /** 101: the connection is a tunnel from here on, and the session somebody else's */
  | { readonly kind: 'switched'; readonly head: AnswerHead }

/** Why a client needs no connection any more. */
export interface Departure {
  readonly reason: CloseReason
  /** absent: nothing is wrong with it */
  readonly error?: GatewayError
}

/** One request and where its answer goes. */
export interface Exchange {
  readonly request: ForwardRequest
  readonly body: RequestBody | undefined
  readonly responder: Responder
  /** Told once, unless the connection is dropped before. */
  onOutcome(outcome: Outcome): void
}

/** silence after which TCP asks whether the origin is still there (TU-10) */
const KEEP_ALIVE_S = 60

export class OriginConnection implements StreamHandler, BodySink {
  readonly session: Session
  readonly #stream: ByteStream
  readonly #target: Target
  readonly #identified: Identified
  readonly #settings: OriginSettings
  readonly #output: ResponseOutput
  readonly #timer: IdleTimer
  readonly #answer: OriginResponse
  #exchange: Exchange | undefined
  /** the request has been written to its end */
  #isSent = true
  /** the client takes no more for now */
  #isPaused = false
  #isReading = false
  #isOver = false

  constructor(
    session: Session,
    made: { readonly target: Target; readonly identified: Identified; readonly clock: Clock },
    settings: OriginSettings,
  ) {
    this.session = session
    this.#stream = session.upstream.carrier
    this.#target = made.target
    this.#identified = made.identified
    this.#settings = settings
    this.#output = new ResponseOutput(this.#stream)
    this.#timer = new IdleTimer(made.clock, this.#expire)
    this.#answer = new OriginResponse(settings)
    this.#stream.keepAlive(KEEP_ALIVE_S)
    session.cutBy((error) => this.#killed(error))
    this.#stream.setHandler(this)
  }

  /** Would a new connection for this request be decided the same, and can this one carry it? */
  serves(target: Target, { snapshot, persona }: Identified): boolean {
    return (
      !this.#isOver &&
      this.#exchange === undefined &&
      !this.session.ended &&
      snapshot.revision === this.#identified.snapshot.revision &&
      sameTarget(target, this.#target) &&
      samePersona(persona, this.#identified.persona)
    )
  }

  /** Sends a request; not while another one is under way. */
  start(exchange: Exchange): void {
    const { request, body } = exchange
    this.#exchange = exchange
    this.session.requests++
    this.#answer.expect(request)
    this.#isPaused = false
    this.#isSent = body === undefined
    this.#output.text(formatRequestHead(request))
    this.#timer.set(this.#settings.responseTimeoutMs)
    if (body === undefined) this.#output.flush()
    else body.start(this)
  }

  /** The client has room again. */
  resume(): void {
    if (!this.#isPaused || this.#isOver) return
    this.#isPaused = false
    this.#timer.set(this.#settings.idleTimeoutMs)
    this.onReadable()
  }

  /** Ends the connection because the client is done with it; a request that is still on its way is reset (FR-15). */
  drop(why: Departure = { reason: 'CLIENT_CLOSED' }): void {
    const isMidway = this.#exchange !== undefined
    if (!this.#close()) return
    this.session.end(why)
    if (isMidway) this.#stream.reset()
    else this.#stream.destroy()
  }

  /** Hands the session and its stream to somebody else. */
  release(): Session {
    this.#close()
    this.session.cutBy(() => this.#stream.reset())
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
    // an answer that came meanwhile is read first: writing on may lose it to a reset
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
    // a refusal that came ahead of the request's end: the reset is what became of the rest of the request (FR-14)
    if (!this.#isSent && this.#answer.isRefusalUntilClose) this.#complete(exchange)
    else this.#fail(this.#cutShort(options))
  }

  /** Bytes of the answer. They are not to be looked at once the exchange is over: by then somebody else may have read. */
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
    // the client may have gone with the last write
    if (this.#isOver) return
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

  /** Bytes while nothing was asked; some origins say 408 before they close an idle connection. */
  #unexpected(bytes: Buffer): void {
    const isFarewell = bytes.subarray(0, 12).toString('latin1') === 'HTTP/1.1 408'
    this.#close()
    if (isFarewell) {
      this.session.end({ reason: 'ORIGIN_CLOSED' })
    } else {
      const error = new GatewayError('origin.malformed_response', 'the origin sent an answer nobody asked for')
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
      // nobody's fault: the client asked for nothing more
      this.#close()
      this.session.end({ reason: 'CLIENT_IDLE_TIMEOUT' })
      this.#stream.destroy()
    } else if (this.#isPaused) {
      this.#fail(new GatewayError('relay.idle', 'the client takes no more of the answer'))
    } else if (this.#answer.hasHead) {
      this.#fail(new GatewayError('origin.timeout', 'the origin stopped in the middle of its answer'))
    } else if (this.#isSent) {
      this.#fail(new GatewayError('origin.timeout', 'the origin took the request and did not answer in time'))
    } else if (this.#output.isBlocked) {
      this.#fail(new GatewayError('origin.timeout', 'the origin stopped taking the request'))
    } else {
      // the client's own limit for a body that stands still is elsewhere
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
    exchange?.body?.stop()
    this.#close()
    this.session.end({ reason: error.rendering.close, error })
    this.#stream.reset()
    exchange?.onOutcome({ kind: 'failed', error, silent })
  }

  #cutShort(options: { readonly cause?: Error }): GatewayError {
    const why = this.#answer.isSilent
      ? 'the origin closed the connection before it answered'
      : 'the origin cut its answer short'
    return new GatewayError('origin.incomplete_response', why, { ...options, details: { defect: 'body-cut-short' } })
  }

  /** False when it was closed before. */
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

/** Equal in everything that policy, guard or record look at. */
function samePersona(a: Persona, b: Persona): boolean {
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

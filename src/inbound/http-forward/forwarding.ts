// Carries one client's requests to origins: keeps the connection that fits, opens one where none does, and repeats a request once when a
// kept connection turned out to be gone.

import { asGatewayError, type GatewayError } from '../../errors/gateway-error.ts'
import type { Arrival } from '../../proxy/arrival.ts'
import type { ConnectionPipeline, Identified } from '../../proxy/pipeline.ts'
import type { Session } from '../../proxy/session.ts'
import { CancellationSource } from '../../transport/cancellation.ts'
import type { ForwardRequest } from './forward-request.ts'
import type { AnswerHead } from './forward-response.ts'
import { type Departure, OriginConnection, type OriginSettings, type Outcome } from './origin-connection.ts'
import type { RequestBody } from './request-body.ts'
import { answerError, type Responder } from './responder.ts'

export interface ForwardingSettings extends OriginSettings {
  readonly pipeline: ConnectionPipeline
}

/** One request on its way, and who is told of its end. */
export interface Work {
  readonly request: ForwardRequest
  readonly arrival: Arrival
  readonly identified: Identified
  readonly body: RequestBody | undefined
  readonly responder: Responder
  /** The answer is complete, or the client was shown that it is not. */
  done(): void
  /** The origin switched protocols: the session is the client's to carry on as a tunnel. */
  switched(head: AnswerHead, session: Session): void
}

/** Sending them again does what sending them once does (RFC 9110 section 9.2.2). */
const IDEMPOTENT = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'PROPFIND', 'REPORT', 'SEARCH', 'QUERY'])

export class Forwarding {
  readonly #settings: ForwardingSettings
  #origin: OriginConnection | undefined
  #work: Work | undefined
  #isGone = false
  readonly #cancellation = new CancellationSource()

  constructor(settings: ForwardingSettings) {
    this.#settings = settings
  }

  /** Carries one request; not while another one runs. One that could not be sent again gets a connection of its own making: a kept one
   *  may be gone already, and only the answer that does not come would tell. */
  run(work: Work): void {
    this.#work = work
    const origin = this.#origin
    if (origin !== undefined && isRepeatable(work.request) && origin.serves(work.arrival.target, work.identified)) {
      this.#exchangeOver(origin, work, true)
      return
    }
    this.#origin = undefined
    origin?.drop()
    this.#connect(work)
  }

  /** The client has room again for the answer. */
  resume(): void {
    this.#origin?.resume()
  }

  /** Gives the request in progress up because of what the client did: the origin sees a reset, the record says why. Answers
   *  nothing. False when nothing was in progress yet, so that there is no record either. */
  abandon(error: GatewayError): boolean {
    const work = this.#work
    if (work === undefined) return false
    this.#work = undefined
    work.body?.stop()
    this.#origin?.drop({ reason: error.rendering.close, error })
    this.#origin = undefined
    this.#cancellation.abort(error)
    return true
  }

  /** The client is gone (FR-15). An idle connection to an origin ends without an error, whatever became of the client. */
  leave(why?: Departure): void {
    this.#isGone = true
    this.#cancellation.abort(why?.error)
    this.#origin?.drop(this.#work === undefined && why?.error !== undefined ? undefined : why)
    this.#origin = undefined
    this.#work = undefined
  }

  #connect(work: Work): void {
    const { arrival, identified } = work
    const { pipeline } = this.#settings
    pipeline.open(arrival, { signal: this.#cancellation, identified }).then(
      (session) => this.#opened(session, work),
      (thrown) => {
        if (this.#work !== work) return
        if (!this.#isGone) answerError(work.responder, asGatewayError(thrown), work.request)
        this.#finish(work)
      },
    )
  }

  #opened(session: Session, work: Work): void {
    const { pipeline } = this.#settings
    const made = { target: work.arrival.target, identified: work.identified, clock: pipeline.settings.clock }
    const origin = new OriginConnection(session, made, this.#settings)
    if (this.#isGone || this.#work !== work) {
      origin.drop()
      return
    }
    this.#origin = origin
    this.#exchangeOver(origin, work, false)
  }

  #exchangeOver(origin: OriginConnection, work: Work, isKept: boolean): void {
    const { request, body, responder } = work
    const onOutcome = (outcome: Outcome) => {
      if (this.#work === work) this.#settle(origin, work, { outcome, isKept })
    }
    origin.start({ request, body, responder, onOutcome })
  }

  #settle(
    origin: OriginConnection,
    work: Work,
    { outcome, isKept }: { readonly outcome: Outcome; readonly isKept: boolean },
  ): void {
    switch (outcome.kind) {
      case 'done':
        this.#finish(work)
        return
      case 'switched':
        this.#origin = undefined
        this.#work = undefined
        work.switched(outcome.head, origin.release())
        return
      default:
        this.#origin = undefined
        if (isKept && outcome.silent && isRepeatable(work.request)) {
          this.#connect(work)
          return
        }
        answerError(work.responder, outcome.error, work.request)
        this.#finish(work)
    }
  }

  #finish(work: Work): void {
    if (this.#work !== work) return
    this.#work = undefined
    work.done()
  }
}

/** May be sent again when a kept connection turns out to be gone. */
function isRepeatable({ method, bodyLength, upgrade }: ForwardRequest): boolean {
  return bodyLength === 0 && upgrade === undefined && IDEMPOTENT.has(method)
}

// One request of forwarded HTTP from its head to its answer, for HTTP/1 and HTTP/2 alike:
//
//   parsed request ─► sign-in page ─► identify ─► forward ─► answer
//
// The protocols differ in how they read a request and in their responder. A kept-alive connection to the origin is used
// where it fits, another opened otherwise; a request is retried once when the kept one turns out to be closed.

import { asGatewayError, type GatewayError } from '../../errors/gateway-error.ts'
import type { Arrival, ClientInfo } from '../../proxy/arrival.ts'
import type { ConnectionPipeline } from '../../proxy/pipeline.ts'
import type { Session } from '../../proxy/session.ts'
import type { Identification } from '../../proxy/stage-values.ts'
import { CancellationSource } from '../../transport/cancellation.ts'
import { asksOwnPage, type OwnPages, serveOwnPage } from '../own-pages.ts'
import { parseProxyCredentials } from '../proxy-credentials.ts'
import { applySignIn, offerSignIn, respondSignIn, type SignInService } from '../sign-in.ts'
import type { ForwardRequest, HeadRules } from './forward-request.ts'
import { type ConnectionEnd, type ExchangeOutcome, OriginConnection, type OriginSettings } from './origin-connection.ts'
import { type AnswerHead, answerError, answerOptions, type RequestBody, type Responder } from './responder.ts'

export interface ForwardSettings extends HeadRules, ForwardingSettings {
  /** an idle kept-alive connection */
  readonly keepAliveMs: number
  /** a stalled request body */
  readonly bodyIdleMs: number
  /** absent: no listener has a sign-in page */
  readonly signIn?: SignInService | undefined
  /** absent: the lab has no pages of its own */
  readonly ownPages?: OwnPages | undefined
}

/** The client's side of one request. */
export interface ForwardClient {
  readonly clientInfo: ClientInfo
  readonly responder: Responder
  readonly body: RequestBody | undefined
  /** the client is gone, or has got another answer meanwhile */
  isOver(): boolean
  /** The answer is complete, or was cut off visibly; called once. */
  done(): void
  switched(head: AnswerHead, session: Session): void
}

/** Answers a parsed request. Records every refusal; never rejects. */
export async function forward(
  client: ForwardClient,
  parsed: ForwardRequest,
  forwarding: Forwarding,
  settings: ForwardSettings,
): Promise<void> {
  const { clientInfo, responder, body } = client
  const { ownPages, pipeline, signIn } = settings
  const request = withConsole(parsed, ownPages)
  const { target, traceparent } = request
  let arrival: Arrival = traceparent === undefined ? { ...clientInfo, target } : { ...clientInfo, target, traceparent }
  try {
    if (request.endsHere) {
      answerOptions(responder)
      client.done()
      return
    }
    if (asksOwnPage(ownPages, request)) {
      await serveOwnPage(ownPages, { request, peer: clientInfo.peer, body, responder })
      client.done()
      return
    }
    if (request.authorization !== undefined) {
      arrival = { ...arrival, credentials: parseProxyCredentials(request.authorization) }
    }
    const entry = applySignIn(signIn, arrival, request)
    if ('answer' in entry) {
      respondSignIn(responder, entry.answer)
      client.done()
      return
    }
    arrival = entry.arrival
    const identified = await pipeline.identify(arrival)
    if (client.isOver()) return
    forwarding.run({
      request,
      arrival,
      identified,
      body,
      responder,
      done: () => client.done(),
      switched: (head, session) => client.switched(head, session),
    })
  } catch (thrown) {
    if (!client.isOver()) refuse(client, arrival, request, settings, asGatewayError(thrown))
  }
}

/** A browser's request, with where its error page links to. */
function withConsole(request: ForwardRequest, pages: OwnPages | undefined): ForwardRequest {
  if (request.errorPage === undefined || pages === undefined) return request
  const { host, port } = pages.api
  const console = `http://${host.includes(':') ? `[${host}]` : host}:${port}`
  return { ...request, errorPage: { ...request.errorPage, console } }
}

function refuse(
  client: ForwardClient,
  arrival: Arrival,
  request: ForwardRequest,
  settings: ForwardSettings,
  error: GatewayError,
): void {
  const { responder } = client
  settings.pipeline.refuse(arrival, error)
  // after a malformed request the bytes behind it cannot be trusted (FR-02)
  if (error.code.startsWith('request.')) responder.closeAfter()
  const page = offerSignIn(settings, arrival, request, error)
  if (page === undefined) answerError(responder, error, request)
  else respondSignIn(responder, page)
  client.done()
}

interface ForwardingSettings extends OriginSettings {
  readonly pipeline: ConnectionPipeline
}

/** One request to forward, with the client's side of it. */
export interface ForwardJob {
  readonly request: ForwardRequest
  readonly arrival: Arrival
  readonly identified: Identification
  readonly body: RequestBody | undefined
  readonly responder: Responder
  /** The response is complete, or was cut off visibly. */
  done(): void
  /** The origin switched protocols: the caller continues the session as a tunnel. */
  switched(head: AnswerHead, session: Session): void
}

/** Methods that can be retried (RFC 9110 section 9.2.2). */
const IDEMPOTENT = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'PROPFIND', 'REPORT', 'SEARCH', 'QUERY'])

/** Carries the requests of one client connection or stream, and keeps its connection to an origin between them. */
export class Forwarding {
  readonly #settings: ForwardingSettings
  #origin: OriginConnection | undefined
  #job: ForwardJob | undefined
  #isGone = false
  readonly #cancellation = new CancellationSource()

  constructor(settings: ForwardingSettings) {
    this.#settings = settings
  }

  /** Forwards one request; not while another one runs. A request that cannot be retried gets a new connection, because
   *  a kept-alive one may be closed already. Failures are sent to the client and recorded. */
  run(job: ForwardJob): void {
    this.#job = job
    const origin = this.#origin
    if (origin !== undefined && isRepeatable(job.request) && origin.serves(job.arrival.target, job.identified)) {
      this.#exchangeOver(origin, job, true)
      return
    }
    this.#origin = undefined
    origin?.drop()
    this.#connect(job)
  }

  /** The client can take more of the response. */
  resume(): void {
    this.#origin?.resume()
  }

  /** Aborts the request in progress because of the client: the origin sees a reset, the record carries the error. Sends
   *  no response. False when no request was in progress, so there is no record either. */
  abandon(error: GatewayError): boolean {
    const job = this.#job
    if (job === undefined) return false
    this.#job = undefined
    job.body?.stop()
    this.#origin?.drop({ reason: error.rendering.close, error })
    this.#origin = undefined
    this.#cancellation.abort(error)
    return true
  }

  /** The client is gone (FR-15). An idle connection to an origin ends without an error, however the client ended. */
  leave(why?: ConnectionEnd): void {
    this.#isGone = true
    this.#cancellation.abort(why?.error)
    this.#origin?.drop(this.#job === undefined && why?.error !== undefined ? undefined : why)
    this.#origin = undefined
    this.#job = undefined
  }

  #connect(job: ForwardJob): void {
    const { arrival, identified } = job
    const { pipeline } = this.#settings
    pipeline.open(arrival, { signal: this.#cancellation, identified }).then(
      (session) => this.#opened(session, job),
      (thrown) => {
        if (this.#job !== job) return
        if (!this.#isGone) answerError(job.responder, asGatewayError(thrown), job.request)
        this.#finish(job)
      },
    )
  }

  #opened(session: Session, job: ForwardJob): void {
    const { pipeline } = this.#settings
    const { settings, now } = pipeline
    const made = { target: job.arrival.target, identified: job.identified, clock: settings.clock, now }
    const origin = new OriginConnection(session, made, this.#settings)
    if (this.#isGone || this.#job !== job) {
      origin.drop()
      return
    }
    this.#origin = origin
    this.#exchangeOver(origin, job, false)
  }

  #exchangeOver(origin: OriginConnection, job: ForwardJob, isKept: boolean): void {
    const { request, body, responder } = job
    const onOutcome = (outcome: ExchangeOutcome) => {
      if (this.#job === job) this.#handleOutcome(origin, job, { outcome, isKept })
    }
    origin.start({ request, body, responder, onOutcome })
  }

  #handleOutcome(
    origin: OriginConnection,
    job: ForwardJob,
    { outcome, isKept }: { readonly outcome: ExchangeOutcome; readonly isKept: boolean },
  ): void {
    switch (outcome.kind) {
      case 'done':
        this.#finish(job)
        return
      case 'switched':
        this.#origin = undefined
        this.#job = undefined
        job.switched(outcome.head, origin.release())
        return
      default:
        this.#origin = undefined
        if (isKept && outcome.silent && isRepeatable(job.request)) {
          this.#connect(job)
          return
        }
        answerError(job.responder, outcome.error, job.request)
        this.#finish(job)
    }
  }

  #finish(job: ForwardJob): void {
    if (this.#job !== job) return
    this.#job = undefined
    job.done()
  }
}

/** True when the request may be retried on a new connection. */
function isRepeatable({ method, bodyLength, upgrade }: ForwardRequest): boolean {
  return bodyLength === 0 && upgrade === undefined && IDEMPOTENT.has(method)
}

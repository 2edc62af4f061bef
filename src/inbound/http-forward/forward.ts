// One request of forwarded HTTP from its head to its answer, for HTTP/1 and HTTP/2 alike:
//
//   parsed request ─► sign-in page ─► identify ─► forward ─► answer
//
// The protocols differ in how they read a request and in their responder.

import { asGatewayError, type GatewayError } from '../../errors/gateway-error.ts'
import type { Arrival, ClientInfo } from '../../proxy/arrival.ts'
import type { Session } from '../../proxy/session.ts'
import { asksOwnPage, type OwnPages, serveOwnPage } from '../own-pages.ts'
import { parseProxyCredentials } from '../proxy-credentials.ts'
import { applySignIn, offerSignIn, respondSignIn, type SignInService } from '../sign-in.ts'
import type { ForwardRequest, HeadRules } from './forward-request.ts'
import type { AnswerHead } from './forward-response.ts'
import type { Forwarding, ForwardingSettings } from './forwarding.ts'
import { answerError, answerOptions, type RequestBody, type Responder } from './responder.ts'

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
  request: ForwardRequest,
  forwarding: Forwarding,
  settings: ForwardSettings,
): Promise<void> {
  const { clientInfo, responder, body } = client
  const { ownPages, pipeline, signIn } = settings
  let arrival: Arrival = { ...clientInfo, target: request.target }
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

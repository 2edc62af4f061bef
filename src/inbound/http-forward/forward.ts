// One request of forwarded HTTP from its head to its answer, whatever protocol it came by:
//
//   understood ─► sign-in page ─► identify ─► forward ─► answer
//
// The protocols differ in how they read a request and in their responder.

import { asGatewayError, type GatewayError } from '../../errors/gateway-error.ts'
import type { Arrival, Knock } from '../../proxy/arrival.ts'
import type { Identified } from '../../proxy/pipeline.ts'
import type { Session } from '../../proxy/session.ts'
import { asksOwnPage, type OwnPages, serveOwnPage } from '../own-pages.ts'
import { parseProxyCredentials } from '../proxy-credentials.ts'
import { answerSignIn, enterBySignIn, offerSignIn, type SignInDoor } from '../sign-in.ts'
import type { ForwardRequest, HeadRules } from './forward-request.ts'
import type { AnswerHead } from './forward-response.ts'
import type { Forwarding, ForwardingSettings } from './forwarding.ts'
import type { RequestBody } from './request-body.ts'
import { answerError, answerOptions, type Responder } from './responder.ts'

export interface ForwardSettings extends HeadRules, ForwardingSettings {
  /** a kept connection without a request */
  readonly keepAliveMs: number
  /** a request body that stands still */
  readonly bodyIdleMs: number
  /** absent: no listener has a sign-in page */
  readonly signIn?: SignInDoor | undefined
  /** absent: the lab has no pages of its own */
  readonly ownPages?: OwnPages | undefined
}

/** The client's side of one request. */
export interface ForwardClient {
  readonly knock: Knock
  readonly responder: Responder
  readonly body: RequestBody | undefined
  /** The client is gone or was told something else meanwhile. */
  isOver(): boolean
  /** The answer is complete, or the client was shown that it is not; called once. */
  done(): void
  switched(head: AnswerHead, session: Session): void
}

/** Answers a request that was understood. Records every refusal. */
export function forward(
  client: ForwardClient,
  request: ForwardRequest,
  forwarding: Forwarding,
  settings: ForwardSettings,
): void {
  const { responder } = client
  if (request.endsHere) {
    answerOptions(responder)
    client.done()
    return
  }
  const { ownPages } = settings
  let arrival: Arrival = { ...client.knock, target: request.target }
  if (asksOwnPage(ownPages, request)) {
    const asked = { request, peer: client.knock.peer, body: client.body, responder }
    serveOwnPage(ownPages, asked).then(() => client.done(), refuse)
    return
  }
  try {
    if (request.authorization !== undefined) {
      arrival = { ...arrival, credentials: parseProxyCredentials(request.authorization) }
    }
    const entry = enterBySignIn(settings.signIn, arrival, request)
    if ('answer' in entry) {
      answerSignIn(responder, entry.answer)
      client.done()
      return
    }
    arrival = entry.arrival
    const found = settings.pipeline.identify(arrival)
    if (found instanceof Promise) found.then(run, refuse)
    else run(found)
  } catch (thrown) {
    refuse(thrown)
  }

  function run(identified: Identified): void {
    if (client.isOver()) return
    const { body } = client
    forwarding.run({
      request,
      arrival,
      identified,
      body,
      responder,
      done: () => client.done(),
      switched: (head, session) => client.switched(head, session),
    })
  }

  function refuse(thrown: unknown): void {
    if (client.isOver()) return
    const error = asGatewayError(thrown)
    settings.pipeline.refuse(arrival, error)
    // after a request that was not understood nothing behind it can be trusted (FR-02)
    if (isTheLast(error)) responder.closeAfter()
    const page = offerSignIn(settings, arrival, request, error)
    if (page === undefined) answerError(responder, error, request)
    else answerSignIn(responder, page)
    client.done()
  }
}

function isTheLast(error: GatewayError): boolean {
  return error.code.startsWith('request.')
}

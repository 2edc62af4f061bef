// The requests of one client connection, one after the other: answers leave in the order of the requests (FR-06), at most a
// few wait before the client is no longer read (FR-07), and the connection to the origin belongs to this client alone.

import { type IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { asGatewayError, GatewayError } from '../../errors/gateway-error.ts'
import { httpErrorText } from '../../errors/to-http.ts'
import type { Arrival, Knock } from '../../proxy/arrival.ts'
import type { ConnectionPipeline } from '../../proxy/connection.ts'
import type { Timer } from '../../transport/timer-wheel.ts'
import type { ClientConnection } from '../client-connection.ts'
import { hangUp } from '../hang-up.ts'
import { noCredentialsAgain } from '../no-credentials-again.ts'
import { parseProxyCredentials } from '../proxy-credentials.ts'
import { answerSignIn, enterBySignIn, offerSignIn, type SignInAnswer, type SignInDoor } from '../sign-in.ts'
import { answerError, cut, drainRest } from './answer.ts'
import { watchBody } from './body-watch.ts'
import { type ForwardRequest, type HeadRules, understandForward } from './forward-request.ts'
import { Forwarding, type Work } from './forwarding.ts'
import { type Turn, TurnQueue } from './turn-queue.ts'
import type { LinkSettings } from './upstream-link.ts'

export interface LaneSettings extends HeadRules, LinkSettings {
  readonly pipeline: ConnectionPipeline
  /** requests of one client that may wait behind the one in progress before its connection is no longer read */
  readonly maxPipelined: number
  /** a kept connection without a request */
  readonly keepAliveMs: number
  /** a request body that stands still */
  readonly bodyIdleMs: number
  /** absent: no listener has a sign-in page */
  readonly signIn?: SignInDoor | undefined
}

export class ClientLane {
  readonly visitor: ClientConnection
  readonly #settings: LaneSettings
  readonly #forwarding: Forwarding
  readonly #turns: TurnQueue
  /** the last answer was given, or the client is gone: nothing more is taken or said */
  #over = false
  #draining = false
  #current: Current | undefined
  #parseError: GatewayError | undefined
  #deadline: Timer | undefined
  #answered = false
  #readWhenAnswered = 0

  constructor(visitor: ClientConnection, settings: LaneSettings) {
    this.visitor = visitor
    this.#settings = settings
    this.#forwarding = new Forwarding(settings)
    this.#turns = new TurnQueue(visitor.socket, settings.maxPipelined, this.#idle)
    this.#deadline = visitor.origin.clock.after(visitor.origin.limits.timeoutMs, this.#expire)
    visitor.socket.once('close', this.#leave)
  }

  get socket(): Socket {
    return this.visitor.socket
  }

  /** Takes its turn behind what is in progress. */
  queue(turn: Turn): void {
    if (this.#over) return
    this.#deadline?.cancel()
    this.#turns.push(turn)
  }

  request(req: IncomingMessage, res: ServerResponse): void {
    this.queue((done) => void this.#serve(req, res, done))
  }

  /** A request to switch to WebSocket: `head` is what came behind it, and Node's server no longer looks after the socket, so
   *  an answer other than a switch is the last one. */
  upgrade(req: IncomingMessage, head: Buffer): void {
    this.queue((done) => {
      const res = new ServerResponse(req)
      res.assignSocket(this.socket)
      res.shouldKeepAlive = false
      res.once('finish', () => hangUp(this.socket, this.visitor.origin.clock, ''))
      void this.#serve(req, res, done, head)
    })
  }

  /** What the client sent is not HTTP. Requests before it are still answered; one that is cut off by it is not. */
  broken(error: GatewayError): void {
    if (this.#over) return
    this.#parseError = error
    const current = this.#current
    if (current !== undefined && !current.req.complete) this.#giveUp(current, error)
    else this.queue(() => this.#refuse(this.visitor.knock('http-forward'), error))
  }

  /** Gives the client up: its socket goes to somebody else, its connection to an origin goes away. */
  retire(): void {
    this.socket.off('close', this.#leave)
    this.#leave()
  }

  /** Lets an idle client go and a busy one after its answer. */
  drain(): void {
    this.#draining = true
    const res = this.#current?.res
    if (res !== undefined && !res.headersSent) res.shouldKeepAlive = false
    if (!this.#turns.isBusy) this.socket.destroySoon()
  }

  readonly #idle = (): void => {
    this.#current = undefined
    this.#answered = true
    this.#readWhenAnswered = this.socket.bytesRead
    if (this.#draining) this.socket.destroySoon()
    else this.#deadline = this.visitor.origin.clock.after(this.#settings.keepAliveMs, this.#expire)
  }

  async #serve(req: IncomingMessage, res: ServerResponse, done: () => void, upgradeHead?: Buffer): Promise<void> {
    let knock: Knock | Arrival = this.visitor.knock('http-forward')
    let offer: (error: GatewayError) => SignInAnswer | undefined = () => undefined
    this.#current = { req, res }
    if (this.#draining) res.shouldKeepAlive = false
    try {
      if (this.#parseError !== undefined && !req.complete) throw this.#parseError
      const request = understandForward(headOf(req), this.#settings)
      if (request.endsHere) {
        answerOptions(res)
        done()
        return
      }
      if (this.visitor.mustLogIn && request.authorization === undefined) {
        this.#refuse({ ...knock, target: request.target }, noCredentialsAgain())
        return
      }
      knock = { ...knock, target: request.target }
      const entry = enterBySignIn(
        this.#settings.signIn,
        withCredentials({ ...knock, target: request.target }, request),
        request,
      )
      if ('answer' in entry) {
        answerSignIn(res, entry.answer)
        drainRest(req, this.visitor.origin.clock)
        done()
        return
      }
      const { arrival } = entry
      offer = (error) => offerSignIn(this.#settings.signIn, arrival, request, error)
      const found = this.#settings.pipeline.identify(arrival)
      const identified = found instanceof Promise ? await found : found
      if (this.#over) return
      if (request.body !== 'none' && !req.complete) this.#watch({ req, res })
      const work: Work = { req, res, request, arrival, identified }
      await this.#forwarding.run(upgradeHead === undefined ? work : { ...work, upgradeHead }, () => {
        drainRest(req, this.visitor.origin.clock)
        done()
      })
    } catch (thrown) {
      const error = asGatewayError(thrown)
      if (this.#over) return
      if (closes(error) || upgradeHead !== undefined) {
        this.#refuse(knock, error)
        return
      }
      this.#settings.pipeline.refuse(knock, error)
      const page = offer(error)
      if (page === undefined) answerError(res, error)
      else answerSignIn(res, page)
      drainRest(req, this.visitor.origin.clock)
      done()
    }
  }

  /** Records and says the last word: after a request that was not understood nothing behind it can be trusted. */
  #refuse(knock: Knock | Arrival, error: GatewayError): void {
    this.#settings.pipeline.refuse(knock, error)
    this.#sayLast(error)
  }

  #sayLast(error: GatewayError): void {
    this.#leave()
    hangUp(this.socket, this.visitor.origin.clock, httpErrorText(error, 'close'))
  }

  #watch(current: Current): void {
    watchBody(current.req, this.visitor.origin.clock, this.#settings.bodyIdleMs, () => {
      if (this.#over || this.#current?.req !== current.req) return
      this.#giveUp(current, new GatewayError('request.timeout', 'the request body stands still'))
    })
  }

  /** The request in progress cannot be completed, by the client's fault. */
  #giveUp({ res }: Current, error: GatewayError): void {
    const recorded = this.#forwarding.abandon(error)
    if (!recorded) this.#settings.pipeline.refuse(this.visitor.knock('http-forward'), error)
    if (!res.headersSent) {
      this.#sayLast(error)
      return
    }
    this.#over = true
    cut(res)
  }

  /** A kept connection that fell silent just goes; half a request is told so. */
  readonly #expire = (): void => {
    if (this.#turns.isBusy || this.#over) return
    if (this.#answered && this.socket.bytesRead === this.#readWhenAnswered) {
      this.#over = true
      this.socket.destroySoon()
      return
    }
    this.broken(new GatewayError('request.timeout', 'the client did not complete a request in time'))
  }

  readonly #leave = (): void => {
    this.#over = true
    this.#turns.close()
    this.#deadline?.cancel()
    this.#forwarding.leave()
  }
}

interface Current {
  readonly req: IncomingMessage
  readonly res: ServerResponse
}

/** After a request that was not understood nothing behind it can be trusted (FR-02). */
function closes(error: GatewayError): boolean {
  return error.code.startsWith('request.')
}

function headOf(req: IncomingMessage) {
  return { method: req.method ?? '', url: req.url ?? '', version: req.httpVersion, fields: req.rawHeaders }
}

function withCredentials(arrival: Arrival, { authorization }: ForwardRequest): Arrival {
  return authorization === undefined ? arrival : { ...arrival, credentials: parseProxyCredentials(authorization) }
}

/** OPTIONS with Max-Forwards 0 ends here (RFC 9110 section 7.6.2). */
function answerOptions(res: ServerResponse): void {
  res.writeHead(200, { Allow: 'GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH', 'Content-Length': '0' })
  res.end()
}

// The requests of one client connection, one after the other: answers leave in the order of the requests (FR-06), at most a
// few wait before the client is no longer read (FR-07), and the connection to the origin belongs to this client alone.

import { type IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { asGatewayError, GatewayError } from '../../errors/gateway-error.ts'
import { httpErrorText } from '../../errors/to-http.ts'
import type { Arrival, Knock } from '../../proxy/arrival.ts'
import type { ConnectionPipeline } from '../../proxy/connection.ts'
import type { Deadline } from '../../proxy/deadline.ts'
import { parseBasicCredentials } from '../basic-credentials.ts'
import { hangUp } from '../hang-up.ts'
import { noCredentialsAgain } from '../no-credentials-again.ts'
import type { Visitor } from '../visitor.ts'
import { answerError, cut, drainRest } from './answer.ts'
import { type ForwardRequest, type HeadRules, understandForward } from './forward-request.ts'
import { Forwarding, type Work } from './forwarding.ts'
import type { LinkSettings } from './upstream-link.ts'

export interface LaneSettings extends HeadRules, LinkSettings {
  readonly pipeline: ConnectionPipeline
  /** requests of one client that may wait behind the one in progress before its connection is no longer read */
  readonly maxPipelined: number
  /** a kept connection without a request */
  readonly keepAliveMs: number
  /** a request body that stands still */
  readonly bodyIdleMs: number
}

/** Something to be done when everything before it on this connection is answered; calls `done` when the next may begin. */
export type Turn = (done: () => void) => void

export class ClientLane {
  readonly visitor: Visitor
  readonly #settings: LaneSettings
  readonly #forwarding: Forwarding
  readonly #waiting: Turn[] = []
  #busy = false
  /** the last answer was given, or the client is gone: nothing more is taken or said */
  #over = false
  #paused = false
  #draining = false
  #current: Current | undefined
  #parseError: GatewayError | undefined
  #deadline: Deadline | undefined
  #answered = 0
  #readWhenAnswered = 0

  constructor(visitor: Visitor, settings: LaneSettings) {
    this.visitor = visitor
    this.#settings = settings
    this.#forwarding = new Forwarding(settings)
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
    if (!this.#busy) {
      this.#run(turn)
      return
    }
    this.#waiting.push(turn)
    if (this.#waiting.length < this.#settings.maxPipelined) return
    this.#paused = true
    this.socket.pause()
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
    if (!this.#busy) this.socket.destroySoon()
  }

  #run(turn: Turn): void {
    this.#busy = true
    turn(this.#next)
  }

  readonly #next = (): void => {
    this.#busy = false
    this.#current = undefined
    this.#answered++
    this.#readWhenAnswered = this.socket.bytesRead
    if (this.#over) return
    const turn = this.#waiting.shift()
    if (this.#paused && this.#waiting.length < this.#settings.maxPipelined) {
      this.#paused = false
      this.socket.resume()
    }
    if (turn !== undefined) this.#run(turn)
    else if (this.#draining) this.socket.destroySoon()
    else this.#deadline = this.visitor.origin.clock.after(this.#settings.keepAliveMs, this.#expire)
  }

  async #serve(req: IncomingMessage, res: ServerResponse, done: () => void, upgradeHead?: Buffer): Promise<void> {
    let knock: Knock | Arrival = this.visitor.knock('http-forward')
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
      const arrival = withCredentials({ ...knock, target: request.target }, request)
      const found = this.#settings.pipeline.identify(arrival)
      const identified = found instanceof Promise ? await found : found
      if (this.#over) return
      if (request.body !== 'none' && !req.complete) this.#watchBody(req)
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
      answerError(res, error)
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
    this.#over = true
    this.#deadline?.cancel()
    this.#forwarding.leave()
    hangUp(this.socket, this.visitor.origin.clock, httpErrorText(error, 'close'))
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

  /** A body that stands still although we are ready to read it is given up on (RS-01); one that moves may take all day. */
  #watchBody(req: IncomingMessage): void {
    const { clock } = this.visitor.origin
    let seen = this.socket.bytesRead
    const check = () => {
      const current = this.#current
      if (req.complete || current?.req !== req || this.#over) return
      const now = this.socket.bytesRead
      if (now === seen && !req.isPaused()) {
        this.#giveUp(current, new GatewayError('request.timeout', 'the request body stands still'))
        return
      }
      seen = now
      watch = clock.after(this.#settings.bodyIdleMs, check)
    }
    let watch = clock.after(this.#settings.bodyIdleMs, check)
    req.once('close', () => watch.cancel())
  }

  /** A kept connection that fell silent just goes; half a request is told so. */
  readonly #expire = (): void => {
    if (this.#busy || this.#over) return
    if (this.#answered > 0 && this.socket.bytesRead === this.#readWhenAnswered) {
      this.#over = true
      this.socket.destroySoon()
      return
    }
    this.broken(new GatewayError('request.timeout', 'the client did not complete a request in time'))
  }

  readonly #leave = (): void => {
    this.#over = true
    this.#waiting.length = 0
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
  return authorization === undefined ? arrival : { ...arrival, credentials: parseBasicCredentials(authorization) }
}

/** OPTIONS with Max-Forwards 0 ends here (RFC 9110 section 7.6.2). */
function answerOptions(res: ServerResponse): void {
  res.writeHead(200, { Allow: 'GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH', 'Content-Length': '0' })
  res.end()
}

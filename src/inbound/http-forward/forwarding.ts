// Carries one client's requests to origins: keeps the connection that fits, opens one where none does, chooses the fast or
// the slow road, and repeats a request once when a kept connection turned out to be gone.

import { ServerResponse } from 'node:http'
import { asGatewayError, type GatewayError } from '../../errors/gateway-error.ts'
import type { Arrival } from '../../proxy/arrival.ts'
import type { Identified } from '../../proxy/connection.ts'
import { carry } from '../../proxy/tunnel.ts'
import { StreamWire } from '../../proxy/wire/stream-wire.ts'
import { CancellationSource } from '../../transport/cancellation.ts'
import { answerError } from './answer.ts'
import type { LaneSettings } from './client-lane.ts'
import { type ClientSide, Exchange, type Outcome } from './exchange.ts'
import type { ForwardRequest } from './forward-request.ts'
import type { ForwardResponse } from './forward-response.ts'
import { SlowExchange } from './slow-exchange.ts'
import { UpstreamLink } from './upstream-link.ts'

export interface Work extends ClientSide {
  readonly arrival: Arrival
  readonly identified: Identified
  /** for a request to switch protocols: what came behind it */
  readonly upgradeHead?: Buffer
}

const SAFE_TO_REPEAT = new Set(['GET', 'HEAD', 'OPTIONS'])

export class Forwarding {
  readonly #settings: LaneSettings
  #link: UpstreamLink | undefined
  #exchange: Exchange | SlowExchange | undefined
  #work: Work | undefined
  #done: () => void = () => {}
  #gone = false
  readonly #departure = new CancellationSource()

  constructor(settings: LaneSettings) {
    this.#settings = settings
  }

  /** Carries one request; `done` is called once, when its answer is complete or has failed. Not while another one runs. */
  async run(work: Work, done: () => void): Promise<void> {
    this.#work = work
    this.#done = done
    const link = this.#link
    if (link !== undefined && !SlowExchange.needs(work.request) && link.serves(work.arrival.target, work.identified)) {
      this.#exchangeOver(link, work, true)
      return
    }
    this.#link = undefined
    link?.drop(false)
    await this.#connect(work)
  }

  /** Gives the request in progress up because of what the client did: the origin sees a reset, the record says why. Answers
   *  nothing. False when nothing was in progress yet, so that there is no record either. */
  abandon(error: GatewayError): boolean {
    if (this.#work === undefined) return false
    this.#work = undefined
    this.#exchange?.abandon()
    this.#exchange = undefined
    this.#link?.fail(error)
    this.#link = undefined
    this.#departure.abort(error)
    return true
  }

  /** The client is gone (FR-15). */
  leave(): void {
    this.#gone = true
    this.#departure.abort()
    this.#exchange?.abandon()
    this.#link?.drop(this.#exchange !== undefined)
    this.#link = undefined
  }

  async #connect(work: Work): Promise<void> {
    const { arrival, identified } = work
    try {
      const session = await this.#settings.pipeline.open(arrival, { signal: this.#departure, identified })
      const link = new UpstreamLink(session, arrival.target, identified, (cause) => {
        if (this.#link === link && this.#exchange instanceof Exchange) this.#exchange.originBroke(cause)
      })
      if (this.#gone || this.#work !== work) {
        link.drop(true)
        return
      }
      this.#link = link
      this.#exchangeOver(link, work, false)
    } catch (thrown) {
      if (this.#work !== work) return
      if (!this.#gone) answerError(work.res, asGatewayError(thrown))
      this.#finish()
    }
  }

  #exchangeOver(link: UpstreamLink, work: Work, kept: boolean): void {
    link.session.requests++
    const finish = (outcome: Outcome) => this.#settle(link, work, outcome, kept)
    if (SlowExchange.needs(work.request)) {
      const { clock } = this.#settings.pipeline.settings
      const exchange = new SlowExchange(work, { ...this.#settings, clock }, finish)
      this.#exchange = exchange
      exchange.start(link, this.#settings, (response, head) => this.#switchProtocols(link, work, response, head))
      return
    }
    const exchange = new Exchange(work, this.#settings, finish)
    this.#exchange = exchange
    exchange.start(link, this.#settings)
  }

  #settle(link: UpstreamLink, work: Work, outcome: Outcome, kept: boolean): void {
    this.#exchange = undefined
    if (outcome.kind === 'done') {
      if (SlowExchange.needs(work.request)) this.#forget(link)
      this.#finish()
      return
    }
    this.#link = undefined
    link.fail(outcome.error)
    if (kept && outcome.silent && repeatable(work.request) && !this.#gone) {
      void this.#connect(work)
      return
    }
    if (!outcome.answered && !this.#gone) answerError(work.res, outcome.error)
    this.#finish()
  }

  #forget(link: UpstreamLink): void {
    this.#link = undefined
    link.drop(false)
  }

  /** 101: from here on it is a tunnel with a tunnel's rules (HH-13). */
  #switchProtocols(link: UpstreamLink, { res, upgradeHead }: Work, response: ForwardResponse, head: Buffer): void {
    this.#exchange = undefined
    this.#link = undefined
    const client = res.socket
    if (client === null || upgradeHead === undefined) {
      link.drop(true)
      return
    }
    if (res instanceof ServerResponse) res.detachSocket(client)
    client.write(formatHead(response), 'latin1')
    if (head.length > 0) link.socket.unshift(head)
    if (upgradeHead.length > 0) client.unshift(upgradeHead)
    void carry(this.#settings.pipeline, link.release(), new StreamWire(client))
  }

  #finish(): void {
    const done = this.#done
    this.#work = undefined
    this.#exchange = undefined
    this.#done = () => {}
    done()
  }
}

/** May be sent again when a kept connection turns out to be gone (RFC 9110 section 9.2.2). */
function repeatable(request: ForwardRequest): boolean {
  return request.body === 'none' && SAFE_TO_REPEAT.has(request.method)
}

function formatHead({ status, reason, fields }: ForwardResponse): string {
  let text = `HTTP/1.1 ${status} ${reason}\r\n`
  for (let at = 0; at < fields.length; at += 2) text += `${fields[at]}: ${fields[at + 1]}\r\n`
  return `${text}\r\n`
}

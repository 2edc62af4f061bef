// One attempt to connect to an origin from the member of the fleet that has the decided address. That member binds it and says what it
// bound; anything else than the address decided is an error (EG-01), and no other address is tried.

import type { ConnectionErrorCode } from '../errors/catalogue.ts'
import { GatewayError } from '../errors/gateway-error.ts'
import type { Endpoint } from '../net/endpoint.ts'
import { equalIp } from '../net/ip.ts'
import type { DialAttempt } from '../proxy/stage-values.ts'
import type { ByteStream } from '../transport/byte-stream.ts'
import type { AttemptWatcher, Try } from './attempt.ts'
import { describeDestination } from './errno.ts'

/** What another member has done: a connection from `egress`, which it bound as `bind`. */
export interface MemberConnection {
  readonly stream: ByteStream
  readonly egress: Endpoint
  readonly bind: Endpoint
}

export interface MemberListener {
  onConnect(connection: MemberConnection): void
  onFailure(error: GatewayError): void
}

/** The way to another member. */
export interface MemberLink {
  readonly member: string
  /** Asks it to connect from the decided address. Tells the listener once, never within the call; answers the way to give up. */
  connect(attempt: DialAttempt, listener: MemberListener): () => void
}

/** The link by which an attempt leaves; an error where it must not; undefined: it leaves here. */
export type MemberOf = (attempt: DialAttempt) => MemberLink | GatewayError | undefined

/** An attempt over the link to that member; reports to its race as any other attempt does, with
 *  `egress.member_failed` and the like. */
export class MemberAttempt implements Try, MemberListener {
  readonly #attempt: DialAttempt
  readonly #link: MemberLink
  readonly #race: AttemptWatcher
  #cancel: (() => void) | undefined

  constructor(attempt: DialAttempt, link: MemberLink, race: AttemptWatcher) {
    this.#attempt = attempt
    this.#link = link
    this.#race = race
  }

  connect(): boolean {
    this.#cancel = this.#link.connect(this.#attempt, this)
    return true
  }

  cancel(): void {
    this.#cancel?.()
    this.#cancel = undefined
  }

  timedOut(seconds: number): GatewayError {
    const way = `${describeDestination(this.#attempt.candidate)} through member \`${this.#link.member}\``
    return new GatewayError('dial.timeout', `no connection to ${way} within ${seconds} s`)
  }

  onConnect({ stream, egress, bind }: MemberConnection): void {
    if (this.#cancel === undefined) {
      stream.destroy()
      return
    }
    this.#cancel = undefined
    const decided = this.#attempt.decision.egress?.address
    if (decided === undefined || !equalIp(decided, egress.ip)) {
      stream.reset()
      const what = `\`${decided?.text}\` was decided, and member \`${this.#link.member}\` connected from \`${egress.ip.text}\``
      this.#race.failed(this, new GatewayError('egress.not_bound', what), true)
      return
    }
    this.#race.succeeded(this, {
      channel: stream,
      attempt: this.#attempt,
      local: bind,
      publicEndpoint: egress,
      exit: `member://${this.#link.member}`,
    })
  }

  onFailure(error: GatewayError): void {
    if (this.#cancel === undefined) return
    this.#cancel = undefined
    this.#race.failed(this, error, true)
  }
}

/** An error about the member itself or the way to it. */
export function memberFailed(member: string, why: string, cause?: unknown): GatewayError {
  const code: ConnectionErrorCode = 'egress.member_failed'
  return new GatewayError(code, `member \`${member}\` cannot be used: ${why}`, cause === undefined ? {} : { cause })
}

// An established connection to one origin for the requests of one client connection, kept between requests only while
// everything that its choice rested on is the same (EG-02). Owns the session of that connection.

import type { Socket } from 'node:net'
import { type buildConnector, Client } from 'undici'
import { GatewayError } from '../../errors/gateway-error.ts'
import type { Target } from '../../net/endpoint.ts'
import type { Identified } from '../../proxy/connection.ts'
import type { Persona } from '../../proxy/ports.ts'
import type { Session } from '../../proxy/session.ts'
import { resetStream } from '../../transport/node/node-stream.ts'
import { InterimFilter, type OnInterim } from './interim-filter.ts'

export interface LinkSettings {
  /** until the origin's response head */
  readonly responseTimeoutMs: number
  /** silence inside a body */
  readonly idleTimeoutMs: number
  readonly maxHeadBytes: number
}

/** How long an idle connection to an origin is kept when the origin says nothing of it. */
const KEEP_ALIVE_MS = 30_000
const KEEP_ALIVE_S = 60
const CLOSED_EARLY = 'the origin closed the connection before it answered'

export class UpstreamLink {
  readonly session: Session
  /** the connection to the origin */
  readonly socket: Socket
  readonly #target: Target
  readonly #identified: Identified
  #client: Client | undefined
  #filter: InterimFilter | undefined
  #lent = false
  #cause: GatewayError | undefined
  readonly #onError: (cause: Error) => void

  /** `onError` hears of a broken connection before undici does, which takes a reset for the end of some answers (FR-09). */
  constructor(session: Session, target: Target, identified: Identified, onError: (cause: Error) => void) {
    this.session = session
    this.#target = target
    this.#identified = identified
    this.#onError = onError
    this.socket = session.upstream.carrier.asSocket()
    session.upstream.carrier.keepAlive(KEEP_ALIVE_S)
    this.socket.on('error', this.#broken)
    this.socket.once('close', this.#closed)
  }

  /** Hands the session over to somebody else, who ends it. */
  release(): Session {
    this.socket.off('error', this.#broken)
    this.socket.off('close', this.#closed)
    return this.session
  }

  /** Would a new connection for this request be decided the same? */
  serves(target: Target, { snapshot, persona }: Identified): boolean {
    return (
      !this.session.ended &&
      this.socket.writable &&
      snapshot.revision === this.#identified.snapshot.revision &&
      sameTarget(target, this.#target) &&
      samePersona(persona, this.#identified.persona)
    )
  }

  /** An answer is to come; `onInterim` hears of each interim one before it. */
  expect(settings: LinkSettings, onInterim: OnInterim): void {
    this.#filter ??= new InterimFilter(this.socket, settings.maxHeadBytes)
    this.#filter.expect(onInterim)
  }

  /** The HTTP client on this connection; it cannot open another one. */
  client(settings: LinkSettings): Client {
    this.#client ??= new Client('http://origin', {
      connect: (_options, done) => queueMicrotask(() => this.#lend(done)),
      pipelining: 1,
      headersTimeout: settings.responseTimeoutMs,
      bodyTimeout: settings.idleTimeoutMs,
      keepAliveTimeout: KEEP_ALIVE_MS,
      maxHeaderSize: settings.maxHeadBytes,
    })
    return this.#client
  }

  /** Ends the connection because the client is done with it; a request that is still on its way is reset (FR-15). */
  drop(midway: boolean): void {
    this.session.end({ reason: 'CLIENT_CLOSED' })
    if (midway) resetStream(this.socket)
    else this.socket.destroy()
  }

  /** Ends the connection because of what the origin did. */
  fail(error: GatewayError): void {
    this.session.end({ reason: error.rendering.close, error })
    resetStream(this.socket)
  }

  /** Never in the same turn: undici does not look again after a connector that answers at once. */
  #lend(done: buildConnector.Callback): void {
    if (!this.#lent) {
      this.#lent = true
      done(null, this.socket)
      return
    }
    done(new GatewayError('relay.origin_reset', CLOSED_EARLY), null)
  }

  readonly #broken = (cause: Error): void => {
    this.#cause = new GatewayError('relay.origin_reset', 'the connection to the origin broke', { cause })
    this.#onError(cause)
  }

  /** Whoever is in the middle of an exchange knows better why, and is told by then. */
  readonly #closed = (): void => {
    const error = this.#cause
    setImmediate(() => {
      this.session.end(error === undefined ? { reason: 'ORIGIN_CLOSED' } : { reason: error.rendering.close, error })
    })
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

// The limit of clients, and how those beyond it are refused: in their own protocol, with a hint when to retry (RS-03). A reset would
// explain nothing, and many resets at once look like an outage.

import { readdirSync, readFileSync } from 'node:fs'
import { GatewayError } from '../errors/gateway-error.ts'
import { httpErrorText } from '../errors/http-error-answer.ts'
import type { InboundProtocol } from '../proxy/arrival.ts'
import type { ConnectionPipeline } from '../proxy/pipeline.ts'
import type { ByteStream, StreamHandler } from '../transport/byte-stream.ts'
import type { Clock, Timer } from '../transport/timer-wheel.ts'
import type { ClientConnection } from './client-connection.ts'
import { openingMethod } from './close-after-reply.ts'
import type { ProtocolHandlers } from './listener.ts'
import { formatSocks4Reply, socks4Refusal } from './socks4/socks4-handshake.ts'

/** A client that does not take its refusal keeps a descriptor no longer than this. */
const CLOSING_MS = 2_000
/** fatal alert, handshake_failure */
const TLS_REFUSAL = Buffer.of(0x15, 0x03, 0x01, 0x00, 0x02, 0x02, 0x28)
/** RFC 1928 section 3: no acceptable method */
const SOCKS5_REFUSAL = Buffer.of(0x05, 0xff)

/** Protocol handlers that refuse every client; each refusal is recorded and counted. */
export function overloadHandlers(pipeline: ConnectionPipeline): ProtocolHandlers {
  const refuse = (
    protocol: InboundProtocol,
    format: (error: GatewayError, stream: ByteStream) => string | Uint8Array,
  ) => {
    return (client: ClientConnection) => {
      const error = tooMany()
      client.release()
      pipeline.refuse(client.clientInfo(protocol), error)
      const { stream } = client
      replyAndClose(stream, client.origin.clock, format(error, stream))
    }
  }
  const inHttp = (error: GatewayError, stream: ByteStream) =>
    httpErrorText(error, 'close', { method: openingMethod(stream) })
  return {
    socks4: refuse('socks4', (error) => formatSocks4Reply(socks4Refusal(error))),
    socks5: refuse('socks5', () => SOCKS5_REFUSAL),
    connect: refuse('http-connect', inHttp),
    http: refuse('http-forward', inHttp),
    tls: refuse('http-connect', () => TLS_REFUSAL),
    undetected: (client) => refuse('http-connect', inHttp)(client),
  }
}

/** Replies and closes at once: what has arrived is read, and the descriptor is needed for other clients. */
function replyAndClose(stream: ByteStream, clock: Clock, reply: string | Uint8Array): void {
  while (stream.read() !== undefined);
  const isSent = stream.write(typeof reply === 'string' ? Buffer.from(reply) : reply)
  stream.end()
  if (isSent) stream.destroy()
  else stream.setHandler(new ClosingStream(stream, clock))
}

/** Closes as soon as the system has taken the reply, or after 2 s. */
class ClosingStream implements StreamHandler {
  readonly #stream: ByteStream
  readonly #timeout: Timer

  constructor(stream: ByteStream, clock: Clock) {
    this.#stream = stream
    this.#timeout = clock.after(CLOSING_MS, () => stream.destroy())
  }

  onReadable(): void {
    while (this.#stream.read() !== undefined);
  }

  onWritable(): void {
    this.#stream.destroy()
  }

  onClose(): void {
    this.#timeout.cancel()
  }
}

/** Slows accepting down by blocking this thread for a moment. A client beyond the limit can be refused only after its
 *  first bytes, and keeps a descriptor until then; meanwhile new clients wait in the system's queue. Blocks at most a
 *  tenth of the time. */
export class AcceptThrottle {
  readonly #cell = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT))
  #delayedMs = 0
  #since = performance.now()

  /** `load`: the share of the limit of clients being refused, 0…1. */
  delay(load: number): void {
    const now = performance.now()
    if (now - this.#since >= DELAY_PERIOD_MS) {
      this.#since = now
      this.#delayedMs = 0
    }
    if (this.#delayedMs >= DELAY_PERIOD_MS / 10) return
    const ms = load < HIGH_LOAD ? DELAY_MS : LONG_DELAY_MS
    Atomics.wait(this.#cell, 0, 0, ms)
    this.#delayedMs += ms
  }
}

const HIGH_LOAD = 0.5
const DELAY_MS = 1
const LONG_DELAY_MS = 8
const DELAY_PERIOD_MS = 5_000

/** Resets a client beyond the limit of clients that can be refused; recorded and counted. */
export function dropConnection(pipeline: ConnectionPipeline, client: ClientConnection): void {
  pipeline.refuse(client.clientInfo('http-connect'), tooMany())
  client.stream.reset()
}

function tooMany(): GatewayError {
  return new GatewayError(
    'guard.too_many_connections',
    'the proxy has reached its limit of concurrent clients; try again in a moment',
  )
}

/** What keeps a few descriptors free, as shares of all: for refusing clients, and for the API, logs, DNS and certificates. */
const LANE_SHARE = 1 / 8
const RESERVE_SHARE = 1 / 16
const MOST_IN_LANE = 256
const MOST_RESERVED = 512
/** epoll, event and listening descriptors of one worker thread */
const PER_WORKER = 16

export interface DescriptorFacts {
  /** open files this process may have */
  readonly limit: number
  /** and has, before its listeners are open */
  readonly inUse: number
  readonly workers: number
  /** connections end at test origins of the same process, which need one as well */
  readonly ownOrigins: boolean
}

export interface ClientRoom {
  /** clients that can be served at one time */
  readonly clients: number
  /** clients that can be refused at one time */
  readonly refusedClients: number
}

/** The room there is; at least one client. */
export function roomFor({ limit, inUse, workers, ownOrigins }: DescriptorFacts): ClientRoom {
  const refusedClients = Math.max(8, Math.min(MOST_IN_LANE, Math.floor(limit * LANE_SHARE)))
  const reserved = Math.max(8, Math.min(MOST_RESERVED, Math.floor(limit * RESERVE_SHARE)))
  const own = inUse + (workers === 1 ? 0 : workers * PER_WORKER)
  const left = limit - own - refusedClients - reserved
  return { clients: Math.max(1, Math.floor(left / (ownOrigins ? 3 : 2))), refusedClients }
}

/** As the system says; undefined where it does not. */
export function descriptorsOfThisProcess(): Pick<DescriptorFacts, 'limit' | 'inUse'> | undefined {
  try {
    const limit = /^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1]
    return limit === undefined ? undefined : { limit: Number(limit), inUse: readdirSync('/proc/self/fd').length }
  } catch {
    return undefined
  }
}

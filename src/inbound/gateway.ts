// All doors of the proxy and the protocols behind them, put together: opens them, counts, stops in order. Knows the protocols
// by name and nothing of what they do.

import type { IncomingMessage } from 'node:http'
import { asGatewayError, GatewayError } from '../errors/gateway-error.ts'
import { httpErrorText } from '../errors/to-http.ts'
import type { Listener } from '../proxy/arrival.ts'
import type { ConnectionPipeline } from '../proxy/connection.ts'
import { type Door, greet, openDoor } from './door.ts'
import { hangUp } from './hang-up.ts'
import { understandConnect } from './http-connect/connect-head.ts'
import { ConnectHandshake, openConnect } from './http-connect/connect-tunnel.ts'
import { createForwardServer } from './http-forward/forward-server.ts'
import { Socks4Handshake } from './socks4/socks4-handshake.ts'
import { Socks5Handshake, type UdpHandler } from './socks5/socks5-handshake.ts'
import type { Visitor } from './visitor.ts'

export interface GatewaySettings {
  /** opening bytes: SOCKS negotiation, request head */
  readonly handshakeTimeoutMs: number
  /** time for open sessions when stopping */
  readonly drainMs: number
  readonly maxClients: number
  readonly maxHeadBytes: number
  /** our name in Via; must differ between proxies that may be chained */
  readonly pseudonym: string
  readonly now: () => number
  /** until an origin's response head; default 5 min */
  readonly responseTimeoutMs?: number
  /** a kept client connection without a request; default 60 s */
  readonly keepAliveMs?: number
  /** a request body that stands still; default 60 s */
  readonly bodyIdleMs?: number
  /** absent: TLS to the proxy is refused with an alert */
  readonly tls?: (visitor: Visitor) => void
  /** absent: UDP ASSOCIATE is answered "command not supported" */
  readonly udp?: UdpHandler
}

export interface Gateway {
  readonly doors: readonly Door[]
  /** clients connected through all doors */
  readonly clients: number
  /** Stops accepting, lets sessions finish for `drainMs`, then resets what is left (LC-01). */
  stop(): Promise<void>
  /** Resets everything at once. */
  kill(): void
}

const MAX_FIELDS = 500
const MAX_TARGET_BYTES = 16 * 1024
const MAX_PIPELINED = 8

/** fatal alert, handshake_failure: what a TLS client understands as "no" */
const TLS_REFUSAL = Buffer.of(0x15, 0x03, 0x01, 0x00, 0x02, 0x02, 0x28)

/** Opens every listener or none. Rejects with the system's error of the first that cannot be bound. */
export async function openGateway(
  pipeline: ConnectionPipeline,
  listeners: readonly Listener[],
  settings: GatewaySettings,
): Promise<Gateway> {
  const { clock } = pipeline.settings
  const forward = createForwardServer(
    {
      pipeline,
      pseudonym: settings.pseudonym,
      maxFields: MAX_FIELDS,
      maxTargetBytes: MAX_TARGET_BYTES,
      maxHeadBytes: settings.maxHeadBytes,
      maxPipelined: MAX_PIPELINED,
      responseTimeoutMs: settings.responseTimeoutMs ?? 300_000,
      idleTimeoutMs: pipeline.settings.idleTimeoutMs,
      keepAliveMs: settings.keepAliveMs ?? 60_000,
      bodyIdleMs: settings.bodyIdleMs ?? 60_000,
    },
    laterConnect,
  )
  const greeters = {
    socks4: (visitor: Visitor) => visitor.converse(new Socks4Handshake(visitor, pipeline)),
    socks5: (visitor: Visitor) => visitor.converse(new Socks5Handshake(visitor, socks5)),
    connect: (visitor: Visitor) => visitor.converse(new ConnectHandshake(visitor, pipeline, askAgain)),
    http: (visitor: Visitor) => forward.receive(visitor),
    unclear: refuseInHttp,
    tls: settings.tls ?? ((visitor: Visitor) => refuseTls(visitor, pipeline)),
  }
  const socks5 = { pipeline, ...(settings.udp === undefined ? {} : { udp: settings.udp }) }

  /** After a 407 only HTTP goes on: what else comes was meant for the tunnel. */
  function askAgain(visitor: Visitor): void {
    const strange = (other: Visitor) => other.socket.destroy()
    greet(visitor, { ...greeters, socks4: strange, socks5: strange, tls: strange })
  }

  function laterConnect(visitor: Visitor, req: IncomingMessage, head: Buffer): void {
    try {
      const request = understandConnect(req.url ?? '', req.rawHeaders, req.httpVersion === '1.1')
      if (head.length > 0) visitor.socket.unshift(head)
      openConnect(visitor, pipeline, request, { early: head.length > 0, askAgain })
    } catch (thrown) {
      refuseInHttp(visitor, asGatewayError(thrown))
    }
  }

  function refuseInHttp(visitor: Visitor, error: GatewayError): void {
    pipeline.refuse(visitor.knock('http-connect'), error)
    hangUp(visitor.socket, clock, httpErrorText(error, 'close'))
  }

  const doors: Door[] = []
  try {
    for (const listener of listeners) {
      doors.push(
        await openDoor(listener, {
          greeters,
          limits: { timeoutMs: settings.handshakeTimeoutMs, maxBytes: settings.maxHeadBytes },
          maxClients: settings.maxClients,
          clock,
          now: settings.now,
        }),
      )
    }
  } catch (thrown) {
    await Promise.all(doors.map((door) => door.close()))
    throw thrown
  }

  return {
    doors,
    get clients() {
      return doors.reduce((sum, door) => sum + door.clients, 0)
    },
    async stop() {
      const closed = doors.map((door) => door.close())
      forward.drain()
      const deadline = Promise.withResolvers<void>()
      const patience = clock.after(settings.drainMs, deadline.resolve)
      await Promise.race([Promise.all([...closed, pipeline.sessions.empty()]), deadline.promise])
      patience.cancel()
      pipeline.sessions.closeAll('the proxy is shutting down')
      for (const door of doors) door.cutAll()
      await Promise.all([...closed, pipeline.sessions.empty()])
    },
    kill() {
      for (const door of doors) void door.close()
      pipeline.sessions.closeAll('the proxy is shutting down')
      for (const door of doors) door.cutAll()
    },
  }
}

function refuseTls(visitor: Visitor, pipeline: ConnectionPipeline): void {
  visitor.release()
  const why = 'the client speaks TLS to a listener that does not; use http:// for the proxy itself'
  pipeline.refuse(visitor.knock('http-forward'), new GatewayError('request.malformed', why))
  hangUp(visitor.socket, visitor.origin.clock, TLS_REFUSAL)
}

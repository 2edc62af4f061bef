// All doors of the proxy and the protocols behind them, put together: opens them, counts, stops in order. Knows the protocols
// by name and nothing of what they do.

import { asGatewayError, GatewayError } from '../errors/gateway-error.ts'
import { httpErrorText } from '../errors/to-http.ts'
import type { RequestHead } from '../http1/request-head.ts'
import type { Listener } from '../proxy/arrival.ts'
import type { ConnectionPipeline } from '../proxy/pipeline.ts'
import type { Engine } from '../transport/engine.ts'
import type { ClientConnection } from './client-connection.ts'
import { type ClientCount, localClients } from './client-limit.ts'
import { hangUp, openingMethod } from './close-after-reply.ts'
import { understandConnect } from './http-connect/connect-head.ts'
import { ConnectHandshake, openConnect } from './http-connect/connect-tunnel.ts'
import { createForwardServer } from './http-forward/forward-server.ts'
import { Http2Connections } from './http2/http2-connections.ts'
import { type Greeters, greet, type OpenListener, openListener } from './listener.ts'
import { AcceptBrake, cutOff, turningAway } from './overload.ts'
import type { OwnPages } from './own-pages.ts'
import { takeProxyHeader } from './proxy-protocol/read-header.ts'
import type { SignInDoor } from './sign-in.ts'
import { Socks4Handshake } from './socks4/socks4-handshake.ts'
import { Socks5Handshake, type UdpHandler } from './socks5/socks5-handshake.ts'
import { TlsEntrance, type TlsSource } from './tls/tls-entrance.ts'

export interface GatewaySettings {
  /** opening bytes: SOCKS negotiation, request head */
  readonly handshakeTimeoutMs: number
  /** time for open sessions when stopping */
  readonly drainMs: number
  /** clients connected at one time, through all doors */
  readonly maxClients: number
  /** counts them together with other gateways; default: this one's alone */
  readonly clients?: ClientCount
  /** clients beyond that which are told so at one time; more are cut off. Default 256 */
  readonly maxTurnedAway?: number
  /** the doors' ports are shared with other gateways (SO_REUSEPORT) */
  readonly sharesPorts?: boolean
  /** how clients are accepted */
  readonly engine: Engine
  readonly maxHeadBytes: number
  /** our name in Via; must differ between proxies that may be chained */
  readonly pseudonym: string
  readonly now: () => number
  /** until an origin's response head; default 5 min */
  readonly responseTimeoutMs?: number | undefined
  /** a kept client connection without a request; default 60 s */
  readonly keepAliveMs?: number | undefined
  /** a request body that stands still; default 60 s */
  readonly bodyIdleMs?: number | undefined
  /** a connection to an origin without a request, before the proxy closes it; default 30 s */
  readonly originKeepAliveMs?: number | undefined
  /** What a door presents to clients that speak TLS; absent or undefined: they are refused with an alert. */
  readonly tlsFor?: (listener: Listener) => TlsSource | undefined
  /** absent: UDP ASSOCIATE is answered "command not supported" */
  readonly udp?: UdpHandler
  /** for listeners with a sign-in page */
  readonly signIn?: SignInDoor
  /** absent: there is no API whose pages could be asked for */
  readonly ownPages?: OwnPages
}

export interface Gateway {
  readonly doors: readonly OpenListener[]
  /** clients connected through all doors */
  readonly clients: number
  /** Stops accepting, lets sessions finish for `drainMs`, then resets what is left (LC-01). */
  stop(): Promise<void>
  /** Resets everything at once. */
  kill(): void
}

const MAX_FIELDS = 500
const MAX_TARGET_BYTES = 16 * 1024
const MAX_TURNED_AWAY = 256

/** fatal alert, handshake_failure: what a TLS client understands as "no" */
const TLS_REFUSAL = Buffer.of(0x15, 0x03, 0x01, 0x00, 0x02, 0x02, 0x28)

/** Opens every listener or none. Rejects with the system's error of the first that cannot be bound. */
export async function openGateway(
  pipeline: ConnectionPipeline,
  listeners: readonly Listener[],
  settings: GatewaySettings,
): Promise<Gateway> {
  const { clock } = pipeline.settings
  const lanes = {
    pipeline,
    pseudonym: settings.pseudonym,
    maxFields: MAX_FIELDS,
    maxTargetBytes: MAX_TARGET_BYTES,
    maxHeadBytes: settings.maxHeadBytes,
    responseTimeoutMs: settings.responseTimeoutMs ?? 300_000,
    idleTimeoutMs: pipeline.settings.idleTimeoutMs,
    keepAliveMs: settings.keepAliveMs ?? 60_000,
    originKeepAliveMs: settings.originKeepAliveMs ?? 30_000,
    bodyIdleMs: settings.bodyIdleMs ?? 60_000,
    signIn: settings.signIn,
    ownPages: settings.ownPages,
  }
  const forward = createForwardServer(lanes, laterConnect)
  const http2 = new Http2Connections(lanes)
  const socks5 = { pipeline, ...(settings.udp === undefined ? {} : { udp: settings.udp }) }
  const inTheClear: Greeters = {
    socks4: (visitor) => visitor.converse(new Socks4Handshake(visitor, pipeline)),
    socks5: (visitor) => visitor.converse(new Socks5Handshake(visitor, socks5)),
    connect: (visitor) => visitor.converse(new ConnectHandshake(visitor, pipeline, askAgain)),
    http: (visitor) => forward.receive(visitor),
    unclear: refuseInHttp,
    tls: refuseTls,
  }

  /** After a 407 only HTTP goes on: what else comes was meant for the tunnel. */
  function askAgain(visitor: ClientConnection): void {
    const strange = (other: ClientConnection) => other.stream.destroy()
    greet(visitor, { ...inTheClear, socks4: strange, socks5: strange, tls: strange })
  }

  /** What followed the head is back in the stream. */
  function laterConnect(client: ClientConnection, { target, fields }: RequestHead): void {
    try {
      const request = understandConnect(target, fields)
      openConnect(client, pipeline, request, { early: client.stream.buffered > 0, askAgain })
    } catch (thrown) {
      refuseInHttp(client, asGatewayError(thrown))
    }
  }

  function refuseInHttp(visitor: ClientConnection, error: GatewayError): void {
    pipeline.refuse(visitor.knock('http-connect'), error)
    const { stream } = visitor
    hangUp(stream, clock, httpErrorText(error, 'close', { method: openingMethod(stream) }))
  }

  function refuseTls(visitor: ClientConnection): void {
    visitor.release()
    const why = 'the client speaks TLS where the proxy does not; use http:// for the proxy itself'
    pipeline.refuse(visitor.knock('http-forward'), new GatewayError('request.malformed', why))
    hangUp(visitor.stream, clock, TLS_REFUSAL)
  }

  function refusePlain(visitor: ClientConnection): void {
    visitor.release()
    const why = 'this listener takes TLS only; use https:// for the proxy itself'
    refuseInHttp(visitor, new GatewayError('request.malformed', why))
  }

  /** Everything a door speaks, TLS around it or not, as its listener has it. */
  function greetersOf(listener: Listener): Greeters {
    const source = listener.tls?.mode === 'refused' ? undefined : settings.tlsFor?.(listener)
    if (source === undefined) return inTheClear
    const entrance = new TlsEntrance({
      source,
      alpn: listener.tls?.alpn,
      handshakeTimeoutMs: settings.handshakeTimeoutMs,
      onSecured: (visitor, protocol) => (protocol === 'h2' ? http2.receive(visitor) : greet(visitor, inTheClear)),
      onFailed: (visitor, error) => pipeline.refuse(visitor.knock('http-connect'), error),
    })
    const tls = (visitor: ClientConnection) => entrance.receive(visitor)
    if (listener.tls?.mode !== 'required') return { ...inTheClear, tls }
    return { ...inTheClear, socks4: refusePlain, socks5: refusePlain, connect: refusePlain, http: refusePlain, tls }
  }

  function meeting({ proxyProtocol }: Listener, greeters: Greeters): (visitor: ClientConnection) => void {
    if (proxyProtocol === undefined) return (visitor) => greet(visitor, greeters)
    return (visitor) => takeProxyHeader(visitor, proxyProtocol, pipeline, (known) => greet(known, greeters))
  }

  const clients = settings.clients ?? localClients(settings.maxClients)
  const turnedAway = localClients(settings.maxTurnedAway ?? MAX_TURNED_AWAY)
  const strangers = turningAway(pipeline)
  const brake = new AcceptBrake()
  const doors: OpenListener[] = []
  try {
    for (const listener of listeners) {
      doors.push(
        await openListener(listener, {
          meet: meeting(listener, greetersOf(listener)),
          limits: { timeoutMs: settings.handshakeTimeoutMs, maxBytes: settings.maxHeadBytes },
          clients,
          turnedAway,
          brake,
          turnAway: meeting(listener, strangers),
          cutOff: (visitor) => cutOff(pipeline, visitor),
          sharesPort: settings.sharesPorts ?? false,
          engine: settings.engine,
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
      http2.drain()
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

// All listeners of the proxy with their protocol handlers: opens them, counts clients, stops in order. Knows protocols
// by name only.

import { asGatewayError, GatewayError } from '../errors/gateway-error.ts'
import { httpErrorText } from '../errors/http-error-answer.ts'
import type { RequestHead } from '../http1/message-head.ts'
import type { Listener } from '../proxy/arrival.ts'
import type { ConnectionPipeline } from '../proxy/pipeline.ts'
import type { Engine } from '../transport/engine.ts'
import { LinkedList } from '../transport/linked-list.ts'
import type { ClientConnection } from './client-connection.ts'
import { closeAfterReply, openingMethod } from './close-after-reply.ts'
import { ConnectHandshake, openConnect, understandConnect } from './http-connect/connect-tunnel.ts'
import type { ForwardSettings } from './http-forward/forward.ts'
import { type ConnectTurn, Http1Requests } from './http-forward/http1-requests.ts'
import { Http2Connections } from './http2/http2-connections.ts'
import {
  type ClientCount,
  dispatch,
  localClients,
  type OpenListener,
  openListener,
  type ProtocolHandlers,
} from './listener.ts'
import { AcceptThrottle, dropConnection, overloadHandlers } from './overload.ts'
import type { OwnPages } from './own-pages.ts'
import { takeProxyHeader } from './proxy-protocol/read-header.ts'
import type { SignInService } from './sign-in.ts'
import { Socks4Handshake } from './socks4/socks4-handshake.ts'
import { Socks5Handshake, type UdpHandler } from './socks5/socks5-handshake.ts'
import { type TlsSource, TlsTermination } from './tls/tls-termination.ts'

export interface GatewaySettings {
  /** opening bytes: SOCKS negotiation, request head */
  readonly handshakeTimeoutMs: number
  /** of clients; see `ListenOptions` */
  readonly userTimeoutMs?: number | undefined
  /** time for open sessions when stopping */
  readonly drainMs: number
  /** clients connected at one time, over all listeners */
  readonly maxClients: number
  /** counts clients together with other gateways; default: this gateway alone */
  readonly clients?: ClientCount
  /** clients beyond that which are refused in their protocol at one time; more are reset. Default 256 */
  readonly maxRefusedClients?: number
  /** the listening ports are shared with other gateways (SO_REUSEPORT) */
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
  /** a stalled request body; default 60 s */
  readonly bodyIdleMs?: number | undefined
  /** a connection to an origin without a request, before the proxy closes it; default 30 s */
  readonly originKeepAliveMs?: number | undefined
  /** The certificate a listener presents to TLS clients; absent or undefined: they are refused with an alert. */
  readonly tlsFor?: (listener: Listener) => TlsSource | undefined
  /** absent: UDP ASSOCIATE is answered "command not supported" */
  readonly udp?: UdpHandler
  /** for listeners with a sign-in page */
  readonly signIn?: SignInService
  /** absent: there is no API whose pages could be asked for */
  readonly ownPages?: OwnPages
}

export interface Gateway {
  readonly listeners: readonly OpenListener[]
  /** clients connected over all listeners */
  readonly clients: number
  /** Stops accepting, lets sessions finish for `drainMs`, then resets what is left (LC-01). */
  stop(): Promise<void>
  /** Resets everything at once. */
  kill(): void
}

const MAX_FIELDS = 500
const MAX_TARGET_BYTES = 16 * 1024
const MAX_REFUSED_CLIENTS = 256

/** fatal alert, handshake_failure */
const TLS_REFUSAL = Buffer.of(0x15, 0x03, 0x01, 0x00, 0x02, 0x02, 0x28)

/** Opens every listener or none. Rejects with the system's error for the first that cannot be bound. */
export async function openGateway(
  pipeline: ConnectionPipeline,
  listeners: readonly Listener[],
  settings: GatewaySettings,
): Promise<Gateway> {
  const { clock } = pipeline.settings
  const forwardSettings = {
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
  const forward = createForwardServer(forwardSettings, connectAfterForward)
  const http2 = new Http2Connections(forwardSettings)
  const socks5 = { pipeline, ...(settings.udp === undefined ? {} : { udp: settings.udp }) }
  const plainHandlers: ProtocolHandlers = {
    socks4: (client) => client.startHandshake(new Socks4Handshake(client, pipeline)),
    socks5: (client) => client.startHandshake(new Socks5Handshake(client, socks5)),
    connect: (client) => client.startHandshake(new ConnectHandshake(client, pipeline, awaitRetry)),
    http: (client) => forward.receive(client),
    undetected: refuseInHttp,
    tls: refuseTls,
  }

  /** After a 407 only HTTP goes on: anything else was meant for the tunnel. */
  function awaitRetry(client: ClientConnection): void {
    const destroy = (other: ClientConnection) => other.stream.destroy()
    dispatch(client, { ...plainHandlers, socks4: destroy, socks5: destroy, tls: destroy })
  }

  /** A CONNECT on a connection that was used for forwarding; the bytes behind its head are back in the stream. */
  function connectAfterForward(client: ClientConnection, { target, fields }: RequestHead): void {
    try {
      const request = understandConnect(target, fields)
      openConnect(client, pipeline, request, { early: client.stream.buffered > 0, awaitRetry })
    } catch (thrown) {
      refuseInHttp(client, asGatewayError(thrown))
    }
  }

  function refuseInHttp(client: ClientConnection, error: GatewayError): void {
    pipeline.refuse(client.clientInfo('http-connect'), error)
    const { stream } = client
    closeAfterReply(stream, clock, httpErrorText(error, 'close', { method: openingMethod(stream) }))
  }

  function refuseTls(client: ClientConnection): void {
    client.release()
    const why = 'the client sent TLS to a listener that does not accept it; use http:// for the proxy itself'
    pipeline.refuse(client.clientInfo('http-forward'), new GatewayError('request.malformed', why))
    closeAfterReply(client.stream, clock, TLS_REFUSAL)
  }

  function refusePlain(client: ClientConnection): void {
    client.release()
    const why = 'this listener accepts TLS only; use https:// for the proxy itself'
    refuseInHttp(client, new GatewayError('request.malformed', why))
  }

  /** The handlers of a listener, with TLS as its configuration says. */
  function handlersOf(listener: Listener): ProtocolHandlers {
    const source = listener.tls?.mode === 'refused' ? undefined : settings.tlsFor?.(listener)
    if (source === undefined) return plainHandlers
    const termination = new TlsTermination({
      source,
      alpn: listener.tls?.alpn,
      handshakeTimeoutMs: settings.handshakeTimeoutMs,
      onSecured: (client, protocol) => (protocol === 'h2' ? http2.receive(client) : dispatch(client, plainHandlers)),
      onFailed: (client, error) => pipeline.refuse(client.clientInfo('http-connect'), error),
    })
    const tls = (client: ClientConnection) => termination.receive(client)
    if (listener.tls?.mode !== 'required') return { ...plainHandlers, tls }
    return { ...plainHandlers, socks4: refusePlain, socks5: refusePlain, connect: refusePlain, http: refusePlain, tls }
  }

  function acceptor({ proxyProtocol }: Listener, handlers: ProtocolHandlers): (client: ClientConnection) => void {
    if (proxyProtocol === undefined) return (client) => dispatch(client, handlers)
    return (client) => takeProxyHeader(client, proxyProtocol, pipeline, (known) => dispatch(known, handlers))
  }

  const clients = settings.clients ?? localClients(settings.maxClients)
  const refusedClients = localClients(settings.maxRefusedClients ?? MAX_REFUSED_CLIENTS)
  const overloaded = overloadHandlers(pipeline)
  const acceptThrottle = new AcceptThrottle()
  const open: OpenListener[] = []
  try {
    for (const listener of listeners) {
      open.push(
        await openListener(listener, {
          accept: acceptor(listener, handlersOf(listener)),
          limits: { timeoutMs: settings.handshakeTimeoutMs, maxBytes: settings.maxHeadBytes },
          clients,
          refusedClients,
          acceptThrottle,
          refuseOverload: acceptor(listener, overloaded),
          dropConnection: (client) => dropConnection(pipeline, client),
          sharesPort: settings.sharesPorts ?? false,
          userTimeoutMs: settings.userTimeoutMs,
          engine: settings.engine,
          clock,
          now: settings.now,
        }),
      )
    }
  } catch (thrown) {
    await Promise.all(open.map((each) => each.close()))
    throw thrown
  }

  return {
    listeners: open,
    get clients() {
      return open.reduce((sum, each) => sum + each.clients, 0)
    },
    async stop() {
      const closed = open.map((each) => each.close())
      forward.drain()
      http2.drain()
      const deadline = Promise.withResolvers<void>()
      const drainTimeout = clock.after(settings.drainMs, deadline.resolve)
      await Promise.race([Promise.all([...closed, pipeline.sessions.empty()]), deadline.promise])
      drainTimeout.cancel()
      pipeline.sessions.closeAll('the proxy is shutting down')
      for (const each of open) each.resetAll()
      await Promise.all([...closed, pipeline.sessions.empty()])
    },
    kill() {
      for (const each of open) void each.close()
      pipeline.sessions.closeAll('the proxy is shutting down')
      for (const each of open) each.resetAll()
    },
  }
}

export interface ForwardServer {
  /** Takes over a client whose first bytes are still in its stream. */
  receive(client: ClientConnection): void
  /** From now on responses carry `Connection: close`; idle clients are closed (LC-01). */
  drain(): void
}

/** `onConnect` takes a CONNECT that follows other requests on its connection. */
function createForwardServer(settings: ForwardSettings, onConnect: ConnectTurn): ForwardServer {
  const clients = new LinkedList<Http1Requests>()
  return {
    receive(client) {
      client.release()
      const requests = new Http1Requests(client, settings, onConnect)
      const entry = clients.enter(requests)
      client.stream.onceClosed(() => clients.leave(entry))
      requests.start()
    },
    drain() {
      for (const requests of clients.list()) requests.stop()
    },
  }
}

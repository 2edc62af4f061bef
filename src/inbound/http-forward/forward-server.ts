// Forwarded HTTP: an HTTP server of Node's that listens to no port. Clients whose first bytes were not SOCKS, TLS or CONNECT
// are given to it with those bytes unread; its events go to the client's lane in order.

import { createServer, type IncomingMessage, type Server } from 'node:http'
import { GatewayError } from '../../errors/gateway-error.ts'
import { LinkedList, type ListEntry } from '../../transport/linked-list.ts'
import type { ClientConnection } from '../client-connection.ts'
import { ClientLane, type LaneSettings } from './client-lane.ts'

export interface ForwardServer {
  /** Takes over a client; its bytes are still in its socket. */
  receive(visitor: ClientConnection): void
  /** answers carry `Connection: close` from here on, idle clients are let go (LC-01) */
  drain(): void
}

/** A CONNECT that came over a connection which had been used for forwarding before. */
export type ConnectTurn = (visitor: ClientConnection, req: IncomingMessage, head: Buffer) => void

export function createForwardServer(settings: LaneSettings, onConnect: ConnectTurn): ForwardServer {
  const lanes = new LinkedList<ClientLane>()
  const places = new WeakMap<object, ListEntry<ClientLane>>()
  const server = createHttpServer(settings)

  function laneOf(socket: object): ClientLane | undefined {
    return places.get(socket)?.item
  }

  server.on('request', (req, res) => laneOf(req.socket)?.request(req, res))
  server.on('checkContinue', (req, res) => laneOf(req.socket)?.request(req, res))
  server.on('checkExpectation', (req, res) => laneOf(req.socket)?.request(req, res))
  server.on('connect', (req, _stream, head) => {
    const lane = laneOf(req.socket)
    lane?.queue(() => {
      const place = places.get(lane.socket)
      if (place !== undefined) lanes.leave(place)
      lane.retire()
      onConnect(lane.visitor, req, head)
    })
  })
  // with a body still to come, Node's second argument is not the socket
  server.on('upgrade', (req, _stream, head) => {
    laneOf(req.socket)?.upgrade(req, head)
  })
  server.on('clientError', (cause: Error, socket) => {
    const lane = laneOf(socket)
    if (lane !== undefined) lane.broken(parseError(cause))
  })

  return {
    receive(visitor) {
      visitor.release()
      const { socket } = visitor
      const lane = new ClientLane(visitor, settings)
      const place = lanes.enter(lane)
      places.set(socket, place)
      socket.once('close', () => lanes.leave(place))
      server.emit('connection', socket)
    },
    drain() {
      for (const lane of lanes.list()) lane.drain()
    },
  }
}

/** Node's timeouts are off: its request timeout would cut long uploads (RS-02), and a server that does not listen would not
 *  check the others. The lane has its own. */
function createHttpServer(settings: LaneSettings): Server {
  const server = createServer({
    requestTimeout: 0,
    headersTimeout: 0,
    keepAliveTimeout: 0,
    maxHeaderSize: settings.maxHeadBytes,
    requireHostHeader: false,
    shouldUpgradeCallback: (req) => req.headers.upgrade?.trim().toLowerCase() === 'websocket',
  })
  server.maxHeadersCount = 0
  // a client that has said all it has to say still gets its answer
  return Object.assign(server, { httpAllowHalfOpen: true })
}

function parseError(cause: Error): GatewayError {
  const code = 'code' in cause ? cause.code : undefined
  if (code === 'HPE_HEADER_OVERFLOW') {
    return new GatewayError('request.too_large', 'the request head is longer than the proxy takes', { cause })
  }
  if (code === 'HPE_INVALID_VERSION') {
    return new GatewayError('request.version_not_supported', 'the proxy speaks HTTP/1.1 and HTTP/1.0 here', { cause })
  }
  return new GatewayError('request.malformed', 'the request is not sound HTTP/1.1', { cause })
}

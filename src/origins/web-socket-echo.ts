// WebSocket (RFC 6455) for the echo sites: every message is returned unchanged. Any other upgrade is ignored, and the
// request answered as if it had not asked for one (RFC 9110 section 7.8).

import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { type WebSocket, WebSocketServer } from 'ws'

const MAX_MESSAGE_BYTES = 16 * 1024 * 1024

export interface WebSocketEcho {
  /** whether this request is one for `accept` */
  readonly wants: (request: IncomingMessage) => boolean
  readonly accept: (request: IncomingMessage, socket: Duplex, early: Buffer) => void
  readonly close: () => void
}

/** An echo for requests to `/ws`. */
export function createWebSocketEcho(): WebSocketEcho {
  const server = new WebSocketServer({ noServer: true, maxPayload: MAX_MESSAGE_BYTES, perMessageDeflate: false })
  return {
    wants: (request) =>
      request.headers.upgrade?.toLowerCase() === 'websocket' && /^\/ws(?:\?|$)/.test(request.url ?? ''),
    accept: (request, socket, early) => server.handleUpgrade(request, socket, early, echoTo),
    close: () => {
      for (const client of server.clients) client.terminate()
      server.close()
    },
  }
}

function echoTo(socket: WebSocket): void {
  socket.on('message', (message, isBinary) => socket.send(message, { binary: isBinary }))
  socket.on('error', () => socket.terminate())
}

// An origin that says which source address it saw, and remembers every connection and every byte of it.

import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { onTestFinished } from 'vitest'

export interface SeenConnection {
  readonly socket: Socket
  readonly address: string
  readonly port: number
}

export interface TellMeOrigin {
  readonly port: number
  readonly server: Server
  readonly connections: readonly SeenConnection[]
  readonly requests: readonly IncomingMessage[]
}

/** An HTTP origin on 127.0.0.1. Without a handler it answers the peer's address and a line feed. */
export async function tellMeOrigin(handler: RequestListener = tellAddress): Promise<TellMeOrigin> {
  const connections: SeenConnection[] = []
  const requests: IncomingMessage[] = []
  const server = createServer({ keepAliveTimeout: 60_000 }, (req, res) => {
    requests.push(req)
    handler(req, res)
  })
  server.on('connection', (socket) => {
    connections.push({ socket, address: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return { port: (server.address() as AddressInfo).port, server, connections, requests }
}

const tellAddress: RequestListener = (req, res) => {
  res.end(`${req.socket.remoteAddress}\n`)
}

// Plain sockets for tests: loopback listeners, connections, and waits that end.

import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket, type TcpNetConnectOpts } from 'node:net'
import { expect, onTestFinished } from 'vitest'
import { PATIENCE_MS } from './patience.ts'

/** The arguments of an emitter's next event. Rejects when patience ends, or on `error` when another event is awaited. */
export function next(emitter: Socket | Server, event: string): Promise<unknown[]> {
  return once(emitter, event, { signal: AbortSignal.timeout(PATIENCE_MS) })
}

/** A listener on a free port, closed with everything it accepted when the test ends. Accepted sockets allow half-open. */
export async function listen(
  onConnection: (socket: Socket) => void = () => {},
  host = '127.0.0.1',
  port = 0,
): Promise<{ readonly server: Server; readonly host: string; readonly port: number }> {
  const server = createServer({ allowHalfOpen: true, noDelay: true })
  server.on('connection', (socket) => {
    socket.on('error', () => {})
    onTestFinished(() => {
      socket.destroy()
    })
    onConnection(socket)
  })
  server.listen(port, host)
  await next(server, 'listening')
  onTestFinished(() => {
    server.close()
  })
  return { server, host, port: (server.address() as AddressInfo).port }
}

/** An established half-open connection, destroyed when the test ends. */
export async function dialPlain(port: number, options: Partial<TcpNetConnectOpts> = {}): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', allowHalfOpen: true, noDelay: true, ...options, port })
  onTestFinished(() => {
    socket.destroy()
  })
  await next(socket, 'connect')
  socket.on('error', () => {})
  return socket
}

/** Everything the socket sends until its FIN. Rejects on a reset. */
export async function readToEnd(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => chunks.push(chunk)).resume()
  await next(socket, 'end')
  return Buffer.concat(chunks)
}

/** Resolves once the socket is closed, by FIN or by a reset: a byte on its way when the other side closes makes the one the other. */
export async function closed(socket: Socket): Promise<void> {
  if (socket.closed) return
  socket.on('error', () => {})
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const late = setTimeout(() => reject(new Error('waited in vain for the end of a connection')), PATIENCE_MS)
  socket.resume().once('close', resolve)
  await promise.finally(() => clearTimeout(late))
}

/** Waits until nothing listens on a port any more. */
export async function untilRefused(port: number): Promise<void> {
  await expect
    .poll(() =>
      dialPlain(port).then(
        (socket) => {
          socket.destroy()
          return 'open'
        },
        () => 'refused',
      ),
    )
    .toBe('refused')
}

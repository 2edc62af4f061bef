// Plain sockets for tests: loopback listeners, connections, and waits that end.

import { once } from 'node:events'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
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

export interface OwnConnection {
  readonly local: string
  readonly localPort: number
  readonly remotePort: number
  /** hexadecimal, as in the kernel's tables: 01 established, 02 SYN sent, 08 close-wait */
  readonly state: string
  /** how many bytes lie in the kernel, not read yet */
  readonly unread: number
}

/** Connections over IPv4 that this process has a descriptor of (proc_pid_net(5)); none where the system has no such tables. */
export function ownConnections(): readonly OwnConnection[] {
  if (process.platform !== 'linux') return []
  const inodes = new Set(readdirSync('/proc/self/fd').map(inodeOf))
  return readFileSync('/proc/self/net/tcp', 'latin1')
    .split('\n')
    .map((row) => row.trim().split(/\s+/))
    .filter(([, , , state, , , , , , inode]) => state !== LISTENING && inodes.has(inode))
    .map(([, local = '', remote = '', state = '', queues = '']) => {
      const address = Buffer.from(local.slice(0, 8), 'hex').reverse().join('.')
      const unread = Number.parseInt(queues.split(':')[1] ?? '', 16)
      return { local: address, localPort: portOf(local), remotePort: portOf(remote), state, unread }
    })
}

const LISTENING = '0A'

function portOf(endpoint: string): number {
  return Number.parseInt(endpoint.split(':')[1] ?? '', 16)
}

/** undefined: no socket, or closed meanwhile */
function inodeOf(fd: string): string | undefined {
  try {
    return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1]
  } catch {
    return undefined
  }
}

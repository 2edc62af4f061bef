// The listeners of Gateway DNS: UDP and TCP on the same ports, all of them or none. Over UDP one datagram in, one out
// (RFC 1035 section 4.2.1); over TCP length-prefixed messages, one after the other (section 4.2.2, RFC 7766). A slow,
// silent or greedy client loses its own connection and affects no other.

import { createSocket, type Socket as DatagramSocket } from 'node:dgram'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { type Cidr, containsIp } from '../net/cidr.ts'
import type { Endpoint } from '../net/endpoint.ts'
import { type Ip, parseIp, unmapIp } from '../net/ip.ts'
import { classifyAddress } from './destination-guard.ts'
import type { GatewayDns } from './gateway-dns.ts'
import { MAX_QUERY_BYTES, STREAM_LIMIT } from './message.ts'

/** With port 0, TCP takes a free port first; UDP may not get the same one, so the pair is tried again. */
const TRIES = 10

export interface DnsServer {
  /** the endpoints with their actual ports */
  readonly endpoints: readonly Endpoint[]
  close(): Promise<void>
}

export interface DnsServerSettings {
  /** port 0 takes a free one */
  readonly listen: readonly Endpoint[]
  /** networks of clients that are answered, besides loopback */
  readonly clients: readonly Cidr[]
  readonly limits?: StreamLimits
}

/** Listens on all endpoints. Rejects with the system's error if one fails; then none is left open. */
export async function serveDns(
  { listen, clients, limits }: DnsServerSettings,
  gatewayDns: Pick<GatewayDns, 'answer'>,
): Promise<DnsServer> {
  const isClient = isAnswered(clients)
  await using stack = new AsyncDisposableStack()
  const endpoints: Endpoint[] = []
  for (const endpoint of listen) {
    const { port, close } = await serveBoth(endpoint, gatewayDns, { isClient, ...(limits && { limits }) })
    stack.defer(close)
    endpoints.push({ ip: endpoint.ip, port })
  }
  const all = stack.move()
  return { endpoints, close: () => all.disposeAsync() }
}

/** Whether a client is answered: this machine, and the configured networks. Never an open resolver. */
export function isAnswered(clients: readonly Cidr[]): (address: Ip) => boolean {
  return (address) => {
    const own = unmapIp(address)
    return classifyAddress(own).kind === 'loopback' || clients.some((network) => containsIp(network, own))
  }
}

async function serveBoth(
  endpoint: Endpoint,
  gatewayDns: Pick<GatewayDns, 'answer'>,
  settings: Parameters<typeof serveStreams>[2],
): Promise<{ readonly port: number; readonly close: () => Promise<void> }> {
  for (let tries = 1; ; tries++) {
    const streams = await serveStreams(endpoint, gatewayDns, settings)
    try {
      const { close } = await serveDatagrams({ ...endpoint, port: streams.port }, gatewayDns, settings.isClient)
      return { port: streams.port, close: async () => void (await Promise.all([streams.close(), close()])) }
    } catch (thrown) {
      await streams.close()
      if (endpoint.port !== 0 || tries === TRIES) throw thrown
    }
  }
}

/** Most queries in progress; further ones are dropped, as by a congested network. */
const MAX_UNDER_WAY = 1_000

export interface DnsDatagramServer {
  readonly port: number
  close(): Promise<void>
}

/** Listens. Rejects with the system's error. `isClient`: who is answered; all others get no reply, so that a forged
 *  source address receives nothing. */
async function serveDatagrams(
  { ip, port }: Endpoint,
  { answer }: Pick<GatewayDns, 'answer'>,
  isClient: (address: Ip) => boolean,
): Promise<DnsDatagramServer> {
  const socket = createSocket(ip.family === 4 ? 'udp4' : 'udp6')
  let underWay = 0
  socket.on('message', (message, peer) => {
    const from = parseIp(peer.address.replace(/%.*$/, ''))
    if (from === undefined || !isClient(from) || underWay >= MAX_UNDER_WAY || message.length > MAX_QUERY_BYTES) return
    underWay++
    void answer(message, ({ udpLimit }) => udpLimit).then((reply) => {
      underWay--
      if (reply !== undefined) sendTo(socket, reply, peer)
    })
  })
  const listening = once(socket, 'listening')
  socket.bind({ address: ip.text, port, exclusive: true })
  await listening
  socket.on('error', () => undefined)
  return {
    port: socket.address().port,
    close: async () => {
      const closed = once(socket, 'close')
      socket.close()
      await closed
    },
  }
}

function sendTo(
  socket: DatagramSocket,
  reply: Buffer,
  peer: { readonly port: number; readonly address: string },
): void {
  try {
    // the client may be gone; there is nobody to report to
    socket.send(reply, peer.port, peer.address, () => undefined)
  } catch {
    // the server was closed meanwhile
  }
}

export interface DnsStreamServer {
  readonly port: number
  close(): Promise<void>
}

interface StreamLimits {
  readonly maxConnections: number
  /** time without a byte in either direction, ms */
  readonly idleMs: number
}

/** RFC 7766 section 6.2.3 asks for seconds, not minutes. */
export const STREAM_LIMITS: StreamLimits = Object.freeze({ maxConnections: 100, idleMs: 10_000 })

/** Listens. Rejects with the system's error. `isClient`: who is answered; connections of others are closed. */
async function serveStreams(
  { ip, port }: Endpoint,
  gatewayDns: Pick<GatewayDns, 'answer'>,
  { isClient, limits = STREAM_LIMITS }: { readonly isClient: (address: Ip) => boolean; readonly limits?: StreamLimits },
): Promise<DnsStreamServer> {
  const open = new Set<Socket>()
  const server = createServer((socket) => {
    const from = parseIp((socket.remoteAddress ?? '').replace(/%.*$/, ''))
    socket.on('error', () => socket.destroy())
    if (from === undefined || !isClient(unmapIp(from))) {
      socket.resetAndDestroy()
      return
    }
    open.add(socket)
    socket.on('close', () => open.delete(socket))
    socket.setTimeout(limits.idleMs, () => socket.destroy())
    void converse(socket, gatewayDns, limits.idleMs)
      .catch(() => undefined)
      .finally(() => socket.destroy())
  })
  server.maxConnections = limits.maxConnections
  const listening = once(server, 'listening')
  server.listen(port, ip.text)
  await listening
  server.on('error', () => undefined)
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      const closed = once(server, 'close')
      server.close()
      for (const socket of open) socket.destroy()
      await closed
    },
  }
}

/** One query at a time, in order: while a pipelined query waits, nothing more is read, and other clients are served
 *  in between. A query that has begun must be complete in time, however its bytes arrive. */
async function converse(socket: Socket, { answer }: Pick<GatewayDns, 'answer'>, idleMs: number): Promise<void> {
  let unread: Buffer = Buffer.alloc(0)
  let deadline: NodeJS.Timeout | undefined
  socket.once('close', () => clearTimeout(deadline))
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    unread = unread.length === 0 ? chunk : Buffer.concat([unread, chunk])
    while (unread.length >= 2) {
      const length = unread.readUInt16BE(0)
      if (length > MAX_QUERY_BYTES) return
      if (unread.length < 2 + length) break
      const reply = await answer(unread.subarray(2, 2 + length), () => STREAM_LIMIT)
      if (reply === undefined) return
      unread = unread.subarray(2 + length)
      if (!socket.write(framed(reply))) await once(socket, 'drain')
      clearTimeout(deadline)
      deadline = undefined
      await nextTurn()
    }
    if (unread.length > 0) deadline ??= setTimeout(() => socket.destroy(), idleMs)
  }
}

function framed(reply: Buffer): Buffer {
  const length = Buffer.alloc(2)
  length.writeUInt16BE(reply.length)
  return Buffer.concat([length, reply])
}

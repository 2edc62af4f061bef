// Gateway DNS over TCP: length-prefixed messages, one after the other (RFC 1035 section 4.2.2, RFC 7766). A slow,
// silent or greedy client loses its own connection and affects no other.

import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Endpoint } from '../net/endpoint.ts'
import { type Ip, parseIp, unmapIp } from '../net/ip.ts'
import type { GatewayDns } from './gateway-dns.ts'
import { MAX_QUERY_BYTES, STREAM_LIMIT } from './message.ts'

export interface DnsStreamServer {
  readonly port: number
  close(): Promise<void>
}

export interface StreamLimits {
  readonly maxConnections: number
  /** time without a byte in either direction, ms */
  readonly idleMs: number
}

/** RFC 7766 section 6.2.3 asks for seconds, not minutes. */
export const STREAM_LIMITS: StreamLimits = Object.freeze({ maxConnections: 100, idleMs: 10_000 })

/** Listens. Rejects with the system's error. `isClient`: who is answered; connections of others are closed. */
export async function serveStreams(
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

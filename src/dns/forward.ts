// Forwards a query to the name servers of this machine, unchanged but for its id, and returns the first reply to it.
// Used for records other than addresses, which dns-client.ts resolves. Does not inspect replies.

import { randomInt } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { getServers } from 'node:dns'
import { once } from 'node:events'
import { connect } from 'node:net'
import type { Endpoint } from '../net/endpoint.ts'
import { parseAuthority, parseHost } from '../net/host.ts'
import { equalIp } from '../net/ip.ts'
import { type DnsQuery, isTruncated, passOn, STREAM_LIMIT } from './message.ts'

/** Whether the lab itself is among the name servers of this machine, so that queries would loop. */
export function isOwnNameServer(own: readonly Endpoint[]): boolean {
  return getServers().some((text) => {
    const server = serverAt(text)
    return server !== undefined && own.some(({ ip, port }) => port === server.port && equalIp(ip, server.ip))
  })
}

/** The reply, or undefined if no server sent one in time. Never rejects. */
export type DnsForwarder = (query: DnsQuery) => Promise<Buffer | undefined>

export interface DnsForwardSettings {
  /** `address` or `address:port`; default: the system's name servers */
  readonly servers?: readonly string[]
  /** endpoints of the lab's own DNS, filled in as they are opened: never forwarded to */
  readonly own?: readonly Endpoint[]
  /** for each server */
  readonly timeoutMs?: number
  readonly maxUnderWay?: number
}

/** Creates a forwarder to the given name servers, which are tried in order, three at most. */
export function createForward(settings: DnsForwardSettings = {}): DnsForwarder {
  const { own = [], timeoutMs = 1_500, maxUnderWay = 100 } = settings
  let underWay = 0
  const isOwn = ({ ip, port }: Endpoint) => own.some((other) => other.port === port && equalIp(other.ip, ip))

  return async (query) => {
    if (underWay >= maxUnderWay) return undefined
    underWay++
    try {
      const servers = (settings.servers ?? getServers()).flatMap((text) => serverAt(text) ?? [])
      for (const server of servers.filter((each) => !isOwn(each)).slice(0, 3)) {
        const reply = await askOne(server, query, timeoutMs)
        if (reply !== undefined) return reply
      }
      return undefined
    } finally {
      underWay--
    }
  }
}

function serverAt(text: string): Endpoint | undefined {
  const host = parseHost(text)
  if (host?.kind === 'ip') return { ip: host.ip, port: 53 }
  const target = parseAuthority(text)
  return target?.kind === 'ip' ? target : undefined
}

async function askOne(server: Endpoint, query: DnsQuery, timeoutMs: number): Promise<Buffer | undefined> {
  const forwarded: DnsQuery = { ...query, message: withNewId(query.message) }
  const signal = AbortSignal.timeout(timeoutMs)
  try {
    const reply = await askByDatagram(server, forwarded, signal)
    return isTruncated(reply) ? await askByStream(server, forwarded, signal) : reply
  } catch {
    return undefined
  }
}

/** A guessed id must not suffice to inject an answer: the port is random too, and the kernel checks the peer. */
function withNewId(message: Buffer): Buffer {
  const copy = Buffer.from(message)
  copy.writeUInt16BE(randomInt(0x1_0000), 0)
  return copy
}

function isReplyTo(query: DnsQuery, reply: Buffer): boolean {
  return reply.subarray(0, 2).equals(query.message.subarray(0, 2)) && passOn(query, reply, STREAM_LIMIT) !== undefined
}

async function askByDatagram({ ip, port }: Endpoint, query: DnsQuery, signal: AbortSignal): Promise<Buffer> {
  const socket = createSocket(ip.family === 4 ? 'udp4' : 'udp6')
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>()
  socket.on('error', reject)
  socket.on('message', (reply) => {
    if (isReplyTo(query, reply)) resolve(reply)
  })
  socket.connect(port, ip.text, () => socket.send(query.message, (error) => error && reject(error)))
  signal.addEventListener('abort', () => reject(signal.reason))
  try {
    return await promise
  } finally {
    socket.close()
  }
}

async function askByStream({ ip, port }: Endpoint, query: DnsQuery, signal: AbortSignal): Promise<Buffer> {
  const socket = connect({ port, host: ip.text, signal })
  socket.on('error', () => undefined)
  try {
    await once(socket, 'connect', { signal })
    const length = Buffer.alloc(2)
    length.writeUInt16BE(query.message.length)
    socket.write(Buffer.concat([length, query.message]))
    let read = Buffer.alloc(0)
    for await (const chunk of socket as AsyncIterable<Buffer>) {
      read = Buffer.concat([read, chunk])
      if (read.length < 2 || read.length < 2 + read.readUInt16BE(0)) continue
      const reply = read.subarray(2, 2 + read.readUInt16BE(0))
      if (isReplyTo(query, reply)) return reply
      break
    }
    throw new Error('the name server closed the connection without an answer')
  } finally {
    socket.destroy()
  }
}

// Asks a DNS server one question, or sends it any bytes, over UDP or TCP, with a deadline.

import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect } from 'node:net'
import {
  type Answer,
  type DecodedPacket,
  decode,
  encode,
  type OptAnswer,
  type Packet,
  type RecordType,
} from 'dns-packet'
import { type Endpoint, formatEndpoint } from '../../src/net/endpoint.ts'
import { PATIENCE_MS } from './patience.ts'

/** Types that the library has no name for. */
export type AskedType = RecordType | 'ANY' | 'UNKNOWN_64' | 'UNKNOWN_65'

/** What came back, with its response code. */
export interface DnsAnswer extends DecodedPacket {
  readonly rcode: string
  /** addresses and names of the answer section */
  readonly data: readonly string[]
  readonly ttls: readonly number[]
}

export function queryFor(name: string, type: AskedType, more: Partial<Packet> = {}): Buffer {
  return encode({ type: 'query', id: 4711, flags: 0x0100, questions: [{ name, type: type as RecordType }], ...more })
}

/** With EDNS; the larger of its numbers are what a good client sends. */
export function withOpt(changes: Partial<OptAnswer> = {}): { readonly additionals: Answer[] } {
  const plain = { type: 'OPT', name: '.', udpPayloadSize: 1232, extendedRcode: 0, ednsVersion: 0, flags: 0 } as const
  return { additionals: [{ ...plain, flag_do: false, options: [], ...changes }] }
}

export async function askDns(server: Endpoint, name: string, type: AskedType = 'A'): Promise<DnsAnswer> {
  return readAnswer(await sendDatagram(server, queryFor(name, type)))
}

export function readAnswer(message: Buffer): DnsAnswer {
  const packet = decode(message) as DecodedPacket & { readonly rcode: string }
  const answers = packet.answers ?? []
  return {
    ...packet,
    data: answers.map((answer) => ('data' in answer ? String(answer.data) : answer.type)),
    ttls: answers.map((answer: Answer) => ('ttl' in answer ? (answer.ttl ?? 0) : 0)),
  }
}

/** The first datagram that comes back. */
export async function sendDatagram({ ip, port }: Endpoint, message: Buffer): Promise<Buffer> {
  const socket = createSocket(ip.family === 4 ? 'udp4' : 'udp6')
  try {
    const answered = once(socket, 'message', { signal: AbortSignal.timeout(PATIENCE_MS) })
    socket.send(message, port, ip.text)
    const [reply] = (await answered) as [Buffer]
    return reply
  } finally {
    socket.close()
  }
}

/** Sends bytes over TCP; answers the messages that come back until there are `count` or the server closes. */
export async function sendStream(server: Endpoint, bytes: Buffer, count = 1): Promise<Buffer[]> {
  const socket = connect(server.port, server.ip.text)
  socket.on('error', () => undefined)
  socket.setTimeout(PATIENCE_MS, () => socket.destroy(new Error(`${formatEndpoint(server)} says nothing`)))
  socket.write(bytes)
  const messages: Buffer[] = []
  let unread = Buffer.alloc(0)
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    unread = Buffer.concat([unread, chunk])
    while (unread.length >= 2 && unread.length >= 2 + unread.readUInt16BE(0)) {
      messages.push(unread.subarray(2, 2 + unread.readUInt16BE(0)))
      unread = unread.subarray(2 + unread.readUInt16BE(0))
    }
    if (messages.length >= count) break
  }
  socket.destroy()
  return messages
}

/** The message with its length before it. */
export function framed(message: Buffer): Buffer {
  const length = Buffer.alloc(2)
  length.writeUInt16BE(message.length)
  return Buffer.concat([length, message])
}

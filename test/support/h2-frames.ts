// Frames of HTTP/2 byte by byte (RFC 9113 section 4.1), for clients that send what no library would.

import type { TLSSocket } from 'node:tls'
import { connectTls } from './tls.ts'

export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
export const [DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION] = [0, 1, 3, 4, 6, 7, 8, 9]
export const END_STREAM = 0x1
export const END_HEADERS = 0x4

export function frame(type: number, flags: number, stream: number, payload: Uint8Array = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head[3] = type
  head[4] = flags
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}

/** HPACK literals without indexing, names and values as they are, Latin-1 (RFC 7541 section 6.2.2). */
export function headerBlock(fields: Readonly<Record<string, string>>): Buffer {
  const text = (value: string) => {
    const bytes = Buffer.from(value, 'latin1')
    const length = bytes.length < 127 ? [bytes.length] : [127, ...varint(bytes.length - 127)]
    return Buffer.concat([Buffer.from(length), bytes])
  }
  return Buffer.concat(Object.entries(fields).flatMap(([name, value]) => [Buffer.of(0), text(name), text(value)]))
}

function varint(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...varint(value >>> 7)]
}

export interface Frame {
  readonly type: number
  readonly flags: number
  readonly stream: number
  readonly payload: Buffer
}

/** A raw connection that has agreed on h2, and every frame it got so far. */
export interface RawH2 {
  readonly socket: TLSSocket
  readonly frames: readonly Frame[]
}

/** Sends the preface and these SETTINGS (identifier and value in turns), and keeps what comes. */
export async function rawH2(port: number, settings: readonly number[] = []): Promise<RawH2> {
  const socket = await connectTls(port, { ALPNProtocols: ['h2'] })
  const frames: Frame[] = []
  let held = Buffer.alloc(0)
  socket.on('data', (chunk: Buffer) => {
    held = Buffer.concat([held, chunk])
    while (held.length >= 9 && held.length >= 9 + held.readUIntBE(0, 3)) {
      const length = held.readUIntBE(0, 3)
      const [type = 0, flags = 0] = held.subarray(3, 5)
      const payload = Buffer.from(held.subarray(9, 9 + length))
      frames.push({ type, flags, stream: held.readUInt32BE(5), payload })
      held = held.subarray(9 + length)
    }
  })
  const payload = Buffer.alloc((settings.length / 2) * 6)
  for (let at = 0; at < settings.length; at += 2) {
    payload.writeUInt16BE(settings[at] ?? 0, at * 3)
    payload.writeUInt32BE(settings[at + 1] ?? 0, at * 3 + 2)
  }
  socket.write(Buffer.concat([PREFACE, frame(SETTINGS, 0, 0, payload)]))
  return { socket, frames }
}

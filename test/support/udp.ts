// UDP for tests: an origin that says who it saw, and a SOCKS client whose datagrams go through an association.

import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { EventEmitter, once } from 'node:events'
import { expect, onTestFinished } from 'vitest'
import { PATIENCE_MS } from './patience.ts'
import { RawClient } from './raw-client.ts'
import type { TestGateway } from './start-gateway.ts'

/** A bound socket that is gone when the test ends. */
export async function udpSocket(host = '127.0.0.1', port = 0): Promise<Socket & { readonly port: number }> {
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4')
  socket.bind(port, host)
  await once(socket, 'listening')
  onTestFinished(() => {
    try {
      socket.close()
    } catch {
      // closed by the test itself
    }
  })
  return Object.assign(socket, { port: socket.address().port })
}

export interface UdpOrigin {
  readonly port: number
  readonly socket: Socket
  /** sources of all datagrams so far, `address:port` */
  readonly seen: readonly string[]
}

/** Answers each datagram with the address it came from and what it said. */
export async function udpOrigin(
  answer: (payload: Buffer, from: RemoteInfo) => Buffer = (payload, { address }) =>
    Buffer.from(`${address} ${payload}`),
  host = '127.0.0.1',
): Promise<UdpOrigin> {
  const socket = await udpSocket(host)
  const seen: string[] = []
  socket.on('message', (payload, from) => {
    seen.push(`${from.address}:${from.port}`)
    socket.send(answer(payload, from), from.port, from.address)
  })
  return { port: socket.port, socket, seen }
}

/** The header of RFC 1928 section 7 for a name or a dotted quad. */
export function udpHeader(host: string, port: number, fragment = 0): Buffer {
  const quad = /^[\d.]+$/.test(host) ? Buffer.from(host.split('.').map(Number)) : undefined
  const address = quad ?? Buffer.concat([Buffer.of(host.length), Buffer.from(host, 'latin1')])
  return Buffer.concat([
    Buffer.of(0, 0, fragment, quad === undefined ? 3 : 1),
    address,
    Buffer.of(port >> 8, port & 255),
  ])
}

export class UdpClient {
  readonly control: RawClient
  readonly socket: Socket & { readonly port: number }
  readonly relay: { readonly host: string; readonly port: number }
  /** header and payload of what came back */
  readonly answers: { readonly from: string; readonly payload: Buffer }[] = []
  readonly #news = new EventEmitter()

  private constructor(control: RawClient, socket: UdpClient['socket'], relay: UdpClient['relay']) {
    this.control = control
    this.socket = socket
    this.relay = relay
    socket.on('message', (datagram) => {
      const length = datagram[3] === 4 ? 22 : 10
      const host = datagram[3] === 4 ? datagram.toString('hex', 4, 20) : [...datagram.subarray(4, 8)].join('.')
      const from = `${host}:${datagram.readUInt16BE(length - 2)}`
      this.answers.push({ from, payload: datagram.subarray(length) })
      this.#news.emit('answer', datagram.subarray(length))
    })
  }

  /** Associates without credentials, or as somebody. `claimed` is the port announced in the request. */
  static async associate(
    port: number,
    {
      login,
      claimed = 0,
      from = '127.0.0.1',
    }: { login?: readonly [string, string]; claimed?: number; from?: string } = {},
  ): Promise<UdpClient> {
    const control = await RawClient.connect(port)
    control.send(Buffer.of(5, 1, login === undefined ? 0 : 2))
    if (login !== undefined) {
      const name = Buffer.from(login[0])
      const password = Buffer.from(login[1])
      await control.bytes(2)
      control.send(Buffer.concat([Buffer.of(1, name.length), name, Buffer.of(password.length), password]))
    }
    const before = login === undefined ? 2 : 4
    await control.bytes(before)
    control.send(Buffer.of(5, 3, 0, 1, 0, 0, 0, 0, claimed >> 8, claimed & 255))
    await control.bytes(before + 10)
    const reply = Buffer.from(control.received.slice(before), 'latin1')
    const relay = { host: [...reply.subarray(4, 8)].join('.'), port: reply.readUInt16BE(8) }
    return new UdpClient(control, await udpSocket(from), relay)
  }

  send(host: string, port: number, payload: string | Uint8Array): this {
    return this.sendRaw(Buffer.concat([udpHeader(host, port), Buffer.from(payload)]))
  }

  sendRaw(datagram: Uint8Array): this {
    this.socket.send(datagram, this.relay.port, this.relay.host)
    return this
  }

  /** Calls this with every answer from now on. */
  onAnswer(listener: (payload: Buffer) => void): void {
    this.#news.on('answer', listener)
  }

  /** The first so many answers; rejects with what came when time is up. */
  async answered(count: number): Promise<readonly { readonly from: string; readonly payload: Buffer }[]> {
    const signal = AbortSignal.timeout(PATIENCE_MS)
    while (this.answers.length < count) {
      await once(this.#news, 'answer', { signal }).catch(() => {
        throw new Error(`waited in vain; ${this.answers.length} of ${count} answers came`)
      })
    }
    return this.answers
  }

  /** Sends and waits for one more answer; its payload as text. */
  async ask(host: string, port: number, payload: string): Promise<string> {
    const before = this.answers.length
    await this.send(host, port, payload).answered(before + 1)
    return String(this.answers[before]?.payload)
  }
}

/** Resolves once the proxy has counted this many drops for this reason. */
export async function dropped(gateway: Pick<TestGateway, 'pipeline'>, reason: string, count: number): Promise<void> {
  await expect
    .poll(() => Object.entries(gateway.pipeline.datagrams.read().dropped).find(([name]) => name === reason)?.[1], {
      interval: 10,
    })
    .toBe(count)
}

// A client that sends exactly the bytes it is told to, in the pieces it is told to, and reads until what it waits for.

import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'
import { PATIENCE_MS } from './patience.ts'

export class RawClient {
  readonly socket: Socket
  /** what arrived, Latin-1 */
  received = ''
  /** 'FIN', 'RST' or undefined while open */
  ending: 'FIN' | 'RST' | undefined

  private constructor(socket: Socket) {
    this.socket = socket
    socket.setEncoding('latin1')
    socket.on('data', (chunk: string) => {
      this.received += chunk
      socket.emit('news')
    })
    socket.on('end', () => {
      this.ending ??= 'FIN'
      socket.emit('news')
    })
    socket.on('error', () => {
      this.ending = 'RST'
      socket.emit('news')
    })
    socket.on('close', () => {
      this.ending ??= 'FIN'
      socket.emit('news')
    })
  }

  static async connect(port: number, host = '127.0.0.1'): Promise<RawClient> {
    const socket = connect({ port, host, allowHalfOpen: true, noDelay: true })
    onTestFinished(() => {
      socket.destroy()
    })
    await once(socket, 'connect')
    return new RawClient(socket)
  }

  send(bytes: string | Uint8Array): this {
    if (!this.socket.destroyed) this.socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes)
    return this
  }

  /** Sends in pieces, each in a segment of its own (as far as the kernel lets a sender say so). */
  async sendInPieces(pieces: readonly Uint8Array[]): Promise<void> {
    for (const piece of pieces) {
      if (this.socket.destroyed) return
      await new Promise<void>((resolve) => this.socket.write(piece, () => resolve()))
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  /** Resolves once the condition holds. Rejects with what had arrived when time is up. */
  async until(condition: (client: RawClient) => boolean): Promise<this> {
    const signal = AbortSignal.timeout(PATIENCE_MS)
    while (!condition(this)) {
      await once(this.socket, 'news', { signal }).catch(() => {
        throw new Error(`waited in vain; received ${JSON.stringify(this.received)}, ending ${this.ending}`)
      })
    }
    return this
  }

  /** Resolves once this text has arrived. */
  text(expected: string): Promise<this> {
    return this.until(({ received }) => received.includes(expected))
  }

  /** Resolves once this many bytes have arrived. */
  bytes(count: number): Promise<this> {
    return this.until(({ received }) => received.length >= count)
  }

  /** Resolves once the other side has ended, one way or the other. */
  end(): Promise<this> {
    return this.until(({ ending }) => ending !== undefined)
  }
}

/** `Proxy-Authorization: Basic …` and its line end. */
export function basic(user: string, password: string): string {
  return `Proxy-Authorization: Basic ${Buffer.from(`${user}:${password}`).toString('base64')}\r\n`
}

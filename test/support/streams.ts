// Byte streams for tests: accepted and dialled on loopback, and waits for what happens on them.

import { expect, onTestFinished, vi } from 'vitest'
import { ip } from '../../src/net/ip.ts'
import type { ByteStream, StreamEnd, StreamHandler } from '../../src/transport/byte-stream.ts'
import type { Engine } from '../../src/transport/engine.ts'
import { PATIENT } from './patience.ts'

/** Listens on a free port for one connection; the stream is destroyed when the test ends. */
export async function acceptStream(
  by: Engine,
): Promise<{ readonly port: number; readonly stream: Promise<ByteStream> }> {
  const accepted = Promise.withResolvers<ByteStream>()
  const listening = await by.listen({ host: '127.0.0.1', port: 0 }, (stream) => {
    onTestFinished(() => stream.destroy())
    accepted.resolve(stream)
  })
  onTestFinished(() => listening.close())
  return { port: listening.address.port, stream: accepted.promise }
}

/** Connects to a port of 127.0.0.1. Rejects with the system's error. */
export function dialStream(by: Engine, port: number, from?: { readonly address: string; readonly port: number }) {
  return new Promise<ByteStream>((resolve, reject) => {
    const to = { ip: ip('127.0.0.1'), port }
    const bound = from === undefined ? {} : { from: { ip: ip(from.address), port: from.port } }
    by.dial(
      { to, ...bound },
      {
        onConnect(stream) {
          onTestFinished(() => stream.destroy())
          resolve(stream)
        },
        onFailure: reject,
      },
    )
  })
}

export function untilClosed(stream: ByteStream): Promise<void> {
  return new Promise((resolve) => stream.onceClosed(resolve))
}

/** Reads a stream as fast as it can and writes down what it is told, in order: `bytes …`, `end`, `drain`, `close by how`. */
export class Reader implements StreamHandler {
  readonly told: string[] = []
  readonly bytes: Buffer[] = []
  end: StreamEnd | undefined
  readonly #stream: ByteStream
  readonly #waiting: [string, () => void][] = []
  #isEndTold = false

  constructor(stream: ByteStream) {
    this.#stream = stream
  }

  /** Becomes the handler of the stream. */
  static over(stream: ByteStream): Reader {
    const reader = new Reader(stream)
    stream.setHandler(reader)
    return reader
  }

  onReadable(): void {
    for (let bytes = this.#stream.read(); bytes !== undefined; bytes = this.#stream.read()) {
      this.bytes.push(Buffer.from(bytes))
      this.#tell(`bytes ${bytes.length > 100 ? `(${bytes.length})` : bytes.toString('latin1')}`)
    }
    if (!this.#stream.hasEnded || this.#isEndTold) return
    this.#isEndTold = true
    this.#tell('end')
  }

  onWritable(): void {
    this.#tell('drain')
  }

  onClose(end: StreamEnd): void {
    this.end = end
    this.#tell(`close ${end.by} ${end.how}`)
    this.#tell('close')
  }

  /** Everything read so far. */
  get text(): string {
    return Buffer.concat(this.bytes).toString('latin1')
  }

  /** Resolves once this has been told. */
  until(what: string): Promise<void> {
    if (this.told.includes(what)) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.push([what, resolve]))
  }

  #tell(what: string): void {
    this.told.push(what)
    for (const [awaited, resolve] of this.#waiting) if (awaited === what) resolve()
  }
}

/** Resolves once the peer's FIN has been read; then nobody handles the stream any more. */
export async function untilEnded(stream: ByteStream): Promise<void> {
  await Reader.over(stream).until('end')
  stream.setHandler(undefined)
}

/** Waits until a number that only grows has stopped growing. */
export async function untilStill(read: () => number): Promise<void> {
  let last = -1
  await vi.waitFor(
    () => {
      const before = last
      last = read()
      expect(last).toBe(before)
      expect(last).toBeGreaterThan(0)
    },
    { ...PATIENT, interval: 60 },
  )
}

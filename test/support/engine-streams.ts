// Streams of an engine for tests: pairs on loopback, and an ear that hears everything.

import { onTestFinished } from 'vitest'
import type { Endpoint } from '../../src/net/endpoint.ts'
import { ip } from '../../src/net/ip.ts'
import type { ByteStream, StreamEnd, StreamHandler } from '../../src/transport/byte-stream.ts'
import { chooseEngine } from '../../src/transport/choose-engine.ts'
import type { Engine, ListenOptions } from '../../src/transport/engine.ts'
import { nodeEngine } from '../../src/transport/node/node-engine.ts'

/** Every engine that works here. */
export function enginesHere(): readonly Engine[] {
  const engine = chooseEngine('auto', () => {})
  return engine === nodeEngine ? [nodeEngine] : [engine, nodeEngine]
}

/** Reads and remembers all that is told of a stream, while it is not paused. */
export class Ear implements StreamHandler {
  readonly stream: ByteStream
  readonly told: string[] = []
  length = 0
  end: StreamEnd | undefined
  hasEnded = false
  writable = 0
  isPaused: boolean
  readonly #chunks: Buffer[] = []
  #waiting: { readonly holds: () => boolean; readonly resolve: () => void }[] = []

  constructor(stream: ByteStream, isPaused = false) {
    this.stream = stream
    this.isPaused = isPaused
    stream.setHandler(this)
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#chunks)
  }

  get text(): string {
    return this.bytes.toString('latin1')
  }

  onReadable(): void {
    this.told.push('readable')
    if (this.isPaused) this.#check()
    else this.read()
  }

  onWritable(): void {
    this.told.push('writable')
    this.writable++
    this.#check()
  }

  onClose(end: StreamEnd): void {
    this.told.push('close')
    this.end = end
    this.#check()
  }

  read(): void {
    for (let chunk = this.stream.read(); chunk !== undefined; chunk = this.stream.read()) {
      this.#chunks.push(Buffer.from(chunk))
      this.length += chunk.length
      if (this.isPaused) break
    }
    this.hasEnded = this.hasEnded || this.stream.hasEnded
    this.#check()
  }

  resume(): void {
    this.isPaused = false
    this.read()
  }

  until(holds: (ear: this) => boolean): Promise<void> {
    if (holds(this)) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.push({ holds: () => holds(this), resolve }))
  }

  async untilClosed(): Promise<StreamEnd> {
    await this.until(({ end }) => end !== undefined)
    return this.end ?? { by: 'us', how: 'destroyed' }
  }

  #check(): void {
    const due = this.#waiting.filter(({ holds }) => holds())
    this.#waiting = this.#waiting.filter((one) => !due.includes(one))
    for (const { resolve } of due) resolve()
  }
}

/** Listens on a free port until the test ends. */
export async function listenBy(
  engine: Engine,
  onConnection: (stream: ByteStream) => void,
  options: Partial<ListenOptions> = {},
): Promise<Endpoint> {
  const listening = await engine.listen({ host: '127.0.0.1', port: 0, ...options }, (stream) => {
    onTestFinished(() => stream.destroy())
    onConnection(stream)
  })
  onTestFinished(() => listening.close())
  return listening.address
}

/** Rejects with the system's error. */
export function dialBy(engine: Engine, to: Endpoint, from?: Endpoint): Promise<ByteStream> {
  return new Promise((resolve, reject) => {
    engine.dial(from === undefined ? { to } : { to, from }, {
      onConnect(stream) {
        onTestFinished(() => stream.destroy())
        resolve(stream)
      },
      onFailure: reject,
    })
  })
}

/** The two ends of one connection: dialled and accepted. */
export async function pairBy(engine: Engine): Promise<readonly [ByteStream, ByteStream]> {
  const accepted = Promise.withResolvers<ByteStream>()
  const address = await listenBy(engine, accepted.resolve)
  return Promise.all([dialBy(engine, address), accepted.promise])
}

export function loopback(port: number): Endpoint {
  return { ip: ip('127.0.0.1'), port }
}

/** Sends everything back, with back-pressure, FIN for FIN. */
export function echoOf(stream: ByteStream): void {
  const pump = () => {
    for (let chunk = stream.read(); chunk !== undefined; chunk = stream.read()) if (!stream.write(chunk)) return
    if (stream.hasEnded) stream.end()
  }
  stream.setHandler({ onReadable: pump, onWritable: pump, onClose() {} })
}

/** Whole numbers from 0 to 2^31 - 1 that depend on the seed alone. */
export function generator(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff
    return state >>> 3
  }
}

export function randomBytes(random: () => number, length: number): Buffer {
  const made = Buffer.alloc(length)
  for (let at = 0; at + 4 <= length; at += 4) made.writeInt32LE(random(), at)
  return made
}

export async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve))
}

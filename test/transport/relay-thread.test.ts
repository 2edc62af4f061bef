// Tunnels that a thread of its own moves: no byte is lost or counted wrongly, and both streams come back as they would be without it.

import { readdirSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import type { ByteStream } from '../../src/transport/byte-stream.ts'
import { chooseEngine } from '../../src/transport/choose-engine.ts'
import { Ear, generator, pairBy, randomBytes } from '../support/engine-streams.ts'

const engine = chooseEngine('auto', () => {})
const MEGABYTE = 1024 * 1024

interface Tunnel {
  readonly client: ByteStream
  readonly origin: ByteStream
  /** the two streams of the proxy: to the client, and to the origin */
  readonly inner: Ear
  readonly outer: Ear
  /** with who said FIN first */
  readonly returned: Promise<ByteStream | undefined>
}

describe.runIf(engine.passOn !== undefined)('the relay thread', () => {
  test('moves every byte both ways, counts them, and passes FIN on behind them', async () => {
    const tunnels = await Promise.all(Array.from({ length: 8 }, () => tunnel()))
    await Promise.all(
      tunnels.map(async ({ client, origin, inner, outer, returned }, at) => {
        const random = generator(at)
        const there = randomBytes(random, 5 * MEGABYTE + at)
        const back = randomBytes(random, 3 * MEGABYTE + at)
        const [clientEar, originEar] = [new Ear(client), new Ear(origin)]
        client.write(there)
        client.end()
        origin.write(back)
        await originEar.until(({ hasEnded }) => hasEnded)
        expect(originEar.bytes.equals(there)).toBe(true)
        await clientEar.until(({ length }) => length === back.length)
        expect(clientEar.hasEnded).toBe(false)
        origin.end()
        await returned
        expect(clientEar.bytes.equals(back)).toBe(true)
        expect([inner.end, outer.end]).toEqual([
          { by: 'peer', how: 'fin' },
          { by: 'us', how: 'fin' },
        ])
        expect([inner.stream.bytesRead, inner.stream.bytesWritten]).toEqual([there.length, back.length])
        expect([outer.stream.bytesRead, outer.stream.bytesWritten]).toEqual([back.length, there.length])
      }),
    )
  })

  test('a reset is told for the side it came from, behind its last bytes; the other side is back and can be reset', async () => {
    const { client, origin, inner, outer, returned } = await tunnel()
    const clientEar = new Ear(client)
    new Ear(origin)
    const sent = randomBytes(generator(1), 300_000)
    origin.write(sent)
    await clientEar.until(({ length }) => length === sent.length)
    origin.reset()
    await returned
    expect(outer.end).toMatchObject({ by: 'peer', how: 'reset', cause: { code: 'ECONNRESET' } })
    expect([inner.end, inner.stream.isClosed, inner.stream.bytesWritten]).toEqual([undefined, false, sent.length])
    inner.stream.reset()
    expect(await clientEar.untilClosed()).toMatchObject({ by: 'peer', how: 'reset' })
  })

  test('a peer that has said FIN and then resets is told of at once, though nothing is on its way to it', async () => {
    const { client, origin, inner, returned } = await tunnel()
    const originEar = new Ear(origin)
    client.end()
    await originEar.until(({ hasEnded }) => hasEnded)
    client.reset()
    await returned
    expect(inner.end).toMatchObject({ by: 'peer', how: 'reset' })
    expect(originEar.end).toBe(undefined)
  })

  test('a stream closed here leaves the thread, and its partner goes on in this one', async () => {
    const { client, origin, inner, outer, returned } = await tunnel()
    const clientEar = new Ear(client)
    const originEar = new Ear(origin)
    client.write(Buffer.from('before'))
    await originEar.until(({ text }) => text === 'before')
    outer.stream.reset()
    expect(outer.end).toEqual({ by: 'us', how: 'reset' })
    await returned
    expect(await originEar.untilClosed()).toMatchObject({ by: 'peer', how: 'reset' })
    client.write(Buffer.from('to this thread'))
    await inner.until(({ text }) => text === 'to this thread')
    inner.stream.write(Buffer.from('and back'))
    await clientEar.until(({ text }) => text === 'and back')
    expect([inner.stream.bytesRead, inner.stream.bytesWritten]).toEqual([20, 8])
  })

  test('counts go on while the thread has the streams', async () => {
    const { client, origin, inner } = await tunnel()
    const originEar = new Ear(origin)
    new Ear(client)
    for (let round = 1; round <= 3; round++) {
      client.write(Buffer.alloc(1000, 'x'))
      await originEar.until(({ length }) => length === round * 1000)
      await turnsUntil(() => inner.stream.bytesRead === round * 1000)
    }
  })

  test('streams with bytes still to be read, or half closed, are not taken', async () => {
    const [client, inner] = await pairBy(engine)
    const [outer] = await pairBy(engine)
    inner.unread(Buffer.from('x'))
    expect(engine.passOn?.(inner, outer, () => {})).toBe(false)
    expect(inner.read()?.toString()).toBe('x')
    outer.end()
    expect(engine.passOn?.(inner, outer, () => {})).toBe(false)
    const ear = new Ear(inner)
    client.write(Buffer.from('still read here'))
    await ear.until(({ text }) => text === 'still read here')
  })

  test('a thread that dies ends its tunnels with a name, counts what it had moved, and leaves no descriptor', async () => {
    const posts = vi.spyOn(Worker.prototype, 'postMessage')
    onTestFinished(() => posts.mockRestore())
    const tunnels = await Promise.all(Array.from({ length: 3 }, () => tunnel()))
    for (const { client, origin, inner, outer } of tunnels) {
      const [clientEar, originEar] = [new Ear(client), new Ear(origin)]
      client.write(Buffer.alloc(70_000, 'x'))
      origin.write(Buffer.alloc(50_000, 'y'))
      await originEar.until(({ length }) => length === 70_000)
      await clientEar.until(({ length }) => length === 50_000)
      // it counts behind the move
      await turnsUntil(() => inner.stream.bytesWritten === 50_000 && outer.stream.bytesWritten === 70_000)
    }
    const before = readdirSync('/proc/self/fd').length
    const thread = posts.mock.contexts.at(-1)
    if (!(thread instanceof Worker)) throw new Error('no tunnel was handed to a thread')
    await thread.terminate()
    for (const { inner, outer, returned } of tunnels) {
      expect(await returned).toBe(undefined)
      for (const ear of [inner, outer]) {
        expect(await ear.untilClosed()).toMatchObject({ how: 'reset', cause: { code: 'ECONNABORTED' } })
      }
      expect([inner.stream.bytesRead, inner.stream.bytesWritten]).toEqual([70_000, 50_000])
      expect([outer.stream.bytesRead, outer.stream.bytesWritten]).toEqual([50_000, 70_000])
    }
    // two streams of each tunnel, and what the thread had of its own
    expect(readdirSync('/proc/self/fd').length).toBeLessThan(before - 6)
    const [client, inner] = await pairBy(engine)
    const [outer, origin] = await pairBy(engine)
    expect(engine.passOn?.(inner, outer, () => {})).toBe(false)
    const ears = [new Ear(inner), new Ear(origin)]
    client.write(Buffer.from('read in this thread'))
    await ears[0]?.until(({ text }) => text === 'read in this thread')
  })
})

async function tunnel(): Promise<Tunnel> {
  const [client, innerStream] = await pairBy(engine)
  const [outerStream, origin] = await pairBy(engine)
  const [inner, outer] = [new Ear(innerStream), new Ear(outerStream)]
  const back = Promise.withResolvers<ByteStream | undefined>()
  onTestFinished(() => innerStream.destroy())
  expect(engine.passOn?.(innerStream, outerStream, back.resolve)).toBe(true)
  return { client, origin, inner, outer, returned: back.promise }
}

async function turnsUntil(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve))
}

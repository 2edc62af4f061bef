// Promises every engine keeps, on real sockets of loopback. One suite: nothing above an engine may be able to tell them apart.
// Here: streams.

import { describe, expect, test } from 'vitest'
import {
  dialBy,
  Ear,
  echoOf,
  enginesHere,
  generator,
  listenBy,
  loopback,
  pairBy,
  randomBytes,
  turns,
} from '../support/engine-streams.ts'
import { listen } from '../support/tcp.ts'

const MEGABYTE = 1024 * 1024

describe.each(enginesHere().map((engine) => [engine.name, engine] as const))('engine %s', (_name, engine) => {
  test('bytes arrive as they were written, in order, whatever the sizes and however the reader pauses', async () => {
    const echo = await listenBy(engine, echoOf)
    const random = generator(7)
    await Promise.all(
      Array.from({ length: 20 }, async () => {
        const sent = Array.from({ length: 30 }, () =>
          randomBytes(random, 1 + (random() % (random() % 8 === 0 ? 400_000 : 3000))),
        )
        const total = sent.reduce((sum, { length }) => sum + length, 0)
        const stream = await dialBy(engine, echo)
        const ear = new Ear(stream)
        for (const chunk of sent) {
          if (random() % 4 === 0) ear.isPaused = true
          if (!stream.write(chunk)) {
            setImmediate(() => ear.resume())
            const before = ear.writable
            await ear.until(({ writable }) => writable > before)
          }
          if (random() % 2 === 0) ear.resume()
        }
        ear.resume()
        stream.end()
        const end = await ear.untilClosed()
        expect(ear.length).toBe(total)
        expect(ear.bytes.equals(Buffer.concat(sent))).toBe(true)
        expect(end).toMatchObject({ by: 'us', how: 'fin' })
        expect([stream.bytesRead, stream.bytesWritten, stream.unsent]).toEqual([total, total, 0])
      }),
    )
  })

  test('a peer that says FIN can still be answered, and the stream is closed when both have said it', async () => {
    const [one, other] = await pairBy(engine)
    const ear = new Ear(one)
    const otherEar = new Ear(other)
    other.write(Buffer.from('last words'))
    other.end()
    await ear.until(({ hasEnded }) => hasEnded)
    expect([ear.text, one.isClosed, one.hasEnded]).toEqual(['last words', false, true])
    one.write(Buffer.from('an answer'))
    one.end()
    expect(await ear.untilClosed()).toEqual({ by: 'peer', how: 'fin' })
    expect(await otherEar.untilClosed()).toEqual({ by: 'us', how: 'fin' })
    expect(otherEar.text).toBe('an answer')
    expect([one.isClosed, other.isClosed]).toEqual([true, true])
  })

  test('a reset is told apart from FIN, on both ends, with who ended it', async () => {
    const [one, other] = await pairBy(engine)
    const ear = new Ear(one)
    const otherEar = new Ear(other)
    other.reset()
    expect(otherEar.end).toEqual({ by: 'us', how: 'reset' })
    expect(await ear.untilClosed()).toMatchObject({ by: 'peer', how: 'reset', cause: { code: 'ECONNRESET' } })
    expect(one.isClosed).toBe(true)
  })

  test('destroy closes at once and says so; nothing is told afterwards', async () => {
    const [one, other] = await pairBy(engine)
    const ear = new Ear(one)
    const closed: string[] = []
    one.onceClosed(() => closed.push('told'))
    const forgotten = () => closed.push('not to be told')
    one.onceClosed(forgotten)
    one.offClose(forgotten)
    one.destroy()
    one.destroy()
    expect([ear.end, closed, one.isClosed]).toEqual([{ by: 'us', how: 'destroyed' }, ['told'], true])
    one.onceClosed(() => closed.push('at once'))
    expect(closed).toEqual(['told', 'at once'])
    expect([one.read(), one.write(Buffer.from('x'))]).toEqual([undefined, true])
    const late = new Ear(one)
    expect(late.end).toEqual({ by: 'us', how: 'destroyed' })
    const otherEar = new Ear(other)
    await otherEar.until(({ hasEnded, end }) => hasEnded || end !== undefined)
    expect(ear.told.filter((what) => what === 'close')).toHaveLength(1)
  })

  test('a writer that waits for `onWritable` keeps one write in memory while its peer does not read', async () => {
    const [one, other] = await pairBy(engine)
    const paused = new Ear(other, true)
    const ear = new Ear(one)
    const chunk = Buffer.alloc(256 * 1024, 'x')
    let written = 0
    while (one.write(chunk)) written += chunk.length
    written += chunk.length
    expect(one.unsent).toBeGreaterThan(0)
    expect(one.unsent).toBeLessThanOrEqual(chunk.length)
    expect(other.bytesRead).toBeLessThanOrEqual(MEGABYTE)
    paused.resume()
    await ear.until(({ writable }) => writable === 1)
    expect(one.unsent).toBe(0)
    await paused.until(({ length }) => length === written)
    expect(ear.writable).toBe(1)
  })

  test('FIN comes behind everything that was written, though the peer took its time', async () => {
    const [one, other] = await pairBy(engine)
    const paused = new Ear(other, true)
    new Ear(one)
    const sent = randomBytes(generator(3), 9 * MEGABYTE)
    expect(one.write(sent)).toBe(false)
    one.end()
    one.write(Buffer.from('after the end'))
    paused.resume()
    await paused.until(({ hasEnded }) => hasEnded)
    expect(paused.bytes.equals(sent)).toBe(true)
  })

  test('what is put back is read again first, also by the next handler', async () => {
    const [one, other] = await pairBy(engine)
    const ear = new Ear(one, true)
    other.write(Buffer.from('first'))
    await ear.until(({ told }) => told.length > 0)
    const first = one.read() ?? Buffer.alloc(0)
    one.unread(first.subarray(2))
    one.unread(Buffer.from(first.subarray(0, 2)))
    expect(one.buffered).toBe(5)
    other.write(Buffer.from(' second'))
    const nextEar = new Ear(one)
    await nextEar.until(({ length }) => length === 12)
    expect(nextEar.text).toBe('first second')
    other.end()
    await nextEar.until(({ hasEnded }) => hasEnded)
    const last = new Ear(one)
    expect([last.told, last.hasEnded]).toEqual([['readable'], true])
  })

  test('an early answer is delivered before the reset behind it, though our own writes fail', async () => {
    const { port } = await listen((socket) => {
      socket.once('data', () => {
        socket.pause()
        socket.write('HTTP/1.1 413 Content Too Large\r\n\r\n', () => socket.resetAndDestroy())
      })
    })
    for (let round = 0; round < 20; round++) {
      const stream = await dialBy(engine, loopback(port))
      const ear = new Ear(stream)
      const chunk = Buffer.alloc(64 * 1024, 'x')
      const pump = () => {
        if (ear.end === undefined && stream.write(chunk)) setImmediate(pump)
      }
      pump()
      const end = await ear.untilClosed()
      expect(ear.text).toBe('HTTP/1.1 413 Content Too Large\r\n\r\n')
      expect(end).toMatchObject({ by: 'peer', how: 'reset' })
    }
  })

  test('a stream nobody reads closes when its peer is gone, and says so to who waits for it', async () => {
    const [one, other] = await pairBy(engine)
    const closed = Promise.withResolvers<void>()
    one.onceClosed(closed.resolve)
    other.reset()
    await closed.promise
    expect(one.isClosed).toBe(true)
  })

  test('a reset behind a FIN is told, though nothing was written since but FIN', async () => {
    const [one, other] = await pairBy(engine)
    const ear = new Ear(one)
    other.end()
    await ear.until(({ hasEnded }) => hasEnded)
    other.destroy()
    one.write(Buffer.from('brings the reset'))
    await turns(3)
    one.end()
    expect(await ear.untilClosed()).toMatchObject({ by: 'peer', how: 'reset', cause: { code: 'EPIPE' } })
  })

  test('the reader that stops reading is not told again, and holds the peer back', async () => {
    const [one, other] = await pairBy(engine)
    const paused = new Ear(one, true)
    const chunk = Buffer.alloc(256 * 1024, 'x')
    const otherEar = new Ear(other)
    while (other.write(chunk));
    await paused.until(({ told }) => told.length > 0)
    await turns(20)
    expect(paused.told).toEqual(['readable'])
    expect(otherEar.writable).toBe(0)
    expect(one.bytesRead).toBeLessThanOrEqual(MEGABYTE)
  })
})

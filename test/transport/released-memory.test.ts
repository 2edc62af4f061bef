// The engine `node` gives the memory of its reads back itself: the garbage collector would mark the whole heap for it, again and again.

import { randomBytes } from 'node:crypto'
import type { Socket } from 'node:net'
import { expect, it } from 'vitest'
import type { ByteStream } from '../../src/transport/byte-stream.ts'
import { nodeEngine } from '../../src/transport/node/node-engine.ts'
import { acceptStream } from '../support/streams.ts'
import { dialPlain, readToEnd } from '../support/tcp.ts'

const TEN_MB = randomBytes(10 * 1024 * 1024)

/** A plain client and the stream it was accepted as. */
async function pair(): Promise<{ readonly client: Socket; readonly stream: ByteStream }> {
  const { port, stream } = await acceptStream(nodeEngine)
  const client = await dialPlain(port)
  return { client, stream: await stream }
}

it('gives the memory of a read back with the next one, and leaves none of it to the garbage collector', async () => {
  const { client, stream } = await pair()
  const pieces: Buffer[] = []
  let bytes = 0
  const done = new Promise<void>((resolve) => {
    stream.setHandler({
      onReadable: () => {
        for (let chunk = stream.read(); chunk !== undefined; chunk = stream.read()) {
          bytes += chunk.length
          pieces.push(chunk)
        }
        if (stream.hasEnded) resolve()
      },
      onWritable: () => undefined,
      onClose: () => undefined,
    })
  })
  client.end(TEN_MB)
  await done
  expect(bytes).toBe(TEN_MB.length)
  const kept = pieces.reduce((sum, { length }) => sum + length, 0)
  expect(kept).toBeLessThan(bytes / 10)
})

it('gives the memory of a read that was written on back once it is sent, and not before', async () => {
  const [from, to] = [await pair(), await pair()]
  const pieces: Buffer[] = []
  const pass = () => {
    while (to.stream.unsent === 0) {
      const chunk = from.stream.read()
      if (chunk === undefined) break
      pieces.push(chunk)
      to.stream.write(chunk)
    }
    if (from.stream.hasEnded) to.stream.end()
  }
  from.stream.setHandler({ onReadable: pass, onWritable: () => undefined, onClose: () => undefined })
  to.stream.setHandler({ onReadable: () => undefined, onWritable: pass, onClose: () => undefined })
  from.client.end(TEN_MB)
  expect((await readToEnd(to.client)).equals(TEN_MB)).toBe(true)
  expect(pieces.reduce((sum, { length }) => sum + length, 0)).toBeLessThan(TEN_MB.length / 10)
})

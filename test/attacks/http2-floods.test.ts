// Story: one HTTP/2 connection asks for more than a person could: streams opened and taken back without end (CVE-2023-44487), pings,
// settings, endless header blocks, hundreds of streams at once. It is cut off, after a bounded amount of work (RS-07).

import { once } from 'node:events'
import type { TLSSocket } from 'node:tls'
import { expect, test } from 'vitest'
import { authorization, connectH2, openTunnel } from '../support/h2-client.ts'
import {
  CONTINUATION,
  DATA,
  frame,
  HEADERS,
  headerBlock,
  PING,
  RST_STREAM,
  rawH2,
  SETTINGS,
} from '../support/h2-frames.ts'
import { BOB, PASSWORD, startGateway } from '../support/start-gateway.ts'
import { tellMeOrigin } from '../support/tell-me-origin.ts'
import { tlsSource } from '../support/tls.ts'

async function start() {
  const source = await tlsSource()
  const gateway = await startGateway({ settings: { tlsFor: () => source } })
  return gateway
}

async function rawSocket(port: number): Promise<TLSSocket> {
  return (await rawH2(port)).socket
}

/** Writes until the other side has had enough. Answers how many times it wrote. */
async function flood(socket: TLSSocket, most: number, make: (turn: number) => Buffer): Promise<number> {
  let turn = 0
  while (turn < most && socket.writable && !socket.destroyed && !socket.readableEnded) {
    if (!socket.write(make(turn++))) await Promise.race([once(socket, 'drain'), once(socket, 'close')]).catch(() => {})
    else if (turn % 50 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  return turn
}

async function gone(socket: TLSSocket): Promise<void> {
  if (!socket.closed && !socket.readableEnded) {
    await Promise.race([once(socket, 'end'), once(socket, 'close')]).catch(() => {})
  }
}

const connectBlock = (port: number) =>
  headerBlock({
    ':method': 'CONNECT',
    ':authority': `o.test:${port}`,
    ...authorization({ email: BOB, password: PASSWORD }),
  })

test('rapid reset: the connection goes after a bounded number of streams, and every lease comes back', async () => {
  const origin = await tellMeOrigin()
  const gateway = await start()
  const socket = await rawSocket(gateway.port)
  const block = connectBlock(origin.port)
  await flood(socket, 20_000, (turn) => {
    const id = turn * 2 + 1
    return Buffer.concat([frame(HEADERS, 0x4, id, block), frame(RST_STREAM, 0, id, Buffer.from([0, 0, 0, 8]))])
  })
  await gone(socket)
  await expect.poll(() => gateway.gateway.clients).toBe(0)
  await expect.poll(() => gateway.leases.counts().active).toBe(0)
  expect(gateway.records.length).toBeGreaterThan(0)
  expect(gateway.records.length).toBeLessThan(1_000)
  expect(origin.connections.length).toBeLessThan(1_000)
})

test('more than 100 streams at once are refused one by one, and the first hundred stay', async () => {
  const origin = await tellMeOrigin()
  const gateway = await start()
  const socket = await rawSocket(gateway.port)
  const block = connectBlock(origin.port)
  for (let turn = 0; turn < 150; turn++) socket.write(frame(HEADERS, 0x4, turn * 2 + 1, block))
  await expect.poll(() => gateway.pipeline.sessions.size).toBe(100)
  expect(gateway.records).toHaveLength(0)
})

test.each([
  ['pings', () => frame(PING, 0, 0, Buffer.alloc(8))],
  ['settings', () => frame(SETTINGS, 0, 0, Buffer.from([0, 4, 0, 0, 0xff, 0xff]))],
  ['empty data on a stream that is not there', () => frame(DATA, 0, 1)],
])('a flood of %s that reads no answer is cut off', async (_what, make) => {
  const gateway = await start()
  const socket = await rawSocket(gateway.port)
  socket.pause()
  const many = Buffer.concat(Array.from({ length: 2_000 }, make))
  expect(await flood(socket, 5_000, () => many)).toBeLessThan(5_000)
  socket.resume()
  await expect.poll(() => gateway.gateway.clients).toBe(0)
})

test('a header block without end is cut off, and not one byte of it is a request', async () => {
  const gateway = await start()
  const socket = await rawSocket(gateway.port)
  const more = headerBlock({ 'x-more': 'y'.repeat(4_000) })
  socket.write(frame(HEADERS, 0, 1, headerBlock({ ':method': 'CONNECT', ':authority': 'o.test:80' })))
  const turns = await flood(socket, 10_000, () => frame(CONTINUATION, 0, 1, more))
  await gone(socket)
  expect(turns).toBeLessThan(10_000)
  expect(gateway.pipeline.counts().opened).toBe(0)
})

test('a header list over the limit is refused on its stream alone', async () => {
  const origin = await tellMeOrigin()
  const gateway = await start()
  const session = await connectH2(gateway.port)
  const big = session.request({ ':method': 'CONNECT', ':authority': 'o.test:80', 'x-big': 'y'.repeat(100_000) })
  big.on('error', () => {})
  await new Promise((resolve) => big.once('close', resolve))
  expect(gateway.pipeline.counts().opened).toBe(0)
  const { status } = await openTunnel(await connectH2(gateway.port), `o.test:${origin.port}`, {
    email: BOB,
    password: PASSWORD,
  })
  expect(status).toBe(200)
})

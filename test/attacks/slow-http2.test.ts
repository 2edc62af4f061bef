// Story: an HTTP/2 client without a login holds connections by doing nothing on them: half a header block, answers it leaves no room
// for, a body that never comes, a connection it does not close. Each deadline ends in the end of the connection (RS-01).

import { expect, test } from 'vitest'
import { authorization } from '../support/h2-client.ts'
import {
  CONTINUATION,
  END_HEADERS,
  END_STREAM,
  type Frame,
  frame,
  HEADERS,
  headerBlock,
  type RawH2,
  rawH2,
} from '../support/h2-frames.ts'
import { BOB, PASSWORD, startGateway } from '../support/start-gateway.ts'
import { listen } from '../support/tcp.ts'
import { tlsSource } from '../support/tls.ts'

const SHORT = { handshakeTimeoutMs: 2_000, keepAliveMs: 1_500, bodyIdleMs: 1_500 }
const INITIAL_WINDOW_SIZE = 4

async function start(settings = {}) {
  const source = await tlsSource()
  return startGateway({ settings: { tlsFor: () => source, ...SHORT, ...settings } })
}

/** Resolves once the proxy has closed the connection, although the client never does. */
async function cut(client: RawH2): Promise<void> {
  await expect.poll(() => client.socket.readableEnded || client.socket.closed).toBe(true)
}

function get(port: number, more: Readonly<Record<string, string>> = {}) {
  return headerBlock({ ':method': 'GET', ':scheme': 'http', ':authority': `o.test:${port}`, ':path': '/', ...more })
}

const AS_BOB = authorization({ email: BOB, password: PASSWORD })

test.each([
  ['nothing at all', []],
  ['a header block without its end', [Buffer.from('00000101000000000182', 'hex')]],
  ['a header block that goes on and never ends', [frame(HEADERS, 0, 1, get(80)), frame(CONTINUATION, 0, 1, get(80))]],
])('a client that sends %s loses its socket, not only its session', async (_what, frames) => {
  const gateway = await start()
  const client = await rawH2(gateway.port)
  for (const bytes of frames) client.socket.write(bytes)
  await expect.poll(() => gateway.gateway.clients).toBe(0)
  await cut(client)
})

test('a client that is told to go and neither reads nor closes is cut', async () => {
  const gateway = await start()
  const client = await rawH2(gateway.port)
  client.socket.pause()
  await expect.poll(() => gateway.gateway.clients).toBe(0)
})

test.each(['GET', 'CONNECT'])(
  'a refused %s that has no room for its answer does not hold the connection',
  async (method) => {
    const gateway = await start()
    const client = await rawH2(gateway.port, [INITIAL_WINDOW_SIZE, 0])
    const block = method === 'GET' ? get(80) : headerBlock({ ':method': 'CONNECT', ':authority': 'o.test:80' })
    for (let id = 1; id < 40; id += 2) client.socket.write(frame(HEADERS, END_HEADERS | END_STREAM, id, block))
    await gateway.recorded(20)
    await expect.poll(() => gateway.gateway.clients).toBe(0)
  },
)

test('an answer that its client does not take is given up, with its origin, and so is the connection', async () => {
  const endings: string[] = []
  const { port } = await listen((socket) => {
    socket.once('data', () => socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n${'x'.repeat(900_000)}`))
    socket.once('error', (cause) => endings.push(String('code' in cause ? cause.code : cause)))
  })
  const gateway = await start()
  const client = await rawH2(gateway.port)
  client.socket.write(frame(HEADERS, END_HEADERS | END_STREAM, 1, get(port, AS_BOB)))
  await expect.poll(() => gateway.gateway.clients).toBe(0)
  await cut(client)
  expect(endings).toEqual(['ECONNRESET'])
  expect(await gateway.recorded(1)).toMatchObject([
    { ConnectionCloseReason: 'CLIENT_IDLE_TIMEOUT', Lab: { error: { code: 'request.timeout' } } },
  ])
})

test('an answer that was complete when its client stopped reading holds neither the next one nor the connection', async () => {
  const { port } = await listen((socket) =>
    socket.on('data', () => socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n${'x'.repeat(70_000)}`)),
  )
  const gateway = await start()
  const client = await rawH2(gateway.port)
  client.socket.write(frame(HEADERS, END_HEADERS | END_STREAM, 1, get(port, AS_BOB)))
  const answered = (stream: number) => client.frames.some((each: Frame) => each.type === 1 && each.stream === stream)
  await expect.poll(() => answered(1)).toBe(true)
  client.socket.write(frame(HEADERS, END_HEADERS | END_STREAM, 3, get(port, AS_BOB)))
  await expect.poll(() => answered(3)).toBe(true)
  await expect.poll(() => gateway.gateway.clients).toBe(0)
})

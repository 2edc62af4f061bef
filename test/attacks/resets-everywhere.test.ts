// Story: clients and origins that break off at every moment a connection has (TU-08, FR-15). The process lives, and when the
// dust has settled nothing is left: no session, no port, no client.

import { expect, test } from 'vitest'
import { basic, RawClient } from '../support/raw-client.ts'
import { BOB, PASSWORD, startGateway, type TestGateway } from '../support/start-gateway.ts'
import { listen } from '../support/tcp.ts'

const login = basic(BOB, PASSWORD)
const socksLogin = `\x05\x01\x02\x01\x0f${BOB}${String.fromCharCode(PASSWORD.length)}${PASSWORD}`

function openings(port: number): Readonly<Record<string, string>> {
  const high = String.fromCharCode(port >> 8)
  const low = String.fromCharCode(port & 255)
  return {
    connect: `CONNECT origin.test:${port} HTTP/1.1\r\nHost: o\r\n${login}\r\nearly data`,
    get: `GET http://origin.test:${port}/ HTTP/1.1\r\nHost: o\r\n${login}\r\n`,
    post: `POST http://origin.test:${port}/ HTTP/1.1\r\nHost: o\r\n${login}Content-Length: 10\r\n\r\n0123456789`,
    expect: `POST http://origin.test:${port}/ HTTP/1.1\r\nHost: o\r\n${login}Expect: 100-continue\r\nContent-Length: 4\r\n\r\nabcd`,
    upgrade: `GET http://origin.test:${port}/ HTTP/1.1\r\nHost: o\r\n${login}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n`,
    socks5: `${socksLogin}\x05\x01\x00\x03\x0borigin.test${high}${low}early data`,
    socks4: `\x04\x01${high}${low}\x00\x00\x00\x01bob\0origin.test\0early data`,
    refused: `GET / HTTP/1.1\r\nHost: o\r\n\r\n`,
  }
}

/** Everything is over and nothing is left. */
async function settled(gateway: TestGateway): Promise<void> {
  await expect
    .poll(() => ({
      sessions: gateway.pipeline.sessions.size,
      leases: gateway.leases.counts().active,
      clients: gateway.gateway.clients,
    }))
    .toEqual({ sessions: 0, leases: 0, clients: 0 })
}

test.each(Object.keys(openings(0)))('TU-08 %s: the client resets after every byte of its opening', async (kind) => {
  const { port } = await listen((socket) => socket.on('data', () => socket.write('HTTP/1.1 200 OK\r\n\r\nbody')))
  const gateway = await startGateway({ listener: { authentication: kind === 'socks4' ? 'anonymous' : 'required' } })
  const bytes = openings(port)[kind] ?? ''

  for (let at = 0; at <= bytes.length; at++) {
    const client = await RawClient.connect(gateway.port)
    client.send(bytes.slice(0, at))
    for (let turn = at % 4; turn > 0; turn--) await new Promise((resolve) => setImmediate(resolve))
    client.socket.resetAndDestroy()
  }

  await settled(gateway)
})

test.each(Object.keys(openings(0)))(
  'TU-08 %s: the origin resets at once, after a few bytes, after half an answer',
  async (kind) => {
    const gateway = await startGateway({ listener: { authentication: kind === 'socks4' ? 'anonymous' : 'required' } })
    const answers = ['', 'H', 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf']
    for (const answer of answers) {
      for (const when of ['connect', 'data'] as const) {
        const { port } = await listen((socket) => {
          const reset = () => socket.write(answer || '\0', () => socket.resetAndDestroy())
          if (when === 'connect') reset()
          else socket.once('data', reset)
        })
        const client = await RawClient.connect(gateway.port)
        client.send(openings(port)[kind] ?? '')
        client.send('')
        await Promise.race([client.end(), new Promise((resolve) => setTimeout(resolve, 100))])
        client.socket.destroy()
      }
    }
    await settled(gateway)
  },
)

test('FR-15 a client that leaves in the middle of an upload: the origin sees a reset at once', async () => {
  const gone = Promise.withResolvers<string>()
  const begun = Promise.withResolvers<void>()
  const { port } = await listen((socket) => {
    socket.on('error', (error) => gone.resolve(String('code' in error ? error.code : error)))
    socket.on('end', () => gone.resolve('FIN'))
    socket.on('data', (bytes) => bytes.includes('some') && begun.resolve())
  })
  const gateway = await startGateway()
  const client = await RawClient.connect(gateway.port)
  client.send(`POST http://o.test:${port}/ HTTP/1.1\r\nHost: o\r\n${login}Content-Length: 1000000\r\n\r\nsome`)
  await begun.promise
  client.socket.destroy()

  expect(await gone.promise).toBe('ECONNRESET')
  await settled(gateway)
})

test.each([
  ['', 0],
  [', with 2 MB of requests behind the one in progress', 20_000],
])('FR-15 a client that leaves in the middle of a download%s: the origin sees a reset', async (_what, more) => {
  const gone = Promise.withResolvers<string>()
  const { port } = await listen((socket) => {
    socket.on('error', (error) => gone.resolve(String('code' in error ? error.code : error)))
    socket.once('data', () => {
      socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')
      const go = () => socket.writable && socket.write(`4000\r\n${'x'.repeat(0x4000)}\r\n`, () => setImmediate(go))
      go()
    })
  })
  const gateway = await startGateway()
  const client = await RawClient.connect(gateway.port)
  client.send(`GET http://o.test:${port}/ HTTP/1.1\r\nHost: o\r\n${login}\r\n`)
  client.send(`GET http://o.test:${port}/ HTTP/1.1\r\nHost: o\r\n${login}\r\n`.repeat(more))
  await client.bytes(100_000)
  client.socket.resetAndDestroy()

  expect(await gone.promise).toMatch(/^(ECONNRESET|EPIPE)$/)
  await settled(gateway)
})

// Story: a client goes away without a word (killed, its machine asleep, its network gone) from a protocol that knows no half-closed
// connection. Origins, ports, descriptors and records are settled at once, not when somebody notices.

import { once } from 'node:events'
import { type ClientHttp2Session, connect as connectHttp2, constants } from 'node:http2'
import { connect, type Socket } from 'node:net'
import { type TLSSocket, connect as wrapTls } from 'node:tls'
import { describe, expect, onTestFinished, test } from 'vitest'
import { authorization, openStream, openTunnel } from '../support/h2-client.ts'
import { PATIENCE_MS } from '../support/patience.ts'
import { basic, RawClient } from '../support/raw-client.ts'
import { BOB, PASSWORD, startGateway, type TestGateway } from '../support/start-gateway.ts'
import { listen } from '../support/tcp.ts'
import { connectTls, testTls, tlsSource } from '../support/tls.ts'

const AS_BOB = { email: BOB, password: PASSWORD }
const SIGNAL = () => ({ signal: AbortSignal.timeout(PATIENCE_MS) })

/** An origin that never ends anything by itself, and says how each connection ended for it. */
async function patientOrigin() {
  const endings: string[] = []
  const opened: Socket[] = []
  const { port } = await listen((socket) => {
    opened.push(socket)
    socket.resume()
    socket.once('end', () => endings.push('FIN'))
    socket.once('error', (cause) => endings.push(String('code' in cause ? cause.code : cause)))
  })
  return { port, endings, opened }
}

async function startTls(settings = {}): Promise<TestGateway> {
  const source = await tlsSource()
  return startGateway({ settings: { tlsFor: () => source, ...settings } })
}

/** HTTP/2 over a socket that the test can cut below TLS. */
async function cuttableH2(port: number) {
  const { authority } = await testTls()
  const tcp = connect({ port, host: '127.0.0.1' })
  onTestFinished(() => void tcp.destroy())
  await once(tcp, 'connect', SIGNAL())
  const tls = wrapTls({ socket: tcp, ca: authority.certificate, ALPNProtocols: ['h2'], servername: 'localhost' })
  tls.on('error', () => {})
  await once(tls, 'secureConnect', SIGNAL())
  const session = connectHttp2('https://localhost', { createConnection: () => tls })
  session.on('error', () => {})
  return { tcp, tls, session }
}

interface Cuttable {
  readonly tcp: Socket
  readonly tls: TLSSocket
  readonly session: ClientHttp2Session
}

async function allSettled(gateway: TestGateway, records: number): Promise<void> {
  await expect.poll(() => gateway.gateway.clients).toBe(0)
  await expect.poll(() => gateway.leases.counts().active).toBe(0)
  expect(gateway.pipeline.sessions.size).toBe(0)
  expect(await gateway.recorded(records)).toHaveLength(records)
}

describe('an HTTP/2 client that vanishes', () => {
  test.each<[string, (client: Cuttable) => void]>([
    ['with a FIN, as when it is killed', ({ tcp }) => tcp.destroy()],
    ['with a RST', ({ tcp }) => tcp.resetAndDestroy()],
    ['with close_notify', ({ tls }) => tls.end()],
    ['with GOAWAY and an error', ({ session }) => session.goaway(constants.NGHTTP2_INTERNAL_ERROR)],
  ])('%s takes its tunnels along', async (_how, leave) => {
    const origin = await patientOrigin()
    const gateway = await startTls()
    const client = await cuttableH2(gateway.port)
    const { stream } = await openTunnel(client.session, `o.test:${origin.port}`, AS_BOB)
    const idle = await openTunnel(client.session, `o.test:${origin.port}`, AS_BOB)
    stream.write('hello')
    idle.stream.resume()
    await expect.poll(() => origin.opened.map(({ bytesRead }) => bytesRead).sort()).toEqual([0, 5])

    leave(client)

    await expect.poll(() => origin.endings).toEqual(['ECONNRESET', 'ECONNRESET'])
    await allSettled(gateway, 2)
    expect(gateway.records.map(({ ConnectionCloseReason }) => ConnectionCloseReason)).toEqual([
      'CLIENT_ERROR',
      'CLIENT_ERROR',
    ])
  })

  test('takes along a request whose answer has not come, and one in the middle of its answer', async () => {
    const origin = await patientOrigin()
    const halfway = await listen((socket) => {
      socket.once('data', () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf'))
      socket.once('error', (cause) => origin.endings.push(String('code' in cause ? cause.code : cause)))
    })
    const gateway = await startTls()
    const client = await cuttableH2(gateway.port)
    const get = (port: number) => ({
      ':method': 'GET',
      ':scheme': 'http',
      ':authority': `o.test:${port}`,
      ':path': '/',
      ...authorization(AS_BOB),
    })
    client.session.request(get(origin.port)).on('error', () => {})
    await openStream(client.session, get(halfway.port), true)
    await expect.poll(() => origin.opened.length).toBe(1)

    client.tcp.destroy()

    await expect.poll(() => origin.endings).toEqual(['ECONNRESET', 'ECONNRESET'])
    await allSettled(gateway, 2)
  })

  test('by GOAWAY alone keeps what is open, and is let go behind it although it never closes', async () => {
    const origin = await patientOrigin()
    const gateway = await startTls()
    const client = await cuttableH2(gateway.port)
    const { stream } = await openTunnel(client.session, `o.test:${origin.port}`, AS_BOB)
    client.session.goaway(constants.NGHTTP2_NO_ERROR)
    stream.write('still here')
    await expect.poll(() => origin.opened[0]?.bytesRead).toBe(10)
    stream.close(constants.NGHTTP2_CANCEL)
    client.tls.pause()
    await allSettled(gateway, 1)
  })
})

test('a tunnel over TLS passes the FIN of a killed client on, and is over when the origin has none left to say', async () => {
  const { port } = await listen((socket) => {
    socket.resume()
    socket.once('end', () => socket.end())
  })
  const gateway = await startTls()
  const client = await connectTls(gateway.port)
  client.write(`CONNECT o.test:${port} HTTP/1.1\r\nHost: o\r\n${basic(BOB, PASSWORD)}\r\n`)
  await once(client, 'data', SIGNAL())
  client.destroy()
  await allSettled(gateway, 1)
})

test.each([false, true])('a WebSocket goes with its client, over TLS: %s', async (overTls) => {
  const endings: string[] = []
  const { port } = await listen((socket) => {
    socket.once('data', () =>
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'),
    )
    // as an endpoint of RFC 6455 does: nothing can come behind a FIN
    socket.once('end', () => {
      endings.push('FIN')
      socket.end()
    })
  })
  const gateway = await startTls()
  const client = overTls ? await connectTls(gateway.port) : (await RawClient.connect(gateway.port)).socket
  client.write(
    `GET http://o.test:${port}/ HTTP/1.1\r\nHost: o.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n${basic(BOB, PASSWORD)}\r\n`,
  )
  await once(client, 'data', SIGNAL())
  client.destroy()
  await expect.poll(() => endings).toEqual(['FIN'])
  await allSettled(gateway, 1)
})

test('a client that leaves in the middle of the TLS handshake is let go at once', async () => {
  const gateway = await startTls({ handshakeTimeoutMs: 600_000 })
  const client = await RawClient.connect(gateway.port)
  // the beginning of a ClientHello that says it is longer
  client.send(Buffer.from('16030100c8010000c40303', 'hex'))
  await expect.poll(() => gateway.gateway.clients).toBe(1)
  client.socket.end()
  await client.end()
  await allSettled(gateway, 1)
  expect(gateway.records).toMatchObject([{ Lab: { error: { code: 'request.tls_failed' } } }])
})

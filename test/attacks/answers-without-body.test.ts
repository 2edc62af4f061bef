// Story: a HEAD is refused, and the refusal comes with a body: over HTTP/1.1 it is taken for the next answer, over HTTP/2 nothing comes at
// all. Whatever the refusal, a HEAD is answered by a head alone (RFC 9110 section 9.3.2), and so is every 204 and 304.

import { text } from 'node:stream/consumers'
import { describe, expect, test } from 'vitest'
import { authorization, connectH2, openStream } from '../support/h2-client.ts'
import { DATA, END_HEADERS, END_STREAM, frame, HEADERS, headerBlock, RST_STREAM, rawH2 } from '../support/h2-frames.ts'
import { basic, RawClient } from '../support/raw-client.ts'
import { BOB, PASSWORD, startGateway } from '../support/start-gateway.ts'
import { listen } from '../support/tcp.ts'
import { tellMeOrigin } from '../support/tell-me-origin.ts'
import { tlsSource } from '../support/tls.ts'

const LOGIN = basic(BOB, PASSWORD)
const AS_BOB = authorization({ email: BOB, password: PASSWORD })

/** A port where nobody listens. */
async function deadPort(): Promise<number> {
  const { server, port } = await listen()
  await new Promise((resolve) => server.close(resolve))
  return port
}

function head(url: string, fields = ''): string {
  return `HEAD ${url} HTTP/1.1\r\nHost: ${new URL(url).host}\r\n${fields}\r\n`
}

describe('HTTP/1.1: behind the head of the answer to a HEAD comes nothing', () => {
  test('407 and 502 on a connection that goes on: the next answer begins right behind', async () => {
    const origin = await tellMeOrigin()
    const gateway = await startGateway()
    const client = await RawClient.connect(gateway.port)
    client.send(head('http://o.test/'))
    await client.text('407 Proxy Authentication Required')
    client.send(head(`http://o.test:${await deadPort()}/`, LOGIN))
    await client.text('502 Bad Gateway')
    await client.send(head(`http://o.test:${origin.port}/`, LOGIN)).text('200 OK')
    expect(client.received.split('\r\n\r\n').map((each) => each.split('\r\n')[0])).toEqual([
      'HTTP/1.1 407 Proxy Authentication Required',
      'HTTP/1.1 502 Bad Gateway',
      'HTTP/1.1 200 OK',
      '',
    ])
  })

  test.each([
    ['400', {}, `HEAD https://o.test/ HTTP/1.1\r\nHost: o.test\r\n${LOGIN}\r\n`],
    ['417', {}, head('http://o.test/', `${LOGIN}Expect: something\r\n`)],
    ['503', { settings: { maxClients: 0 } }, head('http://o.test/', LOGIN)],
  ])('%s that ends the connection', async (status, options, request) => {
    const gateway = await startGateway(options)
    const client = await RawClient.connect(gateway.port)
    await client.send(request).end()
    expect(client.received).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
    expect(client.received.indexOf('\r\n\r\n')).toBe(client.received.length - 4)
  })

  test('400 where the listener takes TLS only', async () => {
    const source = await tlsSource()
    const gateway = await startGateway({ listener: { tls: { mode: 'required' } }, settings: { tlsFor: () => source } })
    const client = await RawClient.connect(gateway.port)
    await client.send(head('http://o.test/')).end()
    expect(client.received).toMatch(/^HTTP\/1\.1 400 /)
    expect(client.received.indexOf('\r\n\r\n')).toBe(client.received.length - 4)
  })
})

describe('HTTP/2: the head of the answer ends the stream', () => {
  test.each([
    [407, {}],
    [400, { ':scheme': 'https', ...AS_BOB }],
    [417, { expect: 'something', ...AS_BOB }],
    [502, { ':authority': 'nowhere.invalid', ...AS_BOB }],
  ])('%i, whether the request was complete or not', async (status, fields) => {
    const source = await tlsSource()
    const gateway = await startGateway({ settings: { tlsFor: () => source } })
    const request = { ':method': 'HEAD', ':scheme': 'http', ':authority': 'o.test', ':path': '/', ...fields }
    const asked = await openStream(await connectH2(gateway.port), request, true)
    expect([asked.status, await text(asked.stream)]).toEqual([status, ''])
    const block = headerBlock(request)
    const { socket, frames } = await rawH2(gateway.port)
    for (const [id, end] of [[1, END_STREAM] as const, [3, 0] as const]) {
      socket.write(frame(HEADERS, END_HEADERS | end, id, block))
      const ours = () => frames.filter(({ stream }) => stream === id)
      await expect.poll(() => ours().length).toBeGreaterThan(0)
      expect(ours()[0]).toMatchObject({ type: HEADERS, flags: END_HEADERS | END_STREAM })
      expect(ours().some(({ type }) => type === DATA)).toBe(false)
    }
    const resets = frames.filter(({ type }) => type === RST_STREAM)
    expect(resets.every(({ stream }) => stream === 3)).toBe(true)
    expect(await gateway.recorded(3)).toHaveLength(3)
  })
})

test.each(['204 No Content', '304 Not Modified'])(
  "an origin's %s goes on without a body, even one with a length",
  async (line) => {
    const { port } = await listen((socket) =>
      socket.once('data', () => socket.write(`HTTP/1.1 ${line}\r\nContent-Length: 3\r\n\r\n`)),
    )
    const source = await tlsSource()
    const gateway = await startGateway({ settings: { tlsFor: () => source } })
    const plain = await RawClient.connect(gateway.port)
    await plain.send(`GET http://o.test:${port}/ HTTP/1.1\r\nHost: o.test\r\n${LOGIN}\r\n`).text('\r\n\r\n')
    expect(plain.received).toMatch(new RegExp(`^HTTP/1.1 ${line}\r\n`))
    const { socket, frames } = await rawH2(gateway.port)
    const block = headerBlock({
      ':method': 'GET',
      ':scheme': 'http',
      ':authority': `o.test:${port}`,
      ':path': '/',
      ...AS_BOB,
    })
    socket.write(frame(HEADERS, END_HEADERS | END_STREAM, 1, block))
    await expect.poll(() => frames.some(({ type }) => type === HEADERS)).toBe(true)
    expect(frames.find(({ type }) => type === HEADERS)?.flags).toBe(END_HEADERS | END_STREAM)
  },
)

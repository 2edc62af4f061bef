// Story: a client sends requests faster than they can be answered, or spoils the line behind a slow one, hoping that answers
// get mixed up or that the proxy piles up work (FR-06, FR-07).

import { expect, test } from 'vitest'
import { RawClient } from '../support/raw-client.ts'
import { startGateway } from '../support/start-gateway.ts'
import { tellMeOrigin } from '../support/tell-me-origin.ts'

const OPEN = { listener: { authentication: 'anonymous' as const } }

function get(port: number, path: string, fields = ''): string {
  return `GET http://origin.test:${port}${path} HTTP/1.1\r\nHost: origin.test\r\n${fields}\r\n`
}

test('FR-07 two thousand requests at once: answered in order, never two in progress, on one upstream connection', async () => {
  let inProgress = 0
  let most = 0
  const origin = await tellMeOrigin((req, res) => {
    most = Math.max(most, ++inProgress)
    setImmediate(() => {
      inProgress--
      res.end(`<${req.url}>`)
    })
  })
  const gateway = await startGateway(OPEN)
  const client = await RawClient.connect(gateway.port)
  const paths = Array.from({ length: 2000 }, (_, at) => `/${at}`)

  client.send(paths.map((path) => get(origin.port, path)).join(''))
  await client.text('</1999>')

  expect(client.received.match(/<\/\d+>/g)).toEqual(paths.map((path) => `<${path}>`))
  expect(most).toBe(1)
  expect(origin.connections).toHaveLength(1)
})

test('FR-06 garbage behind a slow request: the answer comes first and is right, then a 400 and the end', async () => {
  const origin = await tellMeOrigin((_req, res) => setTimeout(() => res.end('first'), 100))
  const gateway = await startGateway(OPEN)
  const client = await RawClient.connect(gateway.port)

  client.send(`${get(origin.port, '/slow')}\0\0garbage\r\n\r\n`)
  await client.end()

  expect(client.received.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 400'])
  expect(client.received.indexOf('first')).toBeLessThan(client.received.indexOf('400 Bad Request'))
})

test('FR-06 bytes behind a request that says close: that request is answered, the rest is not looked at', async () => {
  const origin = await tellMeOrigin((req, res) => res.end(`<${req.url}>`))
  const gateway = await startGateway(OPEN)
  const client = await RawClient.connect(gateway.port)

  client.send(get(origin.port, '/last', 'Connection: close\r\n') + get(origin.port, '/never'))
  await client.end()

  expect(client.received).toMatch(/^HTTP\/1\.1 200 /)
  expect(client.received).toContain('</last>')
  expect(origin.requests.map(({ url }) => url)).toEqual(['/last'])
})

test('FR-07 unsafe requests wait for the one before them', async () => {
  const seen: string[] = []
  const origin = await tellMeOrigin((req, res) => {
    seen.push(`begin ${req.url}`)
    req.resume()
    setTimeout(() => {
      seen.push(`end ${req.url}`)
      res.end('done')
    }, 20)
  })
  const gateway = await startGateway(OPEN)
  const client = await RawClient.connect(gateway.port)
  const post = (path: string) =>
    `POST http://origin.test:${origin.port}${path} HTTP/1.1\r\nHost: o\r\nContent-Length: 2\r\n\r\nab`

  client.send(post('/1') + post('/2') + get(origin.port, '/3'))
  await client.until(({ received }) => (received.match(/done/g) ?? []).length === 3)

  expect(seen).toEqual(['begin /1', 'end /1', 'begin /2', 'end /2', 'begin /3', 'end /3'])
})

test('a CONNECT behind forwarded requests waits its turn and then gets its tunnel', async () => {
  const origin = await tellMeOrigin((req, res) => res.end(`<${req.url}>`))
  const gateway = await startGateway(OPEN)
  const client = await RawClient.connect(gateway.port)

  client.send(
    `${get(origin.port, '/1')}${get(origin.port, '/2')}CONNECT origin.test:${origin.port} HTTP/1.1\r\nHost: o\r\n\r\n`,
  )
  await client.text('200 Connection established\r\n\r\n')
  await client.send('GET /inside HTTP/1.1\r\nHost: o\r\n\r\n').text('</inside>')

  expect(client.received.match(/<[^>]+>/g)).toEqual(['</1>', '</2>', '</inside>'])
})

test.each([
  ['takes its answers', true],
  ['takes no answer', false],
])(
  'a client that sends without end and %s is read no faster than it is answered, and others are served',
  async (_what, reads) => {
    let inProgress = 0
    let most = 0
    const origin = await tellMeOrigin((req, res) => {
      most = Math.max(most, ++inProgress)
      res.end(`<${req.url}>${'x'.repeat(req.url === '/flood' ? 2_000 : 0)}`)
      inProgress--
    })
    const gateway = await startGateway(OPEN)
    const flood = await RawClient.connect(gateway.port)
    if (!reads) flood.socket.pause()
    else flood.socket.removeAllListeners('data').resume()
    const requests = get(origin.port, '/flood').repeat(300_000)
    flood.send(requests)
    const other = await RawClient.connect(gateway.port)
    for (let at = 0; at < 50; at++) await other.send(get(origin.port, `/${at}`)).text(`</${at}>`)
    // what the system has room for is with the system; the rest has not been taken
    const floodRequests = origin.requests.filter(({ url }) => url === '/flood').length
    const taken = flood.socket.bytesWritten - flood.socket.writableLength
    expect(most).toBe(1)
    expect(flood.socket.writableLength).toBeGreaterThan(requests.length / 4)
    expect(taken - floodRequests * get(origin.port, '/flood').length).toBeLessThan(16 * 1024 * 1024)
    flood.socket.resetAndDestroy()
    await other.send(get(origin.port, '/last')).text('</last>')
    // the connection to the origin, and perhaps the head that was cut off
    expect((await gateway.recorded(1))[0]).toMatchObject({ ConnectionReuse: true, Lab: { inbound: 'http-forward' } })
  },
)

test('refusals are not given faster than the client takes them', async () => {
  const gateway = await startGateway()
  const flood = await RawClient.connect(gateway.port)
  flood.socket.pause()
  const requests = get(80, '/').repeat(300_000)
  flood.send(requests)
  const other = await RawClient.connect(gateway.port)
  for (let at = 1; at <= 50; at++) {
    other.send(get(80, '/'))
    await other.until(({ received }) => (received.match(/code: identity.required/g) ?? []).length === at)
  }
  expect(flood.socket.writableLength).toBeGreaterThan(requests.length / 4)
})

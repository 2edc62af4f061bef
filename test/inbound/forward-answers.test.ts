// Answers as they come: each part of a message goes on at once, whatever the other side still has to say (issue of outside use).

import { describe, expect, test } from 'vitest'
import { byteLogOrigin, OK } from '../support/byte-log-origin.ts'
import { basic, RawClient } from '../support/raw-client.ts'
import { BOB, PASSWORD, startGateway } from '../support/start-gateway.ts'
import { listen } from '../support/tcp.ts'
import { tellMeOrigin } from '../support/tell-me-origin.ts'

const OPEN = { listener: { authentication: 'anonymous' as const } }

function request(port: number, fields = '', method = 'GET', version = '1.1'): string {
  return `${method} http://o.test:${port}/ HTTP/${version}\r\nHost: o.test\r\n${fields}\r\n`
}

describe('parts of an answer', () => {
  test.each([
    [
      'chunked',
      'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n',
      '2\r\nok\r\n0\r\n\r\n',
    ],
    ['a length', 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 2\r\n\r\n', 'ok'],
    ['the end of the connection', 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n', 'ok'],
  ])('the head does not wait for the body (%s)', async (_framing, head, body) => {
    let goOn = () => {}
    const origin = await byteLogOrigin((socket) => {
      socket.write(head)
      goOn = () => socket.end(body)
    })
    const gateway = await startGateway(OPEN)
    const client = await RawClient.connect(gateway.port)
    await client.send(request(origin.port)).text('\r\n\r\n')
    expect(client.received).toContain('Content-Type: text/event-stream')
    expect(client.received).not.toContain('ok')
    goOn()
    await client.text('ok')
  })

  test('every piece of a body goes on at once', async () => {
    let send = (_piece: string) => {}
    const origin = await byteLogOrigin((socket) => {
      socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')
      send = (piece) => socket.write(piece)
    })
    const gateway = await startGateway(OPEN)
    const client = await RawClient.connect(gateway.port)
    await client.send(request(origin.port)).text('\r\n\r\n')
    for (const event of ['one', 'two', 'three']) {
      // half a chunk is a piece too
      send(`${(event.length + 1).toString(16)}\r\n${event}`)
      await client.text(event)
      send('\n\r\n')
    }
  })

  test('an answer that begins while the request is still being sent goes on at once', async () => {
    const origin = await tellMeOrigin((req, res) => {
      res.writeHead(200)
      req.pipe(res)
    })
    const gateway = await startGateway(OPEN)
    const client = await RawClient.connect(gateway.port)
    client.send(request(origin.port, 'Transfer-Encoding: chunked\r\n', 'POST'))
    for (const word of ['first', 'other']) await client.send(`5\r\n${word}\r\n`).text(word)
    await client.send('0\r\n\r\n').text('\r\n0\r\n\r\n')
  })
})

describe('an early final answer', () => {
  /** Reads the head, refuses, and closes with most of the request unread: the system resets what still comes. */
  async function refusingOrigin(answer: string) {
    return listen((socket) => {
      socket.once('data', () => {
        socket.pause()
        socket.write(answer, () => setTimeout(() => socket.destroy(), 50))
      })
    })
  }

  test.each([
    ['with a length', 'HTTP/1.1 413 Content Too Large\r\nContent-Length: 8\r\nConnection: close\r\n\r\ntoo much'],
    ['until the end', 'HTTP/1.1 413 Content Too Large\r\nConnection: close\r\n\r\ntoo much'],
  ])('%s reaches a client that is still sending, and is recorded as what it is', async (_framing, answer) => {
    const origin = await refusingOrigin(answer)
    const gateway = await startGateway(OPEN)
    for (let at = 1; at <= 5; at++) {
      const client = await RawClient.connect(gateway.port)
      client.send(request(origin.port, `Content-Length: ${50 * 1024 * 1024}\r\n`, 'POST'))
      client.send(Buffer.alloc(8 * 1024 * 1024, 'x'))
      await client.text('too much')
      expect(client.received).toMatch(/^HTTP\/1\.1 413 /)
      const record = (await gateway.recorded(at))[at - 1]
      client.socket.destroy()
      expect([record?.ConnectionCloseReason, record?.Lab.error]).toEqual(['ORIGIN_CLOSED', undefined])
    }
  })
})

describe('a kept connection that the origin closes', () => {
  /** Answers one request on each connection and then closes it as soon as the next one comes, without a word. */
  async function oneEachOrigin() {
    const seen: string[] = []
    const { port } = await listen((socket) => {
      let answered = 0
      socket.on('data', (bytes) => {
        if (answered++ > 0) {
          socket.resetAndDestroy()
          return
        }
        seen.push(bytes.toString('latin1').split('\r\n')[0] ?? '')
        socket.write(OK)
      })
      socket.on('error', () => {})
    })
    return { port, seen }
  }

  test.each(['POST', 'PATCH'])('%s never goes over a connection that may be gone', async (method) => {
    const origin = await oneEachOrigin()
    const gateway = await startGateway(OPEN)
    const client = await RawClient.connect(gateway.port)
    for (let at = 1; at <= 12; at++) {
      client.send(`${request(origin.port, 'Content-Length: 1\r\n', method)}x`)
      await client.until(({ received }) => (received.match(/\r\n\r\nok/g) ?? []).length === at)
    }
    expect(client.received.match(/HTTP\/1\.1 \d+/g)).toEqual(new Array(12).fill('HTTP/1.1 200'))
    expect(origin.seen).toHaveLength(12)
  })

  test.each(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE'])('%s is sent again, once', async (method) => {
    const origin = await oneEachOrigin()
    const gateway = await startGateway(OPEN)
    const client = await RawClient.connect(gateway.port)
    for (let at = 1; at <= 4; at++) {
      client.send(request(origin.port, '', method))
      await client.until(({ received }) => (received.match(/HTTP\/1\.1 \d+/g) ?? []).length === at)
    }
    expect(client.received.match(/HTTP\/1\.1 \d+/g)).toEqual(new Array(4).fill('HTTP/1.1 200'))
  })
})

describe('refusals have no body where none may be', () => {
  const noBody = /\r\n\r\n$/

  test.each([
    ['407', '', 80, 'identity.required'],
    ['502', basic(BOB, PASSWORD), 1, 'dial.refused'],
    ['508', `${basic(BOB, PASSWORD)}Via: 1.1 egresslab-under-test\r\n`, 80, 'guard.loop'],
  ])('HEAD: %s', async (status, fields, port, code) => {
    const gateway = await startGateway()
    const client = await RawClient.connect(gateway.port)
    client.send(request(port, `${fields}Connection: close\r\n`, 'HEAD'))
    await client.end()
    expect(client.received).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
    expect(client.received).toContain(code)
    expect(client.received).toMatch(noBody)
    expect(client.received.split('\r\n\r\n')).toHaveLength(2)
  })

  test.each([
    ['407', '', 80],
    ['502', basic(BOB, PASSWORD), 1],
    ['400', `${basic(BOB, PASSWORD)}Host: twice\r\n`, 80],
  ])('Expect: 100-continue: %s with a length of 0', async (status, fields, port) => {
    const gateway = await startGateway()
    const client = await RawClient.connect(gateway.port)
    const expecting = 'Expect: 100-continue\r\nContent-Length: 5\r\nConnection: close\r\n'
    await client.send(request(port, fields + expecting, 'POST')).end()
    expect(client.received).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
    expect(client.received).toMatch(/\r\nContent-Length: 0\r\n/)
    expect(client.received).toMatch(noBody)
  })
})

describe('request lines', () => {
  test('without a version: 400 at the end of the line', async () => {
    const gateway = await startGateway(OPEN)
    const client = await RawClient.connect(gateway.port)
    await client.send('GET http://o.test/\r\n').end()
    expect(client.received).toMatch(/^HTTP\/1\.1 400 /)
    expect(client.received).toContain('no version')
  })

  test('of LF alone: 400, and not 505', async () => {
    const gateway = await startGateway(OPEN)
    const client = await RawClient.connect(gateway.port)
    await client.send('GET http://o.test/ HTTP/1.1\nHost: o\n\n').end()
    expect(client.received).toMatch(/^HTTP\/1\.1 400 /)
    expect(client.received).toContain('LF without CR')
  })

  test('without an end: 414 as soon as they are too long', async () => {
    const gateway = await startGateway(OPEN)
    const client = await RawClient.connect(gateway.port)
    await client.send(`GET http://o.test/${'x'.repeat(17_000)}`).end()
    expect(client.received).toMatch(/^HTTP\/1\.1 414 /)
  })

  test('raw UTF-8 in the path: 400 that names the byte', async () => {
    const gateway = await startGateway(OPEN)
    const client = await RawClient.connect(gateway.port)
    await client.send('GET http://o.test/caf\xc3\xa9 HTTP/1.1\r\nHost: o\r\n\r\n').end()
    expect(client.received).toMatch(/^HTTP\/1\.1 400 /)
    expect(client.received).toContain('the byte 0xc3, which must be written as %C3')
  })

  test.each([
    ['get', 405],
    ['Post', 405],
  ])('method %s: %i', async (method, status) => {
    const gateway = await startGateway(OPEN)
    const client = await RawClient.connect(gateway.port)
    await client.send(request(80, '', method)).end()
    expect(client.received).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
  })

  test.each([
    ['an empty port', (port: number) => [`GET http://127.0.0.1: HTTP/1.1`, port]],
    ['a fragment', (port: number) => [`GET http://o.test:${port}/x#y HTTP/1.1`, port]],
    ['empty lines ahead', (port: number) => [`\r\n\r\nGET http://o.test:${port}/x HTTP/1.1`, port]],
    ['a method nobody knows', (port: number) => [`BREW http://o.test:${port}/x HTTP/1.1`, port]],
  ])('%s is taken', async (what, line) => {
    const origin = await byteLogOrigin()
    const gateway = await startGateway(OPEN)
    const client = await RawClient.connect(gateway.port)
    client.send(`${line(origin.port)[0]}\r\nHost: o\r\nConnection: close\r\n\r\n`)
    await client.end()
    if (what === 'an empty port')
      expect((await gateway.recorded(1))[0]).toMatchObject({ Lab: { target: '127.0.0.1:80' } })
    else expect(origin.received).toMatch(/^[A-Z]+ \/x HTTP\/1\.1\r\n/)
  })

  test('CONNECT in small letters behind a forwarded request gets its tunnel', async () => {
    const origin = await byteLogOrigin()
    const gateway = await startGateway(OPEN)
    const client = await RawClient.connect(gateway.port)
    await client.send(request(origin.port)).text('ok')
    await client.send(`connect o.test:${origin.port} HTTP/1.1\r\nHost: o\r\n\r\n`).text('200 Connection established')
  })

  test('a ws URL is http with an upgrade; https names the setting to change', async () => {
    const origin = await byteLogOrigin()
    const gateway = await startGateway(OPEN)
    const socket = await RawClient.connect(gateway.port)
    const upgrade = 'Connection: Upgrade\r\nUpgrade: websocket\r\n'
    await socket.send(`GET ws://o.test:${origin.port}/chat HTTP/1.1\r\nHost: o\r\n${upgrade}\r\n`).text('ok')
    expect(origin.received).toMatch(/^GET \/chat HTTP\/1\.1\r\n/)
    for (const url of ['https://o.test/', 'wss://o.test/']) {
      const client = await RawClient.connect(gateway.port)
      await client.send(`GET ${url} HTTP/1.1\r\nHost: o\r\n\r\n`).end()
      expect(client.received).toMatch(/^HTTP\/1\.1 400 /)
      expect(client.received).toContain('use_forwarding_for_https')
    }
  })
})

describe('HTTP/1.0', () => {
  test('goes after its answer', async () => {
    const origin = await byteLogOrigin()
    const gateway = await startGateway(OPEN)
    const client = await RawClient.connect(gateway.port)
    await client.send(request(origin.port, '', 'GET', '1.0')).end()
    expect(client.received).toContain('Connection: close')
    expect(client.ending).toBe('FIN')
  })

  test('stays where it asks to, and is told so', async () => {
    const origin = await byteLogOrigin()
    const gateway = await startGateway(OPEN)
    const client = await RawClient.connect(gateway.port)
    for (let at = 1; at <= 2; at++) {
      client.send(request(origin.port, 'Connection: keep-alive\r\n', 'GET', '1.0'))
      await client.until(({ received }) => (received.match(/\r\n\r\nok/g) ?? []).length === at)
    }
    expect(client.received.match(/Connection: keep-alive/g)).toHaveLength(2)
    expect(client.ending).toBeUndefined()
  })
})

test('bytes right behind a 101, from both sides, are the tunnel’s', async () => {
  const { port } = await listen((socket) => {
    let sofar = ''
    socket.on('data', (bytes) => {
      sofar += bytes.toString('latin1')
      if (sofar.endsWith('\r\n\r\n')) {
        socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello')
      }
      if (sofar.endsWith('early')) socket.end('bye')
    })
  })
  const gateway = await startGateway(OPEN)
  const client = await RawClient.connect(gateway.port)
  client.send(`${request(port, 'Connection: Upgrade\r\nUpgrade: websocket\r\n')}early`)
  await client.text('\r\n\r\nhellobye')
})

test.each([
  ['a length', (size: number) => `Content-Length: ${size}\r\n`, (body: string) => body],
  [
    'chunks',
    () => 'Transfer-Encoding: chunked\r\n',
    (body: string) => `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`,
  ],
])(
  'a large upload of %s and a large answer pass whole while neither side is read fast',
  async (_framing, fields, frame) => {
    const size = 12 * 1024 * 1024
    const origin = await tellMeOrigin(async (req, res) => {
      let length = 0
      for await (const chunk of req) {
        length += chunk.length
        if (length % 5 === 0) await new Promise(setImmediate)
      }
      res.setHeader('x-got', String(length))
      res.end(Buffer.alloc(size, 'x'))
    })
    const gateway = await startGateway(OPEN)
    const client = await RawClient.connect(gateway.port)
    client.send(request(origin.port, fields(size), 'POST')).send(frame('y'.repeat(size)))
    client.socket.removeAllListeners('data').pause()
    let received = ''
    let length = 0
    const whole = Promise.withResolvers<void>()
    client.socket.on('data', (text: string) => {
      if (length < 4096) received += text
      length += text.length
      client.socket.pause()
      setImmediate(() => client.socket.resume())
      if (length >= size + received.indexOf('\r\n\r\n') + 4) whole.resolve()
    })
    client.socket.resume()
    await whole.promise
    expect(received).toContain(`x-got: ${size}`)
  },
)

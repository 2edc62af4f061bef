import { describe, expect, test } from 'vitest'
import { account, rule, snapshot, via } from '../policy/build.ts'
import { byteLogOrigin } from '../support/byte-log-origin.ts'
import { curl } from '../support/curl.ts'
import { basic, RawClient } from '../support/raw-client.ts'
import { ALICE, BOB, PASSWORD, PSEUDONYM, startGateway } from '../support/start-gateway.ts'
import { tellMeOrigin } from '../support/tell-me-origin.ts'

const OPEN = { listener: { authentication: 'anonymous' as const } }

/** One request in absolute form, without credentials. */
function request(port: number, fields = '', { method = 'GET', path = '/', version = '1.1', host = 'o.test' } = {}) {
  return `${method} http://${host}:${port}${path} HTTP/${version}\r\nHost: ${host}\r\n${fields}\r\n`
}

describe('what the origin gets', () => {
  test('HH-01 HH-02 hop-by-hop fields are gone with everything Connection names, protected ones stay', async () => {
    const origin = await byteLogOrigin()
    const gateway = await startGateway(OPEN)
    const client = await RawClient.connect(gateway.port)
    const fields = [
      'Connection: X-Private, Host, Content-Length, Authorization, Via, close-ish',
      'X-Private: secret',
      'Keep-Alive: timeout=5',
      'Proxy-Connection: keep-alive',
      'TE: gzip',
      'Trailer: X-T',
      'HTTP2-Settings: AAMAAABkAAQAAP__',
      'Upgrade: h2c',
      'Authorization: Basic b3JpZ2lu',
      'X-Forwarded-For: 192.0.2.1',
    ]

    await client.send(request(origin.port, `${fields.join('\r\n')}\r\n`)).text('\r\n\r\nok')

    const lower = origin.received.toLowerCase()
    for (const gone of [
      'x-private',
      'keep-alive: t',
      'proxy-connection',
      'te:',
      'trailer',
      'http2-settings',
      'upgrade',
      'h2c',
    ]) {
      expect(lower).not.toContain(gone)
    }
    expect(origin.received).toContain('\r\nAuthorization: Basic b3JpZ2lu\r\n')
    expect(origin.received).toContain('\r\nX-Forwarded-For: 192.0.2.1\r\n')
    expect(origin.received).toContain(`\r\nVia: 1.1 ${PSEUDONYM}\r\n`)
  })

  test('HH-12 fields keep order, spelling and number; HH-10 none is added that speaks of the client', async () => {
    const origin = await byteLogOrigin()
    const gateway = await startGateway(OPEN)
    const client = await RawClient.connect(gateway.port)

    await client
      .send(request(origin.port, 'x-B: 2\r\nX-a: 1\r\nX-A: again\r\n__proto__: x\r\nX-Latin: caf\xe9\r\n'))
      .text('ok')

    expect(origin.received).toContain('x-B: 2\r\nX-a: 1\r\nX-A: again\r\n__proto__: x\r\nX-Latin: caf\xe9\r\nVia: ')
    expect(origin.received).not.toMatch(/forwarded|client-ip|x-real/i)
  })

  test('HH-07 Host is the target’s, whatever the client’s said; its own target decides', async () => {
    const origin = await byteLogOrigin()
    const gateway = await startGateway(OPEN)
    const client = await RawClient.connect(gateway.port)

    const head = `GET http://Real.TEST.:${origin.port} HTTP/1.1\r\nHost: other.test\r\n\r\n`
    await client.send(head).text('ok')

    expect(origin.received).toMatch(new RegExp(`^GET / HTTP/1\\.1\r\nHost: real\\.test:${origin.port}\r\n`))
    expect(origin.received).not.toContain('other')
    client.socket.destroy()
    expect(await gateway.recorded(1)).toMatchObject([{ ResolvedFQDN: 'real.test' }])
  })

  test.each(['PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND', 'REPORT', 'QUERY', 'M-SEARCH', 'PURGE'])(
    'FR-17 %s passes',
    async (method) => {
      const origin = await byteLogOrigin()
      const gateway = await startGateway(OPEN)
      const client = await RawClient.connect(gateway.port)
      await client.send(request(origin.port, '', { method, path: '/x?y=%20' })).text('ok')
      expect(origin.received.startsWith(`${method} /x?y=%20 HTTP/1.1\r\n`)).toBe(true)
    },
  )

  test('RFC 9112 3.2.4 OPTIONS without a path becomes `OPTIONS *`; HH-06 Max-Forwards counts down and ends here at 0', async () => {
    const origin = await byteLogOrigin()
    const gateway = await startGateway(OPEN)
    const client = await RawClient.connect(gateway.port)
    await client.send(request(origin.port, 'Max-Forwards: 2\r\n', { method: 'OPTIONS', path: '' })).text('ok')
    expect(origin.received).toMatch(/^OPTIONS \* HTTP\/1\.1\r\n/)
    expect(origin.received).toContain('Max-Forwards: 1\r\n')

    await client.send(request(origin.port, 'Max-Forwards: 0\r\n', { method: 'OPTIONS' })).text('Allow: GET')
    expect(origin.received.match(/OPTIONS/g)).toHaveLength(1)
  })

  test('FR-03 a chunked body is framed anew, its extensions and trailers dropped', async () => {
    const origin = await byteLogOrigin((socket, sofar) => {
      if (sofar.includes('0\r\n\r\n')) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
    })
    const gateway = await startGateway(OPEN)
    const client = await RawClient.connect(gateway.port)

    client.send(request(origin.port, 'Transfer-Encoding: chunked\r\n', { method: 'POST' }))
    await client.send('5;evil=1\r\nhello\r\n0\r\nHost: evil\r\nX-T: 1\r\n\r\n').text('\r\n\r\nok')

    expect(origin.received.match(/transfer-encoding: chunked/gi)).toHaveLength(1)
    expect(origin.received).toContain('\r\n5\r\nhello\r\n0\r\n\r\n')
    expect(origin.received).not.toMatch(/evil|X-T|content-length/i)
  })
})

describe('what the client gets', () => {
  test('HH-01 HH-12 end-to-end fields in order and spelling, Set-Cookie apart, nothing of the connection, Via added', async () => {
    const answer = [
      'HTTP/1.1 200 OK',
      'X-One: 1',
      'Set-Cookie: a=1',
      'Set-Cookie: b=2',
      'Connection: X-Private',
      'X-Private: secret',
      'Proxy-Authenticate: Basic',
      'Proxy-Status: egresslab; error=proxy_internal_error',
      'Content-Length: 2',
    ]
    const origin = await byteLogOrigin((socket) => socket.write(`${answer.join('\r\n')}\r\n\r\nok`))
    const gateway = await startGateway(OPEN)
    const client = await RawClient.connect(gateway.port)

    await client.send(request(origin.port)).text('\r\n\r\nok')

    expect(client.received).toContain(
      '\r\nX-One: 1\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\nVia: ',
    )
    expect(client.received).not.toMatch(/private|proxy-/i)
    expect(client.received).toContain(`Via: 1.1 ${PSEUDONYM}`)
  })

  test.each([
    ['HEAD', 'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n', 'Content-Length: 1000'],
    ['GET', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\nETag: "x"\r\n\r\n', 'Content-Length: 1000'],
    ['GET', 'HTTP/1.1 204 No Content\r\nX-Y: z\r\n\r\n', 'X-Y: z'],
  ])('FR-13 %s: an answer without body ends with its head, and the next one is right', async (method, answer, kept) => {
    const origin = await byteLogOrigin((socket, sofar) => {
      if (!sofar.endsWith('\r\n\r\n')) return
      socket.write(sofar.includes('/next') ? 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext' : answer)
    })
    const gateway = await startGateway(OPEN)
    const client = await RawClient.connect(gateway.port)

    await client.send(request(origin.port, '', { method })).text('\r\n\r\n')
    expect(client.received).toContain(kept)
    await client.send(request(origin.port, '', { path: '/next' })).text('next')

    expect(client.received.split('\r\n\r\n')).toHaveLength(3)
  })

  test('FR-16 an HTTP/1.0 client gets no chunks and the end of the connection', async () => {
    const origin = await tellMeOrigin((_req, res) => {
      res.write('part one ')
      res.end('part two')
    })
    const gateway = await startGateway(OPEN)
    const client = await RawClient.connect(gateway.port)
    await client.send(request(origin.port, '', { version: '1.0' })).end()
    expect(client.received).toMatch(/\r\n\r\npart one part two$/)
    expect(client.received).not.toMatch(/chunked/i)
  })

  test('FR-12 103 comes through, and not to an HTTP/1.0 client', async () => {
    const origin = await tellMeOrigin((_req, res) => {
      res.writeEarlyHints({ link: '</style.css>; rel=preload' })
      res.end('done')
    })
    const gateway = await startGateway(OPEN)
    const modern = await RawClient.connect(gateway.port)
    await modern.send(request(origin.port)).text('done')
    expect(modern.received).toMatch(/^HTTP\/1\.1 103 Early Hints\r\nLink: <\/style\.css>/)
    const old = await RawClient.connect(gateway.port)
    await old.send(request(origin.port, '', { version: '1.0' })).end()
    expect(old.received).toMatch(/^HTTP\/1\.1 200 /)
  })

  test('FR-12 Expect: 100-continue waits for the origin’s word', async () => {
    const origin = await tellMeOrigin()
    origin.server.on('checkContinue', (req, res) => {
      if (req.url === '/no') {
        res.writeHead(413).end('too much')
      } else {
        res.writeContinue()
        req.pipe(res)
      }
    })
    const gateway = await startGateway(OPEN)
    const expecting = 'Expect: 100-continue\r\nContent-Length: 5\r\n'

    const eager = await RawClient.connect(gateway.port)
    await eager.send(request(origin.port, expecting, { method: 'POST' })).text('HTTP/1.1 100 Continue\r\n\r\n')
    await eager.send('hello').text('\r\n\r\n5\r\nhello\r\n')

    const refused = await RawClient.connect(gateway.port)
    await refused.send(request(origin.port, expecting, { method: 'POST', path: '/no' })).text('too much')
    expect(refused.received).toMatch(/^HTTP\/1\.1 413 /)
  })

  test('FR-12 an unknown expectation is refused', async () => {
    const gateway = await startGateway(OPEN)
    const client = await RawClient.connect(gateway.port)
    await client.send(request(80, 'Expect: 200-ok\r\n')).end()
    expect(client.received).toMatch(/^HTTP\/1\.1 417 /)
  })

  test('FR-05 trailers reach a client that takes them, forbidden ones never', async () => {
    const origin = await tellMeOrigin((_req, res) => {
      res.writeHead(200, { Trailer: 'X-Sum, Set-Cookie' })
      res.write('body')
      res.addTrailers({ 'X-Sum': '42', 'Set-Cookie': 'a=b' })
      res.end()
    })
    const gateway = await startGateway(OPEN)
    const asking = await RawClient.connect(gateway.port)
    await asking.send(request(origin.port, 'TE: trailers\r\nConnection: TE\r\n')).text('0\r\nX-Sum: 42\r\n\r\n')
    expect(asking.received).not.toContain('a=b')
    const other = await RawClient.connect(gateway.port)
    await other.send(request(origin.port)).text('0\r\n\r\n')
    expect(other.received).not.toContain('X-Sum: 42')
  })

  test('FR-14 an answer that comes before the upload is done reaches a client that is still sending', async () => {
    // the origin reads on, as RFC 9112 section 9.6 wants: one that closes at once resets its own answer away
    const origin = await tellMeOrigin((req, res) => {
      req.resume()
      res.writeHead(413).end('too much')
    })
    const gateway = await startGateway(OPEN)
    const client = await RawClient.connect(gateway.port)
    client.send(request(origin.port, 'Content-Length: 100000000\r\n', { method: 'POST' }))
    const more = setInterval(() => client.send('x'.repeat(100_000)), 5)

    await client.text('too much')
    clearInterval(more)

    expect(client.received).toMatch(/^HTTP\/1\.1 413 /)
    expect(client.ending).toBeUndefined()
  })
})

describe('one connection to an origin', () => {
  test('serves the requests of one client connection, and one record counts them', async () => {
    const origin = await tellMeOrigin()
    const gateway = await startGateway(OPEN)
    const client = await RawClient.connect(gateway.port)
    for (let at = 1; at <= 5; at++) {
      await client.send(request(origin.port)).until(({ received }) => (received.match(/127\./g) ?? []).length === at)
    }
    client.socket.destroy()
    expect(origin.connections).toHaveLength(1)
    expect(await gateway.recorded(1)).toMatchObject([{ ConnectionReuse: true, Lab: { requests: 5 } }])
  })

  test('EG-02 AU-05 is never shared between people, even on one client connection', async () => {
    const origin = await tellMeOrigin()
    const gateway = await startGateway()
    const client = await RawClient.connect(gateway.port)
    const as = (who: string) => request(origin.port, basic(who, PASSWORD))

    await client.send(as(BOB)).text('127.0.10.10\n')
    await client.send(as(ALICE)).text('127.0.10.20\n')
    await client.send(as(BOB)).until(({ received }) => (received.match(/127\.0\.10\.10/g) ?? []).length === 2)

    expect(origin.connections).toHaveLength(3)
    client.socket.destroy()
    expect((await gateway.recorded(3)).map(({ Email }) => Email)).toEqual([BOB, ALICE, BOB])
  })

  test('EG-02 is not kept over a change of the policy', async () => {
    const origin = await tellMeOrigin()
    const gateway = await startGateway()
    const client = await RawClient.connect(gateway.port)
    await client.send(request(origin.port, basic(BOB, PASSWORD))).text('127.0.10.10\n')

    gateway.publish({ ...snapshot(account(), [rule({ egress: via(50) })]), revision: 2 })
    await client.send(request(origin.port, basic(BOB, PASSWORD))).text('127.0.10.50\n')

    client.socket.destroy()
    expect((await gateway.recorded(2)).map(({ Lab }) => Lab.policyRevision)).toEqual([1, 2])
  })

  test('that the origin closed in the meantime is replaced without the client noticing', async () => {
    const origin = await tellMeOrigin()
    const gateway = await startGateway(OPEN)
    const client = await RawClient.connect(gateway.port)
    await client.send(request(origin.port)).text('127.')
    for (const { socket } of origin.connections) socket.destroy()
    await gateway.recorded(1)

    await client.send(request(origin.port)).until(({ received }) => (received.match(/ 200 OK/g) ?? []).length === 2)

    expect(origin.connections).toHaveLength(2)
  })
})

describe('refusals', () => {
  test.each([
    ['HH-04 our own name in Via', request(80, `Via: 1.1 front, 1.1 ${PSEUDONYM}\r\n`), 508, 'guard.loop'],
    ['HH-06 TRACE', request(80, '', { method: 'TRACE' }), 405, 'request.unsupported_method'],
    ['HH-09 origin form', 'GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n', 400, 'request.malformed'],
    ['HH-08 https', 'GET https://o.test/ HTTP/1.1\r\nHost: o\r\n\r\n', 400, 'request.unsupported_scheme'],
    ['HH-11 a long target', request(80, '', { path: `/${'x'.repeat(20_000)}` }), 414, 'request.uri_too_long'],
    ['HH-11 many fields', request(80, 'X: y\r\n'.repeat(600)), 431, 'request.too_large'],
    ['a name that does not exist', request(80, '', { host: 'nowhere.invalid' }), 502, 'name.not_found'],
  ])('%s', async (_what, bytes, status, code) => {
    const gateway = await startGateway(OPEN)
    const client = await RawClient.connect(gateway.port)
    await client.send(bytes).text(`code: ${code}`)
    expect(client.received).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
    expect(client.received).toMatch(new RegExp(`Proxy-Status: egresslab; error=[a-z_]+; code="${code}"; details=`))
    expect(await gateway.recorded(1)).toMatchObject([{ Lab: { error: { code } } }])
  })

  test('HH-09 a browser that visits the proxy is told what to do', async () => {
    const gateway = await startGateway()
    const answer = await curl(`http://127.0.0.1:${gateway.port}/`)
    expect(answer.status).toBe(400)
    expect(answer.body).toContain('curl -x http://127.0.0.1:8080')
  })

  test('AU-03 407 names the scheme and keeps the connection for a second try', async () => {
    const origin = await tellMeOrigin()
    const gateway = await startGateway()
    const client = await RawClient.connect(gateway.port)
    await client.send(request(origin.port)).text('code: identity.required')
    expect(client.received).toMatch(/^HTTP\/1\.1 407 Proxy Authentication Required\r\n/)
    expect(client.received).toContain('Proxy-Authenticate: Basic realm="egresslab", charset="UTF-8"\r\n')
    await client.send(request(origin.port, basic(BOB, PASSWORD))).text('127.0.10.10')
    expect(origin.connections).toHaveLength(1)
  })

  test('[E1] unroutable: 503 with the reason, the rule and the outcome', async () => {
    const down = account({ colosDown: new Set(['AMS']) })
    const gateway = await startGateway({
      ...OPEN,
      snapshot: snapshot(down, [rule({ name: 'Amsterdam or nothing', egress: via(10) })]),
    })
    const client = await RawClient.connect(gateway.port)
    await client.send(request(80)).text('outcome: unroutable')
    expect(client.received).toMatch(/^HTTP\/1\.1 503 /)
    expect(client.received).toContain('rule: Amsterdam or nothing')
    expect(await gateway.recorded(1)).toMatchObject([
      { ConnectionCloseReason: 'ORIGIN_UNROUTABLE', EgressIP: '', Lab: { outcome: 'unroutable' } },
    ])
  })

  test('an origin that takes the request and never answers: 504', async () => {
    const origin = await tellMeOrigin(() => {})
    const gateway = await startGateway({ ...OPEN, settings: { responseTimeoutMs: 1_200 } })
    const client = await RawClient.connect(gateway.port)
    await client.send(request(origin.port)).text('code: origin.timeout')
    expect(client.received).toMatch(/^HTTP\/1\.1 504 /)
    expect(await gateway.recorded(1)).toMatchObject([{ Lab: { error: { code: 'origin.timeout' } } }])
  })
})

test('AU-03 TU-13 forwarding, a refused CONNECT, forwarding again and a tunnel, all on one connection', async () => {
  const origin = await tellMeOrigin((req, res) => res.end(`<${req.url}>`))
  const gateway = await startGateway()
  const client = await RawClient.connect(gateway.port)
  const login = basic(BOB, PASSWORD)
  const tunnel = (fields: string) => `CONNECT o.test:${origin.port} HTTP/1.1\r\nHost: o\r\n${fields}\r\n`

  await client.send(request(origin.port, login, { path: '/1' })).text('</1>')
  await client.send(tunnel('')).text('code: identity.required\n')
  await client.send(request(origin.port, login, { path: '/2' })).text('</2>')
  await client.send(tunnel(login)).text('200 Connection established\r\n\r\n')
  await client.send('GET /3 HTTP/1.1\r\nHost: o\r\n\r\n').text('</3>')
  client.socket.destroy()

  expect((await gateway.recorded(4)).map(({ Lab }) => Lab.error?.code ?? Lab.inbound)).toEqual(
    expect.arrayContaining(['http-forward', 'identity.required', 'http-forward', 'http-connect']),
  )
})

import type { Socket } from 'node:net'
import { describe, expect, test } from 'vitest'
import { GatewayError } from '../../src/errors/gateway-error.ts'
import { ip } from '../../src/net/ip.ts'
import { account, rule, snapshot, via } from '../policy/build.ts'
import { PATIENCE_MS } from '../support/patience.ts'
import { basic, RawClient } from '../support/raw-client.ts'
import { BOB, candidate, PASSWORD, startGateway } from '../support/start-gateway.ts'
import { listen } from '../support/tcp.ts'

const OPEN = { listener: { authentication: 'anonymous' as const } }

function connectTo(port: number, fields = ''): string {
  return `CONNECT o.test:${port} HTTP/1.1\r\nHost: o.test\r\n${fields}\r\n`
}

describe('candidates', () => {
  test('[E3] each address is decided on its own: IPv6 first, each from the egress of its family', async () => {
    const { port } = await listen((socket) => socket.end(`${socket.remoteAddress}`))
    const gateway = await startGateway({
      resolve: () => [
        candidate({ ip: ip('2001:db8:f00::1'), port }, '127.0.0.1'),
        candidate({ ip: ip('198.51.100.1'), port }, '127.0.0.1'),
      ],
    })
    const client = await RawClient.connect(gateway.port)
    await client.send(connectTo(port, basic(BOB, PASSWORD))).text('127.0.16.10')
    client.socket.end()
    const [record] = await gateway.recorded(1)
    expect(record).toMatchObject({ OriginIP: '2001:db8:f00::1', Lab: { outcome: 'balanced' } })
    expect(record?.EgressIP).toMatch(/^2001:db8:10:/)
  })

  test('[E3] the second address is used when the first does not answer, and the record is of that one', async () => {
    const { port } = await listen((socket) => socket.end('hello'))
    const rules = [
      rule({ name: 'only the second', traffic: 'net.dst.ip == 198.51.100.2', egress: via(50) }),
      rule({ name: 'the rest', egress: via(40) }),
    ]
    const gateway = await startGateway({
      ...OPEN,
      snapshot: snapshot(account(), rules),
      resolve: () => [
        candidate({ ip: ip('198.51.100.1'), port }, '127.0.0.77'),
        candidate({ ip: ip('198.51.100.2'), port }, '127.0.0.1'),
      ],
    })
    const client = await RawClient.connect(gateway.port)
    await client.send(connectTo(port)).text('hello')
    client.socket.end()
    expect(await gateway.recorded(1)).toMatchObject([
      { OriginIP: '198.51.100.2', EgressIP: '203.0.113.50', EgressRuleName: 'only the second' },
    ])
  })

  test('[E1] unroutable candidates are left out; the connection is refused when all are', async () => {
    const { port } = await listen((socket) => socket.end('hello'))
    const down = account({ colosDown: new Set(['AMS']) })
    const rules = [
      rule({ name: 'bound', traffic: 'net.dst.ip == 198.51.100.1', egress: via(10) }),
      rule({ egress: via(20) }),
    ]
    const options = { ...OPEN, snapshot: snapshot(down, rules) }
    const first = candidate({ ip: ip('198.51.100.1'), port }, '127.0.0.1')
    const second = candidate({ ip: ip('198.51.100.2'), port }, '127.0.0.1')

    const both = await startGateway({ ...options, resolve: () => [first, second] })
    await (await RawClient.connect(both.port)).send(connectTo(port)).text('hello')

    const none = await startGateway({ ...options, resolve: () => [first] })
    const refused = await (await RawClient.connect(none.port)).send(connectTo(port)).end()
    expect(refused.received).toMatch(/^HTTP\/1\.1 503 /)
    expect(await none.recorded(1)).toMatchObject([
      {
        ConnectionCloseReason: 'ORIGIN_UNROUTABLE',
        Lab: { outcome: 'unroutable', error: { code: 'egress.unroutable' } },
      },
    ])
  })
})

describe('failures', () => {
  test('a stage that throws something of its own is a 500 without its words, recorded with the code alone', async () => {
    const gateway = await startGateway({
      ...OPEN,
      resolve: () => {
        throw new TypeError('a secret detail')
      },
    })
    const client = await RawClient.connect(gateway.port)
    await client.send(connectTo(443)).end()
    expect(client.received).toMatch(/^HTTP\/1\.1 500 /)
    expect(client.received).not.toContain('secret detail')
    expect(await gateway.recorded(1)).toMatchObject([{ Lab: { error: { code: 'internal.invariant' } } }])
  })

  test('a client that leaves while its name is being resolved: the signal says so, nothing is dialled, one record', async () => {
    const aborted = Promise.withResolvers<void>()
    const resolving = Promise.withResolvers<void>()
    const gateway = await startGateway({
      ...OPEN,
      resolve: (_target, { signal }) =>
        new Promise((_resolve, reject) => {
          resolving.resolve()
          signal.addEventListener('abort', () => {
            aborted.resolve()
            reject(new GatewayError('relay.client_reset', 'the client went away'))
          })
        }),
    })
    const client = await RawClient.connect(gateway.port)
    client.send(connectTo(443))
    await resolving.promise
    client.socket.resetAndDestroy()
    await aborted.promise
    expect(await gateway.recorded(1)).toHaveLength(1)
    expect(gateway.pipeline.sessions.size).toBe(0)
  })

  test('a policy change during the dial does not touch the connection: it keeps its snapshot (CF-02)', async () => {
    const { port } = await listen((socket) => socket.end(`${socket.remoteAddress}`))
    const release = Promise.withResolvers<void>()
    const resolving = Promise.withResolvers<void>()
    const gateway = await startGateway({
      ...OPEN,
      snapshot: snapshot(account(), [rule({ egress: via(30) })]),
      resolve: async () => {
        resolving.resolve()
        await release.promise
        return [candidate({ ip: ip('198.51.100.1'), port }, '127.0.0.1')]
      },
    })
    const client = await RawClient.connect(gateway.port)
    client.send(connectTo(port))
    await resolving.promise
    gateway.publish({ ...snapshot(account(), [rule({ egress: via(50) })]), revision: 2 })
    release.resolve()
    await client.text('127.0.10.30')
    client.socket.end()
    expect(await gateway.recorded(1)).toMatchObject([{ Lab: { policyRevision: 1 } }])
  })
})

describe('live sessions', () => {
  test('are listed while open, with who and where from, and counted', async () => {
    const { port } = await listen((socket) => socket.write('hello'))
    const gateway = await startGateway()
    const client = await RawClient.connect(gateway.port)
    await client.send(connectTo(port, basic(BOB, PASSWORD))).text('hello')

    const [session, ...others] = gateway.pipeline.sessions.list()
    expect(others).toEqual([])
    expect(session).toMatchObject({
      protocol: 'http-connect',
      email: BOB,
      target: `o.test:${port}`,
      outcome: 'balanced',
      bytesReceived: 5,
    })
    expect(session?.egress).toMatch(/^203\.0\.113\.10:\d+$/)
    expect(gateway.pipeline.counts()).toMatchObject({ active: 1, opened: 1, closed: 0 })
  })

  test('TU-07 one that is closed by the operator is a reset on both sides, and its record says who', async () => {
    const ended = Promise.withResolvers<string>()
    const { port } = await listen((socket) => {
      socket.write('hello')
      socket.on('error', (error) => ended.resolve(String('code' in error ? error.code : error)))
      socket.on('end', () => ended.resolve('FIN'))
      socket.resume()
    })
    const gateway = await startGateway(OPEN)
    const client = await RawClient.connect(gateway.port)
    await client.send(connectTo(port)).text('hello')

    expect(gateway.pipeline.sessions.close(gateway.pipeline.sessions.list()[0]?.id ?? '')).toBe(true)
    await client.end()

    expect(client.ending).toBe('RST')
    expect(await ended.promise).toBe('ECONNRESET')
    expect(await gateway.recorded(1)).toMatchObject([{ Lab: { error: { code: 'relay.killed' } } }])
    expect(gateway.pipeline.sessions.close('no such id')).toBe(false)
    expect(gateway.pipeline.counts()).toMatchObject({ active: 0, opened: 1, closed: 1, bytesReceived: 5 })
  })

  test('one of forwarded HTTP can be closed as well', async () => {
    const { port } = await listen((socket) => {
      socket.once('data', () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome'))
    })
    const gateway = await startGateway(OPEN)
    const client = await RawClient.connect(gateway.port)
    await client.send(`GET http://o.test:${port}/ HTTP/1.1\r\nHost: o\r\n\r\n`).text('some')
    gateway.pipeline.sessions.closeAll('enough')
    await client.end()
    expect(client.ending).toBe('RST')
    expect(await gateway.recorded(1)).toMatchObject([{ Lab: { error: { code: 'relay.killed', message: 'enough' } } }])
  })
})

describe('LC-01 stopping', () => {
  test('nothing new is accepted, an open tunnel may finish, and then it is over', async () => {
    const { port } = await listen((socket) => socket.on('data', () => socket.end('bye')))
    const gateway = await startGateway({ ...OPEN, settings: { drainMs: PATIENCE_MS } })
    const client = await RawClient.connect(gateway.port)
    await client.send(connectTo(port)).text('200 Connection established')

    const stopped = gateway.gateway.stop()
    await expect(RawClient.connect(gateway.port)).rejects.toThrow(/ECONNREFUSED/)
    await client.send('last words').text('bye')
    client.socket.end()
    await stopped

    expect(await gateway.recorded(1)).toMatchObject([{ ConnectionCloseReason: 'ORIGIN_CLOSED' }])
  })

  test('what is not done in time is reset, with the reason in its record', async () => {
    const { port } = await listen((socket) => socket.write('hello'))
    const gateway = await startGateway({ ...OPEN, settings: { drainMs: 50 } })
    const client = await RawClient.connect(gateway.port)
    await client.send(connectTo(port)).text('hello')

    await gateway.gateway.stop()
    await client.end()

    expect(client.ending).toBe('RST')
    expect(await gateway.recorded(1)).toMatchObject([
      { Lab: { error: { code: 'relay.killed', message: 'the proxy is shutting down' } } },
    ])
  })

  test('a kept HTTP connection without a request does not hold it up, one with a request is answered first', async () => {
    const answer = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
    const askedAgain = Promise.withResolvers<Socket>()
    const { port } = await listen((socket) => {
      socket.once('data', () => {
        socket.write(answer)
        socket.once('data', () => askedAgain.resolve(socket))
      })
    })
    const gateway = await startGateway({ ...OPEN, settings: { drainMs: PATIENCE_MS } })
    const get = `GET http://o.test:${port}/ HTTP/1.1\r\nHost: o\r\n\r\n`
    const idle = await RawClient.connect(gateway.port)
    await idle.send(get).text('\r\n\r\nok')
    const busy = await RawClient.connect(gateway.port)
    await busy.send(get).text('\r\n\r\nok')
    busy.send(get)
    const origin = await askedAgain.promise

    const stopped = gateway.gateway.stop()
    await idle.end()
    origin.write(answer)
    await stopped

    await busy.end()
    expect(idle.ending).toBe('FIN')
    expect(busy.received.match(/\r\n\r\nok/g)).toHaveLength(2)
    expect(busy.ending).toBe('FIN')
  })
})

test('TU-07 a session killed while its last FIN is on the way out still ends', async () => {
  const { port } = await listen((socket) => socket.on('data', () => socket.end('bye')))
  const gateway = await startGateway(OPEN)
  const client = await RawClient.connect(gateway.port)
  await client.send(connectTo(port)).text('200 Connection established')
  await client.send('last words').text('bye')
  const [session] = gateway.pipeline.sessions.list()
  client.socket.once('close', () => gateway.pipeline.sessions.close(session?.id ?? ''))
  client.socket.end()
  expect(await gateway.recorded(1)).toHaveLength(1)
  await gateway.pipeline.sessions.empty()
})

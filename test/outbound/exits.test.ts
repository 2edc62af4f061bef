// An egress address realised by a proxy elsewhere: connections leave by it, whatever way they came in; and when it fails, they
// fail by name and nothing else is used. Exits here: Debian's microsocks, a second lab, and scripted ones that misbehave.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type ConfiguredExit, Secret } from '../../src/config/lab-config.ts'
import { ip } from '../../src/net/ip.ts'
import { byteLogOrigin } from '../support/byte-log-origin.ts'
import { curl } from '../support/curl.ts'
import { installed } from '../support/installed.ts'
import { loopback } from '../support/own-network.ts'
import { RawClient } from '../support/raw-client.ts'
import { BOB, EGRESS, PASSWORD, startGateway } from '../support/start-gateway.ts'
import { listen } from '../support/tcp.ts'
import { tellMeOrigin } from '../support/tell-me-origin.ts'
import { UdpClient, udpOrigin } from '../support/udp.ts'

const CAROL = 'carol@example.com'
const EXIT_PASSWORD = 'eXit-pAssword-that-must-not-leak'

/** Bob's address, realised by a proxy at this port. */
function exit(
  kind: ConfiguredExit['kind'],
  port: number,
  login?: readonly [string, string],
  host = '127.0.0.1',
): ConfiguredExit {
  return {
    realises: ['203.0.113.10', '2001:db8:10::/64'],
    kind,
    at: { ip: ip(host), port },
    text: `${kind}://${host}:${port}`,
    ...(login === undefined ? {} : { login: { username: login[0], password: new Secret(login[1]) } }),
  }
}

const WAYS_IN = [
  ['absolute form', (port: number) => ['-x', `http://127.0.0.1:${port}`]],
  ['CONNECT', (port: number) => ['-p', '-x', `http://127.0.0.1:${port}`]],
  ['SOCKS5', (port: number) => ['-x', `socks5h://127.0.0.1:${port}`]],
] as const

describe.each(['socks5', 'http'] as const)('a second lab as the exit, by %s', (kind) => {
  test.each(WAYS_IN)('EG-01 %s leaves by it, and the record says so', async (_name, way) => {
    const origin = await tellMeOrigin()
    const elsewhere = await startGateway()
    const gateway = await startGateway({ exits: [exit(kind, elsewhere.port, [CAROL, PASSWORD])] })

    const answer = await curl(...way(gateway.port), '-U', `${BOB}:${PASSWORD}`, `http://o.test:${origin.port}/`)

    expect(answer.body).toBe(`${EGRESS[CAROL]?.bound}\n`)
    expect(await gateway.recorded(1)).toMatchObject([
      {
        Email: BOB,
        EgressIP: '203.0.113.10',
        Lab: { outcome: 'balanced', exit: `${kind}://127.0.0.1:${elsewhere.port}` },
      },
    ])
    expect(JSON.stringify(gateway.records)).not.toContain(PASSWORD)
    expect((await elsewhere.recorded(1))[0]).toMatchObject({ Email: CAROL })
    expect(gateway.leases.counts()).toMatchObject({ active: 0, destinations: 0 })
  })

  test('a wrong login is refused by name, and the password is nowhere', async () => {
    const origin = await byteLogOrigin()
    const elsewhere = await startGateway()
    const gateway = await startGateway({ exits: [exit(kind, elsewhere.port, [CAROL, EXIT_PASSWORD])] })
    const url = `http://o.test:${origin.port}/`
    const answer = await curl('-x', `http://127.0.0.1:${gateway.port}`, '-U', `${BOB}:${PASSWORD}`, url)
    expect(answer.status).toBe(503)
    expect(answer.body).toContain('code: egress.exit_refused')
    expect(JSON.stringify([answer.body, ...gateway.records])).not.toContain(EXIT_PASSWORD)
    expect(origin.connections).toBe(0)
  })

  test('an upload and its echo arrive whole', async () => {
    const body = 'abcdefghij'.repeat(10_000)
    const origin = await tellMeOrigin((req, res) => req.pipe(res))
    const elsewhere = await startGateway()
    const gateway = await startGateway({ exits: [exit(kind, elsewhere.port, [CAROL, PASSWORD])] })
    const proxy = ['-p', '-x', `http://127.0.0.1:${gateway.port}`, '-U', `${BOB}:${PASSWORD}`]
    const answer = await curl(...proxy, '-H', 'Expect:', '--data-binary', body, `http://o.test:${origin.port}/`)
    expect(answer.body === body).toBe(true)
  })
})

const microsocks = installed('microsocks', 'microsocks')

test.skipIf(microsocks === undefined)(
  'microsocks as the exit: the origin sees the address microsocks binds',
  async () => {
    const host = loopback(79)
    const login = ['-u', 'exit', '-P', EXIT_PASSWORD]
    const child = spawn(microsocks ?? '', ['-i', host, '-p', '1080', '-b', '127.55.1.9', ...login])
    onTestFinished(() => {
      child.kill()
    })
    await listening(host, 1080)
    const origin = await tellMeOrigin()
    const gateway = await startGateway({ exits: [exit('socks5', 1080, ['exit', EXIT_PASSWORD], host)] })
    const proxy = ['-x', `http://127.0.0.1:${gateway.port}`]
    const url = `http://o.test:${origin.port}/`
    expect((await curl(...proxy, '-U', `${BOB}:${PASSWORD}`, url)).body).toBe('127.55.1.9\n')
    // another person leaves from another address, which is bound here
    expect((await curl(...proxy, '-U', `${CAROL}:${PASSWORD}`, url)).body).toBe('127.0.10.40\n')
  },
)

/** Resolves once somebody accepts there. */
async function listening(host: string, port: number): Promise<void> {
  await expect
    .poll(
      async () => {
        const socket = connect(port, host)
        const accepted = await Promise.race([
          once(socket, 'connect').then(() => true),
          once(socket, 'close').then(() => false),
        ]).catch(() => false)
        socket.destroy()
        return accepted
      },
      { interval: 20 },
    )
    .toBe(true)
}

/** Answers each thing the lab says with the next of these, then stays silent or does the last. */
async function scripted(answers: readonly (string | ((socket: Socket) => void))[]): Promise<number> {
  const { port } = await listen((socket) => {
    let turn = 0
    socket.on('data', () => {
      const answer = answers[turn++]
      if (typeof answer === 'string') socket.write(Buffer.from(answer, 'latin1'))
      else answer?.(socket)
    })
    socket.on('end', () => socket.end())
  })
  return port
}

const HUNG_UP = (socket: Socket) => socket.end()
const RESET = (socket: Socket) => socket.resetAndDestroy()
const NO_LOGIN = '\x05\0'
const reply = (code: string) => `\x05${code}\0\x01\0\0\0\0\0\0`

describe('an exit that fails', () => {
  test.each([
    ['SOCKS5: not allowed', 'socks5', [NO_LOGIN, reply('\x02')], 'egress.exit_refused'],
    ['SOCKS5: no way to the network', 'socks5', [NO_LOGIN, reply('\x03')], 'dial.unreachable'],
    ['SOCKS5: no way to the host', 'socks5', [NO_LOGIN, reply('\x04')], 'dial.unreachable'],
    ['SOCKS5: refused', 'socks5', [NO_LOGIN, reply('\x05')], 'dial.refused'],
    ['SOCKS5: too far', 'socks5', [NO_LOGIN, reply('\x06')], 'dial.timeout'],
    ['SOCKS5: a general failure', 'socks5', [NO_LOGIN, reply('\x01')], 'egress.exit_failed'],
    ['SOCKS5: another way to log in', 'socks5', ['\x05\xff'], 'egress.exit_refused'],
    ['SOCKS5: a login that was not offered', 'socks5', ['\x05\x02'], 'egress.exit_refused'],
    ['SOCKS5: something else', 'socks5', ['HTTP/1.1 400 Bad Request\r\n\r\n'], 'egress.exit_failed'],
    ['SOCKS5: a bound address of no type', 'socks5', [NO_LOGIN, '\x05\0\0\x09\0\0\0\0\0\0'], 'egress.exit_failed'],
    ['SOCKS5: gone at once', 'socks5', [HUNG_UP], 'egress.exit_failed'],
    ['SOCKS5: gone in the middle', 'socks5', [NO_LOGIN, HUNG_UP], 'egress.exit_failed'],
    ['SOCKS5: reset', 'socks5', [NO_LOGIN, RESET], 'egress.exit_failed'],
    ['HTTP: forbidden', 'http', ['HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n'], 'egress.exit_refused'],
    ['HTTP: another login', 'http', ['HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n'], 'egress.exit_refused'],
    ['HTTP: bad gateway', 'http', ['HTTP/1.1 502 Bad Gateway\r\n\r\n'], 'egress.exit_refused'],
    ['HTTP: something else', 'http', ['\x05\xff'], 'egress.exit_failed'],
    ['HTTP: gone at once', 'http', [HUNG_UP], 'egress.exit_failed'],
    ['HTTP: reset', 'http', [RESET], 'egress.exit_failed'],
  ] as const)(
    '%s: a named failure, one record, nothing left, and no other address is used',
    async (_name, kind, answers, code) => {
      const origin = await byteLogOrigin()
      const gateway = await startGateway({ exits: [exit(kind, await scripted(answers))] })
      const url = `http://o.test:${origin.port}/`
      const answer = await curl('-x', `http://127.0.0.1:${gateway.port}`, '-U', `${BOB}:${PASSWORD}`, url)
      expect(answer.body).toContain(`code: ${code}\n`)
      expect(await gateway.recorded(1)).toMatchObject([{ EgressIP: '203.0.113.10', Lab: { error: { code } } }])
      expect(gateway.records).toHaveLength(1)
      expect(origin.connections).toBe(0)
      expect(gateway.leases.counts()).toMatchObject({ active: 0, destinations: 0 })
    },
  )

  test('nobody listens there', async () => {
    const { server, port } = await listen()
    await new Promise((closed) => server.close(closed))
    const gateway = await startGateway({ exits: [exit('socks5', port)] })
    const answer = await curl('-x', `http://127.0.0.1:${gateway.port}`, '-U', `${BOB}:${PASSWORD}`, 'http://o.test/')
    expect(answer.body).toContain(`the exit socks5://127.0.0.1:${port} cannot be used: ECONNREFUSED`)
    expect(answer.body).toContain('code: egress.exit_failed')
  })

  test('one that never answers is given up with the connect timeout', async () => {
    const gateway = await startGateway({ exits: [exit('socks5', await scripted([]))], connectTimeoutMs: 100 })
    const answer = await curl('-x', `http://127.0.0.1:${gateway.port}`, '-U', `${BOB}:${PASSWORD}`, 'http://o.test/')
    expect(answer.status).toBe(504)
    expect(answer.body).toContain('through the exit socks5://')
    expect(gateway.leases.counts().destinations).toBe(0)
  })

  test('a client that leaves meanwhile takes the attempt with it', async () => {
    const gone = Promise.withResolvers<void>()
    const { port } = await listen((socket) =>
      socket
        .resume()
        .on('close', () => gone.resolve())
        .on('end', () => socket.end()),
    )
    const gateway = await startGateway({
      exits: [exit('socks5', port)],
      listener: { authentication: 'anonymous', fixedUser: BOB },
    })
    const client = await RawClient.connect(gateway.port)
    client.send('CONNECT o.test:80 HTTP/1.1\r\nHost: o.test:80\r\n\r\n')
    await expect.poll(() => gateway.leases.counts().destinations).toBe(1)
    client.socket.resetAndDestroy()
    await gone.promise
    await expect.poll(() => gateway.leases.counts().destinations).toBe(0)
  })
})

describe('what comes right behind the exit’s answer is not lost', () => {
  test.each([
    ['socks5', [NO_LOGIN, `${reply('\0')}220 first words`]],
    ['http', ['HTTP/1.1 200 OK\r\n\r\n220 first words']],
  ] as const)('%s', async (kind, answers) => {
    const listener = { authentication: 'anonymous' as const, fixedUser: BOB }
    const gateway = await startGateway({ exits: [exit(kind, await scripted(answers))], listener })
    const client = await RawClient.connect(gateway.port)
    await client.send('CONNECT o.test:25 HTTP/1.1\r\nHost: o.test:25\r\n\r\n').text('220 first words')
  })

  test('SOCKS5 replies byte by byte, with every type of bound address', async () => {
    for (const bound of ['\x01\x7f\0\0\x01', '\x03\x04exit', `\x04${'\0'.repeat(15)}\x01`]) {
      const answer = Buffer.from(`\x05\0\0${bound}\0\x50hello`, 'latin1')
      const slowly = async (socket: Socket) => {
        for (const byte of answer) {
          socket.write(Buffer.of(byte))
          await new Promise((done) => setImmediate(done))
        }
      }
      const listener = { authentication: 'anonymous' as const, fixedUser: BOB }
      const gateway = await startGateway({ exits: [exit('socks5', await scripted([NO_LOGIN, slowly]))], listener })
      const client = await RawClient.connect(gateway.port)
      await client.send('CONNECT o.test:25 HTTP/1.1\r\nHost: o.test:25\r\n\r\n').text('hello')
    }
  })
})

test('[E7] connections by way of an exit count as any other', async () => {
  const origin = await tellMeOrigin()
  const elsewhere = await startGateway()
  const gateway = await startGateway({ exits: [exit('socks5', elsewhere.port, [CAROL, PASSWORD])], limit: 1 })
  const proxy = ['-x', `http://127.0.0.1:${gateway.port}`, '-U', `${BOB}:${PASSWORD}`]
  const client = await RawClient.connect(gateway.port)
  const login = Buffer.from(`${BOB}:${PASSWORD}`).toString('base64')
  const head = `CONNECT o.test:${origin.port} HTTP/1.1\r\nHost: o.test\r\nProxy-Authorization: Basic ${login}\r\n\r\n`
  await client.send(head).text('200')
  const answer = await curl(...proxy, `http://o.test:${origin.port}/`)
  expect(answer.body).toContain('code: egress.ports_exhausted')
  client.socket.destroy()
  await gateway.recorded(2)
  expect((await curl(...proxy, `http://o.test:${origin.port}/`)).status).toBe(200)
})

test('UDP does not go by way of an exit, and does not leave from anywhere else either', async () => {
  const origin = await udpOrigin()
  const elsewhere = await startGateway()
  const gateway = await startGateway({ exits: [exit('socks5', elsewhere.port, [CAROL, PASSWORD])], udp: {} })
  const client = await UdpClient.associate(gateway.port, { login: [BOB, PASSWORD] })
  client.send('o.test', origin.port, 'x')
  expect(await gateway.recorded(1)).toMatchObject([{ Lab: { error: { code: 'egress.exit_failed' } } }])
  expect(origin.seen).toEqual([])
})

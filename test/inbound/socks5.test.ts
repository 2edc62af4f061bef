import { SocksClient } from 'socks'
import { describe, expect, test } from 'vitest'
import { readRequest } from '../../src/inbound/socks5/socks5-messages.ts'
import { ip } from '../../src/net/ip.ts'
import { curl } from '../support/curl.ts'
import { RawClient } from '../support/raw-client.ts'
import { BOB, candidate, PASSWORD, startGateway } from '../support/start-gateway.ts'
import { listen } from '../support/tcp.ts'
import { tellMeOrigin } from '../support/tell-me-origin.ts'

const LOGIN = `\x01${String.fromCharCode(BOB.length)}${BOB}${String.fromCharCode(PASSWORD.length)}${PASSWORD}`
const OPEN = { listener: { authentication: 'anonymous' as const } }

function port(number: number): string {
  return String.fromCharCode(number >> 8, number & 255)
}

function connectTo(name: string, number: number): string {
  return `\x05\x01\0\x03${String.fromCharCode(name.length)}${name}${port(number)}`
}

test('SK-01 any cut of greeting, password, request and early data gives the same tunnel', async () => {
  const { port: origin } = await listen((socket) => socket.on('data', (data) => socket.write(`echo ${data}`)))
  const gateway = await startGateway()
  const bytes = Buffer.from(`\x05\x02\0\x02${LOGIN}${connectTo('o.test', origin)}early`, 'latin1')

  for (let cut = 0; cut < bytes.length; cut++) {
    const client = await RawClient.connect(gateway.port)
    await client.sendInPieces([bytes.subarray(0, cut), bytes.subarray(cut)])
    await client.text('echo early')
    expect(client.received.startsWith('\x05\x02\x01\0\x05\0\0\x01\xcb\0\x71\x0a')).toBe(true)
    client.socket.resetAndDestroy()
  }
  const client = await RawClient.connect(gateway.port)
  await client.sendInPieces(Array.from(bytes, (byte) => Uint8Array.of(byte)))
  await client.text('echo ')
})

test('SK-06 BND is the true public egress address with the port the origin sees', async () => {
  const origin = await tellMeOrigin()
  const gateway = await startGateway()
  const client = await RawClient.connect(gateway.port)
  await client.send(`\x05\x01\x02${LOGIN}${connectTo('o.test', origin.port)}`).bytes(14)
  const reply = Buffer.from(client.received.slice(4), 'latin1')
  expect([...reply.subarray(4, 8)].join('.')).toBe('203.0.113.10')
  await expect.poll(() => origin.connections).toHaveLength(1)
  expect(reply.readUInt16BE(8)).toBe(origin.connections[0]?.port)
})

test('SK-06 an IPv6 egress address is told as one', async () => {
  const origin = await tellMeOrigin()
  const gateway = await startGateway({
    resolve: () => [candidate({ ip: ip('2001:db8:f00::1'), port: origin.port }, '127.0.0.1')],
  })
  const client = await RawClient.connect(gateway.port)
  await client.send(`\x05\x01\x02${LOGIN}${connectTo('o.test', origin.port)}`).bytes(4 + 22)
  const reply = Buffer.from(client.received.slice(4), 'latin1')
  expect(reply[3]).toBe(4)
  expect(reply.subarray(4, 12).toString('hex')).toBe('20010db800100000')
  await expect.poll(() => origin.connections).toHaveLength(1)
  expect(origin.connections[0]?.address).toBe('127.0.16.10')
})

test.each([
  ['SK-02 no methods', '\x05\0', '\x05\xff'],
  ['SK-02 no acceptable method', '\x05\x01\x01', '\x05\xff'],
  ['SK-02 no login where one is required', '\x05\x01\0', '\x05\xff'],
  ['SK-02 255 methods, none acceptable', `\x05\xff${'\x80'.repeat(255)}`, '\x05\xff'],
  ['SK-03 a password message of another version', `\x05\x01\x02\x05${LOGIN.slice(1)}`, '\x05\x02\x01\x01'],
  ['SK-03 a wrong password', `\x05\x01\x02\x01\x03bob\x03bad`, '\x05\x02\x01\x01'],
  ['SK-03 an empty name and password', '\x05\x01\x02\x01\0\0', '\x05\x02\x01\x01'],
  [
    'SK-03 255 bytes that are not UTF-8',
    `\x05\x01\x02\x01\xff${'\xfe'.repeat(255)}\xff${'\xfe'.repeat(255)}`,
    '\x05\x02\x01\x01',
  ],
])('%s: refused in the protocol’s own words, closed, recorded once', async (_what, bytes, answer) => {
  const gateway = await startGateway()
  const client = await RawClient.connect(gateway.port)
  await client.send(bytes).end()
  expect(client.received).toBe(answer)
  expect(await gateway.recorded(1)).toHaveLength(1)
})

test.each([
  ['SK-04 another version', '\x04\x01\0\x01\x7f\0\0\x01\0\x50', 0x01],
  ['SK-04 reserved byte set', '\x05\x01\x01\x01\x7f\0\0\x01\0\x50', 0x01],
  ['SK-04 an unknown command', '\x05\x09\0\x01\x7f\0\0\x01\0\x50', 0x07],
  ['SK-05 BIND', '\x05\x02\0\x01\x7f\0\0\x01\0\x50', 0x07],
  ['UDP ASSOCIATE where it is switched off', '\x05\x03\0\x01\0\0\0\0\0\0', 0x07],
  ['SK-04 an unknown address type', '\x05\x01\0\x05\x7f\0\0\x01\0\x50', 0x08],
  ['SK-04 an empty name', '\x05\x01\0\x03\0\0\x50', 0x08],
  ['SK-04 a name with NUL', connectTo('a\0b', 80), 0x01],
  ['SK-04 a name with a control character', connectTo('a\rb', 80), 0x01],
  ['SK-04 a name of 255 bytes', connectTo('a'.repeat(255), 80), 0x01],
  ['SK-04 port 0', '\x05\x01\0\x01\x7f\0\0\x01\0\0', 0x01],
  ['a name that does not exist', connectTo('nowhere.invalid', 80), 0x04],
])('%s: reply %#', async (_what, bytes, code) => {
  const gateway = await startGateway(OPEN)
  const client = await RawClient.connect(gateway.port)
  await client.send(`\x05\x01\0${bytes}`).end()
  expect(client.received).toBe(`\x05\0\x05${String.fromCharCode(code)}\0\x01\0\0\0\0\0\0`)
  expect(await gateway.recorded(1)).toHaveLength(1)
})

describe('SS-01 an address in disguise', () => {
  test.each(['2130706433', '0x7f.1', '127.1', '017700000001'])('%s as a name is the address', (spelling) => {
    const request = readRequest(Buffer.from(connectTo(spelling, 80), 'latin1'))
    expect(request?.value.target).toMatchObject({ kind: 'ip', ip: { text: '127.0.0.1' } })
  })

  test('SS-02 an IPv4-mapped IPv6 address is the IPv4 address', () => {
    const mapped = `\x05\x01\0\x04${'\0'.repeat(10)}\xff\xff\x7f\0\0\x01\0\x50`
    expect(readRequest(Buffer.from(mapped, 'latin1'))?.value.target).toMatchObject({ ip: { text: '127.0.0.1' } })
  })
})

test('a door without a login takes clients that offer none, and offers one to those that have it where it is optional', async () => {
  const origin = await tellMeOrigin()
  const gateway = await startGateway({ listener: { authentication: 'optional' } })
  const url = `http://o.test:${origin.port}/`
  const proxy = `socks5h://127.0.0.1:${gateway.port}`
  expect((await curl('-x', proxy, url)).status).toBe(200)
  expect((await curl('-x', proxy, '-U', `${BOB}:${PASSWORD}`, url)).body).toBe('127.0.10.10\n')
  expect((await curl('-x', proxy, '-U', `${BOB}:wrong`, url)).exit).toBe(97)
  expect((await gateway.recorded(3)).map(({ Email }) => Email)).toEqual(['', BOB, ''])
})

test('the socks package gets its tunnel and its bound address', async () => {
  const origin = await tellMeOrigin()
  const gateway = await startGateway()
  const { socket, remoteHost } = await SocksClient.createConnection({
    proxy: { host: '127.0.0.1', port: gateway.port, type: 5, userId: BOB, password: PASSWORD },
    command: 'connect',
    destination: { host: 'o.test', port: origin.port },
  })
  socket.destroy()
  expect(remoteHost?.host).toBe('203.0.113.10')
})

test('a handler for UDP gets the client, the login and the socket', async () => {
  const asked = Promise.withResolvers<{ email: string | undefined; command: string }>()
  const gateway = await startGateway({
    settings: {
      udp: (connection, _client, request, identified) => {
        asked.resolve({ email: identified?.context.identity?.email, command: request.command })
        connection.socket.end('mine now')
      },
    },
  })
  const client = await RawClient.connect(gateway.port)
  await client.send(`\x05\x01\x02${LOGIN}\x05\x03\0\x01\0\0\0\0\0\0`).end()
  expect(await asked.promise).toEqual({ email: BOB, command: 'udp-associate' })
  expect(client.received).toBe('\x05\x02\x01\0mine now')
})

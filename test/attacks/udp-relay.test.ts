// The UDP relay under attack: strangers, locked ports, forged answers, headers that are none, floods. What is wrong is dropped
// in silence and counted, and what is right goes on passing (UD-01, UD-03, UD-06, UD-07, UD-09).

import { describe, expect, test } from 'vitest'
import type { Target } from '../../src/net/endpoint.ts'
import { ip } from '../../src/net/ip.ts'
import { BOB, candidate, PASSWORD, startGateway } from '../support/start-gateway.ts'
import { dropped, UdpClient, udpHeader, udpOrigin, udpSocket } from '../support/udp.ts'

const BOBS = { login: [BOB, PASSWORD] as const }

/** Every target is 198.51.100.1 at 127.0.0.1. */
function whatever({ port }: Target) {
  return [candidate({ ip: ip('198.51.100.1'), port }, '127.0.0.1')]
}

describe('whose relay it is', () => {
  test('UD-01 UD-08 it is bound where the client came in, never to a wildcard', async () => {
    const gateway = await startGateway({ udp: {} })
    const client = await UdpClient.associate(gateway.port, BOBS)
    expect(client.relay.host).toBe('127.0.0.1')
    expect(client.relay.port).toBeGreaterThan(0)
  })

  test('UD-01 a second address that floods the relay gets nothing forwarded', async () => {
    const origin = await udpOrigin()
    const gateway = await startGateway({ udp: {} })
    const client = await UdpClient.associate(gateway.port, BOBS)
    const stranger = await udpSocket('127.9.9.9')
    const datagram = Buffer.concat([udpHeader('o.test', origin.port), Buffer.from('evil')])
    for (let n = 0; n < 100; n++) stranger.send(datagram, client.relay.port, client.relay.host)
    await dropped(gateway, 'stranger', 100)
    expect(await client.ask('o.test', origin.port, 'good')).toContain('good')
    expect(origin.seen).toHaveLength(1)
  })

  test('UD-01 the first good datagram locks the port; a bad one does not', async () => {
    const origin = await udpOrigin()
    const gateway = await startGateway({ udp: {} })
    const client = await UdpClient.associate(gateway.port, BOBS)
    const other = await udpSocket()
    other.send(Buffer.from('nonsense'), client.relay.port, client.relay.host)
    await dropped(gateway, 'malformed', 1)
    expect(await client.ask('o.test', origin.port, 'x')).toContain('x')
    const datagram = Buffer.concat([udpHeader('o.test', origin.port), Buffer.from('y')])
    other.send(datagram, client.relay.port, client.relay.host)
    await dropped(gateway, 'stranger', 1)
    expect(origin.seen).toHaveLength(1)
  })

  test('UD-01 an announced port is the only one', async () => {
    const origin = await udpOrigin()
    const gateway = await startGateway({ udp: {} })
    const announced = await udpSocket()
    const client = await UdpClient.associate(gateway.port, { ...BOBS, claimed: announced.port })
    client.send('o.test', origin.port, 'x')
    await dropped(gateway, 'stranger', 1)
    const datagram = Buffer.concat([udpHeader('o.test', origin.port), Buffer.from('y')])
    const answer = new Promise((done) => announced.once('message', done))
    announced.send(datagram, client.relay.port, client.relay.host)
    await answer
    expect(origin.seen).toHaveLength(1)
  })

  test('UD-06 a host nobody wrote to cannot answer', async () => {
    const origin = await udpOrigin()
    const gateway = await startGateway({ udp: {} })
    const client = await UdpClient.associate(gateway.port, BOBS)
    await client.ask('o.test', origin.port, 'x')
    const [address = '', port = ''] = origin.seen[0]?.split(':') ?? []
    const stranger = await udpSocket()
    stranger.send(Buffer.from('unsolicited'), Number(port), address)
    await dropped(gateway, 'unsolicited', 1)
    await client.ask('o.test', origin.port, 'y')
    expect(client.answers.map(({ payload }) => String(payload))).toEqual(['127.0.10.10 x', '127.0.10.10 y'])
  })

  test('UD-07 the relay of another association cannot be written to', async () => {
    const gateway = await startGateway({ udp: {} })
    const [one, two] = [await UdpClient.associate(gateway.port, BOBS), await UdpClient.associate(gateway.port, BOBS)]
    one.send('127.0.0.1', two.relay.port, 'x')
    expect(await gateway.recorded(1)).toMatchObject([{ Lab: { error: { code: 'guard.own_listener' } } }])
  })
})

describe('what is dropped', () => {
  const port = Buffer.of(0, 53)
  test.each([
    ['UD-03 a fragment', 'fragment', udpHeader('o.test', 53, 1)],
    ['UD-03 the last fragment', 'fragment', udpHeader('o.test', 53, 0x80)],
    ['UD-03 a reserved byte', 'malformed', Buffer.concat([Buffer.of(1), udpHeader('o.test', 53).subarray(1)])],
    [
      'UD-03 the other reserved byte',
      'malformed',
      Buffer.concat([Buffer.of(0, 1), udpHeader('o.test', 53).subarray(2)]),
    ],
    ['UD-03 nothing at all', 'malformed', Buffer.of()],
    ['UD-03 half a header', 'malformed', udpHeader('o.test', 53).subarray(0, 8)],
    ['UD-03 an address type nobody knows', 'malformed', Buffer.of(0, 0, 0, 2, 1, 2, 3, 4, 0, 53)],
    ['UD-03 an empty name', 'malformed', Buffer.concat([Buffer.of(0, 0, 0, 3, 0), port])],
    ['UD-03 a name of 255 bytes that ends early', 'malformed', Buffer.of(0, 0, 0, 3, 255, 65, 65, 0, 53)],
    ['UD-03 a name that is none', 'malformed', Buffer.concat([udpHeader('a\0b', 53), Buffer.from('x')])],
    ['UD-03 the unspecified address', 'malformed', udpHeader('0.0.0.0', 53)],
    ['UD-03 port 0', 'malformed', udpHeader('127.0.0.1', 0)],
  ] as const)('%s: silently, counted, and what comes after it passes', async (_what, reason, datagram) => {
    const origin = await udpOrigin()
    const gateway = await startGateway({ udp: {} })
    const client = await UdpClient.associate(gateway.port, BOBS)
    client.sendRaw(datagram)
    await dropped(gateway, reason, 1)
    expect(await client.ask('o.test', origin.port, 'x')).toBe('127.0.10.10 x')
    expect(gateway.records).toEqual([])
  })

  test('UD-07 more packets in a second than allowed', async () => {
    const origin = await udpOrigin()
    const gateway = await startGateway({ udp: { packetsPerSecond: 5 } })
    const client = await UdpClient.associate(gateway.port, BOBS)
    for (let n = 0; n < 50; n++) client.send('o.test', origin.port, 'x')
    await expect.poll(() => gateway.pipeline.datagrams.read().dropped.too_fast).toBeGreaterThan(40)
    expect(origin.seen.length).toBeLessThan(10)
  })

  test('UD-07 answers larger than the allowance do not reach the client', async () => {
    const origin = await udpOrigin(() => Buffer.alloc(10_000))
    const gateway = await startGateway({ udp: { bytesPerSecond: 12_000 } })
    const client = await UdpClient.associate(gateway.port, BOBS)
    client.send('o.test', origin.port, 'x').send('o.test', origin.port, 'x')
    await dropped(gateway, 'too_fast', 1)
    expect(await client.answered(1)).toHaveLength(1)
  })

  test('more destinations at one time than allowed', async () => {
    const origin = await udpOrigin()
    const gateway = await startGateway({ udp: { maxDestinations: 1 } })
    const client = await UdpClient.associate(gateway.port, BOBS)
    await client.ask('o.test', origin.port, 'x')
    client.send('echo.test', origin.port, 'x')
    await dropped(gateway, 'too_many_destinations', 1)
  })

  test('UD-09 while a name is being resolved a few datagrams wait, in order, and no more', async () => {
    const origin = await udpOrigin()
    const found = Promise.withResolvers<void>()
    const slowly = async (target: Target) => {
      await found.promise
      return whatever(target)
    }
    const gateway = await startGateway({ udp: {}, resolve: slowly })
    const client = await UdpClient.associate(gateway.port, BOBS)
    for (let n = 0; n < 20; n++) client.send('o.test', origin.port, `${n};`)
    await dropped(gateway, 'queue_full', 4)
    found.resolve()
    const answers = await client.answered(16)
    expect(answers.map(({ payload }) => String(payload).split(' ')[1])).toEqual(
      Array.from({ length: 16 }, (_, n) => `${n};`),
    )
  })
})

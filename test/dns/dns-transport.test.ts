// Gateway DNS as bytes on sockets: limits, malformed messages, and whatever else somebody may send.

import { once } from 'node:events'
import { connect } from 'node:net'
import { encode } from 'dns-packet'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { askDns, framed, queryFor, readAnswer, sendDatagram, sendStream, withOpt } from '../support/ask-dns.ts'
import { listening, scriptedGatewayDns } from '../support/scripted-gateway-dns.ts'

const { gatewayDns } = scriptedGatewayDns()
const QUERY = queryFor('bank.lab.test', 'A')

function edited(edit: (message: Buffer) => void, message = QUERY): Buffer {
  const copy = Buffer.from(message)
  edit(copy)
  return copy
}

async function reply(message: Buffer, limit?: number): Promise<Buffer | undefined> {
  return gatewayDns.answer(message, ({ udpLimit }) => limit ?? udpLimit)
}

describe('a message that is no question', () => {
  test.each([
    ['nothing at all', Buffer.alloc(0)],
    ['half a header', QUERY.subarray(0, 11)],
    ['an answer', edited((message) => message.writeUInt16BE(0x8180, 2))],
  ])('%s: nothing is said', async (_, message) => {
    expect(await reply(message)).toBeUndefined()
  })

  test.each([
    ['a header alone', QUERY.subarray(0, 12), 'FORMERR'],
    ['a name that does not end', QUERY.subarray(0, 20), 'FORMERR'],
    ['two questions', edited((message) => message.writeUInt16BE(2, 4)), 'FORMERR'],
    ['no question', edited((message) => message.writeUInt16BE(0, 4)), 'FORMERR'],
    ['an answer section', edited((message) => message.writeUInt16BE(1, 6)), 'FORMERR'],
    ['more records than there are', edited((message) => message.writeUInt16BE(1, 10)), 'FORMERR'],
    ['a pointer in the question', edited((message) => message.writeUInt16BE(0xc00c, 12)), 'FORMERR'],
    ['a label longer than 63', edited((message) => message.writeUInt8(0x40, 12)), 'FORMERR'],
    [
      'two OPT records',
      queryFor('a.test', 'A', { additionals: [...withOpt().additionals, ...withOpt().additionals] }),
      'FORMERR',
    ],
    ['an inverse query', edited((message) => message.writeUInt16BE(0x0900, 2)), 'NOTIMP'],
    ['an update', edited((message) => message.writeUInt16BE(0x2900, 2)), 'NOTIMP'],
    ['class CHAOS', edited((message) => message.writeUInt16BE(3, message.length - 2)), 'REFUSED'],
    ['a zone transfer', edited((message) => message.writeUInt16BE(252, message.length - 4)), 'REFUSED'],
  ])('%s is %s', async (_, message, rcode) => {
    const answered = await reply(message)
    expect(answered?.subarray(0, 2)).toEqual(message.subarray(0, 2))
    expect(readAnswer(answered ?? Buffer.alloc(0))).toMatchObject({ rcode, flag_qr: true, data: [] })
  })

  test('another version of EDNS is BADVERS', async () => {
    const answered = await reply(queryFor('bank.lab.test', 'A', withOpt({ ednsVersion: 1 })))
    expect(readAnswer(answered ?? Buffer.alloc(0)).additionals).toMatchObject([
      { type: 'OPT', extendedRcode: 1, ednsVersion: 0 },
    ])
  })
})

test('the question comes back as it was sent, its case included (0x20)', async () => {
  const message = queryFor('BaNk.LaB.tEsT', 'A')
  expect((await reply(message))?.subarray(12, message.length)).toEqual(message.subarray(12))
})

test('OPT comes back only to those who sent one', async () => {
  expect(readAnswer((await reply(QUERY)) ?? Buffer.alloc(0)).additionals).toEqual([])
  const extended = await reply(queryFor('bank.lab.test', 'A', withOpt()))
  expect(readAnswer(extended ?? Buffer.alloc(0)).additionals).toMatchObject([{ type: 'OPT', udpPayloadSize: 1232 }])
})

test.each([
  ['without EDNS', {}, 512],
  ['with less than the least', withOpt({ udpPayloadSize: 100 }), 512],
  ['with some', withOpt({ udpPayloadSize: 900 }), 900],
  ['with more than passes unfragmented', withOpt({ udpPayloadSize: 4096 }), 1232],
])('datagrams %s are at most as large as that', async (_, more, limit) => {
  const limits: number[] = []
  await gatewayDns.answer(queryFor('bank.lab.test', 'A', more), ({ udpLimit }) => {
    limits.push(udpLimit)
    return udpLimit
  })
  expect(limits).toEqual([limit])
})

test('an answer that does not fit is left out and marked truncated', async () => {
  const answered = await reply(QUERY, QUERY.length + 4)
  expect(readAnswer(answered ?? Buffer.alloc(0))).toMatchObject({ flag_tc: true, data: [], rcode: 'NOERROR' })
})

describe('TCP', () => {
  test('carries several questions, in whatever pieces they come', async () => {
    const server = await listening(gatewayDns)
    const names = ['bank.lab.test', 'other.lab.test', 'nope.test']
    const bytes = Buffer.concat(names.map((name) => framed(queryFor(name, 'A'))))
    const replies = await sendStream(server, bytes, 3)
    expect(replies.map((message) => readAnswer(message).data)).toEqual([['100.80.0.1'], ['198.51.100.20'], []])
    const socket = connect(server.port, server.ip.text)
    const answered = once(socket, 'data')
    for (const byte of framed(QUERY)) socket.write(Buffer.from([byte]))
    const [data] = (await answered) as [Buffer]
    expect(readAnswer(data.subarray(2)).data).toEqual(['100.80.0.1'])
    socket.destroy()
  })

  test('ends with whoever is silent, or claims more than a question has', async () => {
    const server = await listening(gatewayDns, { limits: { maxConnections: 10, idleMs: 50 } })
    const silent = connect(server.port, server.ip.text)
    await once(silent, 'close')
    expect(await sendStream(server, Buffer.from([0xff, 0xff, 0, 0]))).toEqual([])
    expect(await sendStream(server, framed(Buffer.from('ab')))).toEqual([])
  })

  test('does not wait without end for a question whose bytes trickle in', async () => {
    const server = await listening(gatewayDns, { limits: { maxConnections: 10, idleMs: 300 } })
    const socket = connect(server.port, server.ip.text)
    socket.on('error', () => {})
    const bytes = framed(Buffer.alloc(400, 'x'))
    let sent = 0
    const trickle = setInterval(() => socket.write(bytes.subarray(sent, ++sent)), 40)
    // a byte on its way when the server closes is answered by a reset: an end like any other
    await new Promise((resolve) => socket.once('close', resolve).once('data', resolve))
    clearInterval(trickle)
    expect(socket.bytesRead).toBe(0)
    expect(sent).toBeLessThan(bytes.length)
    socket.destroy()
  })

  test('takes so many connections and no more', async () => {
    const server = await listening(gatewayDns, { limits: { maxConnections: 2, idleMs: 60_000 } })
    const held = [connect(server.port, server.ip.text), connect(server.port, server.ip.text)]
    await Promise.all(held.map((socket) => once(socket, 'connect')))
    for (const socket of held) {
      const answered = once(socket, 'data')
      socket.write(framed(QUERY))
      await answered
    }
    expect(await sendStream(server, framed(QUERY))).toEqual([])
    for (const socket of held) socket.destroy()
  })
})

test('UDP and TCP listen on the same port, and say the same', async () => {
  const server = await listening(gatewayDns)
  const [overTcp] = await sendStream(server, framed(QUERY))
  expect(await sendDatagram(server, QUERY)).toEqual(overTcp)
})

describe('whatever bytes come', () => {
  const packets = fc.record({
    id: fc.nat(0xffff),
    name: fc.constantFrom(
      'bank.lab.test',
      'nope.test',
      '.',
      'a'.repeat(63),
      'x.y.z.localhost',
      '1.0.80.100.in-addr.arpa',
    ),
    type: fc.constantFrom('A', 'AAAA', 'PTR', 'ANY', 'AXFR', 'OPT', 'UNKNOWN_65'),
    edns: fc.boolean(),
  })
  const mutated = fc
    .tuple(packets, fc.array(fc.tuple(fc.nat(80), fc.nat(255)), { maxLength: 6 }), fc.nat(80))
    .map(([{ id, name, type, edns }, edits, cut]) => {
      const message = encode({
        type: 'query',
        id,
        questions: [{ name, type: type as 'A' }],
        ...(edns ? withOpt() : {}),
      })
      for (const [at, value] of edits) if (at < message.length) message[at] = value
      return cut < 12 ? message.subarray(0, message.length - cut) : message
    })
  const anything = fc.oneof(
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 600 }).map((bytes) => Buffer.from(bytes)) },
    { weight: 3, arbitrary: mutated },
  )

  test('what comes back is well-formed, no longer than it may be, and to that very message', async () => {
    let answered = 0
    const property = fc.asyncProperty(anything, async (message) => {
      const said = await localReply(message)
      if (said === undefined) return
      answered++
      expect(said.length).toBeLessThanOrEqual(1232)
      expect(said.subarray(0, 2)).toEqual(message.subarray(0, 2))
      expect(readAnswer(said)).toMatchObject({ flag_qr: true })
    })
    await fc.assert(property, { numRuns: 30_000, seed: 53 })
    expect(answered).toBeGreaterThan(10_000)
  })

  test('the sockets live through it', async () => {
    const server = await listening(gatewayDns)
    for (const message of fc.sample(anything, { numRuns: 300, seed: 8053 })) {
      void sendStream(server, message, 1_000).catch(() => undefined)
      void sendStream(server, framed(message), 1_000).catch(() => undefined)
    }
    expect(await askDns(server, 'bank.lab.test')).toMatchObject({ data: ['100.80.0.1'] })
  })

  /** Names that a mutation has made foreign would be looked up elsewhere; here nobody is. */
  const local = scriptedGatewayDns({ upstream: '127.0.0.1:1', timeoutMs: 300 }).gatewayDns
  const localReply = (message: Buffer) => local.answer(message, ({ udpLimit }) => udpLimit)
})

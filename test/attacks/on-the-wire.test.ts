// Half-close, reset and the source address as they are on the wire, seen by tcpdump and not by the sockets that took part.

import { describe, expect, test } from 'vitest'
import { capture, type Packet, packetCapture } from '../support/packets.ts'
import { basic, RawClient } from '../support/raw-client.ts'
import { BOB, EGRESS, PASSWORD, startGateway } from '../support/start-gateway.ts'
import { listen } from '../support/tcp.ts'

const tcpdump = packetCapture()
const source = `${EGRESS[BOB]?.bound}.`

/** Towards the origin, or from it. */
const toOrigin = ({ from }: Packet) => from.startsWith(source)
const toProxy = ({ to }: Packet) => to.startsWith(source)

async function tunnel(port: number): Promise<RawClient> {
  const gateway = await startGateway()
  const client = await RawClient.connect(gateway.port)
  client.send(`CONNECT origin.test:${port} HTTP/1.1\r\nHost: o\r\n${basic(BOB, PASSWORD)}\r\n`)
  await client.text('200')
  return client
}

describe.skipIf(tcpdump === undefined)('on the wire', () => {
  test('EG-01 the first packet towards the origin already has the stand-in as its source, and no other source is seen', async () => {
    const origin = await listen((socket) => socket.on('data', (data) => socket.write(data)))
    const wire = await capture(tcpdump ?? '', origin.port)
    const client = await tunnel(origin.port)
    client.send('echo')
    await client.text('echo')

    await wire.seen((packet) => toOrigin(packet) && packet.length === 4)
    expect(wire.packets.find(({ flags }) => flags === 'S')).toSatisfy(toOrigin)
    expect(wire.packets.filter((packet) => !toOrigin(packet) && !toProxy(packet))).toEqual([])
  })

  test("TU-06 a client's half-close is a FIN to the origin, whose data still comes back after it", async () => {
    const origin = await listen((socket) => socket.once('end', () => socket.end('after the FIN')))
    const wire = await capture(tcpdump ?? '', origin.port)
    const client = await tunnel(origin.port)
    client.socket.end()
    await client.text('after the FIN')

    const fin = await wire.seen((packet) => toOrigin(packet) && packet.flags.startsWith('F'))
    const answer = await wire.seen((packet) => toProxy(packet) && packet.length === 'after the FIN'.length)
    expect(wire.packets.indexOf(answer)).toBeGreaterThan(wire.packets.indexOf(fin))
    expect(wire.packets.filter(({ flags }) => flags.includes('R'))).toEqual([])
  })

  test("TU-07 a client's reset is a reset to the origin, and no FIN comes before it", async () => {
    const origin = await listen((socket) => socket.write('hello'))
    const wire = await capture(tcpdump ?? '', origin.port)
    const client = await tunnel(origin.port)
    await client.text('hello')
    client.socket.resetAndDestroy()

    await wire.seen((packet) => toOrigin(packet) && packet.flags.includes('R'))
    expect(wire.packets.filter(({ flags }) => flags.includes('F'))).toEqual([])
  })

  test("TU-07 an origin's reset is a reset to the client, and no FIN comes before it", async () => {
    const origin = await listen((socket) => socket.once('data', () => socket.resetAndDestroy()))
    const gateway = await startGateway()
    const wire = await capture(tcpdump ?? '', gateway.port)
    const client = await RawClient.connect(gateway.port)
    client.send(`CONNECT origin.test:${origin.port} HTTP/1.1\r\nHost: o\r\n${basic(BOB, PASSWORD)}\r\n`)
    await client.text('200')
    const broken = new Promise<unknown>((resolve) => client.socket.once('error', resolve))
    client.send('now')

    const reset = await wire.seen(({ flags }) => flags.includes('R'))
    expect(reset.from).toBe(`127.0.0.1.${gateway.port}`)
    expect(await broken).toMatchObject({ code: 'ECONNRESET' })
    expect(wire.packets.filter(({ flags }) => flags.includes('F'))).toEqual([])
  })
})

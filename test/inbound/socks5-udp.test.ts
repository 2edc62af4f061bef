import { once } from 'node:events'
import { connect } from 'node:net'
import { SocksClient } from 'socks'
import { describe, expect, test } from 'vitest'
import type { Target } from '../../src/net/endpoint.ts'
import { ip } from '../../src/net/ip.ts'
import { account, rule, snapshot, VNETS, via } from '../policy/build.ts'
import { engine } from '../support/engine.ts'
import { ALICE, BOB, candidate, PASSWORD, startGateway } from '../support/start-gateway.ts'
import { dropped, UdpClient, udpOrigin, udpSocket } from '../support/udp.ts'

const BOBS = { login: [BOB, PASSWORD] as const }
const ALICES = { login: [ALICE, PASSWORD] as const }

/** Every target is 198.51.100.1 at 127.0.0.1. */
function whatever({ port }: Target) {
  return [candidate({ ip: ip('198.51.100.1'), port }, '127.0.0.1')]
}

describe('where datagrams leave from', () => {
  test.each([
    [BOB, '127.0.10.10', '203.0.113.10'],
    [ALICE, '127.0.10.20', '203.0.113.20'],
  ])('UD-05 the origin sees the egress address decided for %s, and so does the record', async (who, bound, egress) => {
    const origin = await udpOrigin()
    const gateway = await startGateway({ udp: {} })
    const client = await UdpClient.associate(gateway.port, { login: [who, PASSWORD] })

    expect(await client.ask('echo.test', origin.port, 'hello')).toBe(`${bound} hello`)
    expect(client.answers[0]?.from).toBe(`198.51.100.1:${origin.port}`)

    client.control.socket.end()
    const [record] = await gateway.recorded(1)
    expect(record).toMatchObject({
      Protocol: 'UDP',
      Email: who,
      EgressIP: egress,
      EgressPort: Number(origin.seen[0]?.split(':')[1]),
      OriginIP: '198.51.100.1',
      OriginPort: origin.port,
      ResolvedFQDN: 'echo.test',
      BytesSent: 'hello'.length,
      BytesReceived: `${bound} hello`.length,
      ConnectionCloseReason: 'CLIENT_CLOSED',
      Lab: { inbound: 'socks5-udp' },
    })
    expect(gateway.leases.counts()).toMatchObject({ active: 0, destinations: 0 })
    expect(gateway.udpSources.size).toBe(0)
  })

  test('UD-04 two destinations under two rules leave from two addresses, each with its record; one address has one socket', async () => {
    const [one, two, three] = [await udpOrigin(), await udpOrigin(), await udpOrigin()]
    const rules = [
      rule({ traffic: `net.dst.port == ${one.port} and net.protocol == "udp"`, egress: via(30) }),
      rule({ traffic: 'net.protocol == "udp"', egress: via(50) }),
    ]
    const gateway = await startGateway({ udp: {}, snapshot: snapshot(account(), rules) })
    const client = await UdpClient.associate(gateway.port, BOBS)

    expect(await client.ask('o.test', one.port, '1')).toBe('127.0.10.30 1')
    expect(await client.ask('o.test', two.port, '2')).toBe('127.0.10.50 2')
    expect(await client.ask('o.test', three.port, '3')).toBe('127.0.10.50 3')

    expect(three.seen).toEqual(two.seen)
    client.control.socket.end()
    const records = await gateway.recorded(3)
    expect(new Set(records.map(({ EgressIP, OriginPort }) => `${EgressIP} ${OriginPort}`))).toEqual(
      new Set([`203.0.113.30 ${one.port}`, `203.0.113.50 ${two.port}`, `203.0.113.50 ${three.port}`]),
    )
  })

  test('UD-04 a new policy decides a flow anew: a new address is a new record, the same decision goes on under the old one', async () => {
    const origin = await udpOrigin()
    const first = rule({ traffic: 'net.protocol == "udp"', egress: via(30) })
    const gateway = await startGateway({ udp: {}, snapshot: snapshot(account(), [first]) })
    const client = await UdpClient.associate(gateway.port, BOBS)
    expect(await client.ask('o.test', origin.port, '1')).toBe('127.0.10.30 1')

    gateway.publish({ ...snapshot(account(), [first]), revision: 2 })
    expect(await client.ask('o.test', origin.port, '2')).toBe('127.0.10.30 2')
    expect(gateway.records).toHaveLength(0)

    gateway.publish({ ...snapshot(account(), [{ ...first, egress: via(40) }]), revision: 3 })
    expect(await client.ask('o.test', origin.port, '3')).toBe('127.0.10.40 3')
    const [record] = await gateway.recorded(1)
    expect(record).toMatchObject({
      EgressIP: '203.0.113.30',
      BytesSent: 2,
      Lab: { policyRevision: 1, error: { message: expect.stringContaining('leaves from 203.0.113.40 now') } },
    })
  })

  test('a name and its address that leave alike are one flow', async () => {
    const origin = await udpOrigin()
    const gateway = await startGateway({ udp: {}, resolve: whatever })
    const client = await UdpClient.associate(gateway.port, BOBS)
    client.send('o.test', origin.port, '1').send('198.51.100.1', origin.port, '2')
    await client.answered(2)
    client.control.socket.end()
    expect(await gateway.recorded(1)).toMatchObject([{ BytesSent: 2 }])
    expect(gateway.records).toHaveLength(1)
  })

  test('[E1] with UDP proxying off it is exempt: shared egress, no rule asked', async () => {
    const origin = await udpOrigin()
    const off = account({ settings: { udpProxying: false } })
    const gateway = await startGateway({ udp: {}, snapshot: snapshot(off, [rule({ egress: via(30) })]) })
    const client = await UdpClient.associate(gateway.port, ALICES)
    expect(await client.ask('o.test', origin.port, '')).toMatch(/^127\.18\./)
    client.control.socket.end()
    expect(await gateway.recorded(1)).toMatchObject([{ EgressRuleID: '', Lab: { outcome: 'exempt' } }])
  })

  test('[E4] an IPv6 destination leaves from the user’s own address in the range, and answers come from its own address', async () => {
    const origin = await udpOrigin()
    const gateway = await startGateway({
      udp: {},
      resolve: () => [candidate({ ip: ip('2001:db8:f00::1'), port: origin.port }, '127.0.0.1')],
    })
    const client = await UdpClient.associate(gateway.port, BOBS)
    expect(await client.ask('six.test', origin.port, '')).toBe('127.0.16.10 ')
    expect(client.answers[0]?.from).toBe(`20010db80f0000000000000000000001:${origin.port}`)
    client.control.socket.end()
    expect((await gateway.recorded(1))[0]?.EgressIP).toMatch(/^2001:db8:10:/)
  })

  test('[E7] the limit of flows per egress address and destination is exact', async () => {
    const origin = await udpOrigin()
    const gateway = await startGateway({ udp: {}, limit: 1 })
    const [one, two] = [await UdpClient.associate(gateway.port, BOBS), await UdpClient.associate(gateway.port, BOBS)]
    await one.ask('o.test', origin.port, 'x')
    two.send('o.test', origin.port, 'x')
    expect(await gateway.recorded(1)).toMatchObject([{ Lab: { error: { code: 'egress.ports_exhausted' } } }])
    one.control.socket.end()
    await gateway.recorded(2)
    expect(gateway.leases.counts()).toMatchObject({ active: 0, destinations: 0 })
  })

  test('a private route or a colo that is down decides as for TCP: nowhere to go is a record, and the datagram is gone', async () => {
    const origin = await udpOrigin()
    const down = account({ colosDown: new Set(['LHR', 'IAD']) })
    const emea = rule({ traffic: `net.vnet_id == "${VNETS.emea}"`, egress: via(20, 30) })
    const gateway = await startGateway({ udp: {}, snapshot: snapshot(down, [emea]) })
    const client = await UdpClient.associate(gateway.port, ALICES)
    client.send('o.test', origin.port, '1').send('o.test', origin.port, '2')
    await dropped(gateway, 'unrouted', 2)
    expect(gateway.records).toMatchObject([
      { ConnectionCloseReason: 'ORIGIN_UNROUTABLE', Lab: { error: { code: 'egress.unroutable' } } },
    ])
    expect(origin.seen).toEqual([])
  })
})

describe('how long it lives', () => {
  test.each([
    ['a FIN', (client: UdpClient) => client.control.socket.end(), 'CLIENT_CLOSED'],
    ['a reset', (client: UdpClient) => client.control.socket.resetAndDestroy(), 'CLIENT_ERROR'],
    ['more bytes', (client: UdpClient) => client.control.send('x'), 'CLIENT_ERROR'],
  ])('UD-02 %s on the control connection ends it, sockets and leases included', async (_what, end, reason) => {
    const origin = await udpOrigin()
    const gateway = await startGateway({ udp: {} })
    const client = await UdpClient.associate(gateway.port, BOBS)
    await client.ask('o.test', origin.port, 'x')
    end(client)
    expect(await gateway.recorded(1)).toMatchObject([{ ConnectionCloseReason: reason }])
    await client.control.end()
    expect(gateway.pipeline.datagrams.read().associations).toBe(0)
    expect(gateway.leases.counts().active).toBe(0)
    await udpSocket('127.0.0.1', client.relay.port)
  })

  test('UD-02 bytes right behind the request end it as well', async () => {
    const gateway = await startGateway({ udp: {}, listener: { authentication: 'anonymous' } })
    const socket = connect(gateway.port, '127.0.0.1')
    socket.on('error', () => undefined).resume()
    socket.write(Buffer.concat([Buffer.of(5, 1, 0, 5, 3, 0, 1, 0, 0, 0, 0, 0, 0), Buffer.from('more')]))
    await new Promise((done) => socket.once('close', done))
    expect(gateway.pipeline.datagrams.read().associations).toBe(0)
  })

  test('UD-02 a silent flow ends, its socket with it, and the next datagram begins another; the association stays', async () => {
    const origin = await udpOrigin()
    const gateway = await startGateway({ udp: { idleMs: 1_000 } })
    const client = await UdpClient.associate(gateway.port, BOBS)
    await client.ask('o.test', origin.port, 'x')
    expect(await gateway.recorded(1)).toMatchObject([{ ConnectionCloseReason: 'CLIENT_IDLE_TIMEOUT' }])
    expect(gateway.leases.counts().active).toBe(0)
    expect(await client.ask('o.test', origin.port, 'y')).toBe('127.0.10.10 y')
  })

  test.runIf(engine.name === 'linux')('a flow that only ICMP answers says so in its record', async () => {
    const gateway = await startGateway({ udp: { idleMs: 200 } })
    const client = await UdpClient.associate(gateway.port, BOBS)
    const { socket, port } = await udpOrigin()
    socket.removeAllListeners('message')
    await new Promise<void>((resolve) => socket.close(resolve))
    client.send('o.test', port, 'x').send('o.test', port, 'y')
    expect(await gateway.recorded(1)).toMatchObject([{ BytesSent: 2, Lab: { error: { code: 'dial.refused' } } }])
    expect(gateway.pipeline.datagrams.read().dropped).toMatchObject({ unreachable: expect.any(Number) })
  })

  test('UD-02 an association without any datagram ends on the idle clock of tunnels', async () => {
    const gateway = await startGateway({ udp: {}, idleTimeoutMs: 100 })
    const client = await UdpClient.associate(gateway.port, BOBS)
    await client.control.end()
    expect(gateway.pipeline.datagrams.read().associations).toBe(0)
  })

  test('a flow that the operator closes is recorded as killed', async () => {
    const origin = await udpOrigin()
    const gateway = await startGateway({ udp: {} })
    const client = await UdpClient.associate(gateway.port, BOBS)
    await client.ask('o.test', origin.port, 'x')
    const [session] = gateway.pipeline.sessions.list()
    expect(session).toMatchObject({ protocol: 'socks5-udp', bytesSent: 1, egress: expect.stringMatching(/^203/) })
    gateway.pipeline.sessions.close(session?.id ?? '')
    expect(await gateway.recorded(1)).toMatchObject([{ Lab: { error: { code: 'relay.killed' } } }])
  })

  test('LC-01 stopping ends associations and writes their records', async () => {
    const origin = await udpOrigin()
    const gateway = await startGateway({ udp: {}, settings: { drainMs: 50 } })
    const client = await UdpClient.associate(gateway.port, BOBS)
    await client.ask('o.test', origin.port, 'x')
    await gateway.gateway.stop()
    expect(gateway.records).toHaveLength(1)
    await client.control.end()
  })
})

test('UD-09 datagrams of every size pass whole, the largest a header leaves room for included', async () => {
  const origin = await udpOrigin((payload) => payload)
  const gateway = await startGateway({ udp: {} })
  const client = await UdpClient.associate(gateway.port, BOBS)
  for (const size of [0, 1, 1472, 9000, 65_507 - 10]) {
    const before = client.answers.length
    await client.send('127.0.0.1', origin.port, Buffer.alloc(size, 'z')).answered(before + 1)
    expect(client.answers[before]?.payload).toEqual(Buffer.alloc(size, 'z'))
  }
})

test('UD-10 the socks package associates and learns where to send', async () => {
  const origin = await udpOrigin()
  const gateway = await startGateway({ udp: {} })
  const socks = new SocksClient({
    proxy: { host: '127.0.0.1', port: gateway.port, type: 5, userId: ALICE, password: PASSWORD },
    command: 'associate',
    destination: { host: '0.0.0.0', port: 0 },
  })
  const established = once(socks, 'established')
  socks.connect()
  const [{ socket, remoteHost }] = await established
  const local = await udpSocket()
  const frame = SocksClient.createUDPFrame({
    remoteHost: { host: 'o.test', port: origin.port },
    data: Buffer.from('hi'),
  })
  const answer = new Promise<Buffer>((done) => local.once('message', done))
  local.send(frame, remoteHost?.port ?? 0, remoteHost?.host)
  expect(String(SocksClient.parseUDPFrame(await answer).data)).toBe('127.0.10.20 hi')
  socket.destroy()
})

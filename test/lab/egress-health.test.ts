// An egress address that fails by itself, its data center being up: named to the client, in the record and in the lab's log,
// counted, and over as soon as a connection gets through.

import { once } from 'node:events'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { curl } from '../support/curl.ts'
import { loopback, ownNetwork } from '../support/own-network.ts'
import { type PrivateLab, startPrivateLab } from '../support/private-lab.ts'

const TOKEN = 'a-token-for-this-test'
/** Nobody else takes its port while the exit is away. */
const HOST = loopback(1)
let exit: Server
let exitPort: number
let running: PrivateLab
const lost = new Set<4 | 6>()

beforeAll(async () => {
  exit = createServer().on('connect', (request, client, head) => {
    const { hostname, port } = new URL(`http://${request.url}`)
    const origin = connect(Number(port), hostname, () => {
      client.write('HTTP/1.1 200 OK\r\n\r\n')
      origin.write(head)
      origin.pipe(client).pipe(origin)
    })
    origin.on('error', () => client.destroy())
    client.on('error', () => origin.destroy())
  })
  await listen(0)
  exitPort = (exit.address() as AddressInfo).port
  const configFile = join(mkdtempSync(join(tmpdir(), 'egresslab-')), 'lab.yaml')
  writeFileSync(
    configFile,
    `dedicated_ips:
  - { colo: LHR, ipv4: 203.0.113.20, exit: { http: "${HOST}:${exitPort}" } }
  - { colo: AMS, ipv4: 203.0.113.10, ipv6: "2001:db8:10::/64" }
users:
  - { email: alice@example.com, password: lab, place: LHR }
  - { email: bob@example.com, password: lab, place: AMS }
destinations:
  - { name: both.test, addresses: [198.51.100.5, "2001:db8:f00::5"], origin: echo }
`,
  )
  running = await startPrivateLab({
    configFile,
    apiToken: TOKEN,
    standInNetwork: ownNetwork(1),
    isLost: ({ family }) => lost.has(family),
  })
})
afterAll(async () => {
  await running.close()
  exit.close()
})

async function listen(port: number): Promise<void> {
  exit.listen(port, HOST)
  await once(exit, 'listening')
}

const ask = (login: string) => curl('-x', running.proxy, '-U', login, 'http://both.test/')
async function lastRecord() {
  await running.lab.pipeline.sessions.empty()
  return running.lab.sessions.recent().at(-1)
}

async function api(path: string): Promise<string> {
  const { host, port } = running.lab.api
  const answer = await fetch(`http://${host}:${port}${path}`, { headers: { authorization: `Bearer ${TOKEN}` } })
  return answer.text()
}

describe('an exit that fails', () => {
  test('is a named outage everywhere, and over with the next connection that gets through', async () => {
    await ask('alice@example.com;family=4:lab')
    expect(await api('/metrics')).not.toContain('egresslab_egress_out{')
    exit.closeAllConnections()
    exit.close()
    await once(exit, 'close')

    const refused = await ask('alice@example.com;family=4:lab')
    expect(refused.status).toBe(503)
    expect(refused.headers.get('proxy-status')).toContain('egress.exit_failed')
    await ask('alice@example.com;family=4:lab')
    expect(await lastRecord()).toMatchObject({
      ConnectionCloseReason: 'ORIGIN_UNROUTABLE',
      EgressIP: '203.0.113.20',
      Lab: { error: { code: 'egress.exit_failed', message: expect.stringContaining('ECONNREFUSED') } },
    })
    expect(
      running.said().match(/outage: connections from 203\.0\.113\.20 fail \[egress\.exit_failed\]: /g),
    ).toHaveLength(1)
    const metrics = await api('/metrics')
    expect(metrics).toContain('egresslab_egress_faults_total{egress="203.0.113.20",code="egress.exit_failed"} 2\n')
    expect(metrics).toContain('egresslab_egress_out{egress="203.0.113.20",code="egress.exit_failed"} 1\n')
    expect(JSON.parse(await api('/lab/v1/health')).result.troubles).toEqual([
      expect.stringMatching(/^connections from 203\.0\.113\.20 fail \[egress\.exit_failed\]: the exit http:/),
    ])

    await listen(exitPort)
    await ask('alice@example.com;family=4:lab')
    expect(running.said()).toMatch(/203\.0\.113\.20 works again, \d+ s after it failed/)
    expect(await api('/metrics')).not.toContain('egresslab_egress_out{')
    expect(JSON.parse(await api('/lab/v1/health')).result.troubles).toEqual([])
  })
})

describe('a stand-in that is lost', () => {
  test('is a named failure, no other address is used, and it is over when the stand-in is back', async () => {
    lost.add(4)
    expect((await ask('bob@example.com;family=4:lab')).headers.get('proxy-status')).toContain('egress.address_missing')
    expect(await lastRecord()).toMatchObject({
      EgressIP: '203.0.113.10',
      Lab: { outcome: 'balanced', error: { code: 'egress.address_missing' } },
    })
    expect(running.said()).toContain('outage: connections from 203.0.113.10 fail [egress.address_missing]: ')
    lost.clear()
    expect((await ask('bob@example.com;family=4:lab')).status).toBe(200)
    expect(running.said()).toContain('203.0.113.10 works again')
  })

  test('is told of even where the other family gets through', async () => {
    lost.add(6)
    expect((await ask('bob@example.com:lab')).body).toBe('203.0.113.10\n')
    expect(running.said()).toContain('outage: connections from 2001:db8:10::/64 fail [egress.address_missing]: ')
    lost.clear()
  })
})

test('an outage is told of where workers carry the connections, too', async () => {
  const configFile = join(mkdtempSync(join(tmpdir(), 'egresslab-')), 'lab.yaml')
  writeFileSync(
    configFile,
    `dedicated_ips: [{ colo: LHR, ipv4: 203.0.113.20, exit: { socks5: "127.0.0.1:9" } }]
users: [{ email: alice@example.com, password: lab, place: LHR }]
destinations: [{ name: both.test, addresses: [198.51.100.5], origin: echo }]
`,
  )
  const other = await startPrivateLab({ configFile, workers: 2, standInNetwork: ownNetwork(3) })
  const { promise: recorded, resolve } = Promise.withResolvers<void>()
  other.lab.memory.subscribe(() => resolve())
  await curl('-x', other.proxy, '-U', 'alice@example.com:lab', 'http://both.test/')
  await recorded
  expect(other.said()).toContain('outage: connections from 203.0.113.20 fail [egress.exit_failed]: ')
  await other.close()
})

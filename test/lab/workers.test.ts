// A whole lab whose connections are carried by two workers: it looks like one lab from everywhere.

import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, onTestFinished, test } from 'vitest'
import type { LabOptions } from '../../src/lab/start-lab.ts'
import { askDns } from '../support/ask-dns.ts'
import { curl } from '../support/curl.ts'
import { loopback } from '../support/own-network.ts'
import { type PrivateLab, startPrivateLab } from '../support/private-lab.ts'
import { untilRefused } from '../support/tcp.ts'
import { UdpClient } from '../support/udp.ts'

const TOKEN = 'a-token-for-tests-only'
const BOB = 'bob@example.com:lab-bob'
const BOB_AMER = 'bob@example.com;vnet=vnet-AMER:lab-bob'
const ECHO = 'http://ipv4.icanhazip.com/'

let running: PrivateLab | undefined
const sockets: Socket[] = []
const folders: string[] = []
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  await running?.close()
  running = undefined
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})

async function start(options: Partial<LabOptions> = {}): Promise<PrivateLab> {
  running = await startPrivateLab({ workers: 2, apiToken: TOKEN, ...options })
  return running
}

/** The shipped configuration with a change, in a file of its own. */
function configFile(from: string, to: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'egresslab-workers-'))
  folders.push(folder)
  const file = join(folder, 'lab.yaml')
  const text = readFileSync('config/lab.yaml', 'utf8')
  expect(text).toContain(from)
  writeFileSync(file, text.replace(from, to))
  return file
}

async function api(method: string, path: string, body?: unknown): Promise<{ status: number; text: string }> {
  const answer = await fetch(`http://127.0.0.1:${running?.lab.api.port}${path}`, {
    method,
    headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  return { status: answer.status, text: await answer.text() }
}

/** What a new connection is answered: `200`, say. The connection stays open. */
async function openTunnel(target: string, login = BOB): Promise<{ socket: Socket; status: string }> {
  const socket = connect(running?.lab.listeners[0]?.port ?? 0, '127.0.0.1')
  sockets.push(socket)
  socket.on('error', () => {})
  const credentials = Buffer.from(login).toString('base64')
  socket.write(`CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\nProxy-Authorization: Basic ${credentials}\r\n\r\n`)
  const [head] = await once(socket, 'data')
  return { socket, status: String(head).split(' ')[1] ?? '' }
}

async function openTunnels(count: number, target = 'ipv4.icanhazip.com:80') {
  return Promise.all(Array.from({ length: count }, () => openTunnel(target)))
}

/** Connections each worker has carried so far. */
async function openedByWorker(): Promise<number[]> {
  await running?.lab.pool?.refresh()
  return running?.lab.pool?.numbersByWorker().map((numbers) => numbers?.counts.opened ?? 0) ?? []
}

function seenBy(login: string, times: number): Promise<string[]> {
  const ask = async () => (await curl('-x', running?.proxy ?? '', '-U', login, ECHO)).body
  return Promise.all(Array.from({ length: times }, ask))
}

test('every protocol shows the decided address, TCP and UDP, and both workers carry connections', async () => {
  const { lab, proxy } = await start()
  const port = lab.listeners[0]?.port ?? 0
  for (const args of [
    ['-x', proxy, '-U', BOB, ECHO],
    ['-p', '-x', proxy, '-U', BOB, ECHO],
    ['-x', `socks5h://127.0.0.1:${port}`, '-U', BOB, ECHO],
    ['--cacert', 'certs/ca.pem', '-x', proxy, '-U', BOB, 'https://ipv4.icanhazip.com/'],
  ]) {
    expect(await curl(...args)).toMatchObject({ exit: 0, status: 200, body: '203.0.113.10\n' })
  }
  const client = await UdpClient.associate(port, { login: ['carol@example.com', 'lab-carol'] })
  expect(await client.ask('udp-echo.test', 7, 'anything')).toBe('203.0.113.40\n')
  await openTunnels(40)
  const opened = await openedByWorker()
  expect(opened).toHaveLength(2)
  expect(Math.min(...opened)).toBeGreaterThan(0)
})

test('CF-02: what the API has answered holds for every connection after it, whichever worker takes it', async () => {
  const { lab } = await start()
  expect(new Set(await seenBy(BOB_AMER, 8))).toEqual(new Set(['203.0.113.40\n']))
  for (const [up, address] of [
    [false, '203.0.113.50\n'],
    [true, '203.0.113.40\n'],
    [false, '203.0.113.50\n'],
  ] as const) {
    expect(await api('PUT', '/lab/v1/colos/LAX', { up })).toMatchObject({ status: 200 })
    expect(new Set(await seenBy(BOB_AMER, 8))).toEqual(new Set([address]))
  }
  await expect.poll(finished).toBe(32)
  const last = lab.sessions.recent().slice(-8)
  expect(new Set(last.map(({ Lab }) => Lab.policyRevision))).toEqual(new Set([lab.snapshot().revision]))
})

test('the lab clock and a person’s virtual network reach every worker with the answer', async () => {
  await start()
  const chosen = await fetch(`http://127.0.0.1:${running?.lab.api.port}/lab/v1/me/virtual-network`, {
    method: 'PUT',
    headers: { authorization: `Basic ${btoa(BOB)}`, 'content-type': 'application/json' },
    body: JSON.stringify({ virtual_network: 'vnet-AMER' }),
  })
  expect(chosen.status).toBe(200)
  expect(new Set(await seenBy(BOB, 8))).toEqual(new Set(['203.0.113.40\n']))
  expect(await api('PUT', '/lab/v1/clock', { time: '2031-01-01T00:00:00Z' })).toMatchObject({ status: 200 })
  await seenBy(BOB, 6)
  await expect.poll(finished).toBe(14)
  const years = running?.lab.sessions
    .recent()
    .slice(-6)
    .map(({ SessionStartTime }) => SessionStartTime.slice(0, 4))
  expect(new Set(years)).toEqual(new Set(['2031']))
})

/** How many sessions are over: one is when its worker has noticed that the client is gone. */
async function finished(): Promise<number | undefined> {
  await running?.lab.pool?.refresh()
  return running?.lab.sessions.total
}

test('CF-01: a new configuration file is in force everywhere before the lab says so', async () => {
  const file = configFile('password: lab-bob', 'password: before')
  const { said } = await start({ configFile: file })
  expect(new Set(await seenBy('bob@example.com:before', 6))).toEqual(new Set(['203.0.113.10\n']))
  writeFileSync(file, readFileSync(file, 'utf8').replace('password: before', 'password: after'))
  await expect.poll(said).toContain('reloaded')
  expect(new Set(await seenBy('bob@example.com:after', 8))).toEqual(new Set(['203.0.113.10\n']))
})

test('[E7]: the limit per destination holds over all workers together, to the connection', async () => {
  const { lab } = await start({
    configFile: configFile('settings:', 'settings:\n  max_connections_per_destination: 5'),
  })
  const tunnels = await openTunnels(24)
  const statuses = tunnels.map(({ status }) => status)
  expect(statuses.filter((status) => status === '200')).toHaveLength(5)
  expect(statuses.filter((status) => status === '503')).toHaveLength(19)
  const opened = await openedByWorker()
  expect(opened.reduce((sum, one) => sum + one)).toBe(5)
  tunnels.find(({ status }) => status === '200')?.socket.destroy()
  const open = async () => {
    await lab.pool?.refresh()
    return lab.pool?.counts().active
  }
  await expect.poll(open).toBe(4)
  expect((await openTunnels(4)).filter(({ status }) => status === '200')).toHaveLength(1)
})

test('proxy endpoints are not made: no further listener would be open', async () => {
  const { lab } = await start()
  const path = `/client/v4/accounts/${lab.snapshot().account.id}/gateway/proxy_endpoints`
  const answer = await api('POST', path, { name: 'people', kind: 'identity' })
  expect(answer.status).toBe(404)
  expect(answer.text).toContain(
    'it has workers, or is a member of a fleet); declare the endpoint in its configuration file',
  )
  expect(JSON.parse((await api('GET', path)).text).result).toEqual([])
})

test('metrics, counters and open sessions are those of all workers', async () => {
  await start()
  await seenBy(BOB, 12)
  await expect.poll(finished).toBe(12)
  await openTunnels(10)
  const metrics = (await api('GET', '/metrics')).text
  expect(metrics).toMatch(/^egresslab_sessions_open 10$/m)
  const totals = [...metrics.matchAll(/^egresslab_sessions_total\{.*\} (\d+)$/gm)].map(([, count]) => Number(count))
  expect(totals.reduce((sum, one) => sum + one)).toBe(12)
  expect(metrics).toMatch(/^egresslab_ports_in_use\{egress="203\.0\.113\.10"\} 10$/m)
  expect(metrics).toMatch(/^egresslab_workers 2$/m)
  expect(metrics).toMatch(new RegExp(`^egresslab_policy_revision_in_force ${running?.lab.snapshot().revision}$`, 'm'))
  const { result } = JSON.parse((await api('GET', '/lab/v1/sessions')).text)
  expect(result).toHaveLength(10)
  expect(Math.min(...(await openedByWorker()))).toBeGreaterThan(0)
})

test('the API closes a session, and an outage resets what depends on it, in whichever worker they are', async () => {
  await start()
  const tunnels = await openTunnels(8)
  const ended = tunnels.map(({ socket }) => new Promise((resolve) => socket.once('close', resolve)))
  const { result } = JSON.parse((await api('GET', '/lab/v1/sessions')).text)
  expect(await api('DELETE', `/lab/v1/sessions/${result[0].id}`)).toMatchObject({ status: 200 })
  await Promise.race(ended)
  await expect.poll(async () => JSON.parse((await api('GET', '/lab/v1/sessions')).text).result.length).toBe(7)
  const outage = await api('PUT', '/lab/v1/colos/AMS', { up: false, connections: 'reset' })
  expect(JSON.parse(outage.text).result.connections).toEqual({ kept: 0, reset: 7 })
  await Promise.all(ended)
  await expect
    .poll(() => running?.lab.sessions.recent().filter(({ Lab }) => Lab.error?.code === 'relay.colo_down').length)
    .toBe(7)
})

test('a finished session is explained by the policy it was decided by, wherever it ran', async () => {
  const { lab } = await start()
  await seenBy(BOB, 4)
  await expect.poll(finished).toBe(4)
  expect(await api('PUT', '/lab/v1/colos/LAX', { up: false })).toMatchObject({ status: 200 })
  const { result: recent } = JSON.parse((await api('GET', '/lab/v1/sessions/recent')).text)
  expect(recent).toHaveLength(4)
  for (const { SessionID, Lab } of recent) {
    const detail = JSON.parse((await api('GET', `/lab/v1/sessions/${SessionID}`)).text)
    expect(detail.result.policy).toEqual({ revision: Lab.policyRevision, current: false })
    expect(detail.result.row).toMatchObject({ outcome: 'balanced', egress: '203.0.113.10' })
  }
  expect(lab.memory.list().every(({ decided }) => decided !== undefined)).toBe(true)
})

test('a worker that dies is replaced, its connections count no more, and totals stay', async () => {
  const { lab, said } = await start({
    configFile: configFile('settings:', 'settings:\n  max_connections_per_destination: 6'),
  })
  await openTunnels(6)
  const before = await openedByWorker()
  await lab.pool?.crash(0)
  await expect.poll(said).toContain('worker 1 of 2 is back')
  expect(said()).toContain(`worker 1 died with ${before[0]} client connections; starting a new one`)
  await expect.poll(async () => (await openedByWorker()).length).toBe(2)
  expect(lab.pool?.counts()).toMatchObject({ active: before[1], opened: 6 })
  const statuses = (await openTunnels(20)).map(({ status }) => status)
  expect(statuses.filter((status) => status === '200')).toHaveLength(6 - (before[1] ?? 0))
})

test('a worker that comes back decides by the state of now', async () => {
  const { lab, said } = await start()
  expect(await api('PUT', '/lab/v1/colos/LAX', { up: false })).toMatchObject({ status: 200 })
  await lab.pool?.crash(1)
  await expect.poll(said).toContain('worker 2 of 2 is back')
  expect(new Set(await seenBy(BOB_AMER, 10))).toEqual(new Set(['203.0.113.50\n']))
})

test('Gateway DNS: a placeholder is understood by every worker', async () => {
  const { lab } = await start()
  const [dns] = lab.dns
  if (dns === undefined) throw new RangeError('the shipped lab has Gateway DNS')
  const { data } = await askDns(dns, 'bank.saas.test')
  const ask = () =>
    curl(
      ...['--socks5', `127.0.0.1:${lab.listeners[0]?.port}`, '-U', 'alice@example.com:lab-alice'],
      ...['--resolve', `bank.saas.test:80:${data[0]}`, 'http://bank.saas.test/'],
    )
  const answers = await Promise.all(Array.from({ length: 8 }, ask))
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
  await expect.poll(finished).toBe(8)
  const last = lab.sessions.recent().slice(-8)
  expect(new Set(last.map(({ InitialOriginIP }) => InitialOriginIP))).toEqual(new Set([data[0]]))
})

test('LC-01: closing drains every worker and keeps every record', async () => {
  const { lab, folder } = await start({ ephemeral: false })
  const tunnels = await openTunnels(6)
  const port = lab.listeners[0]?.port ?? 0
  const closing = lab.close()
  await untilRefused(port)
  for (const { socket } of tunnels) socket.end()
  await closing
  const lines = readFileSync(join(folder, 'sessions.ndjson'), 'utf8').trimEnd().split('\n')
  expect(lines).toHaveLength(6)
  expect(lines.map((line) => JSON.parse(line).ConnectionCloseReason)).not.toContain('')
})

test('the peers of a bulky tunnel see its end when the worker that carried it dies', async () => {
  const { lab } = await start()
  const ended: Promise<unknown>[] = []
  const origin = createServer((socket) => {
    sockets.push(socket)
    const pour = () => {
      while (socket.write(Buffer.alloc(65_536, 'x')));
    }
    socket
      .on('error', () => {})
      .on('drain', pour)
      .resume()
    ended.push(new Promise((resolve) => socket.once('close', resolve)))
    pour()
  }).listen(0, loopback(7))
  onTestFinished(() => void origin.close())
  await once(origin, 'listening')
  const { port } = origin.address() as AddressInfo
  for (const { socket, status } of await openTunnels(4, `${loopback(7)}:${port}`)) {
    expect(status).toBe('200')
    ended.push(new Promise((resolve) => socket.once('close', resolve)))
    // both have spoken, and enough has come, fast enough, for the relay thread to have it
    socket.write('x')
    let received = 0
    await new Promise<void>((resolve) => {
      socket.on('data', ({ length }) => {
        received += length
        if (received > 64e6) resolve()
      })
    })
  }
  await Promise.all([lab.pool?.crash(0), lab.pool?.crash(1)])
  expect(await Promise.all(ended)).toHaveLength(8)
})

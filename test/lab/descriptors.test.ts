// A lab at its limit of open files: clients beyond what fits are told so, the API goes on, and everything is back when they leave.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { roomFor } from '../../src/inbound/overload.ts'
import { type Banner, bannerOf } from '../support/banner.ts'
import { ownNetwork } from '../support/own-network.ts'
import { closed } from '../support/tcp.ts'

const CONFIG = (network: string) => `
dedicated_ips: [{ colo: AMS, ipv4: 203.0.113.10 }]
stand_ins: { network: ${network} }
listeners: [{ name: plain, port: 0, authentication: anonymous }]
api: { port: 0 }
`
const TOKEN = 'a-token-for-tests-only'

let folder: string
let child: ChildProcess | undefined
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'egresslab-descriptors-'))
  writeFileSync(join(folder, 'lab.yaml'), CONFIG(ownNetwork(6)))
})
afterEach(() => child?.kill('SIGKILL'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** A lab that may open this many files. */
async function startWith(limit: number, ...more: readonly string[]): Promise<Banner> {
  const args = ['start', '--config', join(folder, 'lab.yaml'), '--state', join(folder, 'state'), ...more]
  const command = `ulimit -n ${limit} && exec ${process.execPath} scripts/egresslab.mjs ${args.join(' ')}`
  const env = { ...process.env, EGRESSLAB_API_TOKEN: TOKEN }
  const started = spawn('sh', ['-c', command], { stdio: ['ignore', 'ignore', 'pipe'], env })
  child = started
  return bannerOf(started, 'console')
}

/** What becomes of a client that asks for a tunnel: the status, or how it was cut. The tunnel stays open. */
async function client(proxy: number, origin: number): Promise<{ socket: Socket; outcome: string }> {
  const socket = connect(proxy, '127.0.0.1')
  const outcome = new Promise<string>((resolve) => {
    socket.once('data', (head) => resolve(String(head).split(' ')[1] ?? ''))
    socket.once('error', () => resolve('reset'))
    socket.once('close', () => resolve('closed'))
  })
  socket.write(`CONNECT 127.0.0.1:${origin} HTTP/1.1\r\nHost: 127.0.0.1:${origin}\r\n\r\n`)
  return { socket, outcome: await outcome }
}

async function metric(api: number, name: string): Promise<number> {
  const answer = await fetch(`http://127.0.0.1:${api}/metrics`, { headers: { authorization: `Bearer ${TOKEN}` } })
  const line = (await answer.text()).split('\n').find((text) => text.startsWith(name))
  return Number(line?.split(' ').at(-1) ?? 0)
}

test.each([[[]], [['--workers', '2']]] as const)(
  'RS-03: 300 clients at 200 open files: those that fit are served, the rest get 503, none is reset %j',
  async (more) => {
    const held = new Set<Socket>()
    const origin = createServer((socket) => {
      held.add(socket)
      socket.on('error', () => {}).on('close', () => held.delete(socket))
    }).listen(0, '127.0.0.1')
    await once(origin, 'listening')
    const address = origin.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    const { proxy, api, said } = await startWith(200, ...more)
    expect(said()).toMatch(/200 open files leave room for \d+ clients at a time/)

    const clients: Awaited<ReturnType<typeof client>>[] = []
    while (clients.length < 300) {
      // so few at a time that all can be turned away in words, however late this process comes to say what it wants
      const group = await Promise.all(Array.from({ length: 10 }, () => client(proxy, port)))
      const refused = group.filter(({ outcome }) => outcome !== '200')
      await Promise.all(refused.map(({ socket }) => closed(socket)))
      clients.push(...group)
    }
    const outcomes = Object.groupBy(clients, ({ outcome }) => outcome)
    expect(Object.keys(outcomes).sort()).toEqual(['200', '503'])
    const served = outcomes[200]?.length ?? 0
    expect(served).toBe(Number(/room for (\d+) clients/.exec(said())?.[1]))
    expect(served).toBeGreaterThanOrEqual(25)
    expect(await metric(api, 'egresslab_sessions_open')).toBe(served)
    expect(await metric(api, 'egresslab_connections_refused_total{code="guard.too_many_connections"}')).toBe(
      300 - served,
    )

    for (const { socket } of clients) socket.destroy()
    await expect.poll(() => metric(api, 'egresslab_sessions_open')).toBe(0)
    const again = await Promise.all(Array.from({ length: 30 }, () => client(proxy, port)))
    expect(new Set(again.map(({ outcome }) => outcome))).toEqual(new Set(['200']))
    for (const { socket } of again) socket.destroy()
    for (const socket of held) socket.destroy()
    origin.close()
  },
)

describe('room for clients', () => {
  test('two descriptors each, three where the origins are here as well, and something stays in reserve', () => {
    expect(roomFor({ limit: 200, inUse: 30, workers: 1, ownOrigins: false })).toEqual({
      clients: 66,
      refusedClients: 25,
    })
    expect(roomFor({ limit: 200, inUse: 30, workers: 1, ownOrigins: true })).toEqual({
      clients: 44,
      refusedClients: 25,
    })
    expect(roomFor({ limit: 1_048_576, inUse: 60, workers: 4, ownOrigins: false }).clients).toBe(523_842)
  })

  test('is never none', () => {
    expect(roomFor({ limit: 64, inUse: 60, workers: 1, ownOrigins: true }).clients).toBe(1)
  })
})

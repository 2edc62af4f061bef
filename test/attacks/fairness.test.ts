// Story: some clients take all they can get: one pipelines requests for ever, one pulls a tunnel at full speed, hundreds keep
// tunnels they do not use. Nobody else may have to wait until they are done, and none of them is cut off for it. How long others wait is
// measured by `npm run soak -- --fairness`; here it is the order of things that counts.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { type IncomingMessage, request as sendRequest } from 'node:http'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest'
import { type Banner, bannerOf } from '../support/banner.ts'
import { ownNetwork } from '../support/own-network.ts'
import { PATIENCE_MS } from '../support/patience.ts'
import { basic, RawClient } from '../support/raw-client.ts'
import { dialPlain, listen } from '../support/tcp.ts'

vi.setConfig({ testTimeout: 180_000, hookTimeout: 90_000 })

const LOGIN = basic('bob@example.com', 'lab-bob')
const IDLE_TUNNELS = 400
const REQUESTS = 40
/** of the client that pipelines, seen by the origin before somebody else's one; a lab that lets it finish first would never end */
const MOST_BEFORE = 300
const CHUNK = Buffer.alloc(64 * 1024, 'b')

let folder: string
let lab: ChildProcess
let ports: Banner

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'egresslab-fairness-'))
  const config = join(folder, 'lab.yaml')
  const network = ownNetwork(7)
  const shipped = readFileSync('config/lab.yaml', 'utf8')
    .replace(/port: 80[89]0/g, 'port: 0')
    .replace('127.0.0.1:8053', `${network.replace('.0.0/16', '.250.53')}:8053`)
  writeFileSync(config, `${shipped}\nstand_ins: { network: ${network} }\n`)
  const engine = process.env.EGRESSLAB_TEST_ENGINE ?? 'auto'
  const args = [
    'scripts/egresslab.mjs',
    'start',
    '--config',
    config,
    '--state',
    join(folder, 'state'),
    '--engine',
    engine,
  ]
  lab = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'] })
  ports = await bannerOf(lab)
})

afterAll(() => {
  lab.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
})

test('beside a client that pipelines for ever, a bulk tunnel and idle ones, everybody else gets their turn', async () => {
  const origin = await startOrigin()
  const idle = await openTunnels(origin.port, IDLE_TUNNELS)
  const [bulk] = await openTunnels(origin.port, 1)
  const bulkBytes = countBytes(bulk ?? expect.unreachable())
  bulk?.write('GET /endless HTTP/1.1\r\nHost: o\r\n\r\n')
  const flood = await floodWith(origin.port)
  await origin.seen('/flood', 200)
  await bulkBytes.reach(1_000_000)

  const before: number[] = []
  for (let at = 0; at < REQUESTS; at++) {
    const floodBefore = origin.count('/flood')
    const client = await RawClient.connect(ports.proxy)
    client.send(get(origin.port, `/plain/${at}`, 'Connection: close\r\n'))
    await client.end()
    expect(client.received).toMatch(/^HTTP\/1\.1 200 .*\r\n\r\nok$/s)
    before.push(origin.floodBefore(`/plain/${at}`) - floodBefore)
    expect(await apiStatus()).toBe(200)
  }

  expect(Math.max(...before)).toBeLessThan(MOST_BEFORE)
  // those who take all they can get are still served, too
  await origin.seen('/flood', origin.count('/flood') + 200)
  await bulkBytes.reach(bulkBytes.sofar() + 1_000_000)
  expect(flood.destroyed).toBe(false)
  expect(await Promise.all(idle.map(askInTunnel))).toEqual(idle.map(() => 'ok'))
})

function get(port: number, path: string, fields = ''): string {
  return `GET http://127.0.0.1:${port}${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n${LOGIN}${fields}\r\n`
}

/** Answers every request with `ok`, `/endless` without end; knows the order in which requests came. */
async function startOrigin() {
  const counts = new Map<string, number>()
  const floodBefore = new Map<string, number>()
  const waiting = new Set<() => void>()
  const note = (path: string) => {
    counts.set(path, (counts.get(path) ?? 0) + 1)
    floodBefore.set(path, counts.get('/flood') ?? 0)
    for (const look of waiting) look()
  }
  const { port } = await listen((socket) => {
    let unread = ''
    socket.on('data', (chunk: Buffer) => {
      unread += chunk.toString('latin1')
      const heads = unread.split('\r\n\r\n')
      unread = heads.pop() ?? ''
      for (const head of heads) {
        const path = head.split(' ')[1]?.replace(/^http:\/\/[^/]+/, '') ?? ''
        note(path)
        if (path === '/endless') writeForEver(socket)
        else socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
      }
    })
    socket.on('end', () => socket.end())
  })
  return {
    port,
    count: (path: string) => counts.get(path) ?? 0,
    floodBefore: (path: string) => floodBefore.get(path) ?? Number.NaN,
    seen: (path: string, count: number) =>
      new Promise<void>((resolve) => {
        const look = () => {
          if ((counts.get(path) ?? 0) < count) return
          waiting.delete(look)
          resolve()
        }
        waiting.add(look)
        look()
      }),
  }
}

function writeForEver(socket: Socket): void {
  const fill = () => {
    while (!socket.destroyed && socket.write(CHUNK));
  }
  socket.on('drain', fill)
  fill()
}

async function openTunnels(port: number, count: number): Promise<readonly Socket[]> {
  const target = `127.0.0.1:${port}`
  const opened: Socket[] = []
  for (let at = 0; at < count; at++) {
    const socket = await dialPlain(ports.proxy)
    socket.write(`CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n${LOGIN}\r\n`)
    const [head] = (await once(socket, 'data', { signal: AbortSignal.timeout(PATIENCE_MS) })) as [Buffer]
    expect(head.toString()).toMatch(/^HTTP\/1\.1 200 /)
    opened.push(socket)
  }
  return opened
}

async function askInTunnel(socket: Socket): Promise<string> {
  socket.write('GET /idle HTTP/1.1\r\nHost: o\r\n\r\n')
  const [answer] = (await once(socket, 'data', { signal: AbortSignal.timeout(PATIENCE_MS) })) as [Buffer]
  return answer.toString().slice(-2)
}

function countBytes(socket: Socket) {
  let bytes = 0
  socket.on('data', (chunk: Buffer) => {
    bytes += chunk.length
  })
  return {
    sofar: () => bytes,
    reach: async (count: number) => {
      while (bytes < count) await once(socket, 'data', { signal: AbortSignal.timeout(PATIENCE_MS) })
    },
  }
}

/** A client that sends requests as fast as they are taken, and reads what comes. */
async function floodWith(port: number): Promise<Socket> {
  const socket = await dialPlain(ports.proxy)
  const requests = Buffer.from(get(port, '/flood').repeat(200))
  const fill = () => {
    while (!socket.destroyed && socket.write(requests));
  }
  socket.on('drain', fill).resume()
  fill()
  onTestFinished(() => {
    socket.destroy()
  })
  return socket
}

async function apiStatus(): Promise<number> {
  const token = readFileSync(join(folder, 'state', 'api-token'), 'utf8').trim()
  const headers = { authorization: `Bearer ${token}` }
  const request = sendRequest({
    host: '127.0.0.1',
    port: ports.api,
    path: '/lab/v1/health',
    headers,
    agent: false,
  }).end()
  const [response] = (await once(request, 'response', { signal: AbortSignal.timeout(PATIENCE_MS) })) as [
    IncomingMessage,
  ]
  await text(response)
  return response.statusCode ?? 0
}

// Story: a client that never stops sending, at every entrance of a whole lab. What it sends is read only as fast as it is dealt with:
// memory stays flat, everybody else is served meanwhile, and nothing of it is left when it has gone (FR-07, TU-09, RS-07).

import { type ChildProcess, spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { type Banner, bannerOf } from '../support/banner.ts'
import { curl } from '../support/curl.ts'
import { DATA, END_HEADERS, END_STREAM, frame, HEADERS, headerBlock, PREFACE, SETTINGS } from '../support/h2-frames.ts'
import { ownNetwork } from '../support/own-network.ts'
import { PATIENCE_MS } from '../support/patience.ts'
import { basic } from '../support/raw-client.ts'

const NAME = 'ipv4.icanhazip.com'
const BOB = ['bob@example.com', 'lab-bob'] as const
const LOGIN = basic(...BOB)
/** what the lab's memory may grow by, in the garbage collector's own time */
const FLAT_MB = 30
const MOST_BYTES = 30 * 1024 * 1024
const ASKED_MEANWHILE = 15

let folder: string
let lab: ChildProcess
let dnsHost: string
let ports: Banner

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'egresslab-flood-'))
  const config = join(folder, 'lab.yaml')
  const shipped = readFileSync('config/lab.yaml', 'utf8').replace(/port: 80[89]0/g, 'port: 0')

  const network = ownNetwork(6)
  // Gateway DNS takes no port of the system's choice, so it gets an address of this test's own
  dnsHost = network.replace('.0.0/16', '.250.53')
  const text = shipped.replace('127.0.0.1:8053', `${dnsHost}:8053`)
  writeFileSync(config, `${text}\nstand_ins: { network: ${network} }\n`)
  const args = ['scripts/egresslab.mjs', 'start', '--config', config, '--state', join(folder, 'state')]
  lab = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'] })
  ports = await bannerOf(lab)
})
afterAll(() => {
  lab.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
})

function memoryMb(): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${lab.pid}/status`, 'utf8'))?.[1]) / 1024
}

/** A request of somebody else, through the proxy. */
async function askMeanwhile(): Promise<void> {
  const { status, body } = await curl('-x', `http://127.0.0.1:${ports.proxy}`, '-U', BOB.join(':'), `http://${NAME}/`)
  expect([status, body]).toEqual([200, '203.0.113.10\n'])
}

async function dial(port: number, host = '127.0.0.1'): Promise<Socket> {
  const socket = connect({ port, host })
  socket.on('error', () => {})
  onTestFinished(() => void socket.destroy())
  await once(socket, 'connect')
  return socket
}

/** Sends, and waits for as many bytes of an answer. */
async function talk(socket: Socket, bytes: readonly number[] | string, answer: number): Promise<Buffer> {
  socket.resume()
  socket.write(Buffer.from(bytes as string))
  let heard = Buffer.alloc(0)
  while (heard.length < answer) {
    const [chunk] = await once(socket, 'data', { signal: AbortSignal.timeout(PATIENCE_MS) })
    heard = Buffer.concat([heard, chunk])
  }
  socket.pause()
  return heard
}

async function logInBySocks(): Promise<Socket> {
  const socket = await dial(ports.proxy)
  await talk(socket, [5, 1, 2], 2)
  socket.write(Buffer.of(1, BOB[0].length))
  await talk(socket, `${BOB[0]}${String.fromCharCode(BOB[1].length)}${BOB[1]}`, 2)
  return socket
}

async function speakH2(): Promise<Socket> {
  const socket = connectTls({ port: ports.proxy, host: '127.0.0.1', rejectUnauthorized: false, ALPNProtocols: ['h2'] })
  socket.on('error', () => {})
  onTestFinished(() => void socket.destroy())
  await once(socket, 'secureConnect')
  socket.write(Buffer.concat([PREFACE, frame(SETTINGS, 0, 0)]))
  return socket
}

const authorization = LOGIN.slice('Proxy-Authorization: '.length).trim()
const QUESTION = Buffer.from(
  `000001000001000000000000046970763409696361${Buffer.from('nhazip').toString('hex')}03636f6d0000010001`,
  'hex',
)

function get(fields: string): string {
  return `GET http://${NAME}/ HTTP/1.1\r\nHost: ${NAME}\r\n${fields}\r\n`
}

/** What a client sends after `open`, over and over: about 64 KB at a time. */
type Entrance = readonly [name: string, open: () => Promise<Socket>, more: () => () => Uint8Array]

const always = (bytes: string | Uint8Array) => () => {
  const one = Buffer.from(bytes as string)
  const many = Buffer.concat(Array.from({ length: Math.ceil(65_536 / one.length) }, () => one))
  return () => many
}

/** A hundred streams at a time, with ids that go up. */
const streams = (block: Buffer) => () => {
  let id = -1
  return () =>
    Buffer.concat(
      Array.from({ length: 100 }, () => {
        id += 2
        return frame(HEADERS, END_HEADERS | END_STREAM, id, block)
      }),
    )
}

const pseudo = { ':method': 'GET', ':scheme': 'http', ':authority': NAME, ':path': '/' }
const dnsQuery = `POST /dns-query HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/dns-message\r\nContent-Length: ${QUESTION.length}\r\n\r\n`

const ENTRANCES: readonly Entrance[] = [
  ['HTTP/1.1, logged in', () => dial(ports.proxy), always(get(LOGIN))],
  ['HTTP/1.1, not logged in', () => dial(ports.proxy), always(get(''))],
  ['HTTP/2, logged in', speakH2, streams(headerBlock({ ...pseudo, 'proxy-authorization': authorization }))],
  ['HTTP/2, not logged in', speakH2, streams(headerBlock(pseudo))],
  [
    'HTTP/2, data on a tunnel',
    async () => {
      const socket = await speakH2()
      const block = { ':method': 'CONNECT', ':authority': `${NAME}:80`, 'proxy-authorization': authorization }
      socket.write(frame(HEADERS, END_HEADERS, 1, headerBlock(block)))
      return socket
    },
    () => () => frame(DATA, 0, 1, Buffer.alloc(16_384, 'x')),
  ],
  ['SOCKS5, in its handshake', logInBySocks, always('x')],
  [
    'SOCKS5, requests in a tunnel',
    async () => {
      const socket = await logInBySocks()
      await talk(socket, `\x05\x01\x00\x03${String.fromCharCode(NAME.length)}${NAME}\x00\x50`, 10)
      return socket
    },
    always(`GET / HTTP/1.1\r\nHost: ${NAME}\r\n\r\n`),
  ],
  ['the API', () => dial(ports.api), always('GET /health/ready HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n')],
  ['DNS at the API', () => dial(ports.api), always(Buffer.concat([Buffer.from(dnsQuery), QUESTION]))],
  [
    'the API, a body that nobody asked for',
    async () => {
      const socket = await dial(ports.api)
      socket.write('GET /health/ready HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n')
      return socket
    },
    always(`10000\r\n${'x'.repeat(65_536)}\r\n`),
  ],
  ['Gateway DNS over TCP', () => dial(8053, dnsHost), always(Buffer.concat([Buffer.of(0, QUESTION.length), QUESTION]))],
]

/** Sends without end, up to a limit, never reading. Answers how to stop. */
function pump(socket: Socket, next: () => Uint8Array): () => void {
  let isOver = false
  const go = () => {
    while (!isOver && socket.writable && socket.bytesWritten < MOST_BYTES) if (!socket.write(next())) return
  }
  socket.on('drain', () => setImmediate(go))
  go()
  return () => {
    isOver = true
    socket.destroy()
  }
}

async function flood(open: () => Promise<Socket>, more: () => () => Uint8Array): Promise<number> {
  const stop = pump(await open(), more())
  let most = 0
  for (let turn = 0; turn < ASKED_MEANWHILE; turn++) {
    await askMeanwhile()
    most = Math.max(most, memoryMb())
  }
  stop()
  await askMeanwhile()
  return Math.max(most, memoryMb())
}

test.each(ENTRANCES)('%s: memory stays flat and others are served', async (_name, open, more) => {
  // the first time fills caches and the collector's young generation
  await flood(open, more)
  const before = memoryMb()
  const most = await flood(open, more)
  expect(most - before).toBeLessThan(FLAT_MB)
})

test('UDP through SOCKS5: memory stays flat and others are served', async () => {
  const control = await logInBySocks()
  const reply = await talk(control, [5, 3, 0, 1, 0, 0, 0, 0, 0, 0], 10)
  const relay = reply.readUInt16BE(8)
  const socket = createSocket('udp4')
  onTestFinished(() => void socket.close())
  const payload = Buffer.alloc(1_200, 'x')
  const send = (count: number) => {
    for (let at = 0; at < count; at++) {
      const name = `${at % 5_000}.saas.test`
      const header = Buffer.from(`\0\0\0\x03${String.fromCharCode(name.length)}${name}\x27\x0f`, 'latin1')
      socket.send([header, payload], relay, '127.0.0.1')
    }
  }
  send(2_000)
  await askMeanwhile()
  const before = memoryMb()
  let most = 0
  for (let turn = 0; turn < ASKED_MEANWHILE; turn++) {
    send(2_000)
    await askMeanwhile()
    most = Math.max(most, memoryMb())
  }
  expect(most - before).toBeLessThan(FLAT_MB)
})

// The traffic of a soak that should go well, on every road: each kind an operation that checks its own answer and throws what is wrong
// with it. The faults are in faults.ts.

import type { Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { FAULT_KINDS } from './faults.ts'
import { HTTP2_KINDS } from './http2.ts'
import type { Kind, Road } from './road.ts'
import {
  askByDatagram,
  askThrough,
  dial,
  forward,
  forwardHead,
  openConnect,
  openForward,
  openSocks4,
  openSocks5,
  readAnswer,
  readBytes,
  readToEnd,
} from './roads.ts'
import { TRAVELLERS, type Traveller } from './situation.ts'
import { FAULTS, OPEN_USER } from './soaked-config.ts'

const ECHO = 'ipv4.icanhazip.com'
const BANK = 'bank.saas.test'
const UDP_ECHO = 'udp-echo.test'
const MALLORY: Traveller = { email: 'mallory@example.com', password: 'nothing' }
const PIPELINED = 30

const WELL: readonly Kind[] = [
  {
    name: 'absolute-form GET',
    weight: 20,
    sessions: [1, 1],
    codes: [],
    run: async (road) => {
      const { status, body } = await forward(road, `http://${ECHO}/`)
      if (status !== 200) throw new Error(`was answered ${status}: ${body.split('\n', 1)[0]}`)
      road.holdRight(body.trim(), ECHO)
    },
  },
  {
    name: 'CONNECT',
    weight: 15,
    sessions: [1, 1],
    codes: [],
    run: async (road) => echoThrough(road, await openConnect(road, `${ECHO}:80`)),
  },
  {
    name: 'CONNECT, half-closed by the client',
    weight: 8,
    sessions: [1, 1],
    codes: [],
    run: async (road) => echoThrough(road, await openConnect(road, `${ECHO}:80`), true),
  },
  {
    name: 'SOCKS5',
    weight: 12,
    sessions: [1, 1],
    codes: [],
    run: async (road) => echoThrough(road, await openSocks5(road, ECHO)),
  },
  {
    name: 'SOCKS4a',
    weight: 8,
    sessions: [1, 1],
    codes: [],
    as: { email: OPEN_USER, password: '' },
    run: async (road) => echoThrough(road, await openSocks4(road, ECHO)),
  },
  {
    name: 'UDP ASSOCIATE',
    weight: 5,
    sessions: [1, 1],
    codes: [],
    run: async (road) => road.holdRight((await askByDatagram(road, UDP_ECHO)).trim(), UDP_ECHO),
  },
  { name: 'the bank', weight: 8, sessions: [1, 1], codes: [], run: visitBank },
  { name: 'download of 1 MB', weight: 3, sessions: [1, 1], codes: [], run: download },
  { name: 'client does not read a response', weight: 1, sessions: [1, 1], codes: [], run: stall },
  { name: 'upload of 300 KB', weight: 3, sessions: [1, 1], codes: [], run: upload },
  { name: 'tunnel to the soak’s own origin', weight: 8, sessions: [1, 1], codes: [], run: exact },
  { name: 'requests on a kept connection', weight: 4, sessions: [1, 4], codes: [], run: keepConnection },
  { name: 'pipelined requests', weight: 3, sessions: [1, PIPELINED], codes: [], run: pipeline },
  { name: 'wrong password', weight: 2, sessions: [1, 1], codes: ['identity.rejected'], run: wrongPassword },
]

export const KINDS: readonly Kind[] = [...WELL, ...HTTP2_KINDS, ...FAULT_KINDS]

const TOTAL_WEIGHT = KINDS.reduce((sum, { weight }) => sum + weight, 0)

/** The kind that a number in [0, 1) stands for. */
export function kindFor(choice: number): Kind {
  let left = choice * TOTAL_WEIGHT
  for (const kind of KINDS) {
    left -= kind.weight
    if (left < 0) return kind
  }
  throw new Error(`${choice} is not below 1`)
}

async function echoThrough(
  { holdRight }: Road,
  socket: Parameters<typeof askThrough>[0],
  halfClose = false,
): Promise<void> {
  holdRight((await askThrough(socket, ECHO, '/', halfClose)).trim(), ECHO)
}

/** Finance is let in from wherever its rule sends it; nobody else's address is on the allowlist unless it happens to be. */
async function visitBank(road: Road): Promise<void> {
  const { status, body } = await forward(road, `http://${BANK}/`)
  if (status >= 500) throw new Error(`was answered ${status}`)
  const address = /\b203\.0\.113\.\d+/.exec(body)?.[0] ?? ''
  road.holdRight(address, BANK)
  const letIn = ['203.0.113.20', '203.0.113.30'].includes(address)
  if (status !== (letIn ? 200 : 403)) throw new Error(`the bank answered ${status} to ${address}`)
}

async function download(road: Road): Promise<void> {
  const { status, body } = await forward(road, `http://${ECHO}/bytes/1000000`)
  if (body.length !== 1_000_000) throw new Error(`a download of 1,000,000 bytes came as ${status} with ${body.length}`)
}

async function upload(road: Road): Promise<void> {
  const ask = { method: 'POST', body: Buffer.alloc(300_000, 'u') }
  const { status, body } = await forward(road, `http://${ECHO}/upload`, ask)
  if (status !== 200) throw new Error(`an upload was answered ${status}`)
  if (JSON.parse(body).bytes !== 300_000) throw new Error(`an upload of 300,000 bytes arrived as ${body}`)
}

async function exact(road: Road): Promise<void> {
  const open = road.random.pick([
    openConnect.bind(undefined, road, `${FAULTS}:80`),
    openSocks5.bind(undefined, road, FAULTS),
  ])
  const size = road.random.below(200_000)
  const body = await askThrough(await open(), FAULTS, `/ok/${size}`, true)
  if (body.length !== size) throw new Error(`${size} bytes came as ${body.length}`)
}

/** Four requests, one after the other, with a moment between them. */
async function keepConnection(road: Road): Promise<void> {
  const socket = await dial(road)
  for (let request = 0; request < 4; request++) {
    socket.write(forwardHead(road, 'GET', `http://${FAULTS}/ok/${request + 1}`))
    const { status, body } = await readAnswer(socket)
    if (status !== 200 || body.length !== request + 1) throw new Error(`request ${request} was answered ${status}`)
    await pause(road.random.below(50))
  }
  socket.end()
}

/** All of them at once; the answers come in order. */
async function pipeline(road: Road): Promise<void> {
  const socket = await dial(road)
  const heads = Array.from({ length: PIPELINED }, (_, at) => forwardHead(road, 'GET', `http://${FAULTS}/ok/${at + 1}`))
  socket.write(heads.join(''))
  for (let at = 0; at < PIPELINED; at++) {
    const { status, body } = await readAnswer(socket)
    if (status !== 200 || body.length !== at + 1)
      throw new Error(`request ${at} was answered ${status}, ${body.length}`)
  }
  socket.end()
}

async function wrongPassword(road: Road): Promise<void> {
  const { status } = await forward(road, `http://${ECHO}/`, { who: MALLORY })
  if (status !== 407 && status !== 429) throw new Error(`a stranger was answered ${status}`)
}

/** A tunnel that stays open through everything, a line every second, and must end whole. */
export async function holdTunnel(road: Road, seconds: number): Promise<void> {
  const socket = await openConnect(road, `${ECHO}:80`)
  const answer = await askThrough(socket, ECHO, `/slow/${seconds}/1000`)
  const lines = answer.split(`of ${seconds}\n`).length - 1
  if (lines !== seconds) throw new Error(`a tunnel carried ${lines} of ${seconds} lines`)
}

const SLOW = '/slow/1000/100'

/** Opens something that would go on for minutes, by each road. */
const LAST: readonly ((road: Road) => Promise<Socket>)[] = [
  async (road) => asking(await openConnect(road, `${FAULTS}:80`), FAULTS, '/hang'),
  async (road) => asking(await openSocks5(road, FAULTS), FAULTS, '/hang'),
  async (road) => begun(asking(await openConnect(road, `${ECHO}:80`), ECHO, SLOW)),
  async (road) => {
    const socket = await dial(road)
    socket.write(forwardHead(road, 'GET', `http://${ECHO}${SLOW}`))
    return begun(socket)
  },
]

function asking(socket: Socket, host: string, path: string): Socket {
  socket.write(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`)
  return socket
}

/** Once the answer has begun. */
async function begun(socket: Socket): Promise<Socket> {
  await readBytes(socket, 1)
  return socket
}

/** What is under way when the lab is told to stop, which cuts it visibly, and one record says so. `onBegun`: it is under way. */
export function lastKind(number: number, onBegun: () => void): Kind {
  const run = async (road: Road): Promise<void> => {
    const socket = await LAST[number % LAST.length]?.(road)
    onBegun()
    const end = socket && (await readToEnd(socket).catch(({ code }) => code))
    if (end !== 'ECONNRESET') throw new Error(`what the lab's end cut came as ${String(end).length} bytes and an end`)
  }
  return { name: 'cut by the end of the lab', weight: 0, sessions: [1, 1], codes: ['relay.killed'], run }
}

export function travellerFor(choice: number): Traveller {
  return TRAVELLERS[Math.floor(choice * TRAVELLERS.length)] as Traveller
}

/** Stops reading for a while in the middle of a download, which then must be whole. */
async function stall(road: Road): Promise<void> {
  const response = await openForward(road, `http://${ECHO}/bytes/20000000`)
  response.pause()
  await pause(3000)
  let size = 0
  for await (const chunk of response) size += chunk.length
  if (size !== 20_000_000) throw new Error(`a stalled download of 20,000,000 bytes came with ${size}`)
}

// The traffic of a soak: a mix of kinds, each an operation that checks its own answer and throws what is wrong with it.

import { once } from 'node:events'
import type { Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { askByDatagram, askThrough, forward, HOST, openConnect, openForward, openSocks } from './protocols.ts'
import { CLIENTS, type Client } from './state.ts'

export interface OperationContext {
  readonly port: number
  readonly who: Client
  /** throws unless this is an address that was right at some moment since the operation began */
  readonly holdRight: (address: string, host: string) => void
}

export interface Kind {
  readonly name: string
  /** how often, beside the others */
  readonly weight: number
  /** how many records it leaves */
  readonly sessions: number
  readonly run: (context: OperationContext) => Promise<void>
}

const ECHO = 'ipv4.icanhazip.com'
const BANK = 'bank.saas.test'
const UDP_ECHO = 'udp-echo.test'
const BROKEN = ['/reset', '/cut', '/close']

export const KINDS: readonly Kind[] = [
  {
    name: 'absolute-form GET',
    weight: 30,
    sessions: 1,
    run: async ({ port, who, holdRight }) => holdRight((await forward(port, who, `http://${ECHO}/`)).body.trim(), ECHO),
  },
  {
    name: 'CONNECT',
    weight: 25,
    sessions: 1,
    run: (context) => echoThrough(context, openConnect(context.port, context.who, `${ECHO}:80`), false),
  },
  {
    name: 'CONNECT, half-closed',
    weight: 8,
    sessions: 1,
    run: (context) => echoThrough(context, openConnect(context.port, context.who, `${ECHO}:80`), true),
  },
  {
    name: 'SOCKS5',
    weight: 20,
    sessions: 1,
    run: (context) => echoThrough(context, openSocks(context.port, context.who, ECHO), false),
  },
  {
    name: 'UDP ASSOCIATE',
    weight: 5,
    sessions: 1,
    run: async ({ port, who, holdRight }) => holdRight((await askByDatagram(port, who, UDP_ECHO)).trim(), UDP_ECHO),
  },
  { name: 'the bank', weight: 8, sessions: 1, run: requestBank },
  { name: 'download of 1 MB', weight: 4, sessions: 1, run: download },
  { name: 'upload of 300 KB', weight: 3, sessions: 1, run: upload },
  { name: 'reader that stalls', weight: 1, sessions: 1, run: stall },
  { name: 'client resets', weight: 5, sessions: 1, run: resetByClient },
  { name: 'origin resets, cuts, closes', weight: 5, sessions: BROKEN.length, run: brokenByOrigin },
  { name: 'wrong password', weight: 2, sessions: 1, run: wrongPassword },
]

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
  { holdRight }: OperationContext,
  opening: Promise<Socket>,
  halfClose: boolean,
): Promise<void> {
  holdRight((await askThrough(await opening, ECHO, '/', halfClose)).trim(), ECHO)
}

/** Finance is let in from wherever its rule sends it; nobody else's address is on the allowlist unless it happens to be. */
async function requestBank({ port, who, holdRight }: OperationContext): Promise<void> {
  const { status, body } = await forward(port, who, `http://${BANK}/`)
  const address = /\b203\.0\.113\.\d+/.exec(body)?.[0] ?? ''
  holdRight(address, BANK)
  const letIn = ['203.0.113.20', '203.0.113.30'].includes(address)
  if (status !== (letIn ? 200 : 403)) throw new Error(`the bank answered ${status} to ${address}`)
}

async function download({ port, who }: OperationContext): Promise<void> {
  const { body } = await forward(port, who, `http://${ECHO}/bytes/1000000`)
  if (body.length !== 1_000_000) throw new Error(`a download of 1,000,000 bytes came with ${body.length}`)
}

async function upload({ port, who }: OperationContext): Promise<void> {
  const { body } = await forward(port, who, `http://${ECHO}/upload`, {
    method: 'POST',
    body: Buffer.alloc(300_000, 'u'),
  })
  if (JSON.parse(body).bytes !== 300_000) throw new Error(`an upload of 300,000 bytes arrived as ${body}`)
}

/** Stops reading for a while in the middle of a download, which then must be whole. */
async function stall({ port, who }: OperationContext): Promise<void> {
  const response = await openForward(port, who, `http://${ECHO}/bytes/20000000`)
  response.pause()
  await pause(3000)
  let size = 0
  for await (const chunk of response) size += chunk.length
  if (size !== 20_000_000) throw new Error(`a stalled download of 20,000,000 bytes came with ${size}`)
}

async function resetByClient({ port, who }: OperationContext): Promise<void> {
  const socket = await openConnect(port, who, `${ECHO}:80`)
  socket.on('error', () => undefined)
  socket.write(`GET /bytes/5000000 HTTP/1.1\r\nHost: ${ECHO}\r\n\r\n`)
  await once(socket, 'data')
  socket.resetAndDestroy()
}

/** What an origin breaks off must not look whole. */
async function brokenByOrigin({ port, who }: OperationContext): Promise<void> {
  for (const path of BROKEN) {
    const outcome = await forward(port, who, `http://${ECHO}${path}`).then(
      ({ status }) => status,
      () => 'broken off' as const,
    )
    const expected = path === '/close' ? 502 : 'broken off'
    if (outcome !== expected) throw new Error(`${path} came out as ${outcome}, not ${expected}`)
  }
}

async function wrongPassword({ port }: OperationContext): Promise<void> {
  const nobody: Client = { email: 'mallory@example.com', password: 'nothing' }
  const { status } = await forward(port, nobody, `http://${ECHO}/`)
  if (status !== 407 && status !== 429) throw new Error(`a stranger was answered ${status}`)
}

/** Tunnels that stay open through everything, a line every second; each must end whole. */
export function holdTunnels(port: number, count: number, seconds: number): readonly Promise<void>[] {
  return Array.from({ length: count }, async (_, at) => {
    const who = CLIENTS[at % CLIENTS.length] as Client
    const socket = await openConnect(port, who, `${ECHO}:80`)
    const answer = await askThrough(socket, ECHO, `/slow/${seconds}/1000`, false)
    const lines = answer.split(`of ${seconds}\n`).length - 1
    if (lines !== seconds) throw new Error(`a tunnel through ${HOST}:${port} carried ${lines} of ${seconds} lines`)
  })
}

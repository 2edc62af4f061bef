// The faults of a soak: clients and origins that reset, end one direction, do not read or never stop. Each kind checks that the other
// side learns what the fault calls for, and nothing else.

import type { Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { setTimeout as pause } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import { drainedOrOver, readableOrOver } from './faulty-origin.ts'
import type { Kind, Road } from './road.ts'
import {
  askThrough,
  connectHead,
  dial,
  forward,
  forwardHead,
  logInSocks5,
  openConnect,
  openForward,
  openSocks5,
  openTls,
  readAnswer,
  readBytes,
  readToEnd,
  socks5Request,
} from './roads.ts'
import { FAULT_PORTS, FAULTS } from './soaked-config.ts'

const BY_CLIENT = ['relay.client_reset']
const BY_ORIGIN = ['relay.origin_reset', 'origin.incomplete_response']
const IN_HANDSHAKE = ['request.malformed', 'request.timeout', 'request.tls_failed', 'relay.client_reset']
const IN_DIAL = ['relay.client_reset', 'dial.timeout', 'request.malformed']
const TAIL = 50_000

export const FAULT_KINDS: readonly Kind[] = [
  { name: 'client resets an idle tunnel', weight: 4, sessions: [1, 1], codes: BY_CLIENT, run: resetIdle },
  { name: 'client resets inside a download', weight: 4, sessions: [1, 1], codes: BY_CLIENT, run: resetDownload },
  { name: 'client resets inside an upload', weight: 3, sessions: [1, 1], codes: BY_CLIENT, run: resetUpload },
  { name: 'client resets during the dial', weight: 3, sessions: [1, 1], codes: IN_DIAL, run: resetInDial },
  { name: 'client half-closes during the dial', weight: 2, sessions: [1, 1], codes: IN_DIAL, run: endInDial },
  { name: 'client leaves in the handshake', weight: 5, sessions: [0, 1], codes: IN_HANDSHAKE, run: leaveInHandshake },
  { name: 'client falls silent in the handshake', weight: 1, sessions: [1, 1], codes: IN_HANDSHAKE, run: fallSilent },
  { name: 'client cut in the TLS handshake', weight: 4, sessions: [0, 1], codes: IN_HANDSHAKE, run: cutTls },
  { name: 'client does not read', weight: 1, sessions: [1, 1], codes: [], run: stallThenRead },
  { name: 'client never stops writing', weight: 1, sessions: [1, 1], codes: BY_ORIGIN, run: writeForEver },
  {
    name: 'client pipelines and never reads',
    weight: 1,
    sessions: [0, 20_000],
    codes: [...BY_CLIENT, 'request.malformed'],
    run: pipelineForEver,
  },
  { name: 'origin half-closes', weight: 4, sessions: [1, 1], codes: [], run: originHalfCloses },
  { name: 'origin does not read', weight: 2, sessions: [1, 1], codes: [], run: originDoesNotRead },
  { name: 'origin never stops writing', weight: 1, sessions: [1, 1], codes: BY_CLIENT, run: originNeverStops },
  { name: 'origin resets a tunnel', weight: 4, sessions: [1, 1], codes: BY_ORIGIN, run: originResetsTunnel },
  {
    name: 'origin resets as it accepts',
    weight: 3,
    sessions: [1, 1],
    codes: [...BY_ORIGIN, 'dial.reset'],
    run: originResetsAtOnce,
  },
  { name: 'origin breaks off a response', weight: 5, sessions: [1, 2], codes: BY_ORIGIN, run: originBreaksOff },
  { name: 'origin ends kept connections', weight: 4, sessions: [1, 12], codes: BY_ORIGIN, run: originEndsKept },
  { name: 'origin refuses', weight: 3, sessions: [1, 1], codes: ['dial.refused'], run: originRefuses },
  { name: 'origin never answers the dial', weight: 1, sessions: [1, 1], codes: ['dial.timeout'], run: neverAnswers },
]

function openTunnel(road: Road, port: number = FAULT_PORTS.web): Promise<Socket> {
  return road.random.chance(0.5) ? openConnect(road, `${FAULTS}:${port}`) : openSocks5(road, FAULTS, port)
}

function askFor(path: string): string {
  return `GET ${path} HTTP/1.1\r\nHost: ${FAULTS}\r\n\r\n`
}

async function resetIdle(road: Road): Promise<void> {
  const socket = await openTunnel(road)
  await pause(road.random.below(200))
  socket.resetAndDestroy()
}

async function resetDownload(road: Road): Promise<void> {
  const socket = await openTunnel(road)
  socket.write(askFor('/ok/5000000'))
  await readBytes(socket, 1 + road.random.below(500_000))
  socket.resetAndDestroy()
}

/** Once the origin has heard of it: a client that resets before the lab has read a word leaves no record, and need not. */
async function resetUpload(road: Road): Promise<void> {
  const socket = await dial(road)
  const token = String(road.random.below(2 ** 31))
  const begun = road.origin.begun(token)
  socket.write(forwardHead(road, 'POST', `http://${FAULTS}/upload/0/${token}`, 'Content-Length: 1000000\r\n'))
  socket.write(Buffer.alloc(300_000, 'u'))
  if (!(await within(begun, 30_000))) throw new Error('an upload never came to the origin')
  await pause(road.random.below(50))
  socket.resetAndDestroy()
}

/** After the lab has answered the login, so that it has heard something. */
async function resetInDial(road: Road): Promise<void> {
  const socket = await logInSocks5(road)
  socket.write(socks5Request(1, FAULTS, FAULT_PORTS.neverAnswers))
  await pause(20 + road.random.below(300))
  socket.resetAndDestroy()
}

async function endInDial(road: Road): Promise<void> {
  const socket = await dial(road)
  socket.end(connectHead(road, `${FAULTS}:${FAULT_PORTS.neverAnswers}`))
  const answer = await text(socket)
  if (answer !== '' && !answer.startsWith('HTTP/1.1 504')) throw new Error(`was answered ${answer.slice(0, 40)}`)
}

/** By a FIN or a reset, after a part of what it had to say. */
async function leaveInHandshake(road: Road): Promise<void> {
  const socket = await dial(road)
  const opening = road.random.pick([
    Buffer.from(connectHead(road, `${FAULTS}:80`)),
    Buffer.from(forwardHead(road, 'GET', `http://${FAULTS}/ok/1`)),
    Buffer.of(5, 2, 0),
    Buffer.of(5, 1, 2, 1, 5, 0x61),
    Buffer.of(4, 1, 0, 80, 0, 0),
  ])
  const said = road.random.below(opening.length)
  await written(socket, opening.subarray(0, said))
  await pause(road.random.below(20))
  if (road.random.chance(0.5)) {
    socket.resetAndDestroy()
    return
  }
  // a reset may overtake what was said; an end comes after it
  road.leaves(said === 0 ? [0, 0] : [1, 1])
  socket.end()
  await text(socket).catch(() => '')
}

async function fallSilent(road: Road): Promise<void> {
  const socket = await dial(road)
  socket.write(connectHead(road, `${FAULTS}:80`).slice(0, 30))
  const answer = await text(socket)
  if (!answer.startsWith('HTTP/1.1 408')) throw new Error(`was answered ${answer.slice(0, 40)}, not 408`)
}

async function cutTls(road: Road): Promise<void> {
  const socket = await dial(road)
  const secure = connectTls({ socket, ALPNProtocols: ['h2', 'http/1.1'], rejectUnauthorized: false })
  secure.on('error', () => undefined)
  await pause(road.random.below(12))
  if (road.random.chance(0.5)) socket.resetAndDestroy()
  else socket.end()
  await pause(20)
  secure.destroy()
}

/** Both buffers of the system full; then everything must come. */
async function stallThenRead(road: Road): Promise<void> {
  const socket = await openTunnel(road)
  socket.end(askFor('/ok/20000000'))
  await pause(3000)
  let size = 0
  for await (const chunk of socket) size += chunk.length
  if (size < 20_000_000) throw new Error(`of 20,000,000 bytes ${size} came`)
}

async function writeForEver(road: Road): Promise<void> {
  const socket = await openTunnel(road)
  socket.write(askFor('/swallow/3000000'))
  const chunk = Buffer.alloc(64 * 1024, 'w')
  let sent = 0
  while (!socket.destroyed && sent < 100_000_000) {
    sent += chunk.length
    if (!socket.write(chunk)) await drainedOrOver(socket)
  }
  if (!socket.destroyed) throw new Error(`nobody stopped a writer after ${sent} bytes`)
}

async function pipelineForEver(road: Road): Promise<void> {
  const socket = await openTlsOrPlain(road)
  const heads = Buffer.from(forwardHead(road, 'GET', `http://${FAULTS}/ok/2000`).repeat(100))
  const until = performance.now() + 2000
  while (performance.now() < until && !socket.destroyed) {
    if (!socket.write(heads)) await drainedBy(socket, until)
  }
  const isGone = socket.destroyed
  road.sockets[0]?.resetAndDestroy()
  if (isGone) throw new Error('a client that pipelines was cut off')
}

function openTlsOrPlain(road: Road): Promise<Socket> {
  return road.random.chance(0.3) ? openTls(road, ['http/1.1']) : dial(road)
}

async function originHalfCloses(road: Road): Promise<void> {
  const socket = await openTunnel(road)
  const token = String(road.random.below(2 ** 31))
  const tail = road.origin.tail(token)
  socket.write(askFor(`/half-close/${token}`))
  const answer = await readToEnd(socket)
  if (!answer.endsWith('the origin has ended')) throw new Error(`an origin's end came as ${answer}`)
  socket.end(Buffer.alloc(TAIL, 't'))
  const arrived = await within(tail, 30_000)
  if (arrived !== TAIL) throw new Error(`of ${TAIL} bytes after the origin's end ${arrived} arrived`)
}

async function originDoesNotRead(road: Road): Promise<void> {
  const body = Buffer.alloc(8_000_000, 'u')
  const answer = await forward(road, `http://${FAULTS}/upload/2000`, { method: 'POST', body })
  if (answer.body !== String(body.length)) throw new Error(`8,000,000 bytes arrived as ${answer.status} ${answer.body}`)
}

async function originNeverStops(road: Road): Promise<void> {
  const socket = await openTunnel(road)
  socket.write(askFor('/endless'))
  for (let megabyte = 0; megabyte < 5; megabyte++) await readBytes(socket, 1_000_000)
  await pause(1000)
  socket.resetAndDestroy()
}

async function originResetsTunnel(road: Road): Promise<void> {
  const path = road.random.pick(['/reset', '/reset-body'])
  const socket = await openTunnel(road)
  const outcome = await askThrough(socket, FAULTS, path).catch(({ code }) => code)
  if (outcome !== 'ECONNRESET') throw new Error(`an origin's reset came as ${String(outcome).length} bytes and an end`)
}

async function originResetsAtOnce(road: Road): Promise<void> {
  if (road.random.chance(0.5)) {
    const { status } = await forward(road, `http://${FAULTS}:${FAULT_PORTS.resetsAtOnce}/`, { method: 'POST' })
    if (status !== 502) throw new Error(`a reset at once was answered ${status}`)
    return
  }
  const outcome = await openTunnel(road, FAULT_PORTS.resetsAtOnce)
    .then((socket) => askThrough(socket, FAULTS, '/'))
    .then(
      (answer) => `an end after ${answer.length} bytes`,
      () => undefined,
    )
  if (outcome !== undefined) throw new Error(`a reset at once came as ${outcome}`)
}

/** What an origin breaks off must not look whole. */
async function originBreaksOff(road: Road): Promise<void> {
  const path = road.random.pick(['/reset', '/reset-body', '/end-body'])
  const response = await openForward(road, `http://${FAULTS}${path}`)
  const status = response.statusCode ?? 0
  const whole = await text(response).then(
    () => true,
    () => false,
  )
  const isRight = path === '/reset' ? status === 502 && whole : status === 502 || (status === 200 && !whole)
  if (!isRight) throw new Error(`${path} came as ${status}, ${whole ? 'whole' : 'broken off'}`)
}

/** Requests that may be repeated never notice. */
async function originEndsKept(road: Road): Promise<void> {
  const socket = await dial(road)
  for (let request = 0; request < 6; request++) {
    const path = `/${road.random.pick(['once', 'once-reset'])}/${road.random.below(4)}`
    const isPost = road.random.chance(0.3)
    const head = forwardHead(
      road,
      isPost ? 'POST' : 'GET',
      `http://${FAULTS}${path}`,
      isPost ? 'Content-Length: 0\r\n' : '',
    )
    socket.write(head)
    const { status, body } = await readAnswer(socket)
    if (status !== 200 || body !== 'once') throw new Error(`request ${request} was answered ${status}: ${body}`)
    await pause(road.random.below(8))
  }
  socket.end()
  await readableOrOver(socket)
}

async function originRefuses(road: Road): Promise<void> {
  const { status } = await forward(road, `http://${FAULTS}:${FAULT_PORTS.refuses}/`)
  if (status !== 502) throw new Error(`a refused connection was answered ${status}`)
}

async function neverAnswers(road: Road): Promise<void> {
  const { status } = await forward(road, `http://${FAULTS}:${FAULT_PORTS.neverAnswers}/`)
  if (status !== 504) throw new Error(`a dial without an answer was answered ${status}`)
}

function written(socket: Socket, bytes: Buffer): Promise<void> {
  return new Promise((resolve) => socket.write(bytes, () => resolve()))
}

/** At the latest then, in terms of `performance.now()`. */
async function drainedBy(socket: Socket, until: number): Promise<void> {
  const timer = new AbortController()
  const late = pause(until - performance.now(), undefined, { signal: timer.signal }).catch(() => undefined)
  await Promise.race([drainedOrOver(socket), late])
  timer.abort()
}

async function within<T>(promise: Promise<T>, ms: number): Promise<T | undefined> {
  return Promise.race([promise, pause(ms, undefined, { ref: false })])
}

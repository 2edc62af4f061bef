// HTTP/2 to the proxy in a soak: requests, tunnels, and streams and connections that are broken off.

import { once } from 'node:events'
import type { ClientHttp2Session, ClientHttp2Stream } from 'node:http2'
import { text } from 'node:stream/consumers'
import { setTimeout as pause } from 'node:timers/promises'
import type { Kind, Road } from './road.ts'
import { basic, openHttp2 } from './roads.ts'
import { FAULTS } from './soaked-config.ts'

const ECHO = 'ipv4.icanhazip.com'
const STREAMS = 4
const NO_ERROR = 0
const CANCEL = 8
const PATIENCE_MS = 60_000

export const HTTP2_KINDS: readonly Kind[] = [
  { name: 'HTTP/2 requests', weight: 5, sessions: [1, STREAMS], codes: [], run: requests },
  { name: 'HTTP/2 tunnels', weight: 4, sessions: [STREAMS, STREAMS], codes: [], run: tunnels },
  {
    name: 'HTTP/2 streams cancelled',
    weight: 3,
    sessions: [STREAMS, STREAMS],
    codes: ['relay.client_reset'],
    run: cancelStreams,
  },
  {
    name: 'HTTP/2 connection reset',
    weight: 3,
    sessions: [STREAMS, STREAMS],
    codes: ['relay.client_reset'],
    run: resetConnection,
  },
]

async function requests(road: Road): Promise<void> {
  const session = await openHttp2(road)
  const bodies = await Promise.all(
    Array.from({ length: STREAMS }, async () => {
      const fields = { ':method': 'GET', ':scheme': 'http', ':authority': ECHO, ':path': '/' }
      const stream = session.request({ ...fields, 'proxy-authorization': basic(road.who) })
      await answered(stream, 200)
      return text(stream)
    }),
  )
  for (const body of bodies) road.holdRight(body.trim(), ECHO)
  await leave(session)
}

async function tunnels(road: Road): Promise<void> {
  const session = await openHttp2(road)
  await Promise.all(
    Array.from({ length: STREAMS }, async (_, at) => {
      const stream = await openTunnel(road, session)
      stream.end(`GET /ok/${at + 1} HTTP/1.1\r\nHost: ${FAULTS}\r\nConnection: close\r\n\r\n`)
      const answer = await text(stream)
      const size = answer.length - answer.indexOf('\r\n\r\n') - 4
      if (size !== at + 1) throw new Error(`${at + 1} bytes in an HTTP/2 tunnel came as ${size}`)
    }),
  )
  await leave(session)
}

async function cancelStreams(road: Road): Promise<void> {
  const session = await openHttp2(road)
  await Promise.all(
    Array.from({ length: STREAMS }, async () => {
      const stream = await openTunnel(road, session)
      stream.write(`GET /endless HTTP/1.1\r\nHost: ${FAULTS}\r\n\r\n`)
      await once(stream, 'readable', { signal: AbortSignal.timeout(PATIENCE_MS) })
      await pause(road.random.below(100))
      stream.close(CANCEL)
      await once(stream, 'close', { signal: AbortSignal.timeout(PATIENCE_MS) })
    }),
  )
  await leave(session)
}

async function resetConnection(road: Road): Promise<void> {
  const session = await openHttp2(road)
  const socket = road.sockets[0]
  const streams = await Promise.all(Array.from({ length: STREAMS }, () => openTunnel(road, session)))
  for (const stream of streams) stream.write(`GET /endless HTTP/1.1\r\nHost: ${FAULTS}\r\n\r\n`)
  await pause(road.random.below(100))
  socket?.resetAndDestroy()
  session.destroy()
}

async function openTunnel(road: Road, session: ClientHttp2Session): Promise<ClientHttp2Stream> {
  const fields = { ':method': 'CONNECT', ':authority': `${FAULTS}:80`, 'proxy-authorization': basic(road.who) }
  const stream = session.request(fields, { endStream: false })
  await answered(stream, 200)
  return stream
}

async function answered(stream: ClientHttp2Stream, expected: number): Promise<void> {
  stream.on('error', () => undefined)
  const [head] = await once(stream, 'response', { signal: AbortSignal.timeout(PATIENCE_MS) })
  if (head[':status'] !== expected) throw new Error(`a stream was answered ${head[':status']}`)
}

async function leave(session: ClientHttp2Session): Promise<void> {
  session.goaway(NO_ERROR)
  await new Promise<void>((resolve) => session.close(resolve))
}

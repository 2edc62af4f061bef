// Every way a tunnel can end, by whom and how, and what its record must say: who ended it first, and an error only where somebody
// broke it. Each on every engine, through CONNECT and SOCKS5.

import { once } from 'node:events'
import type { Socket } from 'node:net'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import type { Engine } from '../../src/transport/engine.ts'
import { ENGINES } from '../support/engine.ts'
import { PATIENCE_MS } from '../support/patience.ts'
import { basic, RawClient } from '../support/raw-client.ts'
import { silentOrigin } from '../support/silent-origin.ts'
import { BOB, type GatewayOptions, PASSWORD, startGateway, type TestGateway } from '../support/start-gateway.ts'
import { listen, ownConnections } from '../support/tcp.ts'

type Road = 'CONNECT' | 'SOCKS5'

interface Tunnel {
  readonly gateway: TestGateway
  readonly client: RawClient
  /** the origin's end; what it is sent is read unless it is paused */
  readonly origin: Socket
  /** how the origin's end of the connection ended: 'FIN' or 'RST' */
  readonly originEnded: Promise<'FIN' | 'RST'>
}

const MEGABYTE = 1024 * 1024
const REQUEST = 'POST / HTTP/1.1\r\nHost: o\r\nContent-Length: 100\r\n\r\nhalf of it'
const HALF_AN_ANSWER = 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf'

interface Ending {
  readonly name: string
  readonly act: (tunnel: Tunnel) => Promise<void>
  readonly reason: string
  /** code of the error in the record; absent: it ended in order */
  readonly error?: string
  /** what the other side must see */
  readonly seenByClient?: 'FIN' | 'RST'
  readonly seenByOrigin?: 'FIN' | 'RST'
  readonly options?: GatewayOptions
}

const ENDINGS: readonly Ending[] = [
  {
    name: 'the origin says FIN while idle',
    act: async ({ client, origin }) => {
      origin.end()
      await client.end()
      client.socket.end()
    },
    reason: 'ORIGIN_CLOSED',
    seenByClient: 'FIN',
    seenByOrigin: 'FIN',
  },
  {
    name: 'the origin says FIN inside a body',
    act: async ({ client, origin }) => {
      origin.end(HALF_AN_ANSWER)
      await client.end()
      expect(client.received).toMatch(/half$/)
      client.socket.end()
    },
    reason: 'ORIGIN_CLOSED',
    seenByClient: 'FIN',
    seenByOrigin: 'FIN',
  },
  {
    name: 'the origin resets while idle',
    act: async ({ client, origin }) => {
      origin.resetAndDestroy()
      await client.end()
    },
    reason: 'ORIGIN_ERROR',
    error: 'relay.origin_reset',
    seenByClient: 'RST',
  },
  {
    name: 'the origin resets inside a body: the client gets what it sent before, and then a reset',
    act: async ({ client, origin }) => {
      origin.write(HALF_AN_ANSWER)
      await client.text('half')
      origin.resetAndDestroy()
      await client.end()
      expect(client.received).toMatch(/half$/)
    },
    reason: 'ORIGIN_ERROR',
    error: 'relay.origin_reset',
    seenByClient: 'RST',
  },
  {
    name: 'the origin answers early, says FIN and closes on the upload it has not read',
    act: async ({ client, origin }) => {
      origin.pause()
      client.send('x'.repeat(1024 * 1024))
      origin.end('HTTP/1.1 413 Content Too Large\r\nConnection: close\r\n\r\nanswer', () => origin.destroy())
      await client.text('answer')
      client.send('x'.repeat(1024 * 1024))
      await client.end()
      client.socket.end()
    },
    reason: 'ORIGIN_CLOSED',
  },
  {
    name: 'the client says FIN while idle',
    act: async ({ client, origin, originEnded }) => {
      client.socket.end()
      expect(await originEnded).toBe('FIN')
      origin.end()
      await client.end()
    },
    reason: 'CLIENT_CLOSED',
    seenByClient: 'FIN',
    seenByOrigin: 'FIN',
  },
  {
    name: 'the client says FIN inside a body',
    act: async ({ client, origin, originEnded }) => {
      client.send(REQUEST)
      client.socket.end()
      expect(await originEnded).toBe('FIN')
      origin.end()
      await client.end()
    },
    reason: 'CLIENT_CLOSED',
    seenByClient: 'FIN',
    seenByOrigin: 'FIN',
  },
  {
    name: 'the client resets while idle',
    act: async ({ client, originEnded }) => {
      client.socket.resetAndDestroy()
      await originEnded
    },
    reason: 'CLIENT_ERROR',
    error: 'relay.client_reset',
    seenByOrigin: 'RST',
  },
  {
    name: 'the client resets inside a body',
    act: async ({ client, origin, originEnded }) => {
      const arrived = once(origin, 'data')
      client.send(REQUEST)
      await arrived
      client.socket.resetAndDestroy()
      await originEnded
    },
    reason: 'CLIENT_ERROR',
    error: 'relay.client_reset',
    seenByOrigin: 'RST',
  },
  {
    name: 'the client closes while the origin is still sending',
    act: async ({ client, origin, originEnded }) => {
      const more = () => {
        while (origin.writable && origin.write(Buffer.alloc(64 * 1024)));
      }
      origin.on('drain', more)
      more()
      await client.bytes(client.received.length + 100_000)
      client.socket.pause()
      await until(() => hasUnread(client.socket))
      client.socket.destroy()
      await originEnded
    },
    // closing with unread bytes is a reset on the wire; without them it would be a FIN first
    reason: 'CLIENT_ERROR',
    error: 'relay.client_reset',
  },
  {
    name: 'the client says FIN, and the origin resets in return',
    act: async ({ client, origin, originEnded }) => {
      client.socket.end()
      expect(await originEnded).toBe('FIN')
      origin.resetAndDestroy()
      await client.end()
    },
    reason: 'CLIENT_CLOSED',
    seenByClient: 'RST',
  },
  {
    name: 'the origin says FIN, and the client resets in return',
    act: async ({ client, origin }) => {
      origin.end()
      await client.end()
      client.socket.resetAndDestroy()
    },
    reason: 'ORIGIN_CLOSED',
    seenByClient: 'FIN',
  },
  {
    name: 'nobody says anything for the idle time',
    options: { idleTimeoutMs: 1_000 },
    act: async ({ client, originEnded }) => {
      await Promise.all([client.end(), originEnded])
    },
    reason: 'CLIENT_IDLE_TIMEOUT',
    error: 'relay.idle',
    seenByClient: 'RST',
    seenByOrigin: 'RST',
  },
  {
    name: 'the operator cuts it',
    act: async ({ client, gateway, originEnded }) => {
      gateway.pipeline.sessions.closeAll('cut by the operator')
      await Promise.all([client.end(), originEnded])
    },
    reason: 'UNKNOWN',
    error: 'relay.killed',
    seenByClient: 'RST',
    seenByOrigin: 'RST',
  },
]

describe.each(ENGINES)('on the engine %s', (_name, engine) => {
  if (engine.passOn !== undefined) {
    describe('a tunnel that a thread of its own carries', () => {
      it.each(ENDINGS)('$name: $reason', (ending) => check(ending, { road: 'CONNECT', engine, isBulky: true }))
    })
  }

  describe.each<Road>(['CONNECT', 'SOCKS5'])('a tunnel by %s', (road) => {
    it.each(ENDINGS)('$name: $reason', (ending) => check(ending, { road, engine }))

    it('the client resets while its origin does not answer: CLIENT_ERROR', async () => {
      const gateway = await startGateway({ engine })
      const port = await silentOrigin('127.0.0.1')
      const client = await RawClient.connect(gateway.port)
      client.send(opening(road, port))
      await until(() => gateway.leases.counts().active > 0)
      client.socket.resetAndDestroy()
      const [record] = await gateway.recorded(1)
      expect(record).toMatchObject({
        ConnectionCloseReason: 'CLIENT_ERROR',
        Lab: { error: { code: 'relay.client_reset' } },
      })
    })

    it('the origin does not answer in time: ORIGIN_UNREACHABLE', async () => {
      const gateway = await startGateway({ engine, connectTimeoutMs: 200 })
      const port = await silentOrigin('127.0.0.1')
      const client = await RawClient.connect(gateway.port)
      client.send(opening(road, port))
      await client.end()
      expect(client.ending).toBe('FIN')
      const [record] = await gateway.recorded(1)
      expect(record).toMatchObject({
        ConnectionCloseReason: 'ORIGIN_UNREACHABLE',
        Lab: { error: { code: 'dial.timeout' } },
      })
    })

    it('the client does not say what it wants in time: CLIENT_IDLE_TIMEOUT', async () => {
      const gateway = await startGateway({ engine, settings: { handshakeTimeoutMs: 1_000 } })
      const client = await RawClient.connect(gateway.port)
      client.send(opening(road, 1).slice(0, 10))
      await client.end()
      expect(client.ending).toBe('FIN')
      const [record] = await gateway.recorded(1)
      expect(record).toMatchObject({
        ConnectionCloseReason: 'CLIENT_IDLE_TIMEOUT',
        Lab: { error: { code: 'request.timeout' } },
      })
    })
  })
})

async function check(ending: Ending, way: Way): Promise<void> {
  const tunnel = await openTunnel(way, ending.options)
  await ending.act(tunnel)
  const [record] = await tunnel.gateway.recorded(1)
  expect([record?.ConnectionCloseReason, record?.Lab.error?.code]).toEqual([ending.reason, ending.error])
  if (ending.seenByClient !== undefined) expect(tunnel.client.ending).toBe(ending.seenByClient)
  if (ending.seenByOrigin !== undefined) expect(await tunnel.originEnded).toBe(ending.seenByOrigin)
  expect(tunnel.gateway.records).toHaveLength(1)
}

interface Way {
  readonly road: Road
  readonly engine: Engine
  /** so much has gone through before that another thread carries it */
  readonly isBulky?: boolean
}

async function openTunnel({ road, engine, isBulky }: Way, options: GatewayOptions = {}): Promise<Tunnel> {
  const accepted = Promise.withResolvers<Socket>()
  const { port } = await listen(accepted.resolve)
  const passOn = isBulky === true ? vi.spyOn(engine, 'passOn') : undefined
  onTestFinished(() => passOn?.mockRestore())
  const gateway = await startGateway({ engine, ...options })
  const client = await RawClient.connect(gateway.port)
  client.send(opening(road, port))
  const origin = await accepted.promise
  const originEnded = new Promise<'FIN' | 'RST'>((resolve) => {
    origin.once('end', () => resolve('FIN'))
    origin.once('error', () => resolve('RST'))
  })
  origin.resume()
  if (passOn !== undefined) {
    await makeBulky(client, origin, () => passOn.mock.results.some(({ value }) => value === true))
  }
  origin.write('banner')
  await client.text('banner')
  return { gateway, client, origin, originEnded }
}

/** Moves megabytes until the engine has been given the tunnel. */
async function makeBulky(client: RawClient, origin: Socket, isPassedOn: () => boolean): Promise<void> {
  client.send('first bytes')
  await once(origin, 'data')
  for (let sent = 0; !isPassedOn() && sent < 40; sent++) {
    const before = client.received.length
    origin.write(Buffer.alloc(MEGABYTE, 'x'))
    await client.bytes(before + MEGABYTE)
  }
  expect(isPassedOn()).toBe(true)
}

function opening(road: Road, port: number): string {
  if (road === 'CONNECT') return `CONNECT origin.test:${port} HTTP/1.1\r\nHost: o\r\n${basic(BOB, PASSWORD)}\r\n`
  const login = `\x05\x01\x02\x01${String.fromCharCode(BOB.length)}${BOB}${String.fromCharCode(PASSWORD.length)}${PASSWORD}`
  return `${login}\x05\x01\x00\x03\x0borigin.test${String.fromCharCode(port >> 8, port & 255)}`
}

/** Whether the kernel holds bytes for this socket; taken for granted where its tables cannot be read. */
function hasUnread({ localPort }: Socket): boolean {
  if (process.platform !== 'linux') return true
  return ownConnections().some((connection) => connection.localPort === localPort && connection.unread > 0)
}

async function until(condition: () => boolean): Promise<void> {
  const signal = AbortSignal.timeout(PATIENCE_MS)
  while (!condition()) {
    signal.throwIfAborted()
    await new Promise((resolve) => setImmediate(resolve))
  }
}

import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { describe, expect, it, vi } from 'vitest'
import { GatewayError } from '../../src/errors/gateway-error.ts'
import { type Relay, type RelayOptions, relay } from '../../src/proxy/relay.ts'
import type { ByteStream } from '../../src/transport/byte-stream.ts'
import type { Engine } from '../../src/transport/engine.ts'
import { nodeEngine } from '../../src/transport/node/node-engine.ts'
import { type Clock, TimerWheel } from '../../src/transport/timer-wheel.ts'
import { engine } from '../support/engine.ts'
import { acceptStream, dialStream, untilClosed, untilEnded } from '../support/streams.ts'
import { dialPlain, listen, next, readToEnd } from '../support/tcp.ts'

const TEN_MB = randomBytes(10 * 1024 * 1024)
const STALL_LIMIT = 256 * 1024

/** A clock that goes when told to. */
class ManualClock implements Clock {
  now = 0
  readonly #due = new Map<() => void, number>()

  after(delayMs: number, expire: () => void) {
    this.#due.set(expire, this.now + delayMs)
    return { cancel: () => void this.#due.delete(expire) }
  }

  advance(ms: number): void {
    this.now += ms
    for (const [expire, at] of this.#due) {
      if (at > this.now) continue
      this.#due.delete(expire)
      expire()
    }
  }
}

interface Kind {
  readonly client: Engine
  readonly upstream: Engine
  /** the streams go on over sockets somebody asked for */
  readonly isPromoted?: boolean
}

interface Tunnel {
  /** the far ends */
  readonly client: Socket
  readonly origin: Socket
  /** the proxy's own streams */
  readonly near: { readonly client: ByteStream; readonly upstream: ByteStream }
  readonly tunnel: Relay
}

/** client ── near.client ═ relay ═ near.upstream ── origin, all real connections */
async function openTunnel(
  kind: Kind,
  options: Partial<RelayOptions> = {},
  beforeRelay: (ends: Omit<Tunnel, 'tunnel'>) => Promise<void> | void = () => {},
): Promise<Tunnel> {
  const atOrigin = Promise.withResolvers<Socket>()
  const originListener = await listen(atOrigin.resolve)
  const proxy = await acceptStream(kind.client)
  const client = await dialPlain(proxy.port)
  const near = { client: await proxy.stream, upstream: await dialStream(kind.upstream, originListener.port) }
  if (kind.isPromoted) for (const stream of [near.client, near.upstream]) stream.asSocket()
  const ends = { client, origin: await atOrigin.promise, near }
  await beforeRelay(ends)
  const clock = options.clock ?? new ManualClock()
  return { ...ends, tunnel: relay(near.client, near.upstream, { idleMs: 60_000, ...options, clock }) }
}

function ended(tunnel: Relay) {
  return Promise.race([
    tunnel.closed,
    once(AbortSignal.timeout(10_000), 'abort').then(() => Promise.reject(new Error('the tunnel never ended'))),
  ])
}

const digest = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

describe.each<[string, Kind]>([
  [`${engine.name} on both sides`, { client: engine, upstream: engine }],
  [`node and ${engine.name}`, { client: nodeEngine, upstream: engine }],
  ['node on both sides', { client: nodeEngine, upstream: nodeEngine }],
  ['streams that became sockets', { client: engine, upstream: engine, isPromoted: true }],
])('relaying between %s', (_name, kind) => {
  it('carries bytes both ways and counts them', async () => {
    const { client, origin, tunnel } = await openTunnel(kind)
    client.end('ping')
    expect((await readToEnd(origin)).toString()).toBe('ping')
    origin.end('pong!')
    expect((await readToEnd(client)).toString()).toBe('pong!')
    const end = await ended(tunnel)
    expect(end).toMatchObject({ reason: 'CLIENT_CLOSED', bytesReceived: 5, bytesSent: 4 })
    expect(end.error).toBeUndefined()
  })

  it('lets 10 MB through after the client has closed its side (TU-06)', async () => {
    const { client, origin, tunnel } = await openTunnel(kind)
    client.end('request')
    await readToEnd(origin)
    origin.end(TEN_MB)
    expect(digest(await readToEnd(client))).toBe(digest(TEN_MB))
    expect(await ended(tunnel)).toMatchObject({ reason: 'CLIENT_CLOSED', bytesReceived: TEN_MB.length })
  })

  it('lets 10 MB through after the origin has closed its side (TU-06)', async () => {
    const { client, origin, tunnel } = await openTunnel(kind)
    origin.end('banner')
    expect((await readToEnd(client)).toString()).toBe('banner')
    client.end(TEN_MB)
    expect(digest(await readToEnd(origin))).toBe(digest(TEN_MB))
    expect(await ended(tunnel)).toMatchObject({ reason: 'ORIGIN_CLOSED', bytesSent: TEN_MB.length })
  })

  it('shows the client a reset of the origin as a reset (TU-07)', async () => {
    const { client, origin, tunnel } = await openTunnel(kind)
    const failed = once(client, 'error')
    origin.resetAndDestroy()
    expect(await failed).toMatchObject([{ code: 'ECONNRESET' }])
    expect(await ended(tunnel)).toMatchObject({ reason: 'ORIGIN_ERROR', error: { code: 'relay.origin_reset' } })
  })

  it('shows the origin a reset of the client as a reset (TU-07)', async () => {
    const { client, origin, tunnel } = await openTunnel(kind)
    origin.resume()
    const failed = once(origin, 'error')
    client.resetAndDestroy()
    expect(await failed).toMatchObject([{ code: 'ECONNRESET' }])
    expect(await ended(tunnel)).toMatchObject({ reason: 'CLIENT_ERROR', error: { code: 'relay.client_reset' } })
  })

  it('passes a reset on even while the other side does not read', async () => {
    const { client, origin, near, tunnel } = await openTunnel(kind)
    origin.write(TEN_MB)
    await vi.waitFor(() => expect(near.client.unsent).toBeGreaterThan(0))
    client.resetAndDestroy()
    const error = new Promise((resolve) => origin.on('error', resolve))
    expect(await error).toMatchObject({ code: expect.stringMatching(/ECONNRESET|EPIPE/) })
    expect(await ended(tunnel)).toMatchObject({ reason: 'CLIENT_ERROR' })
  })

  it('sends bytes that were put back first, before anything the client says later (TU-04)', async () => {
    const { client, origin } = await openTunnel(kind, {}, ({ near }) => near.client.unread(Buffer.from('early ')))
    client.end('late')
    expect((await readToEnd(origin)).toString()).toBe('early late')
  })

  it('keeps what the origin said before the relay began, in order (TU-05)', async () => {
    const { client, origin } = await openTunnel(kind, {}, async ({ origin, near }) => {
      origin.write('banner ')
      await vi.waitFor(() => {
        const bytes = near.upstream.read()
        if (bytes !== undefined) near.upstream.unread(Buffer.from(bytes))
        expect(bytes?.toString()).toBe('banner ')
      })
    })
    origin.end('more')
    expect((await readToEnd(client)).toString()).toBe('banner more')
  })

  it('holds at most 256 KB for a client that stops reading, and delivers all of it later (TU-09)', async () => {
    const { client, origin, near } = await openTunnel(kind)
    client.pause()
    origin.end(TEN_MB)
    await untilStill(() => near.upstream.bytesRead)
    expect(near.upstream.bytesRead).toBeLessThan(TEN_MB.length)
    expect(near.client.unsent + near.upstream.buffered).toBeLessThanOrEqual(STALL_LIMIT)
    expect(digest(await readToEnd(client))).toBe(digest(TEN_MB))
  })

  it('holds at most 256 KB for an origin that stops reading, and delivers all of it later (TU-09)', async () => {
    const { client, origin, near } = await openTunnel(kind)
    origin.pause()
    client.end(TEN_MB)
    await untilStill(() => near.client.bytesRead)
    expect(near.client.bytesRead).toBeLessThan(TEN_MB.length)
    expect(near.upstream.unsent + near.client.buffered).toBeLessThanOrEqual(STALL_LIMIT)
    expect(digest(await readToEnd(origin))).toBe(digest(TEN_MB))
  })

  it('cuts a tunnel when both directions were silent for the idle time, with a reset (TU-10)', async () => {
    const clock = new ManualClock()
    const { client, origin, tunnel } = await openTunnel(kind, { clock, idleMs: 1_000 })
    const failed = Promise.all([once(client, 'error'), once(origin.resume(), 'error')])
    clock.advance(1_000)
    await failed
    expect(await ended(tunnel)).toMatchObject({ reason: 'CLIENT_IDLE_TIMEOUT', error: { code: 'relay.idle' } })
  })

  it.each(['client', 'origin'] as const)('keeps a tunnel in which only the %s speaks (TU-10)', async (speaker) => {
    const clock = new ManualClock()
    const ends = await openTunnel(kind, { clock, idleMs: 1_000 })
    const [from, to] = speaker === 'client' ? [ends.client, ends.origin] : [ends.origin, ends.client]
    for (let beat = 0; beat < 5; beat++) {
      clock.advance(900)
      from.write('.')
      await next(to, 'data')
    }
    expect(ends.near.client.isClosed || ends.near.upstream.isClosed).toBe(false)
    clock.advance(1_000)
    expect(await ended(ends.tunnel)).toMatchObject({ reason: 'CLIENT_IDLE_TIMEOUT' })
  })

  it('resets both sides when killed and says why', async () => {
    const { client, origin, tunnel } = await openTunnel(kind)
    const failed = Promise.all([once(client, 'error'), once(origin.resume(), 'error')])
    tunnel.kill(new GatewayError('relay.killed', 'closed by the operator'))
    expect(await failed).toMatchObject([[{ code: 'ECONNRESET' }], [{ code: 'ECONNRESET' }]])
    expect(await ended(tunnel)).toMatchObject({ error: { message: 'closed by the operator' } })
  })

  it('cuts the client when somebody else destroys the upstream', async () => {
    const { client, near, tunnel } = await openTunnel(kind)
    const failed = once(client, 'error')
    near.upstream.reset()
    expect(await failed).toMatchObject([{ code: 'ECONNRESET' }])
    expect(await ended(tunnel)).toMatchObject({ reason: 'ORIGIN_CLOSED' })
  })

  it('ends at once when the client was gone before the relay began', async () => {
    const { origin, tunnel } = await openTunnel(kind, {}, async ({ near }) => {
      near.client.destroy()
      await untilClosed(near.client)
    })
    origin.resume()
    expect(await ended(tunnel)).toMatchObject({ reason: 'CLIENT_CLOSED' })
  })

  it('passes on a FIN that came before the relay began', async () => {
    const { client, origin, tunnel } = await openTunnel(kind, {}, async ({ client, near }) => {
      client.end()
      await untilEnded(near.client)
    })
    origin.end('answer')
    await readToEnd(origin)
    expect((await readToEnd(client)).toString()).toBe('answer')
    expect(await ended(tunnel)).toMatchObject({ reason: 'CLIENT_CLOSED' })
  })

  it('leaves no deadline behind, however a tunnel ended (TU-12)', async () => {
    const clock = new TimerWheel()
    for (const finish of ['end', 'resetAndDestroy', 'destroy'] as const) {
      const { client, origin, tunnel } = await openTunnel(kind, { clock })
      origin.on('end', () => origin.end()).resume()
      client.resume()[finish]()
      await ended(tunnel)
    }
    expect(clock.pending).toBe(0)
  })
})

/** Waits until a number that only grows has stopped growing. */
async function untilStill(read: () => number): Promise<void> {
  let last = -1
  await vi.waitFor(
    () => {
      const before = last
      last = read()
      expect(last).toBe(before)
      expect(last).toBeGreaterThan(0)
    },
    { timeout: 10_000, interval: 60 },
  )
}

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
import { PATIENCE_MS, PATIENT } from '../support/patience.ts'
import { acceptStream, dialStream, untilClosed, untilEnded, untilStill } from '../support/streams.ts'
import { dialPlain, listen, next, readToEnd } from '../support/tcp.ts'

const MEGABYTE = 1024 * 1024
const TEN_MB = randomBytes(10 * 1024 * 1024)
const STALL_LIMIT = 256 * 1024
/** More than the kernel keeps for a socket that has been read fast (`tcp_rmem` grows to 32 MB), in bytes. */
const MUCH = 80 * MEGABYTE
const much = () => Buffer.concat(Array.from({ length: MUCH / TEN_MB.length }, () => TEN_MB))

/** Writes {@link MUCH} bytes and the end; answers how many the system has taken so far. */
function endWithMuch(socket: Socket): () => number {
  let taken = 0
  for (let at = 0; at < MUCH; at += MEGABYTE) {
    const piece = TEN_MB.subarray(at % TEN_MB.length, (at % TEN_MB.length) + MEGABYTE)
    socket.write(piece, () => {
      taken += MEGABYTE
    })
  }
  socket.end()
  return () => taken
}

/** A clock that goes when told to. */
class ManualClock implements Clock {
  now = 0
  readonly #due = new Map<() => void, number>()

  after(delayMs: number, expire: () => void) {
    this.#due.set(expire, this.now + delayMs)
    return { cancel: () => void this.#due.delete(expire) }
  }

  advance(ms: number): void {
    const until = this.now + ms
    while (this.now < until) {
      this.now = Math.min(until, this.now + 500)
      for (const [expire, at] of this.#due) {
        if (at > this.now) continue
        this.#due.delete(expire)
        expire()
      }
    }
  }
}

interface Kind {
  readonly client: Engine
  readonly upstream: Engine
  /** the streams go on over sockets somebody asked for */
  readonly isPromoted?: boolean
  /** so much goes through before that another thread carries the tunnel */
  readonly isBulky?: boolean
}

interface Tunnel {
  /** the far ends */
  readonly client: Socket
  readonly origin: Socket
  /** the proxy's own streams */
  readonly near: { readonly client: ByteStream; readonly upstream: ByteStream }
  readonly tunnel: Relay
  /** bytes that have gone through already */
  readonly before: { readonly sent: number; readonly received: number }
}

/** client ── near.client ═ relay ═ near.upstream ── origin, all real connections */
async function openTunnel(
  kind: Kind,
  options: Partial<RelayOptions> = {},
  beforeRelay: (ends: Omit<Tunnel, 'tunnel' | 'before'>) => Promise<void> | void = () => {},
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
  const back = vi.fn<NonNullable<Engine['passOn']>>((...streams) => kind.client.passOn?.(...streams) ?? false)
  const passOn = kind.isBulky === true ? back : undefined
  const tunnel = relay(near.client, near.upstream, { idleMs: 60_000, ...options, clock, passOn })
  const before = kind.isBulky === true ? await makeBulky(ends, back.mock.results) : { sent: 0, received: 0 }
  // nothing counts as being on its way any more
  if (clock instanceof ManualClock) clock.advance(2_000)
  return { ...ends, tunnel, before }
}

/** Moves megabytes until the engine has been given the tunnel. */
async function makeBulky(
  { client, origin }: Pick<Tunnel, 'client' | 'origin'>,
  answers: readonly { readonly value: unknown }[],
): Promise<Tunnel['before']> {
  client.write('first bytes')
  await next(origin, 'data')
  let received = 0
  const take = () => {
    for (let bytes = client.read(); bytes !== null; bytes = client.read()) received += bytes.length
  }
  client.on('readable', take)
  let sent = 0
  while (!answers.some(({ value }) => value === true)) {
    expect(sent).toBeLessThan(100 * MEGABYTE)
    origin.write(Buffer.alloc(MEGABYTE, 'x'))
    sent += MEGABYTE
    await vi.waitFor(() => expect(received).toBe(sent), { ...PATIENT, interval: 5 })
  }
  client.off('readable', take)
  return { sent: 11, received }
}

function ended(tunnel: Relay) {
  return Promise.race([
    tunnel.closed,
    once(AbortSignal.timeout(PATIENCE_MS), 'abort').then(() => Promise.reject(new Error('the tunnel never ended'))),
  ])
}

const digest = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

/** Bulky before each test begins, so that another thread carries it. */
const BY_THREAD: [string, Kind] = [
  'streams in a thread of their own',
  { client: engine, upstream: engine, isBulky: true },
]

describe.each<[string, Kind]>([
  [`${engine.name} on both sides`, { client: engine, upstream: engine }],
  [`node and ${engine.name}`, { client: nodeEngine, upstream: engine }],
  ['node on both sides', { client: nodeEngine, upstream: nodeEngine }],
  ['streams that became sockets', { client: engine, upstream: engine, isPromoted: true }],
  ...(engine.passOn === undefined ? [] : [BY_THREAD]),
])('relaying between %s', (_name, kind) => {
  /** What came before the relay: a tunnel that a thread has been given is relayed already. */
  const itBefore = (name: string, body: () => Promise<void>) => {
    if (kind.isBulky !== true) it(name, body)
  }

  it('carries bytes both ways and counts them', async () => {
    const { client, origin, tunnel, before } = await openTunnel(kind)
    client.end('ping')
    expect((await readToEnd(origin)).toString()).toBe('ping')
    origin.end('pong!')
    expect((await readToEnd(client)).toString()).toBe('pong!')
    const end = await ended(tunnel)
    expect(end).toMatchObject({
      reason: 'CLIENT_CLOSED',
      bytesReceived: before.received + 5,
      bytesSent: before.sent + 4,
    })
    expect(end.error).toBeUndefined()
  })

  it('lets 10 MB through after the client has closed its side (TU-06)', async () => {
    const { client, origin, tunnel, before } = await openTunnel(kind)
    client.end('request')
    await readToEnd(origin)
    origin.end(TEN_MB)
    expect(digest(await readToEnd(client))).toBe(digest(TEN_MB))
    expect(await ended(tunnel)).toMatchObject({
      reason: 'CLIENT_CLOSED',
      bytesReceived: before.received + TEN_MB.length,
    })
  })

  it('lets 10 MB through after the origin has closed its side (TU-06)', async () => {
    const { client, origin, tunnel, before } = await openTunnel(kind)
    origin.end('banner')
    expect((await readToEnd(client)).toString()).toBe('banner')
    client.end(TEN_MB)
    expect(digest(await readToEnd(origin))).toBe(digest(TEN_MB))
    expect(await ended(tunnel)).toMatchObject({
      reason: 'ORIGIN_CLOSED',
      bytesSent: before.sent + TEN_MB.length,
    })
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
    await untilStill(() => near.upstream.bytesRead)
    client.resetAndDestroy()
    const error = new Promise((resolve) => origin.on('error', resolve))
    expect(await error).toMatchObject({ code: expect.stringMatching(/ECONNRESET|EPIPE/) })
    expect(await ended(tunnel)).toMatchObject({ reason: 'CLIENT_ERROR' })
  })

  itBefore('sends bytes that were put back first, before anything the client says later (TU-04)', async () => {
    const { client, origin } = await openTunnel(kind, {}, ({ near }) => near.client.unread(Buffer.from('early ')))
    client.end('late')
    expect((await readToEnd(origin)).toString()).toBe('early late')
  })

  itBefore('keeps what the origin said before the relay began, in order (TU-05)', async () => {
    const { client, origin } = await openTunnel(kind, {}, async ({ origin, near }) => {
      origin.write('banner ')
      await vi.waitFor(() => {
        const bytes = near.upstream.read()
        if (bytes !== undefined) near.upstream.unread(Buffer.from(bytes))
        expect(bytes?.toString()).toBe('banner ')
      }, PATIENT)
    })
    origin.end('more')
    expect((await readToEnd(client)).toString()).toBe('banner more')
  })

  it('holds at most 256 KB for a client that stops reading, and delivers all of it later (TU-09)', async () => {
    const { client, origin, near } = await openTunnel(kind)
    client.pause()
    const taken = endWithMuch(origin)
    await untilStill(taken)
    expect(taken()).toBeLessThan(MUCH)
    expect(near.client.unsent + near.upstream.buffered).toBeLessThanOrEqual(STALL_LIMIT)
    expect(digest(await readToEnd(client))).toBe(digest(much()))
  })

  it('holds at most 256 KB for an origin that stops reading, and delivers all of it later (TU-09)', async () => {
    const { client, origin, near } = await openTunnel(kind)
    origin.pause()
    const taken = endWithMuch(client)
    await untilStill(taken)
    expect(taken()).toBeLessThan(MUCH)
    expect(near.upstream.unsent + near.client.buffered).toBeLessThanOrEqual(STALL_LIMIT)
    expect(digest(await readToEnd(origin))).toBe(digest(much()))
  })

  it('cuts a tunnel when both directions were silent for the idle time, with a reset (TU-10)', async () => {
    const clock = new ManualClock()
    const { client, origin, tunnel } = await openTunnel(kind, { clock, idleMs: 10_000 })
    const failed = Promise.all([once(client, 'error'), once(origin.resume(), 'error')])
    clock.advance(10_000)
    await failed
    expect(await ended(tunnel)).toMatchObject({ reason: 'CLIENT_IDLE_TIMEOUT', error: { code: 'relay.idle' } })
  })

  it.each(['client', 'origin'] as const)('keeps a tunnel in which only the %s speaks (TU-10)', async (speaker) => {
    const clock = new ManualClock()
    const ends = await openTunnel(kind, { clock, idleMs: 10_000 })
    const [from, to] = speaker === 'client' ? [ends.client, ends.origin] : [ends.origin, ends.client]
    for (let beat = 0; beat < 5; beat++) {
      clock.advance(7_000)
      from.write('.')
      await next(to, 'data')
    }
    expect(ends.near.client.isClosed || ends.near.upstream.isClosed).toBe(false)
    // what another thread moves is noticed within a second
    clock.advance(11_000)
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

  itBefore('ends at once when the client was gone before the relay began', async () => {
    const { origin, tunnel } = await openTunnel(kind, {}, async ({ near }) => {
      near.client.destroy()
      await untilClosed(near.client)
    })
    origin.resume()
    expect(await ended(tunnel)).toMatchObject({ reason: 'CLIENT_CLOSED' })
  })

  itBefore('passes on a FIN that came before the relay began', async () => {
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

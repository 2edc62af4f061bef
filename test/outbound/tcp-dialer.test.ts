import type { Socket } from 'node:net'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { GatewayError } from '../../src/errors/gateway-error.ts'
import { ip } from '../../src/net/ip.ts'
import { DEFAULT_PORT_RANGE, PortLeases, type PortRange } from '../../src/outbound/port-leases.ts'
import { SourceRegistry } from '../../src/outbound/source-registry.ts'
import { createTcpDialer } from '../../src/outbound/tcp-dialer.ts'
import type { DialAttempt, TcpUpstream } from '../../src/proxy/stage-values.ts'
import type { Engine } from '../../src/transport/engine.ts'
import { nodeEngine } from '../../src/transport/node/node-engine.ts'
import { TimerWheel } from '../../src/transport/timer-wheel.ts'
import { engine } from '../support/engine.ts'
import { ownPort } from '../support/own-network.ts'
import { PATIENCE_MS, PATIENT } from '../support/patience.ts'
import { silentOrigin } from '../support/silent-origin.ts'
import { listen, readToEnd } from '../support/tcp.ts'
import { attempt, endpoint } from './attempt.ts'

const BOUND_HERE = { exitOf: () => undefined, onAttempt: () => undefined }

function dialer(options: { limit?: number; range?: PortRange; staggerMs?: number; engine?: Engine } = {}) {
  const leases = new PortLeases({
    limit: () => options.limit ?? 40_000,
    range: options.range ?? DEFAULT_PORT_RANGE,
    onPressure: () => undefined,
  })
  const sources = new SourceRegistry()
  const clock = new TimerWheel(10)
  const dial = createTcpDialer({
    engine: options.engine ?? engine,
    leases,
    sources,
    clock,
    ...BOUND_HERE,
    staggerMs: options.staggerMs ?? 20,
  })
  return {
    leases,
    sources,
    clock,
    dial: async (attempts: readonly DialAttempt[], timeoutMs = PATIENCE_MS, signal = new AbortController().signal) => {
      const upstream = await dial(attempts, { signal, timeoutMs })
      onTestFinished(() => {
        upstream.channel.destroy()
      })
      return upstream
    },
    async atRest(): Promise<void> {
      await vi.waitFor(() => expect([leases.counts().active, sources.size, clock.pending]).toEqual([0, 0, 0]), PATIENT)
    },
  }
}

describe('the dialer', () => {
  it.each([
    ['127.0.10.10', ['127.0.10.10'], '127.0.20.7'],
    ['127.0.10.20', ['::1', '127.0.10.20'], '127.0.0.1'],
    ['::1', ['127.0.10.20', '::1'], '::1'],
  ])(
    'leaves from %s, of the stand-ins %j, towards %s, as the origin sees it (EG-01)',
    async (standIn, standIns, host) => {
      const seen = Promise.withResolvers<Socket>()
      const origin = await listen(seen.resolve, host)
      const upstream = await dialer().dial([attempt({ dial: endpoint(host, origin.port), standIns })])
      const peer = await seen.promise
      expect([peer.remoteAddress, peer.remotePort]).toEqual([standIn, upstream.local.port])
      expect(upstream.local.ip).toEqual(ip(standIn))
      expect(upstream.publicEndpoint).toEqual(endpoint('203.0.113.10', upstream.local.port))
    },
  )

  it('tells the origin the public source as soon as the connection is accepted, and forgets it with the connection', async () => {
    const kit = dialer()
    const asked = Promise.withResolvers<unknown>()
    const origin = await listen((socket) => {
      const peer = endpoint(socket.remoteAddress ?? '', socket.remotePort ?? 0)
      const local = endpoint(socket.localAddress ?? '', socket.localPort ?? 0)
      asked.resolve(kit.sources.publicSourceOf(peer, local))
    }, '127.0.20.7')
    const wanted = attempt({ dial: endpoint('127.0.20.7', origin.port) })
    const { channel, publicEndpoint } = await kit.dial([wanted])
    expect(await asked.promise).toEqual({ endpoint: publicEndpoint, attempt: wanted })
    expect(kit.sources.publicSourceOf(endpoint('127.0.10.10', 1), endpoint('127.0.20.7', origin.port))).toBeUndefined()
    channel.destroy()
    await kit.atRest()
  })

  it('opens exactly as many connections as the limit says, and names the reason for the next ([E7], EG-03)', async () => {
    const accepted: Socket[] = []
    const origin = await listen((socket) => void accepted.push(socket), '127.0.20.7')
    const wanted = attempt({ dial: endpoint('127.0.20.7', origin.port) })
    const kit = dialer({ limit: 40 })
    const results = await Promise.allSettled(Array.from({ length: 45 }, () => kit.dial([wanted])))
    const opened = results.filter((result) => result.status === 'fulfilled').map(({ value }) => value)
    const refused = results.filter((result) => result.status === 'rejected').map(({ reason }) => reason)
    expect([opened.length, refused.length]).toEqual([40, 5])
    expect(new Set(refused.map((error: GatewayError) => error.code))).toEqual(new Set(['egress.ports_exhausted']))
    await vi.waitFor(() => expect(accepted.length).toBe(40), PATIENT)

    const elsewhere = await listen(() => {}, '127.0.20.8')
    await kit.dial([attempt({ dial: endpoint('127.0.20.8', elsewhere.port) })])

    opened[0]?.channel.destroy()
    await vi.waitFor(() => expect(kit.leases.counts().active).toBe(40), PATIENT)
    await kit.dial([wanted])
    await expect(kit.dial([wanted])).rejects.toMatchObject({ code: 'egress.ports_exhausted' })
  })

  it('returns every port and registry entry after churn, whichever side closed and how (TU-12)', async () => {
    const endings: ((socket: Socket) => unknown)[] = [
      (socket) => socket.end(),
      (socket) => socket.destroy(),
      (socket) => socket.resetAndDestroy(),
    ]
    let count = 0
    const origin = await listen((socket) => {
      socket.on('end', () => socket.end()).resume()
      if (count++ % 2 === 0) endings[count % 3]?.(socket)
    }, '127.0.20.7')
    const kit = dialer()
    const wanted = attempt({ dial: endpoint('127.0.20.7', origin.port) })
    const nobody = attempt({ dial: endpoint('127.0.20.9', ownPort(0)) })
    for (let round = 0; round < 10; round++) {
      const opened = await Promise.allSettled(
        Array.from({ length: 20 }, () => kit.dial([round % 5 === 4 ? nobody : wanted])),
      )
      for (const [at, result] of opened.entries()) {
        if (result.status === 'fulfilled') endings[at % 3]?.(result.value.channel.asSocket().resume())
      }
    }
    await kit.atRest()
  })

  it('takes another port when one is held by somebody else (EG-04)', async () => {
    const squatter = await listen(() => {}, '127.0.10.10')
    const origin = await listen(() => {}, '127.0.20.7')
    const range = { first: squatter.port, last: squatter.port + 1 }
    const taken = dialer({ range, engine: nodeEngine })
    const { local } = await taken.dial([attempt({ dial: endpoint('127.0.20.7', origin.port) })])
    expect(local.port).toBe(squatter.port + 1)
  })

  it('gives up after a bounded number of ports and says so (EG-04)', async () => {
    const squatter = await listen(() => {}, '127.0.10.10')
    const origin = await listen(() => {}, '127.0.20.7')
    const kit = dialer({ range: { first: squatter.port, last: squatter.port }, engine: nodeEngine })
    const wanted = attempt({ dial: endpoint('127.0.20.7', origin.port) })
    await expect(kit.dial([wanted])).rejects.toMatchObject({ code: 'egress.ports_exhausted' })
    await kit.atRest()
  })

  it('shares a port between destinations', async () => {
    const [one, two] = [await listen(() => {}, '127.0.20.7'), await listen(() => {}, '127.0.20.8')]
    const kit = dialer({ range: { first: 33_333, last: 33_333 }, engine: nodeEngine })
    const first = await kit.dial([attempt({ dial: endpoint('127.0.20.7', one.port) })])
    const second = await kit.dial([attempt({ dial: endpoint('127.0.20.8', two.port) })])
    expect([first.local.port, second.local.port]).toEqual([33_333, 33_333])
  })

  it('keeps what the origin says at once until somebody reads (TU-05)', async () => {
    const origin = await listen((socket) => socket.end('220 ready'), '127.0.20.7')
    const { channel } = await dialer().dial([attempt({ dial: endpoint('127.0.20.7', origin.port) })])
    expect((await readToEnd(channel.asSocket())).toString()).toBe('220 ready')
  })
})

describe('over an engine that chooses the port itself', () => {
  /** Sockets of Node's, and ports that are known as soon as a dial has begun. */
  function choosing(ports: number[]): Engine {
    return {
      ...nodeEngine,
      sharesPorts: true,
      dial: (request, listener) => {
        const { from } = request
        expect(from?.port).toBe(0)
        const port = ports.shift() ?? 0
        return nodeEngine.dial(from === undefined ? request : { ...request, from: { ...from, port } }, listener)
      },
    }
  }

  it('the origin finds out who connects from the port really bound, as soon as it can ask', async () => {
    const seen: (string | undefined)[] = []
    const origin = await listen((socket) => {
      const peer = endpoint(socket.remoteAddress ?? '', socket.remotePort ?? 0)
      const found = kit.sources.publicSourceOf(peer, endpoint('127.0.20.7', socket.localPort ?? 0))
      seen.push(found === undefined ? undefined : `${found.endpoint.ip.text}:${found.endpoint.port}`)
    }, '127.0.20.7')
    const kit = dialer({ engine: choosing([33_334]) })
    const { publicEndpoint, local, channel } = await kit.dial([attempt({ dial: endpoint('127.0.20.7', origin.port) })])
    await expect.poll(() => seen).toEqual(['203.0.113.10:33334'])
    expect([publicEndpoint.port, local.port, channel.localEndpoint()?.port]).toEqual([33_334, 33_334, 33_334])
    expect(kit.leases.counts()).toMatchObject({ active: 1, granted: 1 })
    channel.destroy()
    await kit.atRest()
  })

  it('the limit of connections per destination holds all the same ([E7])', async () => {
    const origin = await listen(() => {}, '127.0.20.7')
    const kit = dialer({ limit: 2, engine: choosing([33_335, 33_336, 33_337]) })
    const wanted = attempt({ dial: endpoint('127.0.20.7', origin.port) })
    const [first] = [await kit.dial([wanted]), await kit.dial([wanted])]
    await expect(kit.dial([wanted])).rejects.toMatchObject({ code: 'egress.ports_exhausted' })
    first?.channel.destroy()
    await kit.dial([wanted])
  })

  it.each([
    ['refused', {}, 'dial.refused'],
    ['not bound', { standIns: ['203.0.113.10'] }, 'egress.address_missing'],
  ] as const)('a dial that is %s leaves nothing behind', async (_what, rest, code) => {
    const kit = dialer({ engine: choosing([33_338]) })
    const wanted = attempt({ dial: endpoint('127.0.20.7', ownPort(0)), ...rest })
    await expect(kit.dial([wanted])).rejects.toMatchObject({ code })
    await kit.atRest()
  })

  it('ports that are all taken are a failure with that name, not one more try', async () => {
    const squatter = await listen(() => {}, '127.0.10.10')
    const origin = await listen(() => {}, '127.0.20.7')
    const kit = dialer({ engine: choosing([squatter.port, squatter.port]) })
    const wanted = attempt({ dial: endpoint('127.0.20.7', origin.port) })
    await expect(kit.dial([wanted])).rejects.toMatchObject({ code: 'egress.ports_exhausted' })
    expect(kit.leases.counts()).toMatchObject({ granted: 1, active: 0 })
  })
})

describe('a dial that fails names the reason', () => {
  async function failure(attempts: readonly DialAttempt[], timeoutMs?: number): Promise<GatewayError> {
    const kit = dialer()
    const error: unknown = await kit.dial(attempts, timeoutMs).then(
      () => undefined,
      (thrown) => thrown,
    )
    await kit.atRest()
    if (!(error instanceof GatewayError)) throw new Error('expected a GatewayError', { cause: error })
    return error
  }

  it('refused (EG-08)', async () => {
    const port = ownPort(0)
    const error = await failure([
      attempt({ dial: endpoint('127.0.20.7', port), destination: endpoint('198.51.100.7', 443) }),
    ])
    expect(error.code).toBe('dial.refused')
    expect(error.message).toBe(`\`198.51.100.7:443\` (really \`127.0.20.7:${port}\`) refused the connection`)
  })

  it('an egress address this machine does not have, not some busy port', async () => {
    const origin = await listen(() => {})
    const error = await failure([attempt({ dial: endpoint('127.0.0.1', origin.port), standIns: ['203.0.113.10'] })])
    expect(error.code).toBe('egress.address_missing')
    expect(error.message).toContain('this machine does not have it')
  })

  it('no stand-in of the family that is dialled (EG-05)', async () => {
    const error = await failure([attempt({ dial: endpoint('::1', 9), standIns: ['127.0.10.10'] })])
    expect(error.code).toBe('egress.no_matching_family')
    expect(error.message).toContain('no IPv6 stand-in')
  })

  it('no attempt at all', async () => {
    expect((await failure([])).code).toBe('egress.unroutable')
  })

  it('several failures as one, the most telling first and all in its cause', async () => {
    const port = ownPort(0)
    const error = await failure([
      attempt({ dial: endpoint('::1', port), standIns: ['127.0.10.10'] }),
      attempt({ dial: endpoint('127.0.20.7', port) }),
    ])
    expect(error.code).toBe('dial.refused')
    expect(error.cause).toBeInstanceOf(AggregateError)
    expect((error.cause as AggregateError).errors.map(({ code }: GatewayError) => code)).toEqual([
      'dial.refused',
      'egress.no_matching_family',
    ])
  })

  it('silence until the time is over, with the ports given back (EG-08)', async () => {
    const silent = endpoint('127.0.20.7', await silentOrigin('127.0.20.7'))
    const error = await failure([attempt({ dial: silent })], 100)
    expect(error.code).toBe('dial.timeout')
    expect(error.message).toContain('did not answer within 0.1 s')
  })

  it('the client going away, with the ports given back', async () => {
    const silent = endpoint('127.0.20.7', await silentOrigin('127.0.20.7'))
    const kit = dialer()
    const controller = new AbortController()
    const dialling = kit.dial([attempt({ dial: silent })], 5_000, controller.signal)
    expect(kit.leases.counts().active).toBe(1)
    controller.abort()
    await expect(dialling).rejects.toMatchObject({ code: 'relay.client_reset' })
    await kit.atRest()
  })

  it('the reason of an abort that has one, also when it came first', async () => {
    const reason = new GatewayError('relay.killed', 'the lab is stopping')
    const dialling = dialer().dial([attempt({ dial: endpoint('127.0.0.1', 9) })], 5_000, AbortSignal.abort(reason))
    await expect(dialling).rejects.toBe(reason)
  })
})

describe('Happy Eyeballs (EG-05, EG-06)', () => {
  it('goes on with the next address at once when one fails', async () => {
    const origin = await listen(() => {}, '127.0.20.7')
    const kit = dialer({ staggerMs: 60_000 })
    const upstream = await kit.dial([
      attempt({ dial: endpoint('127.0.20.7', ownPort(0)) }),
      attempt({ dial: endpoint('127.0.20.7', origin.port) }),
    ])
    expect(upstream.attempt.candidate.dial.port).toBe(origin.port)
  })

  it('joins the next address when one stays silent, cancels the loser and gives its port back', async () => {
    const accepted: Socket[] = []
    const origin = await listen((socket) => void accepted.push(socket), '127.0.20.7')
    const kit = dialer()
    const upstream = await kit.dial([
      attempt({ dial: endpoint('127.0.20.7', await silentOrigin('127.0.20.7')), egress: '2001:db8:10::1' }),
      attempt({ dial: endpoint('127.0.20.7', origin.port) }),
    ])
    expect(upstream.publicEndpoint.ip.text).toBe('203.0.113.10')
    await vi.waitFor(() => expect(kit.leases.counts().active).toBe(1), PATIENT)
    expect(kit.sources.size).toBe(1)
    expect(accepted.length).toBe(1)
    upstream.channel.destroy()
    await kit.atRest()
  })

  it('lets the first one win once, however many could', async () => {
    let accepted = 0
    const origins = [await listen(() => accepted++, '::1'), await listen(() => accepted++, '127.0.20.7')]
    const kit = dialer({ staggerMs: 0 })
    const upstreams: TcpUpstream[] = []
    for (let round = 0; round < 20; round++) {
      upstreams.push(
        await kit.dial([
          attempt({ dial: endpoint('::1', origins[0]?.port ?? 0), standIns: ['::1'], egress: '2001:db8:10::1' }),
          attempt({ dial: endpoint('127.0.20.7', origins[1]?.port ?? 0) }),
        ]),
      )
    }
    await vi.waitFor(() => expect(kit.leases.counts().active).toBe(20), PATIENT)
    for (const { channel, attempt: won, local } of upstreams) {
      expect(local.ip.family).toBe(won.candidate.dial.ip.family)
      channel.destroy()
    }
    await kit.atRest()
  })
})

// Distance that is felt: how long is asked of the clock, what a client that goes away gets, and what the record says. No test looks
// at a clock of its own.

import { once } from 'node:events'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { GatewayError } from '../../src/errors/gateway-error.ts'
import { delayByDistance } from '../../src/outbound/distant-dial.ts'
import type { DialAttempt, TcpUpstream } from '../../src/proxy/stage-values.ts'
import { NodeStream } from '../../src/transport/node/node-stream.ts'
import type { Timer } from '../../src/transport/timer-wheel.ts'
import { curl } from '../support/curl.ts'
import { ownNetwork } from '../support/own-network.ts'
import { startPrivateLab } from '../support/private-lab.ts'
import { attempt, endpoint } from './attempt.ts'

let origin: Server
const accepted: Socket[] = []
beforeAll(async () => {
  origin = createServer((socket) => {
    socket.on('error', () => undefined)
    accepted.push(socket)
    origin.emit('accepted')
  })
  origin.listen(0, '127.0.0.1')
  await once(origin, 'listening')
})
afterEach(() => {
  for (const socket of accepted.splice(0)) socket.destroy()
})
afterAll(() => {
  origin.close()
})

/** From Sydney to London by way of Sydney's data center and London's. */
function faraway(): DialAttempt {
  const plain = attempt({ dial: endpoint('127.0.0.1', (origin.address() as AddressInfo).port) })
  const sydney = { code: 'SYD', city: 'Sydney', country: 'AU', latitude: -33.95, longitude: 151.18 }
  const london = { code: 'LHR', city: 'London', country: 'GB', latitude: 51.47, longitude: -0.46 }
  return {
    ...plain,
    flow: { ...plain.flow, userPlace: sydney, destinationPlace: sydney },
    decision: { ...plain.decision, ingressColo: sydney, physicalColo: london },
  }
}

/** A clock that fires when it is told to, and remembers what it was asked. */
function handClock() {
  const asked: number[] = []
  const running = new Set<() => void>()
  const after = (delayMs: number, expire: () => void): Timer => {
    asked.push(delayMs)
    running.add(expire)
    return { cancel: () => void running.delete(expire) }
  }
  const fire = () => {
    for (const expire of running) expire()
    running.clear()
  }
  return { after, asked, running, fire }
}

async function dialOrigin([first]: readonly DialAttempt[]): Promise<TcpUpstream> {
  const socket = connect((origin.address() as AddressInfo).port, '127.0.0.1')
  socket.on('error', () => undefined)
  await Promise.all([once(socket, 'connect'), once(origin, 'accepted')])
  const local = endpoint('127.0.0.1', socket.localPort ?? 0)
  return { channel: new NodeStream(socket), attempt: first ?? faraway(), local, publicEndpoint: local }
}

const options = (signal = new AbortController().signal) => ({ signal, timeoutMs: 1000 })

/** Resolves once the delay is being waited for. */
async function waiting({ running }: ReturnType<typeof handClock>): Promise<void> {
  while (running.size === 0) await new Promise((resolve) => setImmediate(resolve))
}

describe('a dial over a distance', () => {
  test('is handed over after one round trip, and says how far it was', async () => {
    const clock = handClock()
    const dial = delayByDistance(dialOrigin, { msPer1000Km: 15, clock })
    let upstream: TcpUpstream | undefined
    const dialling = dial([faraway()], options()).then((made) => {
      upstream = made
    })
    await waiting(clock)
    expect(upstream).toBeUndefined()
    // 17,021 km to London and as many back to Sydney
    expect(clock.asked).toEqual([510.6])
    clock.fire()
    await dialling
    expect(upstream?.distance).toEqual({ km: 34_042, addedMs: 510.6 })
    upstream?.channel.destroy()
  })

  test('of nothing waits for nothing', async () => {
    const clock = handClock()
    const dial = delayByDistance(dialOrigin, { msPer1000Km: 15, clock })
    const { distance, channel } = await dial([attempt({ dial: endpoint('127.0.0.1', 1) })], options())
    expect([distance, clock.asked]).toEqual([{ km: 0, addedMs: 0 }, []])
    channel.destroy()
  })

  test('ends when the client goes away: the origin sees a reset, and nothing is waited for any more', async () => {
    const clock = handClock()
    const client = new AbortController()
    const dialling = delayByDistance(dialOrigin, { msPer1000Km: 15, clock })([faraway()], options(client.signal))
    await waiting(clock)
    const reset = new Promise((resolve) =>
      accepted[0]?.once('error', (error: NodeJS.ErrnoException) => resolve(error.code)),
    )
    client.abort(new GatewayError('relay.client_reset', 'gone'))
    await expect(dialling).rejects.toMatchObject({ code: 'relay.client_reset', message: 'gone' })
    expect(await reset).toBe('ECONNRESET')
    expect(clock.running.size).toBe(0)
  })

  test('ends when the origin closes meanwhile', async () => {
    const clock = handClock()
    const dialling = delayByDistance(dialOrigin, { msPer1000Km: 15, clock })([faraway()], options())
    await waiting(clock)
    accepted[0]?.resetAndDestroy()
    await expect(dialling).rejects.toMatchObject({ code: 'dial.reset' })
    expect(clock.running.size).toBe(0)
  })

  test('that fails fails at once', async () => {
    const clock = handClock()
    const refused = new GatewayError('dial.refused', 'no')
    const dial = delayByDistance(() => Promise.reject(refused), { msPer1000Km: 15, clock })
    await expect(dial([faraway()], options())).rejects.toBe(refused)
    expect(clock.asked).toEqual([])
  })
})

describe('in a lab', () => {
  test('the record says how far it was and what was added; without `distance` it says nothing', async () => {
    const text = (distance: string) => `${distance}
dedicated_ips: [{ colo: LHR, ipv4: 203.0.113.20 }]
users: [{ email: alice@example.com, password: lab, place: LHR }]
destinations: [{ name: near.test, addresses: [198.51.100.60], place: MAN, origin: echo }]
`
    const records = []
    for (const distance of ['distance: { enabled: true, ms_per_1000_km: 20 }', '']) {
      const configFile = join(mkdtempSync(join(tmpdir(), 'egresslab-')), 'lab.yaml')
      writeFileSync(configFile, text(distance))
      const running = await startPrivateLab({ configFile, standInNetwork: ownNetwork(2) })
      const answer = await curl('-x', running.proxy, '-U', 'alice@example.com:lab', 'http://near.test/')
      expect(answer.body).toBe('203.0.113.20\n')
      await running.lab.pipeline.sessions.empty()
      records.push(running.lab.sessions.recent().at(-1)?.Lab.distance)
      await running.close()
    }
    expect(records).toEqual([{ km: 242, addedMs: 4.8 }, undefined])
  })
})

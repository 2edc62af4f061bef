import { describe, expect, it } from 'vitest'
import { ip } from '../../src/net/ip.ts'
import {
  DEFAULT_PORT_RANGE,
  type LeaseRequest,
  type PortLease,
  PortLeases,
  type PortPressure,
} from '../../src/outbound/port-leases.ts'
import { endpoint } from './attempt.ts'

const onPressure = () => undefined

const REQUEST: LeaseRequest = {
  egress: ip('203.0.113.10'),
  destination: endpoint('198.51.100.7', 443),
  bind: ip('127.0.10.10'),
  dial: endpoint('127.0.20.7', 10_443),
}
const TO_ANOTHER_PORT: LeaseRequest = {
  ...REQUEST,
  destination: endpoint('198.51.100.7', 80),
  dial: endpoint('127.0.20.7', 10_080),
}

function take(leases: PortLeases, count: number, request = REQUEST): PortLease[] {
  return Array.from({ length: count }, () => {
    const lease = leases.lease(request)
    if (lease === undefined) throw new Error('no port left')
    return lease
  })
}

describe('port leases', () => {
  it('grant exactly the limit per egress address and destination, 40,000 by default range ([E7], EG-03)', () => {
    const leases = new PortLeases({ limit: () => 40_000, range: DEFAULT_PORT_RANGE, onPressure })
    const held = take(leases, 40_000)
    expect(new Set(held.map(({ port }) => port)).size).toBe(40_000)
    expect(leases.lease(REQUEST)).toBeUndefined()
    expect(leases.lease(TO_ANOTHER_PORT)).toBeDefined()
    held[7]?.release()
    expect(leases.lease(REQUEST)?.port).toBeDefined()
    expect(leases.lease(REQUEST)).toBeUndefined()
    expect(leases.counts()).toMatchObject({ active: 40_001, destinations: 2, busiest: 40_000, refused: 2 })
  })

  it('count by the public addresses, and share ports by the real ones', () => {
    const leases = new PortLeases({ limit: () => 2, range: { first: 20_000, last: 20_002 }, onPressure })
    const anotherEgress = { ...REQUEST, egress: ip('2001:db8:10::1') }
    const ports = [...take(leases, 2), ...take(leases, 1, anotherEgress)].map(({ port }) => port)
    expect(ports.sort()).toEqual([20_000, 20_001, 20_002])
    expect(leases.lease(anotherEgress)).toBeUndefined()
  })

  it('take the port that has been free the longest, so that one just closed is left in peace', () => {
    const leases = new PortLeases({ limit: () => 100, range: { first: 20_000, last: 20_009 }, onPressure })
    const keep = take(leases, 1)
    const order: number[] = []
    for (let round = 0; round < 27; round++) {
      for (const lease of take(leases, 1)) {
        order.push(lease.port)
        lease.release()
      }
    }
    expect(order.slice(0, 9)).toEqual(order.slice(9, 18))
    expect(order.slice(9, 18)).toEqual(order.slice(18, 27))
    expect(new Set(order)).not.toContain(keep[0]?.port)
    expect(new Set(order).size).toBe(9)
  })

  it('do not begin with a port just closed when a destination was forgotten in between', () => {
    const leases = new PortLeases({ limit: () => 100, range: { first: 20_000, last: 20_009 }, onPressure })
    const ports = Array.from({ length: 10 }, () => {
      const [lease] = take(leases, 1)
      lease?.release()
      return lease?.port
    })
    expect(new Set(ports).size).toBe(10)
  })

  it('forget a destination with its last connection, so that many destinations cost nothing (TU-12)', () => {
    const leases = new PortLeases({ limit: () => 10, range: DEFAULT_PORT_RANGE, onPressure })
    for (let n = 0; n < 5_000; n++) {
      const dial = endpoint(`127.${1 + (n >> 8)}.${n & 255}.1`, 80)
      for (const lease of take(leases, 2, { ...REQUEST, destination: dial, dial })) lease.release()
    }
    expect(leases.counts()).toMatchObject({ active: 0, destinations: 0, busiest: 0, granted: 10_000 })
  })

  it('count a lease that is released twice once', () => {
    const leases = new PortLeases({ limit: () => 1, range: DEFAULT_PORT_RANGE, onPressure })
    const [lease] = take(leases, 1)
    lease?.release()
    lease?.release()
    expect(leases.counts().active).toBe(0)
    take(leases, 1)
    expect(leases.lease(REQUEST)).toBeUndefined()
  })

  it('refuse when the range is used up below the limit', () => {
    const leases = new PortLeases({
      limit: () => 100,
      range: { first: 20_000, last: 20_003, except: [20_001] },
      onPressure,
    })
    expect(take(leases, 3).map(({ port }) => port)).not.toContain(20_001)
    expect(leases.lease(REQUEST)).toBeUndefined()
  })

  it('give workers disjoint slices that cover the range (EG-04)', () => {
    const slices = [0, 1, 2].map((index) => {
      const range = { first: 20_000, last: 20_010, slice: { index, of: 3 } }
      return take(new PortLeases({ limit: () => 100, range, onPressure }), index < 2 ? 4 : 3).map(({ port }) => port)
    })
    expect(slices.flat().sort()).toEqual(Array.from({ length: 11 }, (_, n) => 20_000 + n))
  })

  it('follow the limit when it changes, without touching what is held', () => {
    let limit = 3
    const leases = new PortLeases({ limit: () => limit, range: DEFAULT_PORT_RANGE, onPressure })
    const held = take(leases, 3)
    limit = 1
    expect(leases.lease(REQUEST)).toBeUndefined()
    held[0]?.release()
    held[1]?.release()
    expect(leases.lease(REQUEST)).toBeUndefined()
    held[2]?.release()
    expect(leases.lease(REQUEST)).toBeDefined()
  })

  it('report 80, 95 and 100 % each time they are reached (EG-03)', () => {
    const seen: PortPressure[] = []
    const leases = new PortLeases({ limit: () => 40, range: DEFAULT_PORT_RANGE, onPressure: (p) => seen.push(p) })
    const held = take(leases, 40)
    expect(seen.map(({ percent, used }) => [percent, used])).toEqual([
      [80, 32],
      [95, 38],
      [100, 40],
    ])
    for (const lease of held) lease.release()
    take(leases, 32)
    expect(seen.at(-1)).toMatchObject({ percent: 80, limit: 40, egress: REQUEST.egress })
  })

  it('refuse an empty range', () => {
    expect(() => new PortLeases({ limit: () => 1, range: { first: 5, last: 4 }, onPressure })).toThrow(RangeError)
  })
})

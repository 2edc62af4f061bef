// Allocates the local port of an outgoing connection. The kernel would share one range per egress address among all
// destinations; with explicit ports, every (bound address, dialled endpoint) has the whole range to itself
// (docs/decisions/0006-our-own-ports.md). Enforces [E7] exactly. Opens no sockets.

import type { Endpoint } from '../net/endpoint.ts'
import type { Ip } from '../net/ip.ts'

/** Above the ports that services of a developer's machine usually listen on, and 55,296 of them: more than the 40,000
 *  of [E7], so that a port just closed (TIME_WAIT) need not be used again at once. */
export const DEFAULT_PORT_RANGE = Object.freeze({ first: 10_240, last: 65_535 })

export interface PortRange {
  /** 1…65535, both ends included */
  readonly first: number
  readonly last: number
  /** ports never used, such as those the lab listens on */
  readonly except?: Iterable<number>
  /** this thread uses every `of`-th port from the `index`-th on (0-based): workers own disjoint slices (EG-04) */
  readonly slice?: { readonly index: number; readonly of: number }
}

/** The addresses a lease is for: the public ones (they count for [E7]), and those really bound and dialled (they decide
 *  which ports are free). */
export interface LeaseRequest {
  readonly egress: Ip
  readonly destination: Endpoint
  readonly bind: Ip
  readonly dial: Endpoint
}

/** A port, reserved until released. Releasing twice does nothing. */
export interface PortLease {
  readonly port: number
  release(): void
}

/** An (egress IP, destination) that has just reached 80, 95 or 100 % of its connection limit (EG-03). */
export interface PortPressure {
  readonly egress: Ip
  readonly destination: Endpoint
  readonly percent: 80 | 95 | 100
  readonly used: number
  readonly limit: number
}

export interface PortLeaseCounts {
  readonly active: number
  /** (egress IP, destination IP, destination port) with at least one connection */
  readonly destinations: number
  /** connections of the busiest of them */
  readonly busiest: number
  readonly granted: number
  readonly refused: number
  /** how often a destination has reached these percentages of the limit */
  readonly pressure: Readonly<Record<80 | 95 | 100, number>>
}

export interface PortLeaseSettings {
  /** [E7]: connections per (egress IP, destination IP, destination port); read for each lease */
  readonly limit: () => number
  readonly range: PortRange
  readonly onPressure: (pressure: PortPressure) => void
  /** counts shared with others under the same limit; default: separate counts */
  readonly uses?: UseCounts
}

/** Percentages of the limit that are reported. */
const PRESSURES = [80, 95, 100] as const

/** The ports of one thread: leases the next free one for an egress and a destination, until it is released; no more
 *  than the limit allows ([E7]). */
export class PortLeases {
  readonly #settings: PortLeaseSettings
  /** every port of the slice, shared by all pools */
  readonly #ports: Uint16Array
  /** by egress and destination */
  readonly #uses: UseCounts
  /** by bound address and dialled endpoint */
  readonly #pools = new Map<string, Pool>()
  /** where the next pool begins, so that a recreated pool does not begin with ports just closed */
  #rotor: number
  #active = 0
  #granted = 0
  #refused = 0
  readonly #pressure = { 80: 0, 95: 0, 100: 0 }

  /** Throws a RangeError for an empty range. */
  constructor(settings: PortLeaseSettings) {
    this.#settings = settings
    this.#uses = settings.uses ?? new LocalUses()
    this.#ports = portsOf(settings.range)
    this.#rotor = Math.floor(Math.random() * this.#ports.length)
  }

  /** Leases a free port, the one unused the longest; undefined when the limit is reached or no port is left. O(1). */
  lease(request: LeaseRequest): PortLease | undefined {
    const limit = this.#settings.limit()
    const useKey = keyOf(request.egress, request.destination)
    const used = this.#uses.add(useKey, limit)
    if (used === undefined) return this.#refuse()
    const poolKey = keyOf(request.bind, request.dial)
    const pool = this.#poolOf(poolKey)
    const port = this.#take(pool)
    if (port === undefined) {
      this.#uses.remove(useKey)
      return this.#refuse()
    }
    this.#grant(poolKey, pool)
    this.#reportPressure(request, used, limit)
    return new Lease(port, () => {
      this.#uses.remove(useKey)
      this.#returnPort(port, poolKey, pool)
    })
  }

  /** Leases a port for UDP, where one socket serves many destinations: free on the bound address for all of them. It
   *  counts for no destination; each flow does, by {@link admit}. */
  leaseForAll({ bind }: Pick<LeaseRequest, 'bind'>): PortLease | undefined {
    const poolKey = `${bind.text} udp`
    const pool = this.#poolOf(poolKey)
    const port = this.#take(pool)
    if (port === undefined) return this.#refuse()
    this.#grant(poolKey, pool)
    return new Lease(port, () => this.#returnPort(port, poolKey, pool))
  }

  /** Counts a connection whose port the system chooses, for [E7] and among the active ones. Undefined when the limit is
   *  reached, else a function that releases it; call it once. */
  leaseOfSystem(request: Pick<LeaseRequest, 'egress' | 'destination'>): (() => void) | undefined {
    const leave = this.admit(request, 'tcp')
    if (leave === undefined) return undefined
    this.#active++
    this.#granted++
    return () => {
      this.#active--
      leave()
    }
  }

  /** Counts for [E7] what needs no port of its own: a UDP flow (separate from TCP), or a connection through an upstream
   *  proxy. Undefined when the limit is reached, else a function that releases it; call it once. */
  admit(flow: Pick<LeaseRequest, 'egress' | 'destination'>, transport: 'tcp' | 'udp'): (() => void) | undefined {
    const limit = this.#settings.limit()
    const key = keyOf(flow.egress, flow.destination)
    const useKey = transport === 'tcp' ? key : `${key} udp`
    const used = this.#uses.add(useKey, limit)
    if (used === undefined) return this.#refuse()
    this.#reportPressure(flow, used, limit)
    return () => this.#uses.remove(useKey)
  }

  counts(): PortLeaseCounts {
    const { keys, most } = this.#uses.own()
    return {
      active: this.#active,
      destinations: keys,
      busiest: most,
      granted: this.#granted,
      refused: this.#refused,
      pressure: { ...this.#pressure },
    }
  }

  #take(pool: Pool): number | undefined {
    const size = this.#ports.length
    if (pool.issued < size) {
      this.#rotor = (this.#rotor + 1) % size
      return this.#ports[(pool.start + pool.issued++) % size]
    }
    const port = pool.released[pool.head]
    if (port === undefined) return undefined
    pool.head++
    if (pool.head > 1_024 && pool.head * 2 > pool.released.length) {
      pool.released = pool.released.slice(pool.head)
      pool.head = 0
    }
    return port
  }

  #poolOf(key: string): Pool {
    return this.#pools.get(key) ?? { start: this.#rotor, issued: 0, active: 0, released: [], head: 0 }
  }

  #grant(key: string, pool: Pool): void {
    pool.active++
    this.#active++
    this.#granted++
    this.#pools.set(key, pool)
  }

  #returnPort(port: number, key: string, pool: Pool): void {
    this.#active--
    pool.active--
    pool.released.push(port)
    if (pool.active === 0) this.#pools.delete(key)
  }

  #refuse(): undefined {
    this.#refused++
    return undefined
  }

  #reportPressure(request: Pick<LeaseRequest, 'egress' | 'destination'>, used: number, limit: number): void {
    const { onPressure } = this.#settings
    for (const percent of PRESSURES) {
      if (used !== Math.ceil((limit * percent) / 100)) continue
      this.#pressure[percent]++
      onPressure({ egress: request.egress, destination: request.destination, percent, used, limit })
    }
  }
}

/** Ports are issued in order from `start`; once all were, the one released the longest ago comes first. */
interface Pool {
  readonly start: number
  issued: number
  active: number
  released: number[]
  head: number
}

class Lease implements PortLease {
  readonly port: number
  #release: (() => void) | undefined

  constructor(port: number, release: () => void) {
    this.port = port
    this.#release = release
  }

  release(): void {
    this.#release?.()
    this.#release = undefined
  }
}

function keyOf(source: Ip, { ip, port }: Endpoint): string {
  return [source.text, ip.text, port].join(' ')
}

function portsOf({ first, last, except = [], slice = { index: 0, of: 1 } }: PortRange): Uint16Array {
  const excluded = new Set(except)
  const ports: number[] = []
  for (let port = first + slice.index; port <= last; port += slice.of) if (!excluded.has(port)) ports.push(port)
  if (ports.length === 0) throw new RangeError(`no port is left between ${first} and ${last}`)
  return Uint16Array.from(ports)
}

/** Counts connections by key, for one thread or several together. */
export interface UseCounts {
  /** Counts one more and returns the new count; undefined, and nothing counted, when `limit` is reached. */
  add(key: string, limit: number): number | undefined
  /** Subtracts one. */
  remove(key: string): void
  /** this thread's own counts: keys in use, and the highest count of one key */
  own(): { readonly keys: number; readonly most: number }
}

/** Counts for a single thread. */
export class LocalUses implements UseCounts {
  readonly #counts = new Map<string, number>()

  add(key: string, limit: number): number | undefined {
    const used = (this.#counts.get(key) ?? 0) + 1
    if (used > limit) return undefined
    this.#counts.set(key, used)
    return used
  }

  remove(key: string): void {
    const left = (this.#counts.get(key) ?? 0) - 1
    if (left > 0) this.#counts.set(key, left)
    else this.#counts.delete(key)
  }

  has(key: string): boolean {
    return this.#counts.has(key)
  }

  own(): { readonly keys: number; readonly most: number } {
    let most = 0
    for (const count of this.#counts.values()) most = Math.max(most, count)
    return { keys: this.#counts.size, most }
  }
}

// Every client connection of the soak, so that each session record can be told whose it is: by listener, client port and time.

import type { Socket } from 'node:net'

export type Door = 'main' | 'open'

/** How many records a connection leaves, from – to. */
export type Sessions = readonly [number, number]

export interface Trip {
  readonly kind: string
  readonly email: string
  readonly door: Door
  readonly port: number
  /** when it began to connect, epoch ms */
  readonly at: number
  sessions: Sessions
  /** error codes that its records may have; undefined: any that is not the lab's own fault */
  codes: readonly string[] | undefined
  /** by the judge */
  records: number
}

export class Trips {
  readonly #byDoor = new Map<string, Trip[]>()
  #count = 0

  get count(): number {
    return this.#count
  }

  /** A connection that has just been established. */
  enter(socket: Socket, trip: Omit<Trip, 'port' | 'records'>): Trip {
    const port = socket.localPort ?? 0
    const entered: Trip = { ...trip, port, records: 0 }
    const key = `${trip.door}:${port}`
    const before = this.#byDoor.get(key)
    if (before === undefined) this.#byDoor.set(key, [entered])
    else before.push(entered)
    this.#count++
    return entered
  }

  /** Whose session began then; `at` in epoch ms. */
  find(door: string, port: number, at: number): Trip | undefined {
    return this.#byDoor.get(`${door}:${port}`)?.findLast((trip) => trip.at <= at + CLOCK_SLACK_MS)
  }

  all(): readonly Trip[] {
    return [...this.#byDoor.values()].flat()
  }
}

/** two processes' clocks */
const CLOCK_SLACK_MS = 50

// Times in which the lab has no descriptors: a crowd of clients that reaches its limit, which it knows and answers; and a limit lowered
// below what it has open (EMFILE from every call, which nobody told it of). Afterwards a request must succeed again.

import { execFileSync } from 'node:child_process'
import { setTimeout as pause } from 'node:timers/promises'
import type { Road } from './road.ts'
import { connectHead, dial, forward, readBytes } from './roads.ts'
import { FAULTS } from './soaked-config.ts'
import { vitalsOf } from './vitals.ts'

/** Descriptors the lab starts with room for; `scripts/soak.ts` sets it. */
export const LAB_DESCRIPTORS = 2000

const CROWD = 1200
const CROWD_MS = 3000
const SHORTAGE_MS = 4000
const RECOVERY_MS = 20_000
/** an operation that ends so long after a time of want may still have met it */
const AFTERMATH_MS = 10_000

export class Starvation {
  readonly #times: { readonly from: number; to: number }[] = []
  crowds = 0
  refused = 0
  served = 0
  shortages = 0

  get summary() {
    const { crowds, served, refused, shortages } = this
    const clock = (time: number) => new Date(performance.timeOrigin + time).toISOString()
    const when = this.#times.map(({ from, to }) => `${clock(from)} – ${clock(to)}`)
    return { crowds, served, refused, shortages, when } as const
  }

  /** What a soak of so many seconds lacks: one that never ran out of descriptors proves little. */
  wants(seconds: number): readonly string[] {
    if (seconds < 60) return []
    return [
      ...(this.crowds === 0 || this.refused === 0 ? ['no crowd reached the limit of clients'] : []),
      ...(this.shortages === 0 ? ['descriptors never ran out'] : []),
    ]
  }

  /** Could an operation of this time (performance.now()) have met a want of descriptors? */
  met(from: number, to: number): boolean {
    return this.#times.some((time) => from < time.to + AFTERMATH_MS && to > time.from)
  }

  /** Clients beyond the limit, who each ask for a tunnel and keep it. Each must get one or be told no; the API must answer all the while.
   *  Rejects with what went wrong. `openRoad` makes a road for each. */
  async crowd(openRoad: () => Road, askApi: () => Promise<void>): Promise<void> {
    const time = this.#begin()
    const roads = Array.from({ length: CROWD }, openRoad)
    try {
      const heads = await Promise.all(
        roads.map(async (road, at) => {
          await pause(at)
          const socket = await dial(road)
          socket.write(connectHead(road, `${FAULTS}:80`))
          const head = await readBytes(socket, 12).catch(() => undefined)
          // a cut connection is told nothing, and had said nothing perhaps
          if (head === undefined) road.leaves([0, 1])
          return head?.toString() ?? 'cut'
        }),
      )
      await askApi()
      await pause(CROWD_MS)
      await askApi()
      this.served += heads.filter((head) => head === 'HTTP/1.1 200').length
      this.refused += heads.filter((head) => head !== 'HTTP/1.1 200').length
      const other = heads.find((head) => !['HTTP/1.1 200', 'HTTP/1.1 503', 'cut'].includes(head))
      if (other !== undefined) throw new Error(`one of a crowd was answered ${other}`)
      this.crowds++
    } finally {
      for (const { sockets } of roads) for (const socket of sockets) socket.destroy()
      await recovered(openRoad).finally(() => {
        time.to = performance.now()
      })
    }
  }

  /** The lab's limit of open files below what it has open. Rejects where it does not recover. */
  async shortage(pid: number, spare: number, openRoad: () => Road): Promise<void> {
    const time = this.#begin()
    const setLimit = (files: number) => execFileSync('prlimit', ['--pid', String(pid), `--nofile=${files}:`])
    setLimit(Math.max(3, vitalsOf(pid).descriptors + spare))
    try {
      await pause(SHORTAGE_MS)
      this.shortages++
    } finally {
      setLimit(LAB_DESCRIPTORS)
      await recovered(openRoad).finally(() => {
        time.to = performance.now()
      })
    }
  }

  #begin(): { readonly from: number; to: number } {
    const time = { from: performance.now(), to: Number.POSITIVE_INFINITY }
    this.#times.push(time)
    return time
  }
}

/** A plain request succeeds again. */
async function recovered(openRoad: () => Road): Promise<void> {
  const deadline = performance.now() + RECOVERY_MS
  let outcome: unknown
  while (performance.now() < deadline) {
    const road = openRoad()
    outcome = await forward(road, `http://${FAULTS}/ok/1`).then(
      ({ status }) => status,
      (error: unknown) => error,
    )
    for (const socket of road.sockets) socket.destroy()
    if (outcome === 200) return
    await pause(200)
  }
  throw new Error(`no request succeeds ${RECOVERY_MS / 1000} s after descriptors came free again: ${outcome}`)
}

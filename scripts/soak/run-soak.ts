// Runs a soak: starts the lab with few descriptors, warms it up with everything that is to come, takes its vitals, lets traffic, faults,
// changes and times without descriptors loose for the time asked for, waits until all is quiet, takes its vitals again, stops it and
// judges its records.

import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { createRandom, type Random } from '../../src/load-test/random.ts'
import { FaultyOrigin } from './faulty-origin.ts'
import { judgeRecords } from './judge-records.ts'
import { askHealth, type Gauges, gaugesOf } from './lab-api.ts'
import { LabChild, wrongEnding } from './lab-child.ts'
import type { LabMemory } from './lab-process.ts'
import { openRoad, type SoakRoad } from './open-road.ts'
import type { Kind, Road } from './road.ts'
import { rightAddresses, type Traveller } from './situation.ts'
import { FAULT_PORTS, writeSoakedConfig } from './soaked-config.ts'
import { LAB_DESCRIPTORS, Starvation } from './starvation.ts'
import type { SoakSummary } from './summary.ts'
import { holdTunnel, KINDS, kindFor, lastKind, travellerFor } from './traffic.ts'
import { Trips } from './trips.ts'
import { Upheaval } from './upheaval.ts'
import { descriptorsOf, moreOf, type Vitals } from './vitals.ts'

export interface SoakRequest {
  readonly seconds: number
  /** operations begun a second */
  readonly rate: number
  readonly seed: number
  readonly engine: 'auto' | 'linux' | 'node'
  /** operations; more than the finished sessions that the lab remembers (5000), so that its memory is full before it is measured */
  readonly warmUp: number
}

const HELD_TUNNELS = 60
/** under way when the lab is told to stop */
const LAST = 40
/** Operations under way at one time: on a busy machine the rate gives way, not the lab's limit of clients. */
const MOST_UNDER_WAY = 220
const QUIET_MS = 90_000
const UPHEAVAL_MS = 2000
const WANT_EVERY_MS = 40_000
const TELL_EVERY_MS = 10_000
const SHOWN = 20
/** What memory may grow after the warm-up, each after garbage collection. */
const MOST_RESIDENT_GROWTH = 1.25
const MOST_HEAP_GROWTH = 1.25

/** `tell` gets a line now and then. Rejects where the lab does not start. */
export async function runSoak(request: SoakRequest, tell: (line: string) => void): Promise<SoakSummary> {
  const state = mkdtempSync(join(tmpdir(), 'egresslab-soak-'))
  const configFile = join(state, 'soak.yaml')
  const origin = await FaultyOrigin.open()
  writeSoakedConfig(configFile, origin.place)
  const { engine } = request
  const child = await LabChild.start({ state: join(state, 'state'), configFile, engine, descriptors: LAB_DESCRIPTORS })
  try {
    const soak = new Soak(request, child, origin, tell)
    await soak.run()
    return await soak.judge()
  } finally {
    child.kill()
    origin.close()
    rmSync(state, { recursive: true, force: true })
  }
}

interface Rest {
  readonly vitals: Vitals
  readonly descriptors: ReadonlyMap<string, string>
  readonly memory: LabMemory
  readonly gauges: Gauges
}

class Soak {
  readonly #request: SoakRequest
  readonly #child: LabChild
  readonly #origin: FaultyOrigin
  readonly #tell: (line: string) => void
  readonly #upheaval: Upheaval
  readonly #random: Random
  readonly #trips = new Trips()
  readonly #starvation = new Starvation()
  readonly #operations: Record<string, number> = Object.fromEntries(KINDS.map(({ name }) => [name, 0]))
  readonly #failed: string[] = []
  #failedCount = 0
  /** operations that failed while descriptors ran out, as they may */
  #starved = 0
  readonly #underWay = new Set<Promise<void>>()
  #start: Vitals | undefined
  #before: Rest | undefined
  #highest: Vitals = { residentMb: 0, descriptors: 0 }
  #after: Rest | undefined
  /** descriptors that came and did not go */
  #left = ''

  constructor(request: SoakRequest, child: LabChild, origin: FaultyOrigin, tell: (line: string) => void) {
    this.#request = request
    this.#child = child
    this.#origin = origin
    this.#tell = tell
    this.#upheaval = new Upheaval(child.lab.apiPort, child.lab.token)
    this.#random = createRandom(request.seed)
  }

  async run(): Promise<void> {
    const { seconds, rate, warmUp } = this.#request
    await this.#upheaval.open()
    this.#start = await this.#child.vitals()
    this.#tell(`warming up with ${warmUp} operations on the engine ${this.#child.lab.engine}`)
    await this.#during(warmUp / rate, rate)
    this.#before = await this.#rest()
    this.#tell(`at rest after the warm-up: ${describe(this.#before)}`)
    const held = Array.from({ length: HELD_TUNNELS }, (_, at) =>
      this.#operate(
        {
          name: 'tunnel held from beginning to end',
          weight: 0,
          sessions: [1, 1],
          codes: [],
          run: (road) => holdTunnel(road, seconds),
        },
        (at % 6) / 6,
      ),
    )
    await this.#during(seconds, rate)
    await Promise.all(held)
    await this.#upheaval.settle()
    this.#after = await this.#rest()
    // asked while the lab lives
    const left = moreOf(this.#before.descriptors, this.#after.descriptors, this.#child.pid)
    this.#left = left.replace(
      /to [0-9A-F]+:([0-9A-F]{4})/g,
      (peer, port) => `${peer} ${this.#whose(Number.parseInt(port, 16))}`,
    )
    this.#tell(`at rest after the soak: ${describe(this.#after)}`)
  }

  async judge(): Promise<SoakSummary> {
    const open = await this.#openLast()
    const ending = await this.#child.stop()
    await Promise.all(open)
    const { sessionsFile, engine } = this.#child.lab
    const files = [5, 4, 3, 2, 1]
      .map((age) => `${sessionsFile}.${age}`)
      .concat(sessionsFile)
      .filter(existsSync)
    const { host, ports } = this.#origin.place
    const [start, before, after] = [this.#start, this.#before, this.#after]
    if (start === undefined || before === undefined || after === undefined) {
      throw new Error('the soak was judged before it ran')
    }
    const records = await judgeRecords(files, {
      situationAt: (revision) => this.#upheaval.at(revision),
      trips: this.#trips,
      visits: this.#origin.visits,
      origins: new Set([FAULT_PORTS.web, FAULT_PORTS.resetsAtOnce].map((port) => `${host}:${ports[port]}`)),
    })
    const { errorCount, errors } = this.#child
    const complaints = [
      ...wrongEnding(ending, after.memory),
      ...(errorCount === 0 ? [] : [`the log has ${errorCount} lines about errors: ${errors.join(' | ')}`]),
      ...(this.#failedCount > 0 ? [`${this.#failedCount} operations failed`] : []),
      ...(records.wrongCount > 0 ? [`${records.wrongCount} records or connections are wrong`] : []),
      ...(records.judged === 0 ? ['no record has an egress address'] : []),
      ...(records.exact === 0 ? ['no record could be compared to the byte'] : []),
      ...this.#starvation.wants(this.#request.seconds),
      ...leaks(before, after, this.#left),
    ]
    return {
      good: complaints.length === 0,
      engine,
      seed: this.#request.seed,
      seconds: this.#request.seconds,
      operations: this.#operations,
      connections: this.#trips.count,
      changes: this.#upheaval.changes,
      starvation: this.#starvation.summary,
      starved: this.#starved,
      failed: this.#failed,
      failedCount: this.#failedCount,
      records,
      vitals: { start, before: before.vitals, highest: this.#highest, after: after.vitals },
      memory: { before: before.memory, after: after.memory },
      gauges: after.gauges,
      ending,
      complaints,
    }
  }

  /** Traffic, changes and wants of descriptors for so long; resolves when every operation is over. */
  async #during(seconds: number, rate: number): Promise<void> {
    const over = new AbortController()
    const others = [this.#upheave(over.signal), this.#starve(over.signal, seconds)]
    await this.#traffic(seconds, rate)
    over.abort()
    await Promise.all(others)
    await Promise.all([...this.#underWay].filter((operation) => !this.#held.has(operation)))
  }

  readonly #held = new Set<Promise<void>>()

  /** Begins operations at the rate asked for, whether or not earlier ones are done. */
  async #traffic(seconds: number, rate: number): Promise<void> {
    const start = performance.now()
    let [told, last] = [start, start]
    let due = 0
    for (let now = start; now - start < seconds * 1000; now = performance.now()) {
      due = Math.min(due, 1) + ((now - last) / 1000) * rate
      last = now
      for (; due >= 1 && this.#underWay.size < MOST_UNDER_WAY; due--)
        void this.#operate(kindFor(this.#random.next()), this.#random.next())
      await this.#takeVitals()
      if (performance.now() - told > TELL_EVERY_MS) {
        told = performance.now()
        this.#tell(await this.#news(Math.round((told - start) / 1000), seconds))
      }
      await pause(20)
    }
  }

  #operate(kind: Kind, choice: number): Promise<void> {
    const began = performance.now()
    const road = this.#openRoad(kind, kind.as ?? travellerFor(choice))
    const done: Promise<void> = kind
      .run(road)
      .then(
        () => this.#succeed(kind, road, began),
        (error: unknown) => this.#fail(kind, road, { began, error }),
      )
      .finally(() => {
        road.close()
        this.#underWay.delete(done)
      })
    this.#underWay.add(done)
    if (kind.weight === 0) this.#held.add(done)
    return done
  }

  /** Tunnels and requests that are under way when the lab is told to stop; resolves once they are, with their ends. */
  async #openLast(): Promise<readonly Promise<void>[]> {
    const begun: Promise<void>[] = []
    const ended = Array.from({ length: LAST }, (_, at) => {
      const { promise, resolve } = Promise.withResolvers<void>()
      const kind = lastKind(at, resolve)
      const ended = this.#operate(kind, at / LAST)
      begun.push(Promise.race([promise, ended]))
      return ended
    })
    await Promise.all(begun)
    return ended
  }

  #openRoad(kind: Pick<Kind, 'name' | 'sessions' | 'codes'>, who: Traveller): SoakRoad {
    const since = this.#upheaval.mark()
    const network = who.network ?? 'default'
    return openRoad({
      kind,
      who,
      ports: { main: this.#child.lab.proxyPort, open: this.#child.lab.openPort },
      origin: this.#origin,
      random: createRandom(this.#random.below(2 ** 32)),
      trips: this.#trips,
      holdRight: (address, host) => {
        const right = this.#upheaval.since(since).flatMap((then) => rightAddresses(who.email, network, host, then))
        if (!right.includes(address))
          throw new WrongAddress(`${who.email} (${network}) left from ${address || 'nowhere'}`)
      },
    })
  }

  /** Where descriptors ran out, what was to fail may have failed for that, before there was anything to record. */
  #succeed({ name, codes }: Kind, road: SoakRoad, began: number): void {
    this.#operations[name] = (this.#operations[name] ?? 0) + 1
    if (!this.#starvation.met(began, performance.now())) return
    if (codes?.length === 0) road.allowAnyCode()
    else road.allowAnything()
  }

  /** Want of descriptors excuses every failure but a wrong address. */
  #fail({ name }: Kind, road: SoakRoad, { began, error }: { readonly began: number; readonly error: unknown }): void {
    const message = error instanceof Error ? error.message : String(error)
    const isExcused = this.#starvation.met(began, performance.now())
    if (isExcused && !(error instanceof WrongAddress && !/nowhere/.test(message))) {
      road.allowAnything()
      this.#starved++
      return
    }
    road.allowAnyCode()
    this.#complain(`${name} after ${Math.round(performance.now() - began)} ms: ${message}`)
  }

  #complain(text: string): void {
    this.#failedCount++
    if (this.#failed.length < SHOWN) this.#failed.push(`${new Date().toISOString()} ${text}`)
    if (this.#failedCount <= SHOWN) this.#tell(`failed: ${text}`)
  }

  async #upheave(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      if (!this.#isShort) await this.#upheaval.change(this.#random.next())
      await pause(UPHEAVAL_MS, undefined, { signal }).catch(() => undefined)
    }
  }

  /** while the limit of open files is lowered, the API cannot accept */
  #isShort = false

  async #starve(signal: AbortSignal, seconds: number): Promise<void> {
    const every = Math.min(WANT_EVERY_MS, (seconds * 1000) / 4)
    const crowd = { name: 'client of a crowd', sessions: [1, 1], codes: undefined } as const
    const open = (): Road => this.#openRoad(crowd, travellerFor(0))
    for (let turn = 0; ; turn++) {
      await pause(every, undefined, { signal }).catch(() => undefined)
      if (signal.aborted) return
      try {
        if (turn % 2 === 0) {
          await this.#starvation.crowd(open, () => askHealth(this.#child.lab))
        } else {
          this.#isShort = true
          await pause(UPHEAVAL_MS)
          await this.#starvation.shortage(this.#child.pid, this.#random.below(20) - 10, open)
        }
      } catch (error) {
        this.#complain(`a want of descriptors: ${error instanceof Error ? error.message : error}`)
      } finally {
        this.#isShort = false
      }
    }
  }

  /** Until sessions, leased ports and descriptors are gone, or for as long as that may take; then its vitals. */
  async #rest(): Promise<Rest> {
    const deadline = performance.now() + QUIET_MS
    let gauges = await gaugesOf(this.#child.lab)
    let last = -1
    for (let same = 0; performance.now() < deadline && same < SETTLED; ) {
      await pause(2000)
      const { descriptors } = await this.#child.vitals()
      gauges = await gaugesOf(this.#child.lab)
      const isIdle = gauges.sessionsOpen === 0 && gauges.portsInUse === 0 && gauges.udpAssociations === 0
      same = isIdle && descriptors === last ? same + 1 : 0
      last = descriptors
    }
    const memory = await this.#child.memory()
    return { vitals: await this.#child.vitals(), descriptors: descriptorsOf(this.#child.pid), memory, gauges }
  }

  /** The latest connection from a client's port, so that a socket left over can be told whose it was. */
  #whose(port: number): string {
    const trips = (['main', 'open'] as const).map((door) => this.#trips.find(door, port, Date.now()))
    const texts = trips.flatMap((trip) =>
      trip === undefined ? [] : [`${trip.kind} at ${new Date(trip.at).toISOString()}`],
    )
    return `[${texts.join(' or ')}]`
  }

  async #takeVitals(): Promise<void> {
    const { residentMb, descriptors } = await this.#child.vitals()
    this.#highest = {
      residentMb: Math.max(residentMb, this.#highest.residentMb),
      descriptors: Math.max(descriptors, this.#highest.descriptors),
    }
  }

  async #news(second: number, of: number): Promise<string> {
    const done = Object.values(this.#operations).reduce((sum, count) => sum + count, 0)
    const { residentMb, descriptors } = await this.#child.vitals()
    return `${second} of ${of} s: ${done} operations, ${this.#failedCount} failed, ${this.#starved} excused, ${this.#upheaval.changes} changes, ${residentMb.toFixed(0)} MB, ${descriptors} descriptors`
  }
}

class WrongAddress extends Error {}

/** looks two seconds apart that must be alike */
const SETTLED = 10

function describe({ vitals, memory, gauges }: Rest): string {
  const mb = (bytes: number) => (bytes / 1e6).toFixed(0)
  return `${vitals.descriptors} descriptors, ${mb(memory.residentBytes)} MB resident, ${mb(memory.heapBytes)} MB heap, ${mb(memory.externalBytes)} MB outside it, ${gauges.sessionsOpen} sessions, ${gauges.portsInUse} ports`
}

function leaks(before: Rest, after: Rest, left: string): readonly string[] {
  const mb = (bytes: number) => `${(bytes / 1e6).toFixed(0)} MB`
  const grew = (what: string, from: number, to: number, most: number) =>
    to > from * most ? [`${what} is ${mb(to)}, ${mb(from)} after the warm-up: more than ${most} times as much`] : []
  const { sessionsOpen, portsInUse, udpAssociations } = after.gauges
  return [
    ...(left === '' ? [] : [`descriptors are left: ${left}`]),
    ...(sessionsOpen === 0 ? [] : [`${sessionsOpen} sessions are still open`]),
    ...(portsInUse === 0 ? [] : [`${portsInUse} ports are still leased`]),
    ...(udpAssociations === 0 ? [] : [`${udpAssociations} UDP associations are still open`]),
    ...grew('resident memory', before.memory.residentBytes, after.memory.residentBytes, MOST_RESIDENT_GROWTH),
    ...grew('the heap', before.memory.heapBytes, after.memory.heapBytes, MOST_HEAP_GROWTH),
    ...grew('memory outside the heap', before.memory.externalBytes + 20e6, after.memory.externalBytes, 1.5),
  ]
}

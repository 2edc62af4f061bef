// Runs a soak: starts the lab, warms it up, takes its vitals, lets traffic and upheaval loose for the time asked for, waits until
// all is quiet, takes its vitals again, stops it and judges its records.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import { createRandom, type Random } from '../../src/load-test/random.ts'
import { judgeRecords } from './judge-records.ts'
import type { SoakedLab } from './lab-process.ts'
import { rightAddresses, TRAVELLERS, type Traveller } from './situation.ts'
import type { SoakSummary } from './summary.ts'
import { holdTunnels, KINDS, type Kind, kindFor, type Road } from './traffic.ts'
import { Upheaval } from './upheaval.ts'
import { type Vitals, vitalsOf } from './vitals.ts'

export interface SoakRequest {
  readonly seconds: number
  /** operations begun a second */
  readonly rate: number
  readonly seed: number
}

const HELD_TUNNELS = 60
const WARM_UP_S = 20
const QUIET_MS = 20_000
const UPHEAVAL_MS = 2000
const TELL_EVERY_MS = 10_000
const SHOWN = 20
/** Resident memory wanders with the garbage collector: more than this over the warm lab is a leak. */
const MOST_GROWTH = 1.3
/** idle keep-alive sockets come and go */
const MOST_MORE_DESCRIPTORS = 10

/** `tell` gets a line now and then. Rejects where the lab does not start. */
export async function runSoak(request: SoakRequest, tell: (line: string) => void): Promise<SoakSummary> {
  const state = mkdtempSync(join(tmpdir(), 'egresslab-soak-'))
  const child = spawn(process.execPath, [join(import.meta.dirname, 'lab-process.ts'), state], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  try {
    const soak = new Soak(request, await saidBy(child), child.pid ?? 0, tell)
    await soak.run()
    return await soak.judge(() => stop(child))
  } finally {
    child.kill('SIGKILL')
    rmSync(state, { recursive: true, force: true })
  }
}

class Soak {
  readonly #request: SoakRequest
  readonly #lab: SoakedLab
  readonly #pid: number
  readonly #tell: (line: string) => void
  readonly #upheaval: Upheaval
  readonly #random: Random
  readonly #operations: Record<string, number> = Object.fromEntries(KINDS.map(({ name }) => [name, 0]))
  readonly #failed: string[] = []
  #failedCount = 0
  /** that must be in the log, each once */
  #sessions = HELD_TUNNELS
  readonly #underWay = new Set<Promise<void>>()
  #before: Vitals | undefined
  #highest: Vitals = { residentMb: 0, descriptors: 0 }
  #after: Vitals | undefined

  constructor(request: SoakRequest, lab: SoakedLab, pid: number, tell: (line: string) => void) {
    this.#request = request
    this.#lab = lab
    this.#pid = pid
    this.#tell = tell
    this.#upheaval = new Upheaval(lab.apiPort, lab.token)
    this.#random = createRandom(request.seed)
  }

  async run(): Promise<void> {
    await this.#upheaval.open()
    this.#tell(`warming up for ${WARM_UP_S} s`)
    await this.#traffic(WARM_UP_S)
    await this.#quiet()
    this.#before = vitalsOf(this.#pid)
    const held = holdTunnels(this.#lab.proxyPort, HELD_TUNNELS, this.#request.seconds)
    const watched = held.map((tunnel) => tunnel.catch((error: unknown) => this.#fail('a held tunnel', error)))
    const over = new AbortController()
    const upheaval = this.#upheave(over.signal)
    await this.#traffic(this.#request.seconds)
    over.abort()
    await upheaval
    await this.#upheaval.settle()
    await Promise.all(watched)
    await this.#quiet()
    this.#after = vitalsOf(this.#pid)
  }

  async judge(stopLab: () => Promise<void>): Promise<SoakSummary> {
    await stopLab()
    const { sessionsFile } = this.#lab
    const files = [5, 4, 3, 2, 1]
      .map((age) => `${sessionsFile}.${age}`)
      .concat(sessionsFile)
      .filter(existsSync)
    const records = await judgeRecords(files, (revision) => this.#upheaval.at(revision))
    const [before, after] = [this.#before, this.#after]
    if (before === undefined || after === undefined) throw new Error('the soak was judged before it ran')
    const complaints = [
      ...(this.#failedCount > 0 ? [`${this.#failedCount} operations failed`] : []),
      ...(records.wrongCount > 0 ? [`${records.wrongCount} records have a wrong egress address`] : []),
      ...(this.#failedCount === 0 && records.records !== this.#sessions
        ? [`${this.#sessions} sessions left ${records.records} records`]
        : []),
      ...(records.judged === 0 ? ['no record has an egress address'] : []),
      ...(after.residentMb > before.residentMb * MOST_GROWTH ? ['memory did not come back'] : []),
      ...(after.descriptors > before.descriptors + MOST_MORE_DESCRIPTORS ? ['descriptors did not come back'] : []),
    ]
    return {
      good: complaints.length === 0,
      seed: this.#request.seed,
      seconds: this.#request.seconds,
      operations: this.#operations,
      changes: this.#upheaval.changes,
      tunnelsHeld: HELD_TUNNELS,
      failed: this.#failed,
      failedCount: this.#failedCount,
      records,
      vitals: { before, highest: this.#highest, after },
      complaints,
    }
  }

  /** Begins operations at the rate asked for, whether or not earlier ones are done. */
  async #traffic(seconds: number): Promise<void> {
    const start = performance.now()
    const total = seconds * this.#request.rate
    let told = start
    for (let begun = 0; begun < total; ) {
      const due = Math.min(total, Math.ceil(((performance.now() - start) / 1000) * this.#request.rate))
      for (; begun < due; begun++) this.#begin(kindFor(this.#random.next()), this.#random.next())
      this.#takeVitals()
      if (performance.now() - told > TELL_EVERY_MS) {
        told = performance.now()
        this.#tell(this.#news(Math.round((told - start) / 1000), seconds))
      }
      await pause(20)
    }
  }

  #begin(kind: Kind, choice: number): void {
    const who = TRAVELLERS[Math.floor(choice * TRAVELLERS.length)] as Traveller
    const since = this.#upheaval.mark()
    const road: Road = {
      port: this.#lab.proxyPort,
      who,
      holdRight: (address, host) => {
        const network = who.network ?? 'default'
        const right = this.#upheaval.since(since).flatMap((then) => rightAddresses(who.email, network, host, then))
        if (!right.includes(address)) throw new Error(`${who.email} (${network}) left from ${address || 'nowhere'}`)
      },
    }
    const done: Promise<void> = kind
      .run(road)
      .then(
        () => this.#count(kind),
        (error: unknown) => this.#fail(kind.name, error),
      )
      .finally(() => this.#underWay.delete(done))
    this.#underWay.add(done)
  }

  #count({ name, sessions }: Kind): void {
    this.#operations[name] = (this.#operations[name] ?? 0) + 1
    this.#sessions += sessions
  }

  #fail(what: string, error: unknown): void {
    this.#failedCount++
    if (this.#failed.length < SHOWN) this.#failed.push(`${what}: ${error instanceof Error ? error.message : error}`)
  }

  async #upheave(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#upheaval.change(this.#random.next())
      await pause(UPHEAVAL_MS, undefined, { signal }).catch(() => undefined)
    }
  }

  /** Until every operation is over, and a while longer for keep-alive connections and the garbage collector. */
  async #quiet(): Promise<void> {
    await Promise.all(this.#underWay)
    await pause(QUIET_MS)
  }

  #takeVitals(): void {
    const { residentMb, descriptors } = vitalsOf(this.#pid)
    this.#highest = {
      residentMb: Math.max(residentMb, this.#highest.residentMb),
      descriptors: Math.max(descriptors, this.#highest.descriptors),
    }
  }

  #news(second: number, of: number): string {
    const done = Object.values(this.#operations).reduce((sum, count) => sum + count, 0)
    const { residentMb, descriptors } = vitalsOf(this.#pid)
    return `${second} of ${of} s: ${done} operations, ${this.#failedCount} failed, ${this.#upheaval.changes} changes, ${residentMb.toFixed(0)} MB, ${descriptors} descriptors`
  }
}

async function saidBy(child: ChildProcess): Promise<SoakedLab> {
  if (child.stdout !== null) for await (const line of createInterface({ input: child.stdout })) return JSON.parse(line)
  throw new Error('the lab ended before it listened')
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return
  const exited = once(child, 'exit')
  child.stdin?.end()
  await exited
}

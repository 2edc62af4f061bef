// Runs a soak: starts the lab, warms it up, takes its metrics, lets traffic and faults loose for the time asked for, waits until
// all is quiet, takes its metrics again, stops it and judges its records.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import { createRandom, type Random } from '../../src/load-test/random.ts'
import { FaultInjection } from './fault-injection.ts'
import { judgeRecords } from './judge-records.ts'
import type { SoakedLab } from './lab-process.ts'
import { measureProcess, type ProcessMetrics } from './process-metrics.ts'
import { CLIENTS, type Client, rightAddresses } from './state.ts'
import type { SoakSummary } from './summary.ts'
import { holdTunnels, KINDS, type Kind, kindFor, type OperationContext } from './traffic.ts'

export interface SoakRequest {
  readonly seconds: number
  /** operations begun a second */
  readonly rate: number
  readonly seed: number
}

const HELD_TUNNELS = 60
const WARM_UP_S = 20
const QUIET_MS = 20_000
const FAULT_EVERY_MS = 2000
const REPORT_EVERY_MS = 10_000
const SHOWN = 20
/** Resident memory wanders with the garbage collector: more than this over the warm lab is a leak. */
const MOST_GROWTH = 1.3
/** idle keep-alive sockets come and go */
const MOST_MORE_DESCRIPTORS = 10

/** `report` gets a line now and then. Rejects where the lab does not start. */
export async function runSoak(request: SoakRequest, report: (line: string) => void): Promise<SoakSummary> {
  const state = mkdtempSync(join(tmpdir(), 'egresslab-soak-'))
  const child = spawn(process.execPath, [join(import.meta.dirname, 'lab-process.ts'), state], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  try {
    const soak = new Soak(request, await readAddresses(child), child.pid ?? 0, report)
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
  readonly #report: (line: string) => void
  readonly #faults: FaultInjection
  readonly #random: Random
  readonly #operations: Record<string, number> = Object.fromEntries(KINDS.map(({ name }) => [name, 0]))
  readonly #failed: string[] = []
  #failedCount = 0
  /** that must be in the log, each once */
  #sessions = HELD_TUNNELS
  readonly #underWay = new Set<Promise<void>>()
  #before: ProcessMetrics | undefined
  #highest: ProcessMetrics = { residentMb: 0, descriptors: 0 }
  #after: ProcessMetrics | undefined

  constructor(request: SoakRequest, lab: SoakedLab, pid: number, report: (line: string) => void) {
    this.#request = request
    this.#lab = lab
    this.#pid = pid
    this.#report = report
    this.#faults = new FaultInjection(lab.apiPort, lab.token)
    this.#random = createRandom(request.seed)
  }

  async run(): Promise<void> {
    await this.#faults.open()
    this.#report(`warming up for ${WARM_UP_S} s`)
    await this.#traffic(WARM_UP_S)
    await this.#quiet()
    this.#before = measureProcess(this.#pid)
    const held = holdTunnels(this.#lab.proxyPort, HELD_TUNNELS, this.#request.seconds)
    const watched = held.map((tunnel) => tunnel.catch((error: unknown) => this.#fail('a held tunnel', error)))
    const over = new AbortController()
    const faults = this.#injectFaults(over.signal)
    await this.#traffic(this.#request.seconds)
    over.abort()
    await faults
    await this.#faults.settle()
    await Promise.all(watched)
    await this.#quiet()
    this.#after = measureProcess(this.#pid)
  }

  async judge(stopLab: () => Promise<void>): Promise<SoakSummary> {
    await stopLab()
    const { sessionsFile } = this.#lab
    const files = [5, 4, 3, 2, 1]
      .map((age) => `${sessionsFile}.${age}`)
      .concat(sessionsFile)
      .filter(existsSync)
    const records = await judgeRecords(files, (revision) => this.#faults.at(revision))
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
      changes: this.#faults.changes,
      tunnelsHeld: HELD_TUNNELS,
      failed: this.#failed,
      failedCount: this.#failedCount,
      records,
      metrics: { before, highest: this.#highest, after },
      complaints,
    }
  }

  /** Begins operations at the rate asked for, whether or not earlier ones are done. */
  async #traffic(seconds: number): Promise<void> {
    const start = performance.now()
    const total = seconds * this.#request.rate
    let reportedAt = start
    for (let begun = 0; begun < total; ) {
      const due = Math.min(total, Math.ceil(((performance.now() - start) / 1000) * this.#request.rate))
      for (; begun < due; begun++) this.#begin(kindFor(this.#random.next()), this.#random.next())
      this.#sampleMetrics()
      if (performance.now() - reportedAt > REPORT_EVERY_MS) {
        reportedAt = performance.now()
        this.#report(this.#progress(Math.round((reportedAt - start) / 1000), seconds))
      }
      await pause(20)
    }
  }

  #begin(kind: Kind, choice: number): void {
    const who = CLIENTS[Math.floor(choice * CLIENTS.length)] as Client
    const since = this.#faults.mark()
    const context: OperationContext = {
      port: this.#lab.proxyPort,
      who,
      holdRight: (address, host) => {
        const network = who.network ?? 'default'
        const right = this.#faults.since(since).flatMap((then) => rightAddresses(who.email, network, host, then))
        if (!right.includes(address)) throw new Error(`${who.email} (${network}) left from ${address || 'nowhere'}`)
      },
    }
    const done: Promise<void> = kind
      .run(context)
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

  async #injectFaults(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#faults.change(this.#random.next())
      await pause(FAULT_EVERY_MS, undefined, { signal }).catch(() => undefined)
    }
  }

  /** Until every operation is over, and a while longer for keep-alive connections and the garbage collector. */
  async #quiet(): Promise<void> {
    await Promise.all(this.#underWay)
    await pause(QUIET_MS)
  }

  #sampleMetrics(): void {
    const { residentMb, descriptors } = measureProcess(this.#pid)
    this.#highest = {
      residentMb: Math.max(residentMb, this.#highest.residentMb),
      descriptors: Math.max(descriptors, this.#highest.descriptors),
    }
  }

  #progress(second: number, of: number): string {
    const done = Object.values(this.#operations).reduce((sum, count) => sum + count, 0)
    const { residentMb, descriptors } = measureProcess(this.#pid)
    return `${second} of ${of} s: ${done} operations, ${this.#failedCount} failed, ${this.#faults.changes} changes, ${residentMb.toFixed(0)} MB, ${descriptors} descriptors`
  }
}

async function readAddresses(child: ChildProcess): Promise<SoakedLab> {
  if (child.stdout !== null) for await (const line of createInterface({ input: child.stdout })) return JSON.parse(line)
  throw new Error('the lab ended before it was listening')
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return
  const exited = once(child, 'exit')
  child.stdin?.end()
  await exited
}

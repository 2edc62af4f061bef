// The soaked lab as the soak's parent process sees it: started with few descriptors, asked for its memory, its log kept.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface, type Interface } from 'node:readline'
import type { LabMemory, LabRemains, SoakedLab } from './lab-process.ts'
import { type Vitals, vitalsOf } from './vitals.ts'

export interface LabOptions {
  readonly state: string
  readonly configFile: string
  readonly engine: string
  /** its limit of open files */
  readonly descriptors: number
}

/** How the lab ended once it was told to stop. */
export interface LabEnding {
  /** `exit code 0`, or what else */
  readonly how: string
  readonly ms: number
  /** absent: it did not come so far as to say */
  readonly remains?: LabRemains
}

/** What is wrong with it; `before`: its memory while it was at rest. */
export function wrongEnding({ how, remains }: LabEnding, before: LabMemory): readonly string[] {
  if (remains === undefined) return [`the lab ended: ${how}`, 'it did not say what is left of it']
  const { descriptors, memory } = remains
  return [
    ...(how === 'exit code 0' ? [] : [`the lab ended: ${how}`]),
    ...(descriptors === '' ? [] : [`descriptors outlive the lab: ${descriptors}`]),
    ...(memory.heapBytes > before.heapBytes ? ['the heap is larger once the lab is closed than before'] : []),
  ]
}

/** Draining takes 5 s, what follows much less; a busy machine is given time. */
const STOP_MS = 90_000

export class LabChild {
  readonly lab: SoakedLab
  readonly pid: number
  /** lines of its log that speak of errors, the first of them */
  readonly errors: string[] = []
  errorCount = 0
  /** lines of its log, the last of them */
  readonly #last: string[] = []
  readonly #child: ChildProcess
  readonly #output: Interface

  private constructor(child: ChildProcess, output: Interface, lab: SoakedLab) {
    this.#child = child
    this.#output = output
    this.lab = lab
    this.pid = child.pid ?? 0
  }

  /** Rejects where it does not start. */
  static async start({ state, configFile, engine, descriptors }: LabOptions): Promise<LabChild> {
    const lab = [
      process.execPath,
      '--expose-gc',
      join(import.meta.dirname, 'lab-process.ts'),
      state,
      configFile,
      engine,
    ]
    const child = spawn('prlimit', [`--nofile=${descriptors}:${descriptors}`, ...lab], {
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    if (child.stdout === null || child.stderr === null) throw new Error('the lab has no output')
    const output = createInterface({ input: child.stdout })
    const log = createInterface({ input: child.stderr })
    const lines: string[] = []
    const early = (line: string) => lines.push(line)
    log.on('line', early)
    const first = await Promise.race([once(output, 'line'), once(child, 'exit')])
    if (typeof first[0] !== 'string') throw new Error(`the lab ended before it listened: ${lines.join('\n')}`)
    const started = new LabChild(child, output, JSON.parse(first[0]))
    log.off('line', early)
    for (const line of lines) started.#hear(line)
    log.on('line', (line) => started.#hear(line))
    return started
  }

  get isAlive(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** Throws where the lab has ended, with how it ended and what it said last. */
  async vitals(): Promise<Vitals> {
    try {
      return vitalsOf(this.pid)
    } catch (thrown) {
      if (this.isAlive) await once(this.#child, 'exit', { signal: AbortSignal.timeout(10_000) }).catch(() => undefined)
      if (this.isAlive) throw thrown
      const how = this.#ending()
      throw new Error(`the lab ended: ${how}; the last it said:\n${this.#last.join('\n')}`, { cause: thrown })
    }
  }

  /** After garbage collection. */
  async memory(): Promise<LabMemory> {
    this.#child.stdin?.write('gc\n')
    const [line] = (await once(this.#output, 'line', { signal: AbortSignal.timeout(60_000) })) as [string]
    return JSON.parse(line)
  }

  /** Lets it drain and stop; one that does not is killed. */
  async stop(): Promise<LabEnding> {
    const began = performance.now()
    if (!this.isAlive) return { how: `${this.#ending()}, before it was told to`, ms: 0 }
    const signal = AbortSignal.timeout(STOP_MS)
    const exited = once(this.#child, 'exit', { signal }).then(
      () => this.#ending(),
      () => `not within ${STOP_MS / 1000} s`,
    )
    const last = once(this.#output, 'line', { signal }).catch(() => [])
    this.#child.stdin?.end()
    const how = await exited
    const ms = performance.now() - began
    this.kill()
    const [line] = await last
    return typeof line === 'string' ? { how, ms, remains: JSON.parse(line) } : { how, ms }
  }

  #ending(): string {
    const { exitCode, signalCode } = this.#child
    return signalCode === null ? `exit code ${exitCode}` : `signal ${signalCode}`
  }

  kill(): void {
    this.#child.kill('SIGKILL')
  }

  #hear(line: string): void {
    this.#last.push(line)
    if (this.#last.length > SHOWN) this.#last.shift()
    if (!/error|uncaught|unhandled|warning: .*Warning|^\s+at /i.test(line)) return
    this.errorCount++
    if (this.errors.length < SHOWN) this.errors.push(line)
  }
}

const SHOWN = 20

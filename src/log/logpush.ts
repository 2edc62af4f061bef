// Logpush: pushes finished sessions to the destinations of its jobs, in batches, as Cloudflare does. The data path only hands
// lines over; they wait in a file per job, so that a destination that is away, or a restart, loses nothing. A batch is
// delivered at least once: one that was on its way when the lab was killed comes again.

import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { appendFile, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import { Agent } from 'undici'
import { makeFolder } from '../config/files.ts'
import type { LogpushJobDocument } from '../config/lab-state.ts'
import { counted } from '../errors/counted.ts'
import type { SessionRecord } from '../proxy/session-record.ts'
import { createLineQueue, GATHER_MS, type LineQueue } from './line-queue.ts'
import { formatRecord, type LogpushForm, readForm } from './logpush-batch.ts'
import {
  createDestinations,
  type LogpushDestination,
  type LogpushDestinations,
  parseDestination,
  reasonOf,
} from './logpush-destination.ts'

export interface LogpushSettings {
  readonly accountId: string
  /** where what is not delivered yet waits */
  readonly folder: string
  /** folders below which jobs may write */
  readonly roots: readonly string[]
  readonly userAgent: string
  /** Takes what the operator should know: one line, no secrets. */
  readonly onProblem: (message: string) => void
}

/** How a job is doing. Times are RFC 3339 in whole seconds. */
export interface LogpushStatus {
  readonly lastComplete: string | null
  readonly lastError: string | null
  readonly errorMessage: string | null
}

export interface Logpush extends Pick<LogpushDestinations, 'check' | 'needsChallenge' | 'challenge' | 'isAnswered'> {
  /** Is there a job that takes sessions? */
  readonly isWanted: boolean
  /** Takes a session as JSON. Never blocks, never throws. */
  push(json: string): void
  /** Makes these the jobs. Those that are gone lose what waits for them. */
  follow(jobs: readonly LogpushJobDocument[]): void
  status(id: string): LogpushStatus
  /** Delivers what waits, for at most so long; the rest is delivered after the next start. */
  close(deadlineMs: number): Promise<void>
}

const NEVER: LogpushStatus = { lastComplete: null, lastError: null, errorMessage: null }

/** Runs the Logpush jobs of a lab: batches sessions by each job's limits, delivers them, tries again, and keeps on
 *  disk what is not delivered. */
export function createLogpush(settings: LogpushSettings): Logpush {
  const dispatcher = new Agent({ connections: 4 })
  const destinations = createDestinations({ ...settings, keyFile: join(settings.folder, 'challenge-key'), dispatcher })
  const running = new Map<string, JobPusher>()
  let taking: readonly JobPusher[] = []
  return {
    check: destinations.check,
    needsChallenge: destinations.needsChallenge,
    challenge: destinations.challenge,
    isAnswered: destinations.isAnswered,
    get isWanted() {
      return taking.length > 0
    },
    push(json) {
      for (const job of taking) job.push(json)
    },
    follow(jobs) {
      const ids = new Set(jobs.map(({ id }) => id))
      for (const [id, job] of running) {
        if (ids.has(id)) continue
        running.delete(id)
        void job.remove()
      }
      for (const job of jobs) {
        const known = running.get(job.id) ?? new JobPusher(job.id, settings, destinations)
        running.set(job.id, known)
        known.follow(job)
      }
      taking = [...running.values()].filter(({ isEnabled }) => isEnabled)
    },
    status: (id) => running.get(id)?.status ?? NEVER,
    async close(deadlineMs) {
      taking = []
      await Promise.all([...running.values()].map((job) => job.close(deadlineMs)))
      await dispatcher.destroy()
    },
  }
}

/** What may wait for a destination that is away; then the oldest goes. */
const MOST_WAITING_BYTES = 256 << 20
const FIRST_PAUSE_MS = 1000
const LONGEST_PAUSE_MS = 60_000

interface Plan {
  readonly form: LogpushForm
  readonly destination: LogpushDestination
  readonly isEnabled: boolean
}

const CURRENT = 'current.ndjson'
const STATUS = 'status.json'
const SEALED = /^\d{12}\.ndjson$/

/** One job: the file its sessions wait in, and whoever delivers it. */
class JobPusher {
  readonly #id: string
  readonly #folder: string
  readonly #settings: LogpushSettings
  readonly #destinations: LogpushDestinations
  readonly #queue: LineQueue
  readonly #stopping = new AbortController()
  /** changes of files, one after the other */
  #turn: Promise<void>
  #plan: Plan | undefined
  #status: LogpushStatus = NEVER
  /** of the file being filled */
  #records = 0
  #bytes = 0
  #next = 1
  #interval: NodeJS.Timeout | undefined
  #delivering: Promise<void> | undefined
  #hasMore = false
  #pauseMs = 0
  #wake: (() => void) | undefined
  #isClosing = false

  constructor(id: string, settings: LogpushSettings, destinations: LogpushDestinations) {
    this.#id = id
    this.#folder = join(settings.folder, id)
    this.#settings = settings
    this.#destinations = destinations
    this.#queue = createLineQueue({
      gatherMs: GATHER_MS,
      onProblem: (error) => this.#tell(`cannot keep sessions for it: ${reasonOf(error)}`),
      write: (batch) => this.#inTurn(() => this.#append(batch)),
    })
    this.#turn = this.#open().catch((error: unknown) => this.#tell(`cannot open its folder: ${reasonOf(error)}`))
  }

  get isEnabled(): boolean {
    return this.#plan?.isEnabled === true
  }

  get status(): LogpushStatus {
    return this.#status
  }

  push(json: string): void {
    this.#queue.push(json)
  }

  follow(job: LogpushJobDocument): void {
    try {
      const { dataset, options, destination, enabled: isEnabled } = job
      this.#plan = { form: readForm(dataset, options), destination: parseDestination(destination), isEnabled }
    } catch (thrown) {
      this.#plan = undefined
      this.#tell(reasonOf(thrown))
      return
    }
    this.#pauseMs = 0
    this.#wake?.()
    if (this.isEnabled) void this.#inTurn(async () => this.#deliver())
  }

  /** Ends, and leaves nothing. */
  async remove(): Promise<void> {
    this.#stopping.abort()
    this.#wake?.()
    await this.#queue.close(0)
    clearTimeout(this.#interval)
    await this.#delivering
    await this.#inTurn(() => rm(this.#folder, { recursive: true, force: true })).catch(() => undefined)
  }

  async close(deadlineMs: number): Promise<void> {
    const deadline = setTimeout(() => this.#stopping.abort(), deadlineMs)
    this.#isClosing = true
    await this.#queue.close(deadlineMs)
    clearTimeout(this.#interval)
    await this.#inTurn(() => this.#seal()).catch(() => undefined)
    this.#wake?.()
    await this.#delivering
    clearTimeout(deadline)
  }

  #inTurn(change: () => Promise<void>): Promise<void> {
    const done = this.#turn.then(change)
    this.#turn = done.catch(() => undefined)
    return done
  }

  /** What the last run left: its last file counts as full. */
  async #open(): Promise<void> {
    makeFolder(this.#folder, 0o700)
    const last = (await this.#sealed()).at(-1)
    this.#next = last === undefined ? 1 : Number.parseInt(last, 10) + 1
    this.#status = await readStatus(join(this.#folder, STATUS))
    this.#bytes = await sizeOf(join(this.#folder, CURRENT))
    await this.#seal()
  }

  async #append(batch: Buffer): Promise<void> {
    await appendFile(join(this.#folder, CURRENT), batch, { mode: 0o600 })
    this.#bytes += batch.length
    for (let at = batch.indexOf(10); at >= 0; at = batch.indexOf(10, at + 1)) this.#records++
    const { records, bytes, intervalMs } = this.#plan?.form.limits ?? { records: 0, bytes: 0, intervalMs: 0 }
    if (this.#records >= records || this.#bytes >= bytes) await this.#seal()
    else this.#interval ??= setTimeout(() => void this.#inTurn(() => this.#seal()), intervalMs).unref()
  }

  /** Ends the file being filled and has it delivered. */
  async #seal(): Promise<void> {
    clearTimeout(this.#interval)
    this.#interval = undefined
    if (this.#bytes > 0) {
      await rename(join(this.#folder, CURRENT), join(this.#folder, sealedName(this.#next++)))
      this.#bytes = 0
      this.#records = 0
      await this.#makeRoom()
    }
    this.#deliver()
  }

  async #makeRoom(): Promise<void> {
    const files = await this.#sealed()
    const sizes = await Promise.all(files.map((file) => sizeOf(join(this.#folder, file))))
    let waiting = sizes.reduce((sum, size) => sum + size, 0)
    let lost = 0
    // the first may be on its way
    for (const [at, file] of files.entries()) {
      if (waiting <= MOST_WAITING_BYTES || at === 0) continue
      await rm(join(this.#folder, file), { force: true })
      waiting -= sizes[at] ?? 0
      lost++
    }
    if (lost > 0) this.#tell(`its destination takes nothing for so long that ${counted(lost, 'batch', 'batches')} went`)
  }

  async #sealed(): Promise<string[]> {
    return (await readdir(this.#folder)).filter((name) => SEALED.test(name)).sort()
  }

  #deliver(): void {
    this.#hasMore = true
    this.#delivering ??= this.#deliverWhileThereIsMore()
  }

  async #deliverWhileThereIsMore(): Promise<void> {
    try {
      while (this.#hasMore) {
        this.#hasMore = false
        await this.#deliverAll()
      }
    } catch (thrown) {
      this.#tell(reasonOf(thrown))
    }
    this.#delivering = undefined
  }

  async #deliverAll(): Promise<void> {
    for (;;) {
      const [file] = await this.#sealed()
      const plan = this.#plan
      if (file === undefined || !plan?.isEnabled || this.#stopping.signal.aborted) return
      const isDelivered = await this.#deliverOne(join(this.#folder, file), plan)
      if (isDelivered) await rm(join(this.#folder, file), { force: true })
      else if (this.#isClosing || this.#stopping.signal.aborted) return
      else await this.#pause()
    }
  }

  async #deliverOne(file: string, { form, destination }: Plan): Promise<boolean> {
    const at = new Date().toISOString().replace(/\.\d+Z$/, 'Z')
    try {
      const batch = await readBatch(file, form)
      if (batch !== undefined) {
        await this.#destinations.deliver(destination, { ...batch, signal: this.#stopping.signal })
        await this.#note({ ...this.#status, lastComplete: at, errorMessage: null })
      }
      if (this.#pauseMs > 0) this.#settings.onProblem(`Logpush job ${this.#id} delivers again`)
      this.#pauseMs = 0
      return true
    } catch (thrown) {
      if (this.#stopping.signal.aborted) return false
      const errorMessage = `error writing object: error uploading: ${reasonOf(thrown)}`
      if (this.#pauseMs === 0) this.#tell(`${errorMessage}; it is tried again`)
      await this.#note({ ...this.#status, lastError: at, errorMessage })
      return false
    }
  }

  async #note(status: LogpushStatus): Promise<void> {
    this.#status = status
    await writeFile(join(this.#folder, STATUS), JSON.stringify(status), { mode: 0o600 })
  }

  async #pause(): Promise<void> {
    this.#pauseMs = Math.min(LONGEST_PAUSE_MS, Math.max(FIRST_PAUSE_MS, this.#pauseMs * 2))
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#wake = resolve
    const timer = setTimeout(resolve, this.#pauseMs).unref()
    await promise
    clearTimeout(timer)
    this.#wake = undefined
  }

  #tell(message: string): void {
    this.#settings.onProblem(`Logpush job ${this.#id}: ${message}`)
  }
}

function sealedName(number: number): string {
  return `${String(number).padStart(12, '0')}.ndjson`
}

function sizeOf(file: string): Promise<number> {
  return stat(file).then(
    ({ size }) => size,
    () => 0,
  )
}

async function readStatus(file: string): Promise<LogpushStatus> {
  try {
    return { ...NEVER, ...JSON.parse(await readFile(file, 'utf8')) }
  } catch {
    return NEVER
  }
}

/** The sessions of a file as a packed batch; undefined where the job wants none of them. A part at a time: connections are
 *  carried on this thread too. */
async function readBatch(
  file: string,
  form: LogpushForm,
): Promise<{ readonly name: string; readonly bytes: Uint8Array } | undefined> {
  const span = { from: '', to: '', records: 0 }
  const packer = createGzip()
  const [bytes] = await Promise.all([buffer(packer), pipeline(Readable.from(formatted(file, form, span)), packer)])
  if (span.records === 0) return undefined
  const hash = createHash('sha256').update(bytes).digest('hex').slice(0, 8)
  return { name: `${compact(span.from)}_${compact(span.to)}_${hash}.log.gz`, bytes }
}

async function* formatted(
  file: string,
  form: LogpushForm,
  span: { from: string; to: string; records: number },
): AsyncGenerator<string> {
  let rest = ''
  for await (const chunk of createReadStream(file, { encoding: 'utf8' })) {
    const lines = (rest + String(chunk)).split('\n')
    rest = lines.pop() ?? ''
    const texts = lines.flatMap((line) => {
      const session = sessionIn(line)
      const text = session === undefined ? undefined : formatRecord(form, session)
      if (session === undefined || text === undefined) return []
      if (span.from === '' || session.SessionEndTime < span.from) span.from = session.SessionEndTime
      if (session.SessionEndTime > span.to) span.to = session.SessionEndTime
      return span.records++ === 0 ? [form.batch.prefix + text] : [form.record.delimiter + text]
    })
    if (texts.length > 0) yield texts.join('')
  }
  if (span.records > 0) yield form.batch.suffix
}

/** A line that a crash cut off is none. */
function sessionIn(line: string): SessionRecord | undefined {
  try {
    return JSON.parse(line) as SessionRecord
  } catch {
    return undefined
  }
}

/** `20261121T120430Z` */
function compact(instant: string): string {
  return `${instant.slice(0, 19).replace(/[-:]/g, '')}Z`
}

// The sessions of a fleet: every member sends what its session file says to a stream of NATS, from where it last was, so that an outage
// of NATS delays it and loses nothing. Never on the data path. At least once: a member that dies sends its last ones again, and NATS
// knows them by their id. What all have sent is read while somebody looks at it, by place, so that nothing is missed either.

import { existsSync, readFileSync } from 'node:fs'
import { open, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { ConsumerMessages, JsMsg } from '@nats-io/jetstream'
import { replaceOutput } from '../config/files.ts'
import { messageOf } from '../errors/thrown.ts'
import type { EventLog } from '../log/event-log.ts'
import type { SessionRecord } from '../proxy/session-record.ts'
import type { FleetLog } from './fleet-log.ts'
import type { FleetIdentity, Signed } from './log-message.ts'

export interface FleetSessionParts {
  readonly log: FleetLog
  readonly identity: FleetIdentity
  /** of the lab; its session file is in it. Undefined: there is no file, and nothing is sent */
  readonly state: string | undefined
  /** rotated files kept */
  readonly keep: number
  readonly events: Pick<EventLog, 'warn'>
}

/** How far the file was sent. */
interface Cursor {
  readonly inode: number
  readonly offset: number
}

/** A record as it is sent. */
interface SentSession extends Signed {
  readonly record: SessionRecord
}

const LOOK_EVERY_MS = 500
const BATCH_BYTES = 256 * 1024
/** Records of the last weeks, as many as fit. */
const KEPT_NS = 14 * 86_400 * 1e9
const MOST_BYTES = 1024 ** 3
/** Sessions of other members that are kept in memory. */
const MOST_RECENT = 1_000
const ASK_AGAIN_MS = 1_000
const RECENT_WITHIN_MS = 1_000
const SAME_WITHIN_NS = 600 * 1e9
const NEWLINE = 0x0a

/** Sends this member's finished sessions to the fleet's stream in batches, and remembers in a file how far it got. */
export class FleetSessions {
  readonly #parts: FleetSessionParts
  readonly #folder: string
  readonly #file: string
  #cursor: Cursor | undefined
  #timer: NodeJS.Timeout | undefined
  #isSending = false
  #hasStream = false
  #isClosed = false
  #sent = 0
  #trouble = ''
  readonly #listeners = new Set<(record: SessionRecord) => void>()
  /** of other members, oldest first */
  readonly #recent = new Map<string, SessionRecord>()
  #place = 0
  #messages: ConsumerMessages | undefined
  #caughtUp = Promise.withResolvers<void>()

  constructor(parts: FleetSessionParts) {
    this.#parts = parts
    this.#folder = parts.state ?? ''
    this.#file = join(this.#folder, 'sessions.ndjson')
  }

  /** since the start */
  get sent(): number {
    return this.#sent
  }

  /** Begins where the last start left off, the first time at the end of what there is. */
  async start(): Promise<void> {
    if (this.#parts.state === undefined) return
    this.#cursor = readCursor(this.#cursorFile)
    if (this.#cursor === undefined) {
      const now = await stat(this.#file).catch(() => undefined)
      this.#cursor = now === undefined ? { inode: 0, offset: 0 } : { inode: now.ino, offset: now.size }
      this.#keepCursor()
    }
    this.#timer = setInterval(() => this.#look(), LOOK_EVERY_MS)
    this.#timer.unref()
  }

  /** Calls back with each session that any member sends from now on. Answers the way to stop. */
  follow(listener: (record: SessionRecord) => void): () => void {
    this.#listeners.add(listener)
    if (this.#listeners.size === 1) void this.#readOn()
    return () => {
      this.#listeners.delete(listener)
      if (this.#listeners.size === 0) this.#stopReading()
    }
  }

  /** The last sessions of other members while somebody {@link follow | follows}, oldest first, as far as NATS gives them in time. */
  async recent(): Promise<readonly SessionRecord[]> {
    if (this.#listeners.size > 0) await Promise.race([this.#caughtUp.promise, pause(RECENT_WITHIN_MS)])
    return [...this.#recent.values()]
  }

  find(id: string): SessionRecord | undefined {
    return this.#recent.get(id)
  }

  #stopReading(): void {
    void this.#messages?.close().catch(() => undefined)
    this.#messages = undefined
    this.#caughtUp = Promise.withResolvers()
  }

  /** Reads while somebody follows, and again from where it was after NATS was away. */
  async #readOn(): Promise<void> {
    const turn = this.#caughtUp
    let toldFrom: number | undefined
    const isWanted = () => turn === this.#caughtUp && !this.#isClosed
    while (isWanted()) {
      try {
        await this.#makeStream()
        const stream = streamOf(this.#parts.identity.fleet)
        const { last, messages } = await this.#parts.log.messages(stream, (end) => {
          // a stream that was made anew begins at its first message
          if (end < this.#place) this.#place = 0
          return Math.max(this.#place, end - MOST_RECENT) + 1
        })
        if (!isWanted()) {
          await messages.close()
          return
        }
        this.#messages = messages
        toldFrom ??= last
        if (this.#place >= last) turn.resolve()
        for await (const message of messages) {
          this.#hear(message, message.seq > toldFrom)
          if (message.seq >= last) turn.resolve()
        }
      } catch {
        // whoever looks is told by the standing of this member
      }
      if (isWanted()) await pause(ASK_AGAIN_MS)
    }
  }

  #hear({ seq, data, headers }: JsMsg, isNews: boolean): void {
    const { log, identity } = this.#parts
    this.#place = seq
    const said = identity.open<SentSession>({ bytes: data, ...log.proofOf(headers) })
    if (said === undefined) return
    const { record, by } = said
    if (by !== identity.member) {
      this.#recent.set(record.SessionID, record)
      const [oldest] = this.#recent.keys()
      if (oldest !== undefined && this.#recent.size > MOST_RECENT) this.#recent.delete(oldest)
    }
    if (isNews) for (const listener of [...this.#listeners]) listener(record)
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    if (this.#timer !== undefined && !this.#isSending) await this.#send().catch(() => undefined)
    this.#isClosed = true
    this.#stopReading()
  }

  get #subject(): string {
    return `egresslab-session.${this.#parts.identity.fleet}`
  }

  get #cursorFile(): string {
    return join(this.#folder, 'fleet-sessions.json')
  }

  #look(): void {
    if (this.#isSending || this.#isClosed) return
    this.#isSending = true
    void this.#send()
      .then(
        () => {
          this.#trouble = ''
        },
        (thrown: unknown) => {
          const why = messageOf(thrown)
          if (this.#trouble === '') this.#parts.events.warn(`sessions wait for NATS and are sent later: ${why}`)
          this.#trouble = why
        },
      )
      .finally(() => {
        this.#isSending = false
      })
  }

  /** Sends what is there, batch by batch. Rejects where NATS does not take it; then it is read again next time. */
  async #send(): Promise<void> {
    for (;;) {
      const batch = await this.#nextBatch()
      if (batch === undefined) return
      await this.#makeStream()
      await Promise.all(batch.lines.map((line) => this.#sendOne(line)))
      this.#sent += batch.lines.length
      this.#cursor = batch.behind
      this.#keepCursor()
    }
  }

  async #sendOne(line: string): Promise<void> {
    const { log, identity } = this.#parts
    const record = recordIn(line)
    if (record === undefined) return
    const sealed = identity.seal({ by: identity.member, record } satisfies SentSession)
    await log.publish(`${this.#subject}.${identity.member}`, sealed, record.SessionID)
  }

  /** Whole lines behind the cursor; undefined: there are none. A file that is over is followed by the one after it. */
  async #nextBatch(): Promise<{ readonly lines: readonly string[]; readonly behind: Cursor } | undefined> {
    const files = await this.#files()
    const cursor = this.#cursor ?? { inode: 0, offset: 0 }
    let at = files.findIndex(({ inode }) => inode === cursor.inode)
    if (at < 0) {
      if (files.length === 0) return undefined
      // what it was in is gone, or nothing was there yet: everything that is left
      at = files.length - 1
    }
    for (; at >= 0; at--) {
      const file = files[at]
      if (file === undefined) return undefined
      const isSame = file.inode === cursor.inode && cursor.offset <= file.size
      const offset = isSame ? cursor.offset : 0
      const bytes = await readFrom(file.path, offset)
      const end = bytes.lastIndexOf(NEWLINE) + 1
      if (end === 0) continue
      const lines = bytes.subarray(0, end).toString('utf8').split('\n').slice(0, -1)
      return { lines, behind: { inode: file.inode, offset: offset + end } }
    }
    return undefined
  }

  /** newest first */
  async #files(): Promise<readonly { readonly path: string; readonly inode: number; readonly size: number }[]> {
    const paths = [this.#file, ...Array.from({ length: this.#parts.keep }, (_, at) => `${this.#file}.${at + 1}`)]
    const found = await Promise.all(
      paths.map(async (path) => {
        const { ino: inode, size } = (await stat(path).catch(() => undefined)) ?? {}
        return inode === undefined || size === undefined ? [] : [{ path, inode, size }]
      }),
    )
    return found.flat()
  }

  async #makeStream(): Promise<void> {
    if (this.#hasStream) return
    const { log, identity } = this.#parts
    await log.makeStream({
      name: streamOf(identity.fleet),
      description: `the sessions of the egresslab fleet ${identity.fleet}`,
      subjects: [`${this.#subject}.*`],
      max_age: KEPT_NS,
      max_bytes: MOST_BYTES,
      duplicate_window: SAME_WITHIN_NS,
    })
    this.#hasStream = true
  }

  #keepCursor(): void {
    replaceOutput(this.#cursorFile, `${JSON.stringify(this.#cursor)}\n`, 'fleet.sessions')
  }
}

function streamOf(fleet: string): string {
  return `egresslab_${fleet}_sessions`
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref())
}

function readCursor(file: string): Cursor | undefined {
  if (!existsSync(file)) return undefined
  try {
    const { inode, offset } = JSON.parse(readFileSync(file, 'utf8')) as Cursor
    return Number.isSafeInteger(inode) && Number.isSafeInteger(offset) ? { inode, offset } : undefined
  } catch {
    return undefined
  }
}

/** A line that a crash has cut off is no record. */
function recordIn(line: string): SessionRecord | undefined {
  try {
    return JSON.parse(line) as SessionRecord
  } catch {
    return undefined
  }
}

/** As much as a batch has, or as one line that is longer. */
async function readFrom(path: string, offset: number): Promise<Buffer> {
  const handle = await open(path, 'r')
  try {
    for (let size = BATCH_BYTES; ; size *= 2) {
      const { buffer, bytesRead } = await handle.read({ buffer: Buffer.alloc(size), position: offset })
      const bytes = buffer.subarray(0, bytesRead)
      if (bytesRead < size || bytes.includes(NEWLINE)) return bytes
    }
  } finally {
    await handle.close()
  }
}

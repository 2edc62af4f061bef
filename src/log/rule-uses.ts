// How often each rule decided, and when last: from the session log as it was at the start, read back once, and from every session
// since. A restart so leaves no rule looking unused. What is read is bounded, the newest first, and a log that is missing, damaged
// or unreadable only makes the time shorter for which the counts are good.

import { type FileHandle, open } from 'node:fs/promises'
import { counted } from '../errors/counted.ts'
import { errnoOf, messageOf } from '../errors/thrown.ts'
import type { SessionRecord } from '../proxy/session-record.ts'

/** Bytes of the log that are read back. */
export const MOST_READ = 64 * 1024 * 1024

/** More than any session record takes; what is longer is no line of ours. */
const LONGEST_LINE = 1024 * 1024

const CHUNK = 256 * 1024
const LINE_FEED = 0x0a

export interface RuleUse {
  readonly sessions: number
  /** lab time, epoch ms, at which the last one began */
  readonly lastUsed: number
}

export interface RuleUses {
  add(record: SessionRecord): void
  /** Resolves when the log has been read. `since`: lab time, epoch ms, from which on every session is counted; `rules` by id. */
  counted(): Promise<{ readonly since: number; readonly rules: ReadonlyMap<string, RuleUse> }>
  /** Gives up reading. */
  close(): Promise<void>
}

export interface RuleUsesOptions {
  /** the log and its rotated files, newest first; none: there is no log */
  readonly files: readonly string[]
  /** lab time, epoch ms */
  readonly now: number
  /** Says what could not be read, one clause. */
  readonly onNotice: (message: string) => void
  /** bytes that are read back (default {@link MOST_READ}) */
  readonly mostBytes?: number
}

/** Opens the log as it is now, so that what is written from here on is left to {@link RuleUses.add}, and reads it in the background.
 *  Never rejects. */
export async function openRuleUses({ files, now, onNotice, mostBytes }: RuleUsesOptions): Promise<RuleUses> {
  const rules = new Map<string, RuleUse>()
  const count = (rule: string, began: number) => {
    const before = rules.get(rule)
    rules.set(rule, {
      sessions: (before?.sessions ?? 0) + 1,
      lastUsed: Math.max(before?.lastUsed ?? began, began),
    })
  }
  const parts = await openParts(files, mostBytes ?? MOST_READ, onNotice)
  const end = new AbortController()
  const reading = readParts(parts, count, { signal: end.signal, onNotice })
  return {
    add({ EgressRuleID: rule, SessionStartTime: began }) {
      if (rule !== '') count(rule, Date.parse(began))
    },
    counted: async () => ({ since: Math.min(now, await reading), rules }),
    async close() {
      end.abort()
      await reading
    },
  }
}

/** What is read of one file: from `start`, where a line may be cut, up to `end`. */
interface LogPart {
  readonly path: string
  readonly handle: FileHandle
  readonly start: number
  readonly end: number
}

/** Newest first, without a gap. */
async function openParts(
  files: readonly string[],
  mostBytes: number,
  onNotice: (message: string) => void,
): Promise<LogPart[]> {
  const parts: LogPart[] = []
  let left = mostBytes
  for (const path of files) {
    if (left <= 0) break
    try {
      const handle = await open(path, 'r')
      const stat = await handle.stat()
      if (!stat.isFile()) {
        await handle.close()
        onNotice(`the session log \`${path}\` is no file; rules are counted without it`)
        break
      }
      parts.push({ path, handle, start: Math.max(0, stat.size - left), end: stat.size })
      left -= stat.size
    } catch (thrown) {
      if (errnoOf(thrown) !== 'ENOENT') onNotice(cannotRead(path, thrown))
      break
    }
  }
  return parts
}

interface Reading {
  readonly signal: AbortSignal
  readonly onNotice: (message: string) => void
}

/** Resolves to the end of the oldest session of the parts that were read whole, epoch ms; Infinity: there was none. */
async function readParts(
  parts: readonly LogPart[],
  count: (rule: string, began: number) => void,
  { signal, onNotice }: Reading,
): Promise<number> {
  let since = Number.POSITIVE_INFINITY
  let path = ''
  try {
    for (const part of parts) {
      path = part.path
      let [damaged, oldest] = [0, since]
      for await (const line of linesOf(part)) {
        if (signal.aborted) return since
        const seen = readLine(line)
        if (seen === undefined) damaged++
        else {
          oldest = Math.min(oldest, seen.ended)
          if (seen.rule !== '') count(seen.rule, seen.began)
        }
      }
      since = oldest
      if (damaged > 0) onNotice(`the session log \`${path}\` has ${counted(damaged, 'line')} that no session wrote`)
    }
  } catch (thrown) {
    onNotice(cannotRead(path, thrown))
  } finally {
    for (const { handle } of parts) await handle.close().catch(() => undefined)
  }
  return since
}

/** The whole lines of a part; one that is too long comes empty. */
async function* linesOf({ handle, start, end }: LogPart): AsyncGenerator<string> {
  const chunk = Buffer.alloc(CHUNK)
  let rest: Buffer[] = []
  let restBytes = 0
  let isCut = start > 0
  for (let at = start; at < end; ) {
    const { bytesRead } = await handle.read(chunk, 0, Math.min(CHUNK, end - at), at)
    if (bytesRead === 0) return
    at += bytesRead
    let from = 0
    for (let feed = chunk.indexOf(LINE_FEED); feed >= 0 && feed < bytesRead; feed = chunk.indexOf(LINE_FEED, from)) {
      const piece = chunk.subarray(from, feed)
      from = feed + 1
      const isTooLong = restBytes + piece.length > LONGEST_LINE
      const line = isTooLong ? '' : Buffer.concat([...rest, piece]).toString()
      ;[rest, restBytes] = [[], 0]
      if (isCut) isCut = false
      else yield line
    }
    restBytes += bytesRead - from
    if (restBytes > LONGEST_LINE) rest = []
    else rest.push(Buffer.from(chunk.subarray(from, bytesRead)))
  }
  if (restBytes > 0 && !isCut) yield restBytes > LONGEST_LINE ? '' : Buffer.concat(rest).toString()
}

interface SeenSession {
  readonly rule: string
  readonly began: number
  readonly ended: number
}

/** Undefined for what is no session record. */
function readLine(line: string): SeenSession | undefined {
  try {
    const { EgressRuleID: rule, SessionStartTime, SessionEndTime } = JSON.parse(line) as Partial<SessionRecord>
    const [began, ended] = [Date.parse(SessionStartTime ?? ''), Date.parse(SessionEndTime ?? '')]
    if (typeof rule !== 'string' || Number.isNaN(began) || Number.isNaN(ended)) return undefined
    return { rule, began, ended }
  } catch {
    return undefined
  }
}

function cannotRead(path: string, thrown: unknown): string {
  return `the session log \`${path}\` cannot be read back, so rules are counted without it: ${messageOf(thrown)}`
}

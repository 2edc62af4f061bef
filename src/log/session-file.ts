// The session log on disk: NDJSON, appended in batches, rotated by size (`sessions.ndjson`, then `.1`, `.2` …). Files
// rotate between whole lines; each can be read on its own.

import { open, rename, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { makeFolder } from '../config/files.ts'
import { createLineQueue, GATHER_MS, type LineQueue } from './line-queue.ts'

const OWNER_ONLY = 0o600
const OTHERS = 0o077

export interface SessionFileOptions {
  readonly path: string
  /** rotate before a file exceeds this many bytes */
  readonly maxBytes: number
  /** rotated files kept besides the current one */
  readonly keep: number
  readonly onProblem: (error: unknown) => void
}

export interface SessionFile extends LineQueue {
  /** Why a line could not be stored now: the last write's error, else that of a test write beside the file.
   *  Undefined if it could. */
  whyNotWritable(): Promise<string | undefined>
}

type Handle = Awaited<ReturnType<typeof open>>

interface OpenFile {
  readonly handle: Handle
  readonly inode: number
  readonly size: number
}

/** Opens (or creates) the session log (NDJSON, [S1]) at its end, readable by its owner only. Creates the folder if missing; failures are
 *  reported, never thrown (RS-08). A file that is moved away is replaced by a new one. */
export function openSessionFile(options: SessionFileOptions): SessionFile {
  const { path, maxBytes, keep, onProblem } = options
  let file: OpenFile | undefined
  let failure: string | undefined
  const letGo = async () => {
    await file?.handle.close()
    file = undefined
  }
  const append = async (bytes: Buffer) => {
    if (file !== undefined && (await inodeOf(path)) !== file.inode) await letGo()
    file ??= await openAtEnd(path)
    if (file.size > 0 && file.size + bytes.length > maxBytes) {
      await letGo()
      await rotate(path, keep)
      file = await openAtEnd(path)
    }
    file = { ...file, size: file.size + (await appendWhole(file, bytes)) }
  }
  const queue = createLineQueue({
    onProblem,
    gatherMs: GATHER_MS,
    async write(bytes) {
      try {
        await append(bytes)
        failure = undefined
      } catch (thrown) {
        failure = reasonOf(thrown)
        throw thrown
      }
    },
  })
  return {
    push: (line) => queue.push(line),
    get dropped() {
      return queue.dropped
    },
    async whyNotWritable() {
      if (failure !== undefined) return failure
      return tryWriting(path, file?.size ?? 0).then(() => undefined, reasonOf)
    },
    async close(deadlineMs) {
      await queue.close(deadlineMs)
      await file?.handle.close().catch(onProblem)
    },
  }
}

/** As much as a few sessions take. */
const PROBE_BYTES = 4096

/** Writes to a file beside the log, at the offset of the log's next line, so that a limit on file sizes is noticed
 *  too. */
async function tryWriting(path: string, at: number): Promise<void> {
  makeFolder(dirname(path), 0o700)
  const log = await open(path, 'a', OWNER_ONLY)
  await log.close()
  const beside = `${path}.probe`
  const probe = await open(beside, 'w', OWNER_ONLY)
  try {
    const bytes = Buffer.alloc(PROBE_BYTES, 0x20)
    // a write may be partial, and only the next one reports why
    for (let done = 0; done < PROBE_BYTES; ) {
      const { bytesWritten } = await probe.write(bytes, done, PROBE_BYTES - done, at + done)
      done += bytesWritten
    }
    await probe.datasync()
  } finally {
    await probe.close()
    await rm(beside, { force: true })
  }
}

function reasonOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown)
}

/** Appends the whole batch or nothing: a disk that fills up in the middle leaves no partial line. */
async function appendWhole(file: OpenFile, bytes: Buffer): Promise<number> {
  try {
    await file.handle.appendFile(bytes)
    return bytes.length
  } catch (error) {
    await file.handle.truncate(file.size).catch(() => undefined)
    throw error
  }
}

/** Ends a line cut off by a crash, so that the next one can be read. */
async function openAtEnd(path: string): Promise<OpenFile> {
  makeFolder(dirname(path), 0o700)
  const handle = await open(path, 'a+', OWNER_ONLY)
  const { size, ino: inode, mode } = await handle.stat()
  if ((mode & OTHERS) !== 0) await handle.chmod(OWNER_ONLY)
  if (size === 0) return { handle, inode, size }
  const { buffer } = await handle.read({ buffer: Buffer.alloc(1), position: size - 1 })
  if (buffer[0] === 0x0a) return { handle, inode, size }
  await handle.appendFile('\n')
  return { handle, inode, size: size + 1 }
}

async function rotate(path: string, keep: number): Promise<void> {
  for (let at = keep; at >= 1; at--) {
    const from = at === 1 ? path : `${path}.${at - 1}`
    if (await exists(from)) await rename(from, `${path}.${at}`)
  }
  if (keep === 0) await (await open(path, 'w', OWNER_ONLY)).close()
}

async function exists(path: string): Promise<boolean> {
  return (await inodeOf(path)) !== undefined
}

/** Undefined if there is no such file. */
function inodeOf(path: string): Promise<number | undefined> {
  return stat(path).then(
    ({ ino }) => ino,
    () => undefined,
  )
}

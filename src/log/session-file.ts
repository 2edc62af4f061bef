// The session log on disk: NDJSON, appended in batches, rotated by size (`sessions.ndjson`, then `.1`, `.2` …). Rotation
// happens between whole lines; every file can be read on its own.

import { mkdir, open, rename, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { createLineQueue, GATHER_MS, type LineQueue } from './line-queue.ts'

const OWNER_ONLY = 0o600
const OTHERS = 0o077

export interface SessionFileOptions {
  readonly path: string
  /** rotate before a file grows beyond this many bytes */
  readonly maxBytes: number
  /** rotated files kept beside the current one */
  readonly keep: number
  readonly onProblem: (error: unknown) => void
}

export interface SessionFile extends LineQueue {
  /** Why a line could not be kept now: what the last write said, or else a write tried beside the file. Undefined: it could. */
  whyNotWritable(): Promise<string | undefined>
}

type Handle = Awaited<ReturnType<typeof open>>

interface OpenFile {
  readonly handle: Handle
  readonly inode: number
  readonly size: number
}

/** Opens (or makes) the log at its end, readable by its owner only. The folder is made where missing; failures are reported, never
 *  thrown. A file that somebody moves away is begun anew. */
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

/** Writes as far into a file beside the log as the log's next line would come, so that a limit on the size of files counts too. */
async function tryWriting(path: string, at: number): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  const log = await open(path, 'a', OWNER_ONLY)
  await log.close()
  const beside = `${path}.probe`
  const probe = await open(beside, 'w', OWNER_ONLY)
  try {
    const bytes = Buffer.alloc(PROBE_BYTES, 0x20)
    // a write may be cut short, and then only the next one says why
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

/** Appends all of the batch or nothing: a disk that fills up in the middle of a line leaves no torn line behind. */
async function appendWhole(file: OpenFile, bytes: Buffer): Promise<number> {
  try {
    await file.handle.appendFile(bytes)
    return bytes.length
  } catch (error) {
    await file.handle.truncate(file.size).catch(() => undefined)
    throw error
  }
}

/** A line torn by a crash is ended, so that the next one can be read. */
async function openAtEnd(path: string): Promise<OpenFile> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
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

/** Undefined where there is no such file. */
function inodeOf(path: string): Promise<number | undefined> {
  return stat(path).then(
    ({ ino }) => ino,
    () => undefined,
  )
}

// The session log on disk: NDJSON, appended in batches, rotated by size (`sessions.ndjson`, then `.1`, `.2` …). Rotation
// happens between whole lines; every file can be read on its own.

import { mkdir, open, rename, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { createLineQueue, GATHER_MS, type LineQueue } from './line-queue.ts'

export interface SessionFileOptions {
  readonly path: string
  /** rotate before a file grows beyond this many bytes */
  readonly maxBytes: number
  /** rotated files kept beside the current one */
  readonly keep: number
  readonly onProblem: (error: unknown) => void
}

type Handle = Awaited<ReturnType<typeof open>>

/** Opens (or makes) the log at its end. The folder is made where missing; failures are reported, never thrown. */
export function openSessionFile(options: SessionFileOptions): LineQueue {
  let file: { handle: Handle; size: number } | undefined
  const queue = createLineQueue({
    onProblem: options.onProblem,
    gatherMs: GATHER_MS,
    async write(bytes) {
      file ??= await openAtEnd(options.path)
      if (file.size > 0 && file.size + bytes.length > options.maxBytes) {
        await file.handle.close()
        file = undefined
        await rotate(options.path, options.keep)
        file = await openAtEnd(options.path)
      }
      file = { handle: file.handle, size: file.size + (await appendWhole(file, bytes)) }
    },
  })
  return {
    push: (line) => queue.push(line),
    get dropped() {
      return queue.dropped
    },
    async close(deadlineMs) {
      await queue.close(deadlineMs)
      await file?.handle.close().catch(options.onProblem)
    },
  }
}

/** Appends all of the batch or nothing: a disk that fills up in the middle of a line leaves no torn line behind. */
async function appendWhole(file: { handle: Handle; size: number }, bytes: Buffer): Promise<number> {
  try {
    await file.handle.appendFile(bytes)
    return bytes.length
  } catch (error) {
    await file.handle.truncate(file.size).catch(() => undefined)
    throw error
  }
}

/** A line torn by a crash is ended, so that the next one can be read. */
async function openAtEnd(path: string): Promise<{ handle: Handle; size: number }> {
  await mkdir(dirname(path), { recursive: true })
  const handle = await open(path, 'a+')
  const { size } = await handle.stat()
  if (size === 0) return { handle, size }
  const { buffer } = await handle.read({ buffer: Buffer.alloc(1), position: size - 1 })
  if (buffer[0] === 0x0a) return { handle, size }
  await handle.appendFile('\n')
  return { handle, size: size + 1 }
}

async function rotate(path: string, keep: number): Promise<void> {
  for (let at = keep; at >= 1; at--) {
    const from = at === 1 ? path : `${path}.${at - 1}`
    if (await exists(from)) await rename(from, `${path}.${at}`)
  }
  if (keep === 0) await (await open(path, 'w')).close()
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}

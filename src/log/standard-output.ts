// Session lines on standard output. A pipe is written by the event loop, a file by a worker thread, so that neither a
// stopped reader nor a slow disk delays traffic; when a reader goes away, the output ends, not the process (RS-08).

import { fstat, write } from 'node:fs'
import { promisify } from 'node:util'
import { createLineQueue, GATHER_MS, type LineQueue } from './line-queue.ts'

const STDOUT = 1

/** The process's standard output as a queue of lines. `onProblem` is called when the reader has gone
 *  (RS-08). */
export async function openStandardOutput(onProblem: (error: unknown) => void): Promise<LineQueue> {
  const { isFile } = await promisify(fstat)(STDOUT).then(
    (stats) => ({ isFile: stats.isFile() }),
    () => ({ isFile: false }),
  )
  let gone = false
  process.stdout.on('error', (error) => {
    if (!gone) onProblem(error)
    gone = true
  })
  return createLineQueue({
    onProblem,
    gatherMs: GATHER_MS,
    async write(batch) {
      if (gone) return
      if (isFile) await writeFully(batch)
      else await new Promise<void>((resolve) => process.stdout.write(batch, () => resolve()))
    },
  })
}

async function writeFully(bytes: Buffer): Promise<void> {
  let at = 0
  while (at < bytes.length) {
    const { bytesWritten } = await promisify(write)(STDOUT, bytes, at, bytes.length - at, null)
    at += bytesWritten
  }
}

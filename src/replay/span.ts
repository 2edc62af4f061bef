// Stretches of a recording file that are whole lines. The thread that hands work out only looks for the ends of lines; the bytes are
// read by whoever replays them, so that they pass from the file to their reader without a copy in between.

import { closeSync, openSync, readSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'

/** Bytes `from` up to, not including, `to` of a file. */
export interface ByteSpan {
  readonly path: string
  readonly from: number
  readonly to: number
}

/** A line so long that it has to be an error. */
export interface LineLimit {
  readonly bytes: number
  readonly exceeded: () => Error
}

const SPAN_BYTES = 1 << 20
const NEWLINE = 10
/** Read at a time to find where a line ends: most records are shorter. */
const GLANCE_BYTES = 4 << 10

/** The first `size` bytes of a file as spans. Throws what the limit says. */
export async function* spansOf(path: string, size: number, limit: LineLimit): AsyncGenerator<ByteSpan> {
  const file = await open(path)
  try {
    for (let from = 0; from < size; ) {
      const to = from + SPAN_BYTES >= size ? size : await endOfLine(file, from + SPAN_BYTES, size, limit)
      yield { path, from, to }
      from = to
    }
  } finally {
    await file.close()
  }
}

/** Behind the first line feed from the byte before `at` on; the size where there is none. */
async function endOfLine(file: FileHandle, at: number, size: number, limit: LineLimit): Promise<number> {
  const glance = Buffer.allocUnsafe(GLANCE_BYTES)
  for (let from = at - 1; from < size; ) {
    const { bytesRead } = await file.read(glance, 0, glance.length, from)
    if (bytesRead === 0) return size
    const found = glance.subarray(0, bytesRead).indexOf(NEWLINE)
    if (found >= 0) return Math.min(size, from + found + 1)
    from += bytesRead
    if (from - at > limit.bytes) throw limit.exceeded()
  }
  return size
}

/** The first bytes of a file, at most so many. */
export async function headOf(path: string, most: number): Promise<Uint8Array> {
  const file = await open(path)
  try {
    const head = Buffer.alloc(most)
    const { bytesRead } = await file.read(head, 0, head.length, 0)
    return head.subarray(0, bytesRead)
  } finally {
    await file.close()
  }
}

/** Reads spans into one buffer. Keeps the file of the last one open. */
export class SpanReader {
  #buffer = Buffer.allocUnsafeSlow(2 * SPAN_BYTES)
  #path = ''
  #descriptor = -1

  /** The bytes of a span, good until the next call; fewer where the file has become shorter. Throws what opening and reading throw. */
  read({ path, from, to }: ByteSpan): Uint8Array {
    if (path !== this.#path) {
      this.close()
      this.#descriptor = openSync(path, 'r')
      this.#path = path
    }
    const wanted = to - from
    if (wanted > this.#buffer.length) this.#buffer = Buffer.allocUnsafeSlow(wanted)
    let length = 0
    while (length < wanted) {
      const read = readSync(this.#descriptor, this.#buffer, length, wanted - length, from + length)
      if (read === 0) break
      length += read
    }
    return this.#buffer.subarray(0, length)
  }

  close(): void {
    if (this.#descriptor >= 0) closeSync(this.#descriptor)
    this.#descriptor = -1
    this.#path = ''
  }
}

// A recording as pieces of whole lines, small enough to hold several at once whatever the file's size. Plain files of a record per
// line are only cut, and read by whoever gets the piece; all else (gzip and zstd, known by their first bytes and not their
// name; other forms; standard input) comes as bytes.

import { createReadStream, statSync } from 'node:fs'
import { createGunzip, createZstdDecompress, type Gunzip, type ZstdDecompress } from 'node:zlib'
import { InputError, inputError } from '../errors/issue.ts'
import { messageOf } from '../errors/thrown.ts'
import { formOf, type NoRecord, recordsPerLine } from './recording-form.ts'
import type { LineProblem, PieceReport, Replayer } from './replayer.ts'
import { type ByteSpan, headOf, spansOf } from './span.ts'

/** Whole lines, UTF-8: themselves, or where they are. */
export type Lines =
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly kind: 'span'; readonly span: ByteSpan }

/** `done`: bytes of the input consumed so far, packed ones where it is packed. */
export interface SessionPiece {
  readonly lines: Lines | NoRecord
  /** lines are counted records here, not lines of the file */
  readonly inRecords: boolean
  readonly done: number
}

export interface SessionSource {
  readonly name: string
  /** bytes; undefined where nobody knows, as for standard input */
  readonly size: number | undefined
  readonly pieces: () => AsyncGenerator<SessionPiece>
}

const PIECE_BYTES = 1 << 20
/** No record is nearly as long; a line that is would have to be held as a whole. */
const MOST_LINE_BYTES = 16 << 20
const NEWLINE = 10

/** A source for a path, or for standard input where it is `-`. `columns` names those of a table without a first row of
 *  names. Throws an InputError for a file that cannot be read. */
export function openSessions(
  path: string,
  stdin: AsyncIterable<Uint8Array>,
  columns?: readonly string[],
): SessionSource {
  if (path === '-') {
    const name = 'standard input'
    return { name, size: undefined, pieces: () => piecesOf(name, stdin, columns) }
  }
  const found = statSync(path, { throwIfNoEntry: false })
  if (found === undefined) throw unreadable(path, 'there is no such file')
  if (found.isDirectory()) throw unreadable(path, 'it is a folder')
  const size = found.isFile() ? found.size : undefined
  return { name: path, size, pieces: () => piecesOfFile(path, size, columns) }
}

async function* piecesOfFile(
  path: string,
  size: number | undefined,
  columns: readonly string[] | undefined,
): AsyncGenerator<SessionPiece> {
  const head = size === undefined ? undefined : await headOf(path, HEAD_BYTES)
  if (size === undefined || head === undefined || !isRecordPerLine(path, head, columns)) {
    yield* piecesOf(path, createReadStream(path, { highWaterMark: PIECE_BYTES }), columns)
    return
  }
  const limit = { bytes: MOST_LINE_BYTES, exceeded: () => lineTooLong(path) }
  for await (const span of spansOf(path, size, limit)) {
    yield { lines: { kind: 'span', span }, inRecords: false, done: span.to }
  }
}

/** As much of a recording as shows its form. */
const HEAD_BYTES = 64 << 10

function isRecordPerLine(name: string, head: Uint8Array, columns: readonly string[] | undefined): boolean {
  const isPlain = PACKINGS.every(({ magic }) => !beginsWith(head, magic)) && !beginsWith(head, BYTE_ORDER_MARK)
  return isPlain && formOf(name, decoder.decode(head), columns).kind === 'lines'
}

function lineTooLong(name: string): InputError {
  return unreadable(name, `a line is longer than ${MOST_LINE_BYTES >> 20} MiB, so this is not NDJSON`)
}

function unreadable(file: string, reason: string): InputError {
  return inputError('replay.unreadable', `cannot read \`${file}\`: ${reason}`)
}

async function* piecesOf(
  name: string,
  input: AsyncIterable<Uint8Array>,
  columns: readonly string[] | undefined,
): AsyncGenerator<SessionPiece> {
  const progress: Progress = { done: 0 }
  const cutter = new LineCutter(name)
  const piece = (lines: SessionPiece['lines']): SessionPiece => ({ lines, inRecords, done: progress.done })
  let inRecords = false
  try {
    const { head, whole } = await peeked(unpacked(name, counted(input, progress), progress), HEAD_BYTES)
    const isMarked = beginsWith(head, BYTE_ORDER_MARK)
    const form = formOf(name, decoder.decode(head), columns)
    inRecords = form.kind !== 'lines'
    const plain = isMarked ? withoutFirst(whole, BYTE_ORDER_MARK.length) : whole
    for await (const found of recordsPerLine(name, form, plain)) {
      const isNone = !(found instanceof Uint8Array)
      const bytes = isNone ? [cutter.rest()].filter(({ length }) => length > 0) : cutter.add(found)
      for (const some of bytes) yield piece({ kind: 'bytes', bytes: some })
      if (isNone && (progress.broken === undefined || !found.isEnd)) yield piece(found)
    }
  } catch (thrown) {
    if (thrown instanceof InputError) throw thrown
    throw unreadable(name, messageOf(thrown))
  }
  const { broken } = progress
  // what is behind the last line feed of something cut off is no line
  const rest = broken === undefined ? cutter.rest() : cutter.wholeLines()
  if (rest.length > 0) yield piece({ kind: 'bytes', bytes: rest })
  if (broken !== undefined) yield piece({ problem: broken, isEnd: true })
}

interface Progress {
  done: number
  /** why packed data ends before its end, as a clause */
  broken?: string
}

async function* counted(input: AsyncIterable<Uint8Array>, progress: Progress): AsyncGenerator<Uint8Array> {
  for await (const bytes of input) {
    progress.done += bytes.length
    yield bytes
  }
}

/** RFC 1952 section 2.3.1, RFC 8878 section 3.1.1. */
const PACKINGS: readonly {
  readonly magic: readonly number[]
  readonly open?: () => Gunzip | ZstdDecompress
  readonly what?: string
}[] = [
  { magic: [0x1f, 0x8b], open: () => createGunzip({ chunkSize: PIECE_BYTES }) },
  { magic: [0x28, 0xb5, 0x2f, 0xfd], open: () => createZstdDecompress({ chunkSize: PIECE_BYTES }) },
  { magic: [0x50, 0x4b, 0x03, 0x04], what: 'a ZIP archive' },
  { magic: [0x50, 0x41, 0x52, 0x31], what: 'a Parquet file' },
  { magic: [0x42, 0x5a, 0x68], what: 'packed with bzip2' },
  { magic: [0xfd, 0x37, 0x7a, 0x58], what: 'packed with xz' },
]
/** UTF-8's, as spreadsheets write it. */
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf]

function beginsWith(head: Uint8Array, magic: readonly number[]): boolean {
  return magic.every((byte, at) => head[at] === byte)
}

/** Several gzip members or zstd frames one after the other are one text. */
async function* unpacked(
  name: string,
  input: AsyncGenerator<Uint8Array>,
  progress: Progress,
): AsyncGenerator<Uint8Array> {
  const { head, whole } = await peeked(input, 4)
  const packing = PACKINGS.find(({ magic }) => beginsWith(head, magic))
  if (packing?.what !== undefined) throw unreadable(name, `it is ${packing.what}; unpack it first`)
  if (packing?.open === undefined) yield* whole
  else yield* unpack(whole, packing.open(), progress)
}

/** The first bytes of an input, so many or a few more, and all of it. */
async function peeked(
  input: AsyncGenerator<Uint8Array>,
  wanted: number,
): Promise<{ readonly head: Uint8Array; readonly whole: AsyncGenerator<Uint8Array> }> {
  const parts: Uint8Array[] = []
  for (let length = 0; length < wanted; ) {
    const { value, done } = await input.next()
    if (done) break
    parts.push(value)
    length += value.length
  }
  const head = Buffer.concat(parts)
  return { head: head.subarray(0, wanted), whole: withHead(head, input) }
}

async function* withHead(head: Uint8Array, rest: AsyncGenerator<Uint8Array>): AsyncGenerator<Uint8Array> {
  if (head.length > 0) yield head
  yield* rest
}

async function* withoutFirst(input: AsyncGenerator<Uint8Array>, count: number): AsyncGenerator<Uint8Array> {
  let left = count
  for await (const bytes of input) {
    yield bytes.subarray(left)
    left = Math.max(0, left - bytes.length)
  }
}

/** Bites of packed data: each is unpacked before the next one comes, so that what precedes a fault is there. */
const PACKED_BITE_BYTES = 32 << 10

/** What can be unpacked; `progress` gets to know why there is no more. */
async function* unpack(
  packed: AsyncGenerator<Uint8Array>,
  unpacker: Gunzip | ZstdDecompress,
  progress: Progress,
): AsyncGenerator<Uint8Array> {
  const out: Uint8Array[] = []
  let fault: Error | undefined
  unpacker.on('data', (bytes: Uint8Array) => out.push(bytes))
  unpacker.on('error', (error) => (fault = error))
  // a write in progress is not told of a fault
  const closed = new Promise<void>((resolve) => unpacker.once('close', resolve))
  let taken = 0
  try {
    for await (const bytes of packed) {
      for (let from = 0; from < bytes.length && fault === undefined; from += PACKED_BITE_BYTES) {
        const bite = bytes.subarray(from, from + PACKED_BITE_BYTES)
        await Promise.race([closed, new Promise<void>((resolve) => unpacker.write(bite, () => resolve()))])
        taken += bite.length
        yield* out.splice(0)
      }
      if (fault !== undefined) break
    }
    unpacker.end()
    await closed
    yield* out
  } finally {
    unpacker.destroy()
  }
  if (fault !== undefined) progress.broken = `the packed data breaks off at byte ${taken}: ${fault.message}`
}

/** Collects bytes and cuts them behind the last line feed once there are enough. */
class LineCutter {
  readonly #name: string
  #held = Buffer.allocUnsafeSlow(PIECE_BYTES * 2)
  #length = 0

  constructor(name: string) {
    this.#name = name
  }

  *add(bytes: Uint8Array): Generator<Uint8Array<ArrayBuffer>> {
    for (let from = 0; from < bytes.length; ) {
      const taken = bytes.subarray(from, from + PIECE_BYTES)
      this.#append(taken)
      from += taken.length
      const end = this.#length < PIECE_BYTES ? -1 : this.#held.subarray(0, this.#length).lastIndexOf(NEWLINE)
      if (end >= 0) yield this.#take(end + 1)
    }
  }

  /** What is left behind the last line feed: a last line needs none. */
  rest(): Uint8Array<ArrayBuffer> {
    return this.#take(this.#length)
  }

  /** What is left up to the last line feed. */
  wholeLines(): Uint8Array<ArrayBuffer> {
    return this.#take(this.#held.subarray(0, this.#length).lastIndexOf(NEWLINE) + 1)
  }

  #append(bytes: Uint8Array): void {
    if (this.#length + bytes.length > MOST_LINE_BYTES) {
      throw lineTooLong(this.#name)
    }
    if (this.#length + bytes.length > this.#held.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(this.#held.length * 2, this.#length + bytes.length))
      this.#held.copy(larger, 0, 0, this.#length)
      this.#held = larger
    }
    this.#held.set(bytes, this.#length)
    this.#length += bytes.length
  }

  /** A copy of its own, which can move to another thread. */
  #take(length: number): Uint8Array<ArrayBuffer> {
    const taken = new Uint8Array(length)
    taken.set(this.#held.subarray(0, length))
    this.#held.copyWithin(0, length, this.#length)
    this.#length -= length
    return taken
  }
}

const BITE_BYTES = 64 << 10
const decoder = new TextDecoder()

/** Replays whole lines of UTF-8; bytes that are none become U+FFFD, as in any text. */
export function replayBytes(
  replayer: Replayer,
  bytes: Uint8Array,
  options: { readonly keepChanged: boolean },
): PieceReport {
  const problems: LineProblem[] = []
  const changed: string[] = []
  let lines = 0
  for (let from = 0; from < bytes.length; ) {
    const to = endOfBite(bytes, from)
    const report = replayer.replay(decoder.decode(bytes.subarray(from, to)), options)
    problems.push(...report.problems.map(({ line, message }) => ({ line: lines + line, message })))
    if (report.changed !== '') changed.push(report.changed)
    lines += report.lines
    from = to
  }
  return { lines, problems, changed: changed.join('') }
}

/** Behind the last line feed of the bite; a longer line is a bite of its own. */
function endOfBite(bytes: Uint8Array, from: number): number {
  if (from + BITE_BYTES >= bytes.length) return bytes.length
  const last = bytes.lastIndexOf(NEWLINE, from + BITE_BYTES)
  if (last >= from) return last + 1
  const next = bytes.indexOf(NEWLINE, from + BITE_BYTES)
  return next < 0 ? bytes.length : next + 1
}

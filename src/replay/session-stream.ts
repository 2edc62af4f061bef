// A recording as pieces of whole lines, small enough to hold several at once whatever the file's size. Plain files are only cut, and
// read by whoever gets the piece; gzip files (by their first bytes, not their name) and standard input come as bytes.

import { createReadStream, statSync } from 'node:fs'
import { createGunzip } from 'node:zlib'
import { InputError, inputError } from '../errors/issue.ts'
import { messageOf } from '../errors/thrown.ts'
import type { LineProblem, PieceReport, Replayer } from './replayer.ts'
import { type ByteSpan, beginsWith, spansOf } from './span.ts'

/** Whole lines, UTF-8: themselves, or where they are. */
export type Lines =
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly kind: 'span'; readonly span: ByteSpan }

/** `done`: bytes of the input consumed so far, packed ones for gzip. */
export interface SessionPiece {
  readonly lines: Lines
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

/** A source for a path, or for standard input where it is `-`. Throws an InputError for a file that cannot be read. */
export function openSessions(path: string, stdin: AsyncIterable<Uint8Array>): SessionSource {
  if (path === '-') return { name: 'standard input', size: undefined, pieces: () => piecesOf('standard input', stdin) }
  const found = statSync(path, { throwIfNoEntry: false })
  if (found === undefined) throw unreadable(path, 'there is no such file')
  if (found.isDirectory()) throw unreadable(path, 'it is a folder')
  const size = found.isFile() ? found.size : undefined
  return { name: path, size, pieces: () => piecesOfFile(path, size) }
}

async function* piecesOfFile(path: string, size: number | undefined): AsyncGenerator<SessionPiece> {
  if (size === undefined || (await beginsWith(path, GZIP))) {
    yield* piecesOf(path, createReadStream(path, { highWaterMark: PIECE_BYTES }))
    return
  }
  const limit = { bytes: MOST_LINE_BYTES, exceeded: () => lineTooLong(path) }
  for await (const span of spansOf(path, size, limit)) yield { lines: { kind: 'span', span }, done: span.to }
}

function lineTooLong(name: string): InputError {
  return unreadable(name, `a line is longer than ${MOST_LINE_BYTES >> 20} MiB, so this is not NDJSON`)
}

function unreadable(file: string, reason: string): InputError {
  return inputError('replay.unreadable', `cannot read \`${file}\`: ${reason}`)
}

async function* piecesOf(name: string, input: AsyncIterable<Uint8Array>): AsyncGenerator<SessionPiece> {
  const progress = { done: 0 }
  const cutter = new LineCutter(name)
  try {
    for await (const bytes of unpacked(counted(input, progress))) {
      for (const piece of cutter.add(bytes)) yield { lines: { kind: 'bytes', bytes: piece }, done: progress.done }
    }
  } catch (thrown) {
    if (thrown instanceof InputError) throw thrown
    throw unreadable(name, messageOf(thrown))
  }
  const rest = cutter.rest()
  if (rest.length > 0) yield { lines: { kind: 'bytes', bytes: rest }, done: progress.done }
}

async function* counted(input: AsyncIterable<Uint8Array>, progress: { done: number }): AsyncGenerator<Uint8Array> {
  for await (const bytes of input) {
    progress.done += bytes.length
    yield bytes
  }
}

/** RFC 1952 section 2.3.1. */
const GZIP = [0x1f, 0x8b] as const

/** Several gzip members one after the other are one text. */
async function* unpacked(input: AsyncGenerator<Uint8Array>): AsyncGenerator<Uint8Array> {
  let head: Uint8Array = new Uint8Array()
  while (head.length < 2) {
    const { value, done } = await input.next()
    if (done) break
    head = head.length === 0 ? value : Buffer.concat([head, value])
  }
  if (head.length === 0) return
  const whole = withHead(head, input)
  if (head[0] !== GZIP[0] || head[1] !== GZIP[1]) yield* whole
  else yield* gunzip(whole)
}

async function* withHead(head: Uint8Array, rest: AsyncGenerator<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield head
  yield* rest
}

async function* gunzip(packed: AsyncGenerator<Uint8Array>): AsyncGenerator<Uint8Array> {
  const gunzipper = createGunzip({ chunkSize: PIECE_BYTES })
  const feed = (async () => {
    for await (const bytes of packed) {
      if (!gunzipper.write(bytes)) await new Promise<void>((resolve) => gunzipper.once('drain', resolve))
    }
    gunzipper.end()
  })()
  feed.catch((error: Error) => gunzipper.destroy(error))
  yield* gunzipper
  await feed
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

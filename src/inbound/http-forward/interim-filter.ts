// Takes interim answers (RFC 9110 section 15.2) out of what an origin sends before its answer, to be passed on by whoever waits for it.
// Origins may send 100 (Continue) to a request that did not ask for it, which undici takes for a broken answer. 101 stays, and so
// does everything from the head of the answer on.

import type { Socket } from 'node:net'

export type OnInterim = (status: number, fields: string[]) => void

const HEAD_END = Buffer.from('\r\n\r\n')
/** Interim answers before one answer that are passed on; a client that does not read could not be waited for. */
const MOST_PASSED = 16
/** RFC 9110 section 5.6.2 */
const TOKEN = /^[!#$%&'*+.^_`|~\w-]+$/
/** `HTTP/1.1 1xx `; a shorter beginning may still become one */
const INTERIM = /^HTTP\/1\.[01] (1\d\d)[ \r]/
const STATUS_LINE_START = 13
const VERSIONS = ['HTTP/1.1 1', 'HTTP/1.0 1']

export class InterimFilter {
  readonly #maxHeadBytes: number
  #onInterim: OnInterim | undefined
  #passed = 0
  /** the beginning of an interim answer that is not all there */
  #held: Buffer | undefined

  /** Reads by anybody go through it from now on. */
  constructor(socket: Socket, maxHeadBytes: number) {
    this.#maxHeadBytes = maxHeadBytes
    const read = socket.read.bind(socket)
    socket.read = (size?: number) => {
      const chunk: Buffer | null = read(size)
      return this.#onInterim === undefined || chunk === null ? chunk : this.#without(chunk)
    }
  }

  /** An answer is to come; `onInterim` hears of each interim one before it, with its fields as a flat list. */
  expect(onInterim: OnInterim): void {
    this.#onInterim = onInterim
    this.#passed = 0
  }

  /** What there is of the answer itself; null where it has not begun. */
  #without(chunk: Buffer): Buffer | null {
    const bytes = this.#held === undefined ? chunk : Buffer.concat([this.#held, chunk])
    this.#held = undefined
    let at = 0
    while (at < bytes.length) {
      const status = interimStatus(bytes, at)
      if (status === undefined) break
      const end = bytes.indexOf(HEAD_END, at)
      if (end < 0) {
        if (bytes.length - at > this.#maxHeadBytes) break
        this.#held = Buffer.from(bytes.subarray(at))
        return null
      }
      if (++this.#passed <= MOST_PASSED) this.#onInterim?.(status, fieldsOf(bytes.subarray(at, end)))
      at = end + HEAD_END.length
    }
    if (at >= bytes.length) return null
    this.#onInterim = undefined
    return at === 0 ? bytes : bytes.subarray(at)
  }
}

/** The status of the interim answer that begins here, 0 while that is not clear; undefined: something else begins. */
function interimStatus(bytes: Buffer, at: number): number | undefined {
  const start = bytes.toString('latin1', at, at + STATUS_LINE_START)
  if (start.length < STATUS_LINE_START) {
    return VERSIONS.some((version) => version.startsWith(start) || start.startsWith(version)) ? 0 : undefined
  }
  const status = Number(INTERIM.exec(start)?.[1])
  return Number.isNaN(status) || status === 101 ? undefined : status
}

function fieldsOf(head: Buffer): string[] {
  const [, ...lines] = head.toString('latin1').split('\r\n')
  return lines.flatMap((line) => {
    const colon = line.indexOf(':')
    const name = line.slice(0, Math.max(0, colon))
    return TOKEN.test(name) ? [name, line.slice(colon + 1).trim()] : []
  })
}

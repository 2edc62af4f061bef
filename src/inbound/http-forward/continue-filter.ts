// Takes 100 (Continue) out of what an origin sends before its answer. Origins may send one that nobody asked for (RFC 9110 section
// 15.2.1), undici takes it for a broken answer, and other interim answers it passes on. Touches nothing behind the head of the answer.

import type { Socket } from 'node:net'

const SPACE = 0x20
const HEAD_END = Buffer.from('\r\n\r\n')
/** `HTTP/1.1 100` */
const STATUS_END = 12

export class ContinueFilter {
  readonly #maxHeadBytes: number
  #onContinue: ((fields: string[]) => void) | undefined
  /** the beginning of a 100 that is not all there */
  #held: Buffer | undefined

  /** Reads by anybody go through it from now on. */
  constructor(socket: Socket, maxHeadBytes: number) {
    this.#maxHeadBytes = maxHeadBytes
    const read = socket.read.bind(socket)
    socket.read = (size?: number) => {
      const chunk: Buffer | null = read(size)
      return this.#onContinue === undefined || chunk === null ? chunk : this.#without(chunk)
    }
  }

  /** An answer is to come; `onContinue` hears of each 100 before it, with its fields as a flat list. */
  expect(onContinue: (fields: string[]) => void): void {
    this.#onContinue = onContinue
  }

  #without(chunk: Buffer): Buffer | null {
    const bytes = this.#held === undefined ? chunk : Buffer.concat([this.#held, chunk])
    this.#held = undefined
    const kept: Buffer[] = []
    let at = 0
    while (at < bytes.length) {
      const status = interimStatus(bytes, at)
      if (status === undefined) {
        this.#onContinue = undefined
        break
      }
      const end = bytes.indexOf(HEAD_END, at)
      if (end < 0) {
        if (bytes.length - at < this.#maxHeadBytes && status !== 'other') this.#held = Buffer.from(bytes.subarray(at))
        break
      }
      if (status === 'continue') this.#onContinue?.(fieldsOf(bytes.subarray(at, end)))
      else kept.push(bytes.subarray(at, end + HEAD_END.length))
      at = end + HEAD_END.length
    }
    if (this.#held === undefined && at < bytes.length) kept.push(bytes.subarray(at))
    const [first, ...more] = kept
    return more.length === 0 ? (first ?? null) : Buffer.concat(kept)
  }
}

/** What begins here: 100, another interim answer, or neither; a beginning too short to tell counts as 100 where it may become one. */
function interimStatus(bytes: Buffer, at: number): 'continue' | 'other' | undefined {
  if (bytes.length - at < STATUS_END) {
    const start = bytes.toString('latin1', at)
    return 'HTTP/1.1 100'.startsWith(start) || 'HTTP/1.0 100'.startsWith(start) ? 'continue' : undefined
  }
  if (bytes[at + 8] !== SPACE || bytes[at + 9] !== 0x31) return undefined
  return bytes[at + 10] === 0x30 && bytes[at + 11] === 0x30 ? 'continue' : 'other'
}

function fieldsOf(head: Buffer): string[] {
  const [, ...lines] = head.toString('latin1').split('\r\n')
  return lines.flatMap((line) => {
    const colon = line.indexOf(':')
    return colon > 0 ? [line.slice(0, colon), line.slice(colon + 1).trim()] : []
  })
}

// The system calls of the relay thread: bytes that move from socket to socket without coming into this process.

import { type Native, PinnedMemory } from './native.ts'

/** What a pipe holds, where the system lets it be so large. */
export const PIPE_BYTES = 1024 * 1024
const NONBLOCK_CLOEXEC = 0x80800
const F_SETPIPE_SZ = 1031
/** SPLICE_F_MOVE | SPLICE_F_NONBLOCK */
const SPLICE_FLAGS = 3

export interface Pipe {
  readonly readEnd: number
  readonly writeEnd: number
}

/** splice(2) and pipe2(2) for one thread; results below 0 are negated errno values. */
export class SpliceCalls {
  readonly #c: Native['c']
  readonly #errno: Int32Array
  readonly #pair: PinnedMemory

  constructor(native: Native) {
    this.#c = native.c
    this.#errno = native.errno
    this.#pair = new PinnedMemory(native.ffi, 8)
  }

  /** Answers a negative errno where there is none to be had. */
  openPipe(): Pipe | number {
    if (this.#c.pipe2(this.#pair.address, NONBLOCK_CLOEXEC) < 0) return -(this.#errno[0] ?? 0)
    const [readEnd = -1, writeEnd = -1] = this.#pair.words()
    this.#c.fcntl(writeEnd, F_SETPIPE_SZ, PIPE_BYTES)
    return { readEnd, writeEnd }
  }

  /** Answers how many bytes moved, 0 at the end of the source, or a negative errno. */
  splice(from: number, to: number, length: number): number {
    const n = this.#c.splice(from, 0n, to, 0n, length, SPLICE_FLAGS)
    return n < 0 ? -(this.#errno[0] ?? 0) : n
  }

  /** A descriptor by which one thread wakes another. Answers a negative errno where there is none to be had. */
  openBell(): number {
    const fd = this.#c.eventfd(0, NONBLOCK_CLOEXEC)
    return fd < 0 ? -(this.#errno[0] ?? 0) : fd
  }
}

// Edge-triggered byte streams: what epoll has told is remembered, so that not reading costs no system call.

import type { Socket } from 'node:net'
import type { ByteStream, StreamEnd, StreamHandler } from '../byte-stream.ts'
import { systemError } from '../system-error.ts'
import type { EventLoop, Watcher } from './event-loop.ts'
import { DIALLED_MASK, ENDING, GONE, READABLE, WRITABLE } from './event-masks.ts'
import { LinuxConnection, type LinuxStreamOptions } from './linux-connection.ts'
import type { Loan, LoanReturn } from './loan.ts'
import { type StreamOverSocket, socketOn } from './socket-on.ts'
import {
  EAGAIN,
  EINTR,
  EPIPE,
  EPOLLERR,
  EPOLLHUP,
  EPOLLRDHUP,
  OPTIONS,
  READ_BYTES,
  SILENT_ENDS,
} from './system-calls.ts'
import { UnsentQueue } from './unsent-queue.ts'

/** Bytes one stream may read in a turn of the loop: one read at most of a stream that has more. */
const SHARE_BYTES = READ_BYTES
/** A first write of less goes out at once whatever Nagle's algorithm has to say (RFC 9293 section 3.7.4). */
const ONE_SEGMENT = 512

/** A connected TCP descriptor. All read into one shared buffer; it owns memory only for bytes unsent or put back. */
export class LinuxStream extends LinuxConnection implements ByteStream, Watcher {
  readonly #overSocket: StreamOverSocket
  #handler: StreamHandler | undefined
  /** epoll has told of something to read, and no read has come to its end since */
  #isReadable = false
  /** FIN or an error is behind what can be read: read on until it comes */
  #readsToEnd = false
  /** FIN has come; and all before it was read: the next read need not ask */
  #isFinHere = false
  #isAtFin = false
  #isTold = false
  #isCarried = false
  #hasEnded = false
  /** who said FIN first */
  #firstFin: 'peer' | 'us' | undefined
  /** {@link end} was called; and the FIN is out */
  #ended = false
  #isShutDown = false
  #watchesWrites: boolean
  #isPrompt: boolean
  #shareTurn = 0
  #share = 0
  #unread: Buffer[] | undefined
  #unsent: UnsentQueue | undefined
  /** an error was told, which no read tells where FIN came before it */
  #isBroken = false
  /** writing has failed, as a negative errno; what can still be read is read */
  #writeError = 0
  /** set while a relay thread moves the bytes */
  #loan: Loan | undefined
  #bytesRead = 0
  #bytesWritten = 0

  /** Owns the descriptor from here on; whoever makes it has it watched. */
  constructor(loop: EventLoop, fd: number, options: LinuxStreamOptions) {
    super(loop, fd, options)
    this.#isPrompt = options.isPrompt
    this.#watchesWrites = options.watchesWrites
    this.#overSocket = options.overSocket
  }

  get isClosed(): boolean {
    return this.promoted === undefined ? this.fd < 0 : this.promoted.stream.isClosed
  }

  get hasEnded(): boolean {
    return this.promoted === undefined ? this.#hasEnded && this.#unread === undefined : this.promoted.stream.hasEnded
  }

  get buffered(): number {
    if (this.promoted !== undefined) return this.promoted.stream.buffered
    let bytes = 0
    if (this.#unread !== undefined) for (const chunk of this.#unread) bytes += chunk.length
    return bytes
  }

  get unsent(): number {
    return this.promoted?.stream.unsent ?? this.#unsent?.length ?? 0
  }

  get hasWriteFailed(): boolean {
    return this.promoted?.stream.hasWriteFailed ?? this.#writeError !== 0
  }

  get bytesRead(): number {
    return this.#bytesRead + (this.promoted?.stream.bytesRead ?? this.#loan?.received() ?? 0)
  }

  get bytesWritten(): number {
    return this.#bytesWritten + (this.promoted?.stream.bytesWritten ?? this.#loan?.sent() ?? 0)
  }

  setHandler(handler: StreamHandler | undefined): void {
    if (this.promoted !== undefined) {
      this.promoted.stream.setHandler(handler)
      return
    }
    this.#handler = handler
    this.#isTold = false
    if (handler === undefined) return
    if (this.endedAs !== undefined) {
      this.#handler = undefined
      handler.onClose(this.endedAs)
    } else if (this.#isReadable || this.#unread !== undefined || this.#hasEnded) this.#tellReadable()
  }

  read(): Buffer | undefined {
    if (this.promoted !== undefined) return this.promoted.stream.read()
    if (this.#unread !== undefined) {
      const chunk = this.#unread.shift()
      if (this.#unread.length === 0) this.#unread = undefined
      return chunk
    }
    if (!this.#isReadable || this.fd < 0) {
      this.#isTold = false
      return undefined
    }
    return this.#readNow()
  }

  unread(bytes: Buffer): void {
    if (this.promoted !== undefined) this.promoted.stream.unread(bytes)
    else if (bytes.length === 0 || this.endedAs !== undefined) return
    else if (this.#unread === undefined) this.#unread = [this.#kept(bytes)]
    else this.#unread.unshift(this.#kept(bytes))
  }

  write(bytes: Uint8Array): boolean {
    if (this.promoted !== undefined) return this.promoted.stream.write(bytes)
    if (this.fd < 0 || this.#ended || this.#writeError !== 0 || this.#loan !== undefined) return true
    const { length } = bytes
    if (!this.#isPrompt && (this.#bytesWritten > 0 || length > ONE_SEGMENT)) {
      this.#isPrompt = true
      this.loop.calls.setOption(this.fd, OPTIONS.noDelay, 1)
    }
    this.#bytesWritten += length
    const n = this.#unsent === undefined ? this.#writeNow(bytes) : 0
    if (n === length || n < 0) return true
    this.#keepUnsent(bytes, n)
    return false
  }

  end(): void {
    if (this.promoted !== undefined) {
      this.promoted.stream.end()
      return
    }
    if (this.fd < 0 || this.#ended || this.#loan !== undefined) return
    this.#ended = true
    this.#firstFin ??= 'us'
    if (this.#unsent === undefined) this.#sayFin()
  }

  destroy(): void {
    if (this.promoted !== undefined) this.promoted.stream.destroy()
    else this.#close({ by: 'us', how: 'destroyed' })
  }

  reset(): void {
    if (this.promoted !== undefined) this.promoted.stream.reset()
    else if (this.fd >= 0) {
      this.loop.calls.lingerZero(this.fd)
      this.#close({ by: 'us', how: 'reset' })
    }
  }

  asSocket(): Socket {
    this.promoted ??= this.#promote()
    return this.promoted.stream.asSocket()
  }

  get canBeLent(): boolean {
    const isPlain = this.fd >= 0 && this.promoted === undefined && this.#loan === undefined
    const isEmpty = this.#unread === undefined && this.#unsent === undefined && this.#writeError === 0
    return isPlain && isEmpty && !this.#ended && !this.#hasEnded
  }

  /** Lends the descriptor to a relay thread: until {@link takeBack} this stream is neither read nor written. Undefined where it cannot
   *  be lent: it is closed or half closed, belongs to a socket, or bytes are still to be read or sent here. */
  lend(loan: Loan): number | undefined {
    if (!this.canBeLent) return undefined
    this.loop.lend(this.fd)
    this.#loan = loan
    this.#isReadable = false
    this.#isAtFin = false
    return this.fd
  }

  /** The relay thread has let go of the descriptor. Tells nobody; {@link tellReturn} does. */
  takeBack(fd: number, { received, sent, hasEnded, saidFin, firstFin }: LoanReturn): void {
    this.#loan = undefined
    this.#bytesRead += received
    this.#bytesWritten += sent
    if (this.fd < 0) {
      this.loop.calls.close(fd)
      return
    }
    this.#hasEnded = hasEnded
    this.#ended = saidFin
    this.#isShutDown = saidFin
    this.#firstFin = firstFin
    this.#isTold = false
    this.#watchesWrites = true
    this.#writeError = this.loop.takeBack(fd, this, DIALLED_MASK)
  }

  tellReturn({ status }: LoanReturn): void {
    if (status !== 0 || this.#writeError !== 0) this.#failed(status || this.#writeError, 'splice')
    else if (this.#hasEnded && this.#isShutDown) this.#close({ by: this.#firstFin ?? 'us', how: 'fin' })
    else if (this.#hasEnded) this.#tellReadable()
  }

  onEvents(mask: number): void {
    if (mask & WRITABLE && this.#unsent !== undefined) this.#flush(this.#unsent)
    if (this.fd < 0 || (mask & READABLE) === 0) return
    this.#isReadable = !this.#hasEnded
    if (mask & ENDING) this.#readsToEnd = true
    this.#isFinHere = (mask & ENDING & ~EPOLLHUP) === EPOLLRDHUP
    if (mask & GONE && this.#foundGone(mask)) return
    if (!this.#hasEnded) this.#tellReadable()
  }

  onCarried(): void {
    this.#isCarried = false
    if (this.#writeError !== 0 && (this.#hasEnded || this.#handler === undefined))
      this.#failed(this.#writeError, 'write')
    else if (this.fd >= 0) this.#tellReadable()
  }

  #tellReadable(): void {
    if (this.#handler === undefined || this.#isTold) return
    this.#isTold = true
    this.#handler.onReadable()
  }

  /** The connection has failed or both sides have ended. Closes where nobody can read any more what arrived before, or nothing did. */
  #foundGone(mask: number): boolean {
    if (this.#hasEnded) {
      this.#writeError ||= this.loop.calls.takeError(this.fd) || EPIPE
      if (this.#unread === undefined || this.#handler === undefined) this.#failed(this.#writeError, 'write')
      else this.#isReadable = true
      return true
    }
    if (this.#handler === undefined) {
      const error = this.#writeError || this.loop.calls.takeError(this.fd)
      if (error !== 0) this.#failed(error, 'read')
      else if (this.#isShutDown) this.#close({ by: this.#firstFin ?? 'peer', how: 'fin' })
      return error !== 0 || this.#isShutDown
    }
    this.#isBroken = (mask & EPOLLERR) !== 0
    if (!this.#isBroken || this.#unread !== undefined) return false
    const next = this.loop.calls.peek(this.fd)
    if (next >= 0 || next === EAGAIN) return false
    this.#failed(next, 'read')
    return true
  }

  #readNow(): Buffer | undefined {
    const { calls, turn } = this.loop
    if (this.#shareTurn !== turn) {
      this.#shareTurn = turn
      this.#share = 0
    } else if (this.#share >= SHARE_BYTES) {
      this.#carry()
      return undefined
    }
    const length = this.loop.readLength
    let n = this.#isAtFin ? 0 : calls.read(this.fd, length)
    while (n === EINTR) n = calls.read(this.fd, length)
    if (n > 0) {
      this.#bytesRead += n
      this.#share += length < READ_BYTES ? SHARE_BYTES : n
      this.loop.spend(n)
      // what comes after a read that found less than it wanted raises another event
      if (n < length && !this.#readsToEnd) this.#isReadable = false
      this.#isAtFin = n < length && this.#isFinHere
      return calls.readBuffer.subarray(0, n)
    }
    this.#isReadable = false
    this.#isTold = false
    if (n === 0) this.#peerEnded()
    else if (n !== EAGAIN) this.#failed(n, 'read')
    return undefined
  }

  #carry(): void {
    this.#isTold = false
    if (this.#isCarried) return
    this.#isCarried = true
    this.loop.carry(this)
  }

  #peerEnded(): void {
    if (this.#writeError !== 0) {
      // the failed write took the socket's error: this end of the stream is not the peer's FIN, except behind one
      if (this.#writeError === EPIPE) this.#hasEnded = true
      this.#failed(this.#writeError, 'write')
      return
    }
    this.#hasEnded = true
    this.#firstFin ??= 'peer'
    if (this.#isShutDown) this.#close({ by: this.#firstFin, how: 'fin' })
    else if (this.#isBroken) this.#failed(this.loop.calls.takeError(this.fd) || EPIPE, 'write')
  }

  #writeNow(bytes: Uint8Array): number {
    const { calls } = this.loop
    let n = calls.write(this.fd, bytes)
    while (n === EINTR) n = calls.write(this.fd, bytes)
    if (n >= 0) return n
    if (n === EAGAIN) return 0
    this.#writeError = n
    this.#unsent = undefined
    this.#isReadable = !this.#hasEnded
    this.#readsToEnd = true
    // the end is told when the reading side comes to it, and not within the write
    if (!this.#isTold) this.#carry()
    return n
  }

  /** Copies what the kernel does not take now. */
  #keepUnsent(bytes: Uint8Array, from: number): void {
    this.#unsent ??= new UnsentQueue()
    this.#unsent.add(bytes, from)
    if (this.#watchesWrites) return
    this.#watchesWrites = true
    this.loop.modify(this.fd, DIALLED_MASK)
  }

  #flush(unsent: UnsentQueue): void {
    const status = unsent.flush((bytes) => this.#writeNow(bytes))
    if (this.fd < 0 || (status === 0 && unsent.length > 0)) return
    this.#unsent = undefined
    if (this.#ended) this.#sayFin()
    else this.#handler?.onWritable()
  }

  #sayFin(): void {
    this.#isShutDown = true
    // closing says FIN as well as a shutdown before it would, and costs a call less
    if (this.#hasEnded && this.#writeError === 0) this.#close({ by: this.#firstFin ?? 'us', how: 'fin' })
    else if (this.#hasEnded) this.#failed(this.#writeError, 'write')
    else if (this.#writeError === 0) this.loop.calls.shutdown(this.fd)
  }

  #failed(status: number, syscall: string): void {
    const how = SILENT_ENDS.has(status) ? 'timeout' : 'reset'
    this.#close({ by: 'peer', how, ...(status === 0 ? {} : { cause: systemError(status, syscall) }) })
  }

  #close(end: StreamEnd): void {
    const fd = this.fd
    if (fd < 0) return
    this.fd = -1
    this.endedAs = end
    this.#unread = undefined
    this.#unsent = undefined
    if (this.#loan === undefined) {
      this.loop.forget(fd)
      this.loop.calls.close(fd)
    } else this.#loan.stop()
    const handler = this.#handler
    this.#handler = undefined
    this.tellClosed()
    handler?.onClose(end)
  }

  /** The shared buffer is written over by the next read of any stream. */
  #kept(bytes: Buffer): Buffer {
    return bytes.buffer === this.loop.calls.readBuffer.buffer ? Buffer.from(bytes) : bytes
  }

  #promote(): { readonly socket: Socket; readonly stream: ByteStream } {
    const fd = this.fd
    this.fd = -1
    if (fd >= 0) {
      this.loop.remove(fd)
      if (!this.#isPrompt) this.loop.calls.setOption(fd, OPTIONS.noDelay, 1)
    }
    const unsent = this.#unsent?.chunks() ?? []
    this.#bytesWritten -= this.#unsent?.length ?? 0
    const socket = socketOn(fd, { unread: this.#unread ?? [], unsent, ended: this.#ended })
    // Node refuses a reset while a FIN is on its way out, also one of TLS above the socket
    const stream = this.#overSocket(socket, { reset: () => this.loop.calls.lingerZero(fd) })
    this.#unread = undefined
    this.#unsent = undefined
    this.passCloseListeners(stream)
    this.#handler = undefined
    return { socket, stream }
  }
}

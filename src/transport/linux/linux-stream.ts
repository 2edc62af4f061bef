// A byte stream on a TCP descriptor of ours. Edge-triggered: what epoll has told is remembered here, so that not reading costs no
// system call. Reads go into one buffer that all streams share; a stream owns memory only while bytes are unsent or put back.

import type { Socket } from 'node:net'
import type { Endpoint } from '../../net/endpoint.ts'
import type { ByteStream, StreamEnd, StreamHandler, TcpInfo } from '../byte-stream.ts'
import { systemError } from '../system-error.ts'
import type { EventLoop, Watcher } from './event-loop.ts'
import { DIALLED_MASK, ENDING, GONE, READABLE, WRITABLE } from './event-masks.ts'
import { setKeepAlive } from './keep-alive.ts'
import { type StreamOverSocket, socketOn } from './socket-on.ts'
import { EAGAIN, EINTR, EPIPE, EPOLLERR, OPTIONS, READ_BYTES, SILENT_ENDS } from './system-calls.ts'
import { UnsentQueue } from './unsent-queue.ts'

/** Bytes one stream may read in a turn of the loop: one read at most of a stream that has more. */
const SHARE_BYTES = READ_BYTES
/** A first write of less goes out at once whatever Nagle's algorithm has to say (RFC 9293 section 3.7.4). */
const ONE_SEGMENT = 512

export interface LinuxStreamOptions {
  /** TCP_NODELAY is set already */
  readonly isPrompt: boolean
  /** events are asked for with {@link DIALLED_MASK} */
  readonly watchesWrites: boolean
  readonly local?: Endpoint | undefined
  readonly remote?: Endpoint | undefined
  readonly overSocket: StreamOverSocket
}

export class LinuxStream implements ByteStream, Watcher {
  readonly #loop: EventLoop
  readonly #overSocket: StreamOverSocket
  /** -1 once it is closed, or belongs to a socket */
  #fd: number
  #promoted: { readonly socket: Socket; readonly stream: ByteStream } | undefined
  #handler: StreamHandler | undefined
  #closeListeners: (() => void)[] | undefined
  #end: StreamEnd | undefined
  /** epoll has told of something to read, and no read has come to its end since */
  #isReadable = false
  /** FIN or an error is behind what can be read: read on until it comes */
  #readsToEnd = false
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
  #isKeptAlive = false
  #shareTurn = 0
  #share = 0
  #unread: Buffer[] | undefined
  #unsent: UnsentQueue | undefined
  /** writing has failed, as a negative errno; what can still be read is read */
  #writeError = 0
  #bytesRead = 0
  #bytesWritten = 0
  #local: Endpoint | undefined
  #remote: Endpoint | undefined

  /** Owns the descriptor from here on; whoever makes it has it watched. */
  constructor(loop: EventLoop, fd: number, options: LinuxStreamOptions) {
    this.#loop = loop
    this.#fd = fd
    this.#isPrompt = options.isPrompt
    this.#watchesWrites = options.watchesWrites
    this.#local = options.local
    this.#remote = options.remote
    this.#overSocket = options.overSocket
  }

  get isClosed(): boolean {
    return this.#promoted === undefined ? this.#fd < 0 : this.#promoted.stream.isClosed
  }

  get hasEnded(): boolean {
    return this.#promoted === undefined ? this.#hasEnded && this.#unread === undefined : this.#promoted.stream.hasEnded
  }

  get buffered(): number {
    if (this.#promoted !== undefined) return this.#promoted.stream.buffered
    let bytes = 0
    if (this.#unread !== undefined) for (const chunk of this.#unread) bytes += chunk.length
    return bytes
  }

  get unsent(): number {
    return this.#promoted?.stream.unsent ?? this.#unsent?.length ?? 0
  }

  get hasWriteFailed(): boolean {
    return this.#promoted?.stream.hasWriteFailed ?? this.#writeError !== 0
  }

  get bytesRead(): number {
    return this.#bytesRead + (this.#promoted?.stream.bytesRead ?? 0)
  }

  get bytesWritten(): number {
    return this.#bytesWritten + (this.#promoted?.stream.bytesWritten ?? 0)
  }

  setHandler(handler: StreamHandler | undefined): void {
    if (this.#promoted !== undefined) {
      this.#promoted.stream.setHandler(handler)
      return
    }
    this.#handler = handler
    this.#isTold = false
    if (handler === undefined) return
    if (this.#end !== undefined) {
      this.#handler = undefined
      handler.onClose(this.#end)
    } else if (this.#isReadable || this.#unread !== undefined || this.#hasEnded) this.#tellReadable()
  }

  read(): Buffer | undefined {
    if (this.#promoted !== undefined) return this.#promoted.stream.read()
    if (this.#unread !== undefined) {
      const chunk = this.#unread.shift()
      if (this.#unread.length === 0) this.#unread = undefined
      return chunk
    }
    if (!this.#isReadable || this.#fd < 0) {
      this.#isTold = false
      return undefined
    }
    return this.#readNow()
  }

  unread(bytes: Buffer): void {
    if (this.#promoted !== undefined) this.#promoted.stream.unread(bytes)
    else if (bytes.length === 0 || this.#end !== undefined) return
    else if (this.#unread === undefined) this.#unread = [this.#kept(bytes)]
    else this.#unread.unshift(this.#kept(bytes))
  }

  write(bytes: Uint8Array): boolean {
    if (this.#promoted !== undefined) return this.#promoted.stream.write(bytes)
    if (this.#fd < 0 || this.#ended || this.#writeError !== 0) return true
    const { length } = bytes
    if (!this.#isPrompt && (this.#bytesWritten > 0 || length > ONE_SEGMENT)) {
      this.#isPrompt = true
      this.#loop.calls.setOption(this.#fd, OPTIONS.noDelay, 1)
    }
    this.#bytesWritten += length
    const n = this.#unsent === undefined ? this.#writeNow(bytes) : 0
    if (n === length || n < 0) return true
    this.#keepUnsent(bytes, n)
    return false
  }

  end(): void {
    if (this.#promoted !== undefined) {
      this.#promoted.stream.end()
      return
    }
    if (this.#fd < 0 || this.#ended) return
    this.#ended = true
    this.#firstFin ??= 'us'
    if (this.#unsent === undefined) this.#sayFin()
  }

  destroy(): void {
    if (this.#promoted !== undefined) this.#promoted.stream.destroy()
    else this.#close({ by: 'us', how: 'destroyed' })
  }

  reset(): void {
    if (this.#promoted !== undefined) this.#promoted.stream.reset()
    else if (this.#fd >= 0) {
      this.#loop.calls.lingerZero(this.#fd)
      this.#close({ by: 'us', how: 'reset' })
    }
  }

  onceClosed(listener: () => void): void {
    if (this.#promoted !== undefined) this.#promoted.stream.onceClosed(listener)
    else if (this.#end !== undefined) listener()
    else if (this.#closeListeners === undefined) this.#closeListeners = [listener]
    else this.#closeListeners.push(listener)
  }

  offClose(listener: () => void): void {
    this.#promoted?.stream.offClose(listener)
    const at = this.#closeListeners?.indexOf(listener) ?? -1
    if (at >= 0) this.#closeListeners?.splice(at, 1)
  }

  localEndpoint(): Endpoint | undefined {
    if (this.#promoted !== undefined) return this.#promoted.stream.localEndpoint()
    if (this.#fd < 0) return undefined
    this.#local ??= this.#loop.calls.localEndpoint(this.#fd)
    return this.#local
  }

  remoteEndpoint(): Endpoint | undefined {
    if (this.#promoted !== undefined) return this.#promoted.stream.remoteEndpoint()
    if (this.#fd < 0) return undefined
    this.#remote ??= this.#loop.calls.remoteEndpoint(this.#fd)
    return this.#remote
  }

  keepAlive(seconds: number): void {
    this.#promoted?.stream.keepAlive(seconds)
    if (this.#fd < 0 || this.#isKeptAlive) return
    this.#isKeptAlive = true
    setKeepAlive(this.#loop.calls, this.#fd, seconds)
  }

  /** How long sent bytes may stay without an acknowledgement before the connection counts as dead (tcp(7), TCP_USER_TIMEOUT). */
  userTimeout(milliseconds: number): void {
    if (this.#fd >= 0) this.#loop.calls.setOption(this.#fd, OPTIONS.userTimeout, milliseconds)
  }

  tcpInfo(): TcpInfo | undefined {
    return this.#fd < 0 ? undefined : this.#loop.calls.tcpInfo(this.#fd)
  }

  asSocket(): Socket {
    this.#promoted ??= this.#promote()
    return this.#promoted.stream.asSocket()
  }

  onEvents(mask: number): void {
    if (mask & WRITABLE && this.#unsent !== undefined) this.#flush(this.#unsent)
    if (this.#fd < 0 || (mask & READABLE) === 0) return
    this.#isReadable = !this.#hasEnded
    if (mask & ENDING) this.#readsToEnd = true
    if (mask & GONE && this.#foundGone(mask)) return
    if (!this.#hasEnded) this.#tellReadable()
  }

  onCarried(): void {
    this.#isCarried = false
    if (this.#writeError !== 0 && (this.#hasEnded || this.#handler === undefined))
      this.#failed(this.#writeError, 'write')
    else if (this.#fd >= 0) this.#tellReadable()
  }

  #tellReadable(): void {
    if (this.#handler === undefined || this.#isTold) return
    this.#isTold = true
    this.#handler.onReadable()
  }

  /** The connection has failed or both sides have ended. Closes where nobody can read any more what arrived before, or nothing did. */
  #foundGone(mask: number): boolean {
    if (this.#hasEnded) {
      this.#writeError ||= this.#loop.calls.takeError(this.#fd) || EPIPE
      if (this.#unread === undefined || this.#handler === undefined) this.#failed(this.#writeError, 'write')
      else this.#isReadable = true
      return true
    }
    if (this.#handler === undefined) {
      const error = this.#writeError || this.#loop.calls.takeError(this.#fd)
      if (error !== 0) this.#failed(error, 'read')
      else if (this.#isShutDown) this.#close({ by: this.#firstFin ?? 'peer', how: 'fin' })
      return error !== 0 || this.#isShutDown
    }
    if ((mask & EPOLLERR) === 0 || this.#unread !== undefined) return false
    const next = this.#loop.calls.peek(this.#fd)
    if (next >= 0 || next === EAGAIN) return false
    this.#failed(next, 'read')
    return true
  }

  #readNow(): Buffer | undefined {
    const { calls, turn } = this.#loop
    if (this.#shareTurn !== turn) {
      this.#shareTurn = turn
      this.#share = 0
    } else if (this.#share >= SHARE_BYTES) {
      this.#carry()
      return undefined
    }
    let n = calls.read(this.#fd)
    while (n === EINTR) n = calls.read(this.#fd)
    if (n > 0) {
      this.#bytesRead += n
      this.#share += n
      // what comes after a read that found less than it wanted raises another event
      if (n < READ_BYTES && !this.#readsToEnd) this.#isReadable = false
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
    this.#loop.carry(this)
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
  }

  #writeNow(bytes: Uint8Array): number {
    const { calls } = this.#loop
    let n = calls.write(this.#fd, bytes)
    while (n === EINTR) n = calls.write(this.#fd, bytes)
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
    this.#loop.modify(this.#fd, DIALLED_MASK)
  }

  #flush(unsent: UnsentQueue): void {
    const status = unsent.flush((bytes) => this.#writeNow(bytes))
    if (this.#fd < 0 || (status === 0 && unsent.length > 0)) return
    this.#unsent = undefined
    if (this.#ended) this.#sayFin()
    else this.#handler?.onWritable()
  }

  #sayFin(): void {
    this.#isShutDown = true
    // closing says FIN as well as a shutdown before it would, and costs a call less
    if (this.#hasEnded) this.#close({ by: this.#firstFin ?? 'us', how: 'fin' })
    else if (this.#writeError === 0) this.#loop.calls.shutdown(this.#fd)
  }

  #failed(status: number, syscall: string): void {
    const how = SILENT_ENDS.has(status) ? 'timeout' : 'reset'
    this.#close({ by: 'peer', how, ...(status === 0 ? {} : { cause: systemError(status, syscall) }) })
  }

  #close(end: StreamEnd): void {
    const fd = this.#fd
    if (fd < 0) return
    this.#fd = -1
    this.#end = end
    this.#unread = undefined
    this.#unsent = undefined
    this.#loop.forget(fd)
    this.#loop.calls.close(fd)
    const handler = this.#handler
    const closeListeners = this.#closeListeners
    this.#handler = undefined
    this.#closeListeners = undefined
    if (closeListeners !== undefined) for (const tell of closeListeners) tell()
    handler?.onClose(end)
  }

  /** The shared buffer is written over by the next read of any stream. */
  #kept(bytes: Buffer): Buffer {
    return bytes.buffer === this.#loop.calls.readBuffer.buffer ? Buffer.from(bytes) : bytes
  }

  #promote(): { readonly socket: Socket; readonly stream: ByteStream } {
    const fd = this.#fd
    this.#fd = -1
    if (fd >= 0) {
      this.#loop.remove(fd)
      if (!this.#isPrompt) this.#loop.calls.setOption(fd, OPTIONS.noDelay, 1)
    }
    const unsent = this.#unsent?.chunks() ?? []
    this.#bytesWritten -= this.#unsent?.length ?? 0
    const socket = socketOn(fd, { unread: this.#unread ?? [], unsent, ended: this.#ended })
    const stream = this.#overSocket(socket)
    this.#unread = undefined
    this.#unsent = undefined
    for (const listener of this.#closeListeners ?? []) stream.onceClosed(listener)
    this.#closeListeners = undefined
    this.#handler = undefined
    return { socket, stream }
  }
}

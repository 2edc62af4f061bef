// A byte stream over a duplex stream of Node's: a socket, TLS, a stream of HTTP/2. Read in paused mode, so that Node reads ahead at most
// its own buffer. Knows who ended it and how, which Node's events alone do not say.

import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { TLSSocket } from 'node:tls'
import type { Endpoint } from '../../net/endpoint.ts'
import { parseIp, unmapIp } from '../../net/ip.ts'
import type { ByteStream, StreamEnd, StreamHandler, TcpInfo } from '../byte-stream.ts'

export interface NodeStreamOptions {
  /** how to show the peer a reset, where Node's own way is none (an HTTP/2 stream: RST_STREAM); the stream is destroyed after it */
  readonly reset?: () => unknown
}

/** Bytes one stream may read in a turn of the event loop, before the others get theirs. */
const SHARE_BYTES = 256 * 1024
const NOTHING = Buffer.alloc(0)
/** The peer is gone without a word. */
const SILENT_ENDS = new Set(['ETIMEDOUT', 'EHOSTUNREACH', 'EHOSTDOWN', 'ENETUNREACH', 'ENETDOWN'])

/** What the last {@link NodeStream.read} handed out, which is good until the next one. Node gives each read memory of its own, so these
 *  bytes need no copy to be written. */
let lastRead: Buffer | undefined
/** Giving less back than so much costs more than it saves. */
const WORTH_RELEASING_BYTES = 4096

/** Gives memory of a read back to the system. Left to the garbage collector, the reads of one bulky tunnel make V8 mark the whole heap
 *  every 64 MB, which costs several times what the bytes cost. Memory that others may share is left alone. */
function release({ buffer, byteLength }: Buffer): void {
  if (byteLength < WORTH_RELEASING_BYTES || buffer.byteLength !== byteLength) return
  if (buffer instanceof ArrayBuffer) buffer.transfer(0)
}

/** One duplex stream of Node's as a {@link ByteStream}. */
export class NodeStream implements ByteStream {
  readonly #stream: Duplex
  readonly #resetBy: (() => unknown) | undefined
  #handler: StreamHandler | undefined
  #closeListeners: (() => void)[] | undefined
  /** set once the stream is closed and whoever listens has been told */
  #end: StreamEnd | undefined
  /** the peer has broken the stream, and bytes it sent before are still to be read */
  #endBehindBytes: StreamEnd | undefined
  #cause: Error | undefined
  /** writing has failed; what the peer has sent can still be read */
  #writeError: Error | undefined
  /** what Node takes for the peer's FIN is none */
  #isBroken = false
  /** who said FIN first */
  #firstFin: 'peer' | 'us' | undefined
  #isListening = false
  #isReadable = false
  #isTold = false
  #isCarried = false
  /** somebody works on the socket itself */
  #isLent = false
  #isBlocked = false
  #shareTurn = -1
  #share = 0
  #unread: Buffer[] | undefined
  #handedOut = 0
  #written = 0

  constructor(stream: Duplex, { reset }: NodeStreamOptions = {}) {
    this.#stream = stream
    this.#resetBy = reset
    if (isPlainSocket(stream)) surviveFailedWrites(stream, this.#writeFailed)
    if (stream.readableEnded) this.#firstFin = 'peer'
    if (stream.closed) this.#end = this.#endNow()
    stream.on('end', this.#peerEnded)
    stream.on('error', this.#failed)
    stream.on('close', this.#closed)
  }

  get isClosed(): boolean {
    return this.#end !== undefined || (this.#stream.destroyed && this.#endBehindBytes === undefined)
  }

  get hasEnded(): boolean {
    return this.#stream.readableEnded && this.#unread === undefined && !this.#isBroken
  }

  get buffered(): number {
    let bytes = this.#stream.readableLength
    for (const chunk of this.#unread ?? []) bytes += chunk.length
    return bytes
  }

  get unsent(): number {
    return this.#end === undefined ? this.#stream.writableLength : 0
  }

  get hasWriteFailed(): boolean {
    return this.#writeError !== undefined
  }

  get bytesRead(): number {
    return this.#stream instanceof Socket ? this.#stream.bytesRead : this.#handedOut
  }

  get bytesWritten(): number {
    return this.#stream instanceof Socket ? this.#stream.bytesWritten : this.#written
  }

  setHandler(handler: StreamHandler | undefined): void {
    this.#handler = handler
    this.#isTold = false
    if (handler === undefined) return
    if (this.#end !== undefined) {
      this.#handler = undefined
      handler.onClose(this.#end)
      return
    }
    this.#isLent = false
    if (!this.#isListening) {
      this.#isListening = true
      this.#stream.on('readable', this.#readable)
    }
    if (this.#isReadable || this.buffered > 0 || this.#stream.readableEnded) this.#tellReadable()
  }

  read(): Buffer | undefined {
    if (this.#unread !== undefined) return this.#takeUnread(this.#unread)
    if (this.#endBehindBytes !== undefined) this.#finish(this.#endBehindBytes)
    if (this.#end !== undefined) return undefined
    const turn = currentTurn()
    if (this.#shareTurn !== turn) {
      this.#shareTurn = turn
      this.#share = 0
    } else if (this.#share >= SHARE_BYTES) {
      this.#carry()
      return undefined
    }
    if (lastRead !== undefined) {
      release(lastRead)
      lastRead = undefined
    }
    const chunk: Buffer | null = this.#stream.read()
    if (chunk === null) {
      this.#isReadable = false
      this.#isTold = false
      return undefined
    }
    this.#share += chunk.length
    this.#handedOut += chunk.length
    // what other streams hand out may be theirs for longer
    if (this.#stream instanceof Socket) lastRead = chunk
    return chunk
  }

  unread(bytes: Buffer): void {
    if (bytes.length === 0 || this.#end !== undefined) return
    if (bytes.buffer === lastRead?.buffer) lastRead = undefined
    if (this.#unread === undefined) this.#unread = [bytes]
    else this.#unread.unshift(bytes)
  }

  write(bytes: Uint8Array): boolean {
    if (this.isClosed || this.#writeError !== undefined || !this.#stream.writable || bytes.length === 0) {
      return this.unsent === 0
    }
    this.#written += bytes.length
    if (bytes === lastRead) {
      const chunk = lastRead
      lastRead = undefined
      this.#stream.write(chunk, () => {
        release(chunk)
        this.#flushed()
      })
    } else this.#stream.write(Buffer.from(bytes), this.#flushed)
    this.#isBlocked = this.#stream.writableLength > 0
    return !this.#isBlocked
  }

  end(): void {
    if (this.isClosed || this.#stream.writableEnded) return
    this.#firstFin ??= 'us'
    // behind the peer's FIN only a write tells of its reset: Node takes the shutdown that fails then for done
    if (this.#stream.readableEnded && isPlainSocket(this.#stream)) this.#stream.write(NOTHING)
    this.#stream.end()
  }

  destroy(): void {
    if (this.#end !== undefined) return
    this.#stream.destroy()
    this.#finish({ by: 'us', how: 'destroyed' })
  }

  reset(): void {
    if (this.#end !== undefined) return
    const stream = this.#stream
    if (this.#resetBy === undefined || stream.destroyed) resetStream(stream)
    else {
      if (!(stream instanceof TLSSocket && isEnding(stream))) this.#resetBy()
      stream.destroy()
    }
    this.#finish({ by: 'us', how: 'reset' })
  }

  onceClosed(listener: () => void): void {
    if (this.#end !== undefined) listener()
    else if (this.#closeListeners === undefined) this.#closeListeners = [listener]
    else this.#closeListeners.push(listener)
  }

  offClose(listener: () => void): void {
    const at = this.#closeListeners?.indexOf(listener) ?? -1
    if (at >= 0) this.#closeListeners?.splice(at, 1)
  }

  localEndpoint(): Endpoint | undefined {
    return this.#stream instanceof Socket ? endpointOf(this.#stream.localAddress, this.#stream.localPort) : undefined
  }

  remoteEndpoint(): Endpoint | undefined {
    return this.#stream instanceof Socket ? endpointOf(this.#stream.remoteAddress, this.#stream.remotePort) : undefined
  }

  keepAlive(seconds: number): void {
    if (this.#stream instanceof Socket) this.#stream.setKeepAlive(true, seconds * 1000)
  }

  /** Node does not tell. */
  tcpInfo(): TcpInfo | undefined {
    return undefined
  }

  /** Throws a TypeError for a stream that runs over no connection of its own. */
  asSocket(): Socket {
    const stream = this.#stream
    if (!(stream instanceof Socket)) throw new TypeError('this stream is not a socket')
    this.#handler = undefined
    this.#isLent = true
    if (this.#isListening) stream.off('readable', this.#readable)
    this.#isListening = false
    const unread = this.#unread ?? []
    this.#unread = undefined
    if (!stream.readableEnded) for (const chunk of unread.reverse()) stream.unshift(chunk)
    return stream
  }

  #takeUnread(unread: Buffer[]): Buffer | undefined {
    const chunk = unread.shift()
    if (unread.length === 0) this.#unread = undefined
    return chunk
  }

  /** More is there, and it is somebody else's turn. */
  #carry(): void {
    this.#isTold = false
    if (this.#isCarried) return
    this.#isCarried = true
    setImmediate(() => {
      this.#isCarried = false
      this.#tellReadable()
    })
  }

  #tellReadable(): void {
    if (this.#handler === undefined || this.#isTold || this.#end !== undefined) return
    this.#isTold = true
    this.#handler.onReadable()
  }

  readonly #readable = (): void => {
    this.#isReadable = true
    this.#tellReadable()
  }

  /** Everything written has been taken, or never will be. */
  readonly #flushed = (): void => {
    if (!this.#isBlocked || this.#stream.writableLength > 0 || this.#end !== undefined) return
    this.#isBlocked = false
    this.#handler?.onWritable()
  }

  /** Answers whether the stream goes on without writing: not where a socket's owner has to hear of it, or nothing is left to read. */
  readonly #writeFailed = (cause: Error): boolean => {
    if (this.#isLent || this.#stream.readableEnded) return false
    this.#writeError ??= cause
    return true
  }

  /** A failed write has taken the system's error with it: what looks like FIN behind it is the reset. It is called EPIPE behind a FIN
   *  (tcp_reset of Linux), which is then in order; ECONNRESET else. */
  readonly #peerEnded = (): void => {
    if (this.#writeError !== undefined) {
      this.#isBroken = !('code' in this.#writeError && this.#writeError.code === 'EPIPE')
      this.#stream.destroy()
      this.#finish(brokenBy(this.#writeError))
      return
    }
    this.#firstFin ??= 'peer'
    this.#isTold = false
    this.#tellReadable()
  }

  /** Node leaves a socket open whose TLS has broken after the handshake. */
  readonly #failed = (cause: Error): void => {
    this.#cause ??= cause
    if (!this.#isLent) this.#stream.destroy()
  }

  readonly #closed = (): void => {
    if (this.#end !== undefined) return
    const end = this.#endNow()
    const rest: Buffer | null = end.by === 'peer' && this.#handler !== undefined ? this.#stream.read() : null
    if (rest !== null) this.#unread = [...(this.#unread ?? []), rest]
    if (this.#unread === undefined || this.#handler === undefined || end.by === 'us') {
      this.#finish(end)
      return
    }
    this.#endBehindBytes = end
    this.#tellReadable()
  }

  /** How a stream of Node's that is closed came to its end. */
  #endNow(): StreamEnd {
    const cause = this.#cause ?? this.#stream.errored ?? this.#writeError
    if (cause !== undefined && cause !== null) return brokenBy(cause)
    const { readableEnded, writableEnded } = this.#stream
    if (readableEnded && writableEnded) return { by: this.#firstFin ?? 'us', how: 'fin' }
    return { by: 'us', how: 'destroyed' }
  }

  #finish(end: StreamEnd): void {
    if (this.#end !== undefined) return
    this.#end = end
    this.#endBehindBytes = undefined
    this.#unread = undefined
    const handler = this.#handler
    const closeListeners = this.#closeListeners
    this.#handler = undefined
    this.#closeListeners = undefined
    if (closeListeners !== undefined) for (const tell of closeListeners) tell()
    handler?.onClose(end)
  }
}

/** One end of a connection as Node names it. IPv4 even where the system maps it into IPv6; undefined where Node has no name for that
 *  end any more. */
export function endpointOf(address: string | undefined, port: number | undefined): Endpoint | undefined {
  const ip = parseIp(address ?? '')
  return ip === undefined || port === undefined ? undefined : { ip: unmapIp(ip), port }
}

/** Closes a stream so that its peer sees a reset where the transport has one; `destroy` would show a clean end on TCP. */
export function resetStream(stream: Pick<Duplex, 'destroyed'> & { destroy(): unknown }): void {
  if (stream.destroyed) return
  if (isPlainSocket(stream) && !isEnding(stream)) stream.resetAndDestroy()
  else stream.destroy()
}

/** While a FIN is on its way out a reset is refused by libuv, and Node then neither closes the socket nor says so. */
function isEnding({ writableEnded, writableFinished }: Duplex): boolean {
  return writableEnded && !writableFinished
}

function isPlainSocket(stream: object): stream is Socket {
  return stream instanceof Socket && !(stream instanceof TLSSocket)
}

function brokenBy(cause: Error): StreamEnd {
  const code = 'code' in cause ? String(cause.code) : ''
  return { by: 'peer', how: SILENT_ENDS.has(code) ? 'timeout' : 'reset', cause }
}

/** Keeps a write that fails from closing the socket: what the peer sent before it closed (an early answer, for instance) is still there
 *  to be read, and Node would throw it away. `survives` is told of the failure and answers whether that is wanted. */
function surviveFailedWrites(socket: Socket, survives: (cause: Error) => boolean): void {
  type Done = (cause?: Error | null) => void
  const surviving =
    (done: Done): Done =>
    (cause) =>
      done(cause && survives(cause) ? undefined : cause)
  const write = socket._write
  socket._write = (chunk, encoding, done) => write.call(socket, chunk, encoding, surviving(done))
  const writev = socket._writev
  if (writev !== undefined) socket._writev = (chunks, done) => writev.call(socket, chunks, surviving(done))
}

let turn = 0
let isCounting = false

/** A number that is another one in each turn of the event loop. Costs one immediate per turn in which somebody asks. */
function currentTurn(): number {
  if (!isCounting) {
    isCounting = true
    setImmediate(nextTurn)
  }
  return turn
}

function nextTurn(): void {
  turn++
  isCounting = false
}

// A wire on a TCP handle: what a socket of Node's does, without the streams, events and next ticks that cost a short tunnel more
// than all the kernel does for it. Becomes a socket for whoever asks for one.

import { Socket, type SocketConstructorOpts } from 'node:net'
import type { Endpoint } from '../../net/endpoint.ts'
import { endpointOf } from './endpoint-of.ts'
import { giveBack, keep, readBuffer, socketReadBuffer } from './read-buffer.ts'
import { StreamWire } from './stream-wire.ts'
import { systemError } from './system-error.ts'
import type { ShutdownRequest, TcpBinding, TcpHandle, WriteRequest } from './tcp-handle.ts'
import { KEEP_ALIVE_S, type Wire, type WireListener } from './wire.ts'

/** What may arrive while nobody is attending; then the peer has to wait (TU-04). */
const MAX_WAITING = 64 * 1024
/** A first write of less goes out at once whatever Nagle's algorithm has to say (RFC 9293 section 3.7.4). */
const ONE_SEGMENT = 512
/** libuv's number for the end of a stream, on every system */
const EOF = -4095

export class HandleWire implements Wire {
  readonly #binding: TcpBinding
  #handle: TcpHandle | undefined
  /** the same connection as a socket, once somebody asked for one */
  #promoted: { readonly socket: Socket; readonly wire: StreamWire } | undefined
  #listener: WireListener | undefined
  #waiting: Buffer[] | undefined
  #reading = false
  #paused = false
  /** the peer's FIN has arrived; has been told to somebody; and to the listener of now */
  #peerEnded = false
  #hasEnded = false
  #endTold = false
  /** we have said FIN; and it is out */
  #ended = false
  #finished = false
  #unsent = 0
  #isPrompt: boolean
  #isKeptAlive = false
  #closeListeners: (() => void)[] | undefined
  #bytesRead = 0
  #bytesWritten = 0

  /** Reads from the first moment on. `isPrompt`: TCP_NODELAY is set already. */
  constructor(binding: TcpBinding, handle: TcpHandle, isPrompt: boolean) {
    this.#binding = binding
    this.#handle = handle
    this.#isPrompt = isPrompt
    handle.wire = this
    handle.onread = onRead
    handle.useUserBuffer(readBuffer)
    this.#read()
  }

  get destroyed(): boolean {
    return this.#promoted === undefined ? this.#handle === undefined : this.#promoted.wire.destroyed
  }

  get hasEnded(): boolean {
    return this.#promoted === undefined ? this.#hasEnded : this.#promoted.wire.hasEnded
  }

  get waiting(): number {
    if (this.#promoted !== undefined) return this.#promoted.wire.waiting
    let bytes = 0
    for (const chunk of this.#waiting ?? []) bytes += chunk.length
    return bytes
  }

  get unsent(): number {
    return this.#promoted?.wire.unsent ?? this.#unsent
  }

  get bytesRead(): number {
    return this.#promoted?.wire.bytesRead ?? this.#bytesRead
  }

  get bytesWritten(): number {
    return this.#promoted?.wire.bytesWritten ?? this.#bytesWritten
  }

  attend(listener: WireListener | undefined): void {
    if (this.#promoted !== undefined) {
      this.#promoted.wire.attend(listener)
      return
    }
    this.#listener = listener
    this.#paused = false
    this.#endTold = false
    if (listener === undefined) this.#readAhead()
    else if (this.#handle === undefined) listener.onClose()
    else this.#catchUp(listener)
  }

  pause(): void {
    this.#promoted?.wire.pause()
    this.#paused = true
    if (this.#reading) this.#stopReading()
  }

  resume(): void {
    this.#promoted?.wire.resume()
    this.#paused = false
    if (this.#listener !== undefined) this.#catchUp(this.#listener)
  }

  unread(bytes: Buffer): void {
    if (this.#promoted !== undefined) this.#promoted.wire.unread(bytes)
    else if (this.#waiting === undefined) this.#waiting = [bytes]
    else this.#waiting.unshift(bytes)
  }

  write(bytes: Uint8Array): boolean {
    return this.#promoted === undefined ? this.#send(bytes, false) : this.#promoted.wire.write(bytes)
  }

  forward(bytes: Buffer): boolean {
    if (this.#promoted !== undefined) return this.#promoted.wire.forward(bytes)
    const kept = keep(bytes)
    const isTaken = this.#send(kept, true)
    if (isTaken) giveBack(kept)
    return isTaken
  }

  end(): void {
    if (this.#promoted !== undefined) {
      this.#promoted.wire.end()
      return
    }
    const handle = this.#handle
    if (handle === undefined || this.#ended) return
    this.#ended = true
    // closing says FIN as well as a shutdown before it would, and costs a call less
    if (this.#hasEnded && this.#unsent === 0) {
      this.destroy()
      return
    }
    const request = new this.#binding.ShutdownRequest()
    request.oncomplete = onFinished
    request.wire = this
    if (handle.shutdown(request) !== 0) this.finished()
  }

  destroy(): void {
    if (this.#promoted !== undefined) {
      this.#promoted.wire.destroy()
      return
    }
    const handle = this.#letGo()
    if (handle === undefined) return
    handle.close()
    this.#gone()
  }

  reset(): void {
    if (this.#promoted !== undefined) {
      this.#promoted.wire.reset()
      return
    }
    // libuv refuses to reset while a FIN is on its way out
    const isShuttingDown = this.#ended && !this.#finished
    const handle = this.#letGo()
    if (handle === undefined) return
    if (isShuttingDown || handle.reset() !== 0) handle.close()
    this.#gone()
  }

  onceClosed(listener: () => void): void {
    if (this.#promoted !== undefined) this.#promoted.wire.onceClosed(listener)
    else if (this.#handle === undefined) listener()
    else if (this.#closeListeners === undefined) this.#closeListeners = [listener]
    else this.#closeListeners.push(listener)
  }

  offClose(listener: () => void): void {
    this.#promoted?.wire.offClose(listener)
    const at = this.#closeListeners?.indexOf(listener) ?? -1
    if (at >= 0) this.#closeListeners?.splice(at, 1)
  }

  localEndpoint(): Endpoint | undefined {
    if (this.#promoted !== undefined) return this.#promoted.wire.localEndpoint()
    const name: { address?: string; port?: number } = {}
    return this.#handle?.getsockname(name) === 0 ? endpointOf(name.address, name.port) : undefined
  }

  remoteEndpoint(): Endpoint | undefined {
    if (this.#promoted !== undefined) return this.#promoted.wire.remoteEndpoint()
    const name: { address?: string; port?: number } = {}
    return this.#handle?.getpeername(name) === 0 ? endpointOf(name.address, name.port) : undefined
  }

  keepAlive(): void {
    this.#promoted?.wire.keepAlive()
    if (this.#isKeptAlive || this.#handle === undefined) return
    this.#isKeptAlive = true
    this.#handle.setKeepAlive(true, KEEP_ALIVE_S)
  }

  asSocket(): Socket {
    this.#promoted ??= this.#promote()
    return this.#promoted.socket
  }

  /** The handle has read into the shared buffer, or could not. */
  arrived(): void {
    const count = this.#binding.bytesRead()
    if (this.#handle === undefined || count === 0) return
    if (count > 0) {
      this.#bytesRead += count
      const bytes = readBuffer.subarray(0, count)
      if (this.#listener !== undefined && this.#waiting === undefined) this.#listener.onBytes(bytes)
      else this.#putAside(bytes)
    } else if (count === EOF) {
      this.#peerEnded = true
      this.#reading = false
      if (this.#listener !== undefined && !this.#paused) this.#catchUp(this.#listener)
    } else this.#fail(count, 'read')
  }

  /** A write that took its time is done. */
  written({ bytes, isKept }: WriteRequest, status: number): void {
    this.#unsent -= bytes?.length ?? 0
    if (status < 0) {
      this.#fail(status, 'write')
      return
    }
    if (isKept && bytes instanceof Buffer) giveBack(bytes)
    if (this.#unsent === 0) this.#listener?.onDrain()
  }

  /** Our FIN is out. */
  finished(): void {
    this.#finished = true
    if (this.#hasEnded) this.destroy()
  }

  #send(bytes: Uint8Array, isKept: boolean): boolean {
    const handle = this.#handle
    if (handle === undefined || this.#ended) return true
    if (!this.#isPrompt && (this.#bytesWritten > 0 || bytes.length > ONE_SEGMENT)) this.#makePrompt(handle)
    const request = new this.#binding.WriteRequest()
    request.oncomplete = onWritten
    const status = handle.writeBuffer(request, bytes)
    this.#bytesWritten += bytes.length
    if (status !== 0) {
      this.#fail(status, 'write')
      return true
    }
    if (!this.#binding.isWriteUnderWay()) return true
    request.bytes = bytes
    request.isKept = isKept
    request.wire = this
    this.#unsent += bytes.length
    return false
  }

  /** Tells what has been waiting, then goes on reading. */
  #catchUp(listener: WireListener): void {
    while (this.#waiting !== undefined) {
      const chunk = this.#waiting.shift()
      if (this.#waiting.length === 0) this.#waiting = undefined
      if (chunk !== undefined) listener.onBytes(chunk)
      if (this.#listener !== listener || this.#paused) return
    }
    if (!this.#peerEnded) {
      this.#read()
      return
    }
    if (this.#endTold || this.#handle === undefined) return
    this.#endTold = true
    this.#hasEnded = true
    listener.onEnd()
    if (this.#finished) this.destroy()
  }

  /** Goes on reading while nobody is attending, if only to notice that the peer has gone. */
  #readAhead(): void {
    if (!this.#peerEnded && this.waiting < MAX_WAITING) this.#read()
  }

  #putAside(bytes: Buffer): void {
    this.#waiting ??= []
    this.#waiting.push(Buffer.from(bytes))
    if (this.waiting >= MAX_WAITING) this.#stopReading()
  }

  #read(): void {
    if (this.#reading || this.#paused || this.#handle === undefined) return
    this.#reading = true
    const status = this.#handle.readStart()
    if (status !== 0) this.#fail(status, 'read')
  }

  #stopReading(): void {
    this.#reading = false
    this.#handle?.readStop()
  }

  #makePrompt(handle: TcpHandle): void {
    this.#isPrompt = true
    handle.setNoDelay(true)
  }

  #fail(status: number, syscall: string): void {
    if (this.#handle === undefined) return
    this.#listener?.onError(systemError(status, syscall))
    this.destroy()
  }

  /** Nothing of the handle is told any more. */
  #letGo(): TcpHandle | undefined {
    const handle = this.#handle
    this.#handle = undefined
    if (handle === undefined) return undefined
    handle.onread = ignore
    handle.wire = undefined
    return handle
  }

  #gone(): void {
    const listener = this.#listener
    const closeListeners = this.#closeListeners
    this.#listener = undefined
    this.#closeListeners = undefined
    this.#waiting = undefined
    if (closeListeners !== undefined) for (const tell of closeListeners) tell()
    listener?.onClose()
  }

  /** Moves the handle to a socket of Node's, with all that has arrived and was not told. */
  #promote(): { readonly socket: Socket; readonly wire: StreamWire } {
    if (this.#handle !== undefined && !this.#isPrompt) this.#makePrompt(this.#handle)
    // a socket starts reading by itself, and libuv takes a second start for a mistake
    if (this.#reading) this.#stopReading()
    const handle = this.#letGo()
    const socket = handle === undefined ? closedSocket() : socketOn(handle)
    for (const chunk of this.#waiting ?? []) socket.push(chunk)
    if (this.#peerEnded) socket.push(null)
    const wire = new StreamWire(socket)
    for (const listener of this.#closeListeners ?? []) wire.onceClosed(listener)
    wire.attend(this.#listener)
    this.#waiting = undefined
    this.#closeListeners = undefined
    this.#listener = undefined
    return { socket, wire }
  }
}

function onRead(this: TcpHandle): void {
  if (this.wire instanceof HandleWire) this.wire.arrived()
}

function onWritten(this: WriteRequest, status: number): void {
  if (this.wire instanceof HandleWire) this.wire.written(this, status)
}

function onFinished(this: ShutdownRequest): void {
  if (this.wire instanceof HandleWire) this.wire.finished()
}

function ignore(): void {}

/** `onread` with a buffer of ours is what the handle has been told already; the socket gets copies. */
function socketOn(handle: TcpHandle): Socket {
  const socket: Socket = new Socket({
    handle,
    allowHalfOpen: true,
    onread: {
      buffer: () => socketReadBuffer,
      callback: (bytes: number) => socket.push(Buffer.from(readBuffer.subarray(0, bytes))),
    },
  } as unknown as SocketConstructorOpts)
  return socket
}

function closedSocket(): Socket {
  return new Socket().destroy()
}

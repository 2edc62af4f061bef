// A TCP descriptor of ours and what the kernel knows of its connection.

import type { Socket } from 'node:net'
import type { Endpoint } from '../../net/endpoint.ts'
import type { ByteStream, StreamEnd, TcpInfo } from '../byte-stream.ts'
import type { EventLoop } from './event-loop.ts'
import type { StreamOverSocket } from './socket-on.ts'
import { OPTIONS, type SystemCalls } from './system-calls.ts'

const KEEP_ALIVE_PROBES = 10

export interface LinuxStreamOptions {
  /** TCP_NODELAY is set already */
  readonly isPrompt: boolean
  /** events are asked for with {@link DIALLED_MASK} */
  readonly watchesWrites: boolean
  readonly local?: Endpoint | undefined
  readonly remote?: Endpoint | undefined
  readonly overSocket: StreamOverSocket
}

/** What a stream and its replacement over a socket of Node's have in common: endpoints, options, and how it ended. */
export abstract class LinuxConnection {
  protected readonly loop: EventLoop
  /** -1 once it is closed, or belongs to a socket */
  protected fd: number
  /** the same connection over a socket of Node's, once somebody asked for one */
  protected promoted: { readonly socket: Socket; readonly stream: ByteStream } | undefined
  protected endedAs: StreamEnd | undefined
  #closeListeners: (() => void)[] | undefined
  #local: Endpoint | undefined
  #remote: Endpoint | undefined
  #isKeptAlive = false

  constructor(loop: EventLoop, fd: number, { local, remote }: LinuxStreamOptions) {
    this.loop = loop
    this.fd = fd
    this.#local = local
    this.#remote = remote
  }

  onceClosed(listener: () => void): void {
    if (this.promoted !== undefined) this.promoted.stream.onceClosed(listener)
    else if (this.endedAs !== undefined) listener()
    else if (this.#closeListeners === undefined) this.#closeListeners = [listener]
    else this.#closeListeners.push(listener)
  }

  offClose(listener: () => void): void {
    this.promoted?.stream.offClose(listener)
    const at = this.#closeListeners?.indexOf(listener) ?? -1
    if (at >= 0) this.#closeListeners?.splice(at, 1)
  }

  protected tellClosed(): void {
    const listeners = this.#closeListeners
    this.#closeListeners = undefined
    if (listeners !== undefined) for (const tell of listeners) tell()
  }

  protected passCloseListeners(to: ByteStream): void {
    for (const listener of this.#closeListeners ?? []) to.onceClosed(listener)
    this.#closeListeners = undefined
  }

  localEndpoint(): Endpoint | undefined {
    if (this.promoted !== undefined) return this.promoted.stream.localEndpoint()
    if (this.fd < 0) return undefined
    this.#local ??= this.loop.calls.localEndpoint(this.fd)
    return this.#local
  }

  remoteEndpoint(): Endpoint | undefined {
    if (this.promoted !== undefined) return this.promoted.stream.remoteEndpoint()
    if (this.fd < 0) return undefined
    this.#remote ??= this.loop.calls.remoteEndpoint(this.fd)
    return this.#remote
  }

  keepAlive(seconds: number): void {
    this.promoted?.stream.keepAlive(seconds)
    if (this.fd < 0 || this.#isKeptAlive) return
    this.#isKeptAlive = true
    setKeepAlive(this.loop.calls, this.fd, seconds)
  }

  tcpInfo(): TcpInfo | undefined {
    return this.fd < 0 ? undefined : this.loop.calls.tcpInfo(this.fd)
  }
}

/** TCP keep-alive as Node sets it for its own sockets: after so many seconds of silence the peer is asked every second,
 *  ten times, whether it is there. */
function setKeepAlive(calls: SystemCalls, fd: number, seconds: number): void {
  calls.setOption(fd, OPTIONS.keepAlive, 1)
  calls.setOption(fd, OPTIONS.keepIdle, seconds)
  calls.setOption(fd, OPTIONS.keepInterval, 1)
  calls.setOption(fd, OPTIONS.keepCount, KEEP_ALIVE_PROBES)
}

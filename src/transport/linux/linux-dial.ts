// A connection being made: bound first where its address was decided, on a port that other destinations may use at the same time.

import type { DialListener, DialRequest, PendingDial } from '../engine.ts'
import { systemError } from '../system-error.ts'
import type { EventLoop, Watcher } from './event-loop.ts'
import { DIALLED_MASK, GONE } from './event-masks.ts'
import { LinuxStream } from './linux-stream.ts'
import type { StreamOverSocket } from './socket-on.ts'
import { EINPROGRESS, EPOLLOUT, OPTIONS } from './system-calls.ts'

/** One connection being made; reports to its listener once, with the stream or the system's error. */
export class LinuxDial implements PendingDial, Watcher {
  readonly #loop: EventLoop
  readonly #listener: DialListener
  readonly #overSocket: StreamOverSocket
  readonly #isBound: boolean
  readonly #userTimeoutMs: number | undefined
  /** -1 once the dial has ended */
  #fd = -1
  /** it has failed at once, and the listener will hear of it unless the dial is cancelled */
  #isFailing = false
  #local: ReturnType<LinuxStream['localEndpoint']>
  readonly #to: DialRequest['to']

  constructor(loop: EventLoop, request: DialRequest, overSocket: StreamOverSocket, listener: DialListener) {
    this.#loop = loop
    this.#listener = listener
    this.#overSocket = overSocket
    this.#to = request.to
    this.#isBound = request.from !== undefined
    this.#userTimeoutMs = request.userTimeoutMs
    this.#begin(request)
  }

  get localPort(): number | undefined {
    return this.#readLocal()?.port
  }

  cancel(): void {
    this.#isFailing = false
    const fd = this.#fd
    if (fd < 0) return
    this.#fd = -1
    this.#loop.forget(fd)
    this.#loop.calls.close(fd)
  }

  destroy(): void {
    this.cancel()
  }

  onEvents(mask: number): void {
    const fd = this.#fd
    if (fd < 0) return
    if (mask & GONE) {
      const error = this.#loop.calls.takeError(fd)
      if (error !== 0) {
        this.#fail(error, 'connect')
        return
      }
    } else if ((mask & EPOLLOUT) === 0) return
    if (this.#isBound) this.#readLocal()
    const userTimeout = this.#userTimeoutMs
    if (userTimeout !== undefined) this.#loop.calls.setOption(fd, OPTIONS.userTimeout, userTimeout)
    this.#fd = -1
    const stream = new LinuxStream(this.#loop, fd, {
      isPrompt: false,
      watchesWrites: true,
      local: this.#local,
      remote: this.#to,
      overSocket: this.#overSocket,
    })
    this.#loop.replace(fd, stream)
    this.#listener.onConnect(stream)
    stream.onEvents(mask)
  }

  #begin({ to, from, binding }: DialRequest): void {
    const { calls } = this.#loop
    const fd = calls.tcpSocket(to.ip.family)
    if (fd < 0) {
      this.#failLater(fd, 'socket')
      return
    }
    this.#fd = fd
    const applied = binding === undefined ? 0 : calls.applyBinding(fd, to.ip.family, binding)
    if (applied !== 0) {
      this.#failLater(applied, 'setsockopt')
      return
    }
    if (from !== undefined) {
      calls.setOption(fd, from.port === 0 ? OPTIONS.bindAddressNoPort : OPTIONS.reuseAddress, 1)
      const bound = calls.bind(fd, from)
      if (bound !== 0) {
        this.#failLater(bound, 'bind')
        return
      }
    }
    const status = calls.connect(fd, to)
    if (status !== 0 && status !== EINPROGRESS) {
      this.#failLater(status, 'connect')
      return
    }
    const watched = this.#loop.add(fd, this, DIALLED_MASK)
    if (watched !== 0) this.#failLater(watched, 'epoll_ctl')
  }

  #readLocal(): ReturnType<LinuxStream['localEndpoint']> {
    if (this.#fd >= 0) this.#local ??= this.#loop.calls.localEndpoint(this.#fd)
    return this.#local
  }

  /** The descriptor is given back now, the listener told when `dial` has returned. */
  #failLater(status: number, syscall: string): void {
    const fd = this.#fd
    if (fd >= 0) {
      this.#loop.forget(fd)
      this.#loop.calls.close(fd)
    }
    this.#fd = -1
    this.#isFailing = true
    queueMicrotask(() => {
      if (this.#isFailing) this.#listener.onFailure(systemError(status, syscall))
    })
  }

  #fail(status: number, syscall: string): void {
    this.cancel()
    this.#listener.onFailure(systemError(status, syscall))
  }
}

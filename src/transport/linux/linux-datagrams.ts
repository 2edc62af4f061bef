// A UDP socket of ours. What a turn of the loop sends through it leaves with one call at the end of the turn.

import type { Endpoint } from '../../net/endpoint.ts'
import type { DatagramHandler, DatagramSocket } from '../datagrams.ts'
import type { SocketBinding } from '../engine.ts'
import { systemError } from '../system-error.ts'
import { BATCH, DatagramCalls } from './datagram-calls.ts'
import type { EventLoop, Watcher } from './event-loop.ts'
import { EAGAIN, EINTR, EPOLLERR, EPOLLIN } from './system-calls.ts'

/** Batches one socket reads in a turn. */
const BATCHES_PER_TURN = 4
/** Errors read at once of those that came back; the queue is the system's and bounded. */
const FAILURES_PER_TURN = 64
const EMSGSIZE = -90

/** What the sockets of one thread share: the calls, and the one socket whose datagrams are in the slots. */
export class DatagramSockets {
  readonly loop: EventLoop
  readonly calls: DatagramCalls
  #sender: LinuxDatagrams | undefined

  constructor(loop: EventLoop) {
    this.loop = loop
    this.calls = new DatagramCalls(loop.calls.native)
  }

  /** Answers the system's error instead where the socket cannot be bound. */
  bind(at: Endpoint, binding?: SocketBinding): DatagramSocket | Error {
    const { loop, calls } = this
    const fd = calls.udpSocket(at.ip.family)
    if (fd < 0) return systemError(fd, 'socket')
    const applied = binding === undefined ? 0 : loop.calls.applyBinding(fd, at.ip.family, binding)
    const bound = applied === 0 ? loop.calls.bind(fd, at) : 0
    const address = loop.calls.localEndpoint(fd) ?? at
    const socket = new LinuxDatagrams(this, fd, address)
    const watched = (applied || bound) === 0 ? loop.add(fd, socket, 0) : 0
    if ((applied || bound || watched) === 0) return socket
    loop.calls.close(fd)
    if (applied !== 0) return systemError(applied, 'setsockopt')
    return bound === 0 ? systemError(watched, 'epoll_ctl') : systemError(bound, 'bind')
  }

  /** The slots are this socket's until the turn ends or another one sends. */
  turnTo(socket: LinuxDatagrams): void {
    if (this.#sender === socket) return
    this.#sender?.flush()
    this.#sender = socket
    this.loop.atEndOfTurn(this.#flush)
  }

  readonly #flush = (): void => {
    const sender = this.#sender
    this.#sender = undefined
    sender?.flush()
  }
}

/** One bound UDP socket; made by {@link DatagramSockets}. */
export class LinuxDatagrams implements DatagramSocket, Watcher {
  readonly address: Endpoint
  readonly #shared: DatagramSockets
  #fd: number
  #handler: DatagramHandler | undefined
  /** where the datagrams in the slots go */
  readonly #waiting: Endpoint[] = []

  constructor(shared: DatagramSockets, fd: number, address: Endpoint) {
    this.#shared = shared
    this.#fd = fd
    this.address = address
  }

  setHandler(handler: DatagramHandler | undefined): void {
    if (this.#fd >= 0 && (handler === undefined) !== (this.#handler === undefined)) {
      this.#shared.loop.modify(this.#fd, handler === undefined ? 0 : EPOLLIN)
    }
    this.#handler = handler
  }

  send(to: Endpoint, payload: Uint8Array, header?: Uint8Array): void {
    if (this.#fd < 0) return
    this.#shared.turnTo(this)
    if (!this.#shared.calls.prepare(this.#waiting.length, to, payload, header)) {
      queueMicrotask(() => this.#fail(EMSGSIZE, 'sendmmsg', to))
      return
    }
    this.#waiting.push(to)
    if (this.#waiting.length === BATCH) this.flush()
  }

  /** Sends what is in the slots. */
  flush(): void {
    const waiting = this.#waiting.splice(0)
    const { calls } = this.#shared
    let retried = -1
    for (let at = 0; at < waiting.length && this.#fd >= 0; ) {
      const n = calls.send(this.#fd, at, waiting.length)
      const to = waiting[at]
      if (n > 0) at += n
      else if (n === EINTR) continue
      else if (n !== EAGAIN && n !== EMSGSIZE && retried !== at) {
        // an error that came back for an earlier datagram is told here, and this one was not tried
        retried = at
        this.#takeFailures()
      } else {
        at++
        if (to !== undefined) this.#fail(n, 'sendmmsg', to)
      }
    }
  }

  close(): void {
    if (this.#fd < 0) return
    this.flush()
    const fd = this.#fd
    this.#fd = -1
    this.#handler = undefined
    this.#shared.loop.forget(fd)
    this.#shared.loop.calls.close(fd)
  }

  destroy(): void {
    this.close()
  }

  onEvents(mask: number): void {
    if (mask & EPOLLERR) this.#takeFailures()
    const { calls } = this.#shared
    for (let batch = 0; batch < BATCHES_PER_TURN && this.#handler !== undefined; batch++) {
      const n = calls.receive(this.#fd)
      if (n === EAGAIN) return
      // an error that came back for a datagram: told from the queue
      if (n < 0) this.#takeFailures()
      for (let slot = 0; slot < n && this.#handler !== undefined; slot++) {
        const sender = calls.sender(slot)
        if (sender !== undefined) this.#handler.onDatagram(calls.payload(slot), sender)
      }
      if (n >= 0 && n < BATCH) return
    }
  }

  #takeFailures(): void {
    for (let taken = 0; taken < FAILURES_PER_TURN && this.#fd >= 0; taken++) {
      const failure = this.#shared.calls.nextFailure(this.#fd)
      if (failure === undefined) return
      this.#fail(failure.status, 'recvmsg', failure.to)
    }
  }

  #fail(status: number, syscall: string, to: Endpoint): void {
    this.#handler?.onFailure(systemError(status, syscall), to)
  }
}

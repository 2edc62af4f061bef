// The system calls of TCP and epoll. Each answers as the kernel does: a result, or a negative errno. No call blocks.

import type { Endpoint } from '../../net/endpoint.ts'
import type { TcpInfo } from '../byte-stream.ts'
import type { SocketBinding } from '../engine.ts'
import { type Native, PinnedMemory } from './native.ts'
import { readSocketAddress, SOCKET_ADDRESS_BYTES, writeSocketAddress } from './socket-address.ts'

export const EAGAIN = -11
export const EINTR = -4
export const EPIPE = -32
/** the peer has gone without a word: ENETUNREACH, ETIMEDOUT, EHOSTDOWN, EHOSTUNREACH */
export const SILENT_ENDS: ReadonlySet<number> = new Set([-101, -110, -112, -113])
const EBADF = -9
/** What no open file ever has. */
const NO_DESCRIPTOR = -1
export const EINPROGRESS = -115
const EPOLL_CTL_ADD = 1
const EPOLL_CTL_DEL = 2
const EPOLL_CTL_MOD = 3
export const EPOLLIN = 0x1
export const EPOLLPRI = 0x2
export const EPOLLOUT = 0x4
export const EPOLLERR = 0x8
export const EPOLLHUP = 0x10
export const EPOLLRDHUP = 0x2000
export const EPOLLET = 0x8000_0000 | 0
const AF_UNIX = 1
const AF_INET = 2
const AF_INET6 = 10
const SOCK_STREAM = 1
const NONBLOCK_CLOEXEC = 0x80800
const SOL_SOCKET = 1
const SO_ERROR = 4
const IPPROTO_TCP = 6
const TCP_INFO = 11
/** struct tcp_info up to and with tcpi_min_rtt (Linux 4.6) */
const TCP_INFO_BYTES = 152
const MSG_PEEK = 2
const SHUT_WR = 1
const UV_POLL = 8
const UV_READABLE = 1
/** uv-common.h */
const UV_HANDLE_REF = 0x8
const UV_HANDLE_INTERNAL = 0x10
/** What libuv calls when the descriptor is readable: a function of its own that does nothing. JavaScript is not called from native code:
 *  an exception there, or a thread that is ending, would end the process. */
const HARMLESS = 'uv_handle_get_type'

/** Socket options as [level, name]. */
export const OPTIONS = {
  reuseAddress: [SOL_SOCKET, 2],
  keepAlive: [SOL_SOCKET, 9],
  linger: [SOL_SOCKET, 13],
  reusePort: [SOL_SOCKET, 15],
  bindAddressNoPort: [0, 24],
  ipv6Only: [41, 26],
  noDelay: [IPPROTO_TCP, 1],
  keepIdle: [IPPROTO_TCP, 4],
  keepInterval: [IPPROTO_TCP, 5],
  keepCount: [IPPROTO_TCP, 6],
  userTimeout: [IPPROTO_TCP, 18],
  bindToDevice: [SOL_SOCKET, 25],
  freebind: [0, 15],
  freebindIpv6: [41, 78],
  transparent: [0, 19],
  transparentIpv6: [41, 75],
} as const

type SocketOption = (typeof OPTIONS)[keyof typeof OPTIONS]

/** struct epoll_event is packed on x86-64 only; in 32-bit words: its size, and where its 64 bits of data begin */
const EVENT_WORDS = process.arch === 'x64' ? 3 : 4
const EVENT_DATA = process.arch === 'x64' ? 1 : 2

/** One read at most (docs/decisions/0005-reading-from-sockets.md has the measurements). */
export const READ_BYTES = 256 * 1024
/** Up to here a write is copied next to the other arguments: cheaper than handing over a buffer the kernel does not know yet. */
const SMALL_WRITE_BYTES = 4096
const MAX_EVENTS = 256

/** The calls of one thread: errno and the buffers belong to it. */
export class SystemCalls {
  /** where {@link read} puts what it reads */
  readonly readBuffer: Buffer
  readonly native: Native
  readonly #c: Native['c']
  readonly #writeBuffer: Native['writeBuffer']
  readonly #errno: Int32Array
  readonly #reading: PinnedMemory
  readonly #writing: PinnedMemory
  readonly #events: PinnedMemory
  readonly #eventWords: Int32Array
  /** a socket address, or an option, or struct tcp_info; its length; one epoll_event */
  readonly #argument: PinnedMemory
  readonly #argumentWords: Int32Array
  readonly #length: PinnedMemory
  readonly #lengthWords: Int32Array
  readonly #event: PinnedMemory
  readonly #eventWord: Int32Array

  constructor(native: Native) {
    const { ffi } = native
    this.native = native
    this.#c = native.c
    this.#writeBuffer = native.writeBuffer
    this.#errno = native.errno
    this.#reading = new PinnedMemory(ffi, READ_BYTES)
    this.readBuffer = this.#reading.bytes
    this.#writing = new PinnedMemory(ffi, SMALL_WRITE_BYTES)
    this.#events = new PinnedMemory(ffi, MAX_EVENTS * EVENT_WORDS * 4)
    this.#eventWords = this.#events.words()
    this.#argument = new PinnedMemory(ffi, 256)
    this.#argumentWords = this.#argument.words()
    this.#length = new PinnedMemory(ffi, 8)
    this.#lengthWords = this.#length.words()
    this.#event = new PinnedMemory(ffi, 16)
    this.#eventWord = this.#event.words()
  }

  /** Reads into {@link readBuffer}, from its beginning. 0: end of the stream. */
  read(fd: number, length = READ_BYTES): number {
    const n = this.#c.read(fd, this.#reading.address, length)
    return n < 0 ? -(this.#errno[0] ?? 0) : n
  }

  /** What the next read would answer, at most one byte; takes the socket's pending error. */
  peek(fd: number): number {
    const n = this.#c.recv(fd, this.#argument.address, 1, MSG_PEEK)
    return n < 0 ? -(this.#errno[0] ?? 0) : n
  }

  write(fd: number, bytes: Uint8Array): number {
    const { length } = bytes
    let n: number
    let errno: number
    if (bytes.buffer === this.readBuffer.buffer && bytes.byteOffset === this.readBuffer.byteOffset) {
      n = this.#c.write(fd, this.#reading.address, length)
      errno = this.#errno[0] ?? 0
    } else if (length <= SMALL_WRITE_BYTES) {
      this.#writing.bytes.set(bytes, 0)
      n = this.#c.write(fd, this.#writing.address, length)
      errno = this.#errno[0] ?? 0
    } else {
      n = this.#writeBuffer(fd, bytes, length)
      errno = this.#errno[0] ?? 0
    }
    return n < 0 ? -errno : n
  }

  close(fd: number): number {
    return this.#c.close(fd) < 0 ? -(this.#errno[0] ?? 0) : 0
  }

  /** A TCP socket of this family, non-blocking and closed on exec. */
  tcpSocket(family: 4 | 6): number {
    const fd = this.#c.socket(family === 4 ? AF_INET : AF_INET6, SOCK_STREAM | NONBLOCK_CLOEXEC, 0)
    return fd < 0 ? -(this.#errno[0] ?? 0) : fd
  }

  /** `scope`: the interface of a link-local IPv6 address. */
  bind(fd: number, to: Endpoint, scope = 0): number {
    const length = writeSocketAddress(this.#argument.bytes, to, scope)
    return this.#c.bind(fd, this.#argument.address, length) < 0 ? -(this.#errno[0] ?? 0) : 0
  }

  connect(fd: number, to: Endpoint): number {
    const length = writeSocketAddress(this.#argument.bytes, to, 0)
    return this.#c.connect(fd, this.#argument.address, length) < 0 ? -(this.#errno[0] ?? 0) : 0
  }

  listen(fd: number, backlog: number): number {
    return this.#c.listen(fd, backlog) < 0 ? -(this.#errno[0] ?? 0) : 0
  }

  /** The next connection, non-blocking and closed on exec; {@link acceptedFrom} says whose. */
  accept(fd: number): number {
    this.#lengthWords[0] = SOCKET_ADDRESS_BYTES
    const client = this.#c.accept4(fd, this.#argument.address, this.#length.address, NONBLOCK_CLOEXEC)
    return client < 0 ? -(this.#errno[0] ?? 0) : client
  }

  /** The peer of the connection {@link accept} just answered; no other call may come between. */
  acceptedFrom(): Endpoint | undefined {
    return readSocketAddress(this.#argument.bytes)
  }

  localEndpoint(fd: number): Endpoint | undefined {
    this.#lengthWords[0] = SOCKET_ADDRESS_BYTES
    const isKnown = this.#c.getsockname(fd, this.#argument.address, this.#length.address) === 0
    return isKnown ? readSocketAddress(this.#argument.bytes) : undefined
  }

  remoteEndpoint(fd: number): Endpoint | undefined {
    this.#lengthWords[0] = SOCKET_ADDRESS_BYTES
    const isKnown = this.#c.getpeername(fd, this.#argument.address, this.#length.address) === 0
    return isKnown ? readSocketAddress(this.#argument.bytes) : undefined
  }

  /** Says FIN. */
  shutdown(fd: number): number {
    return this.#c.shutdown(fd, SHUT_WR) < 0 ? -(this.#errno[0] ?? 0) : 0
  }

  setOption(fd: number, [level, name]: SocketOption, value: number): number {
    this.#argumentWords[0] = value
    return this.#c.setsockopt(fd, level, name, this.#argument.address, 4) < 0 ? -(this.#errno[0] ?? 0) : 0
  }

  /** To be called before {@link bind}. Answers 0, or what the first option that is refused failed with. */
  applyBinding(fd: number, family: 4 | 6, { device, freebind, transparent }: SocketBinding): number {
    const status =
      (freebind === true ? this.setOption(fd, family === 4 ? OPTIONS.freebind : OPTIONS.freebindIpv6, 1) : 0) ||
      (transparent === true ? this.setOption(fd, family === 4 ? OPTIONS.transparent : OPTIONS.transparentIpv6, 1) : 0)
    if (status !== 0 || device === undefined) return status
    const [level, name] = OPTIONS.bindToDevice
    const length = this.#argument.bytes.write(`${device}\0`, 'latin1')
    return this.#c.setsockopt(fd, level, name, this.#argument.address, length) < 0 ? -(this.#errno[0] ?? 0) : 0
  }

  /** From now on closing the socket resets its connection. */
  lingerZero(fd: number): number {
    const [level, name] = OPTIONS.linger
    this.#argumentWords[0] = 1
    this.#argumentWords[1] = 0
    return this.#c.setsockopt(fd, level, name, this.#argument.address, 8) < 0 ? -(this.#errno[0] ?? 0) : 0
  }

  /** The socket's pending error as a negative errno, which is taken from it; 0: none. */
  takeError(fd: number): number {
    this.#lengthWords[0] = 4
    const n = this.#c.getsockopt(fd, SOL_SOCKET, SO_ERROR, this.#argument.address, this.#length.address)
    return n < 0 ? -(this.#errno[0] ?? 0) : -(this.#argumentWords[0] ?? 0)
  }

  tcpInfo(fd: number): TcpInfo | undefined {
    this.#lengthWords[0] = TCP_INFO_BYTES
    const n = this.#c.getsockopt(fd, IPPROTO_TCP, TCP_INFO, this.#argument.address, this.#length.address)
    if (n < 0 || (this.#lengthWords[0] ?? 0) < TCP_INFO_BYTES) return undefined
    // struct tcp_info (linux/tcp.h): tcpi_rtt at 68, tcpi_total_retrans at 100, tcpi_min_rtt at 148, the same on both architectures
    const words = this.#argumentWords
    return {
      rttUs: (words[68 / 4] ?? 0) >>> 0,
      minRttUs: (words[148 / 4] ?? 0) >>> 0,
      retransmits: (words[100 / 4] ?? 0) >>> 0,
    }
  }

  epollCreate(): number {
    const fd = this.#c.epoll_create1(NONBLOCK_CLOEXEC & 0x80000)
    return fd < 0 ? -(this.#errno[0] ?? 0) : fd
  }

  /** `generation` comes back with each event, next to the descriptor. */
  epollAdd(epoll: number, fd: number, mask: number, generation: number): number {
    return this.#epollControl(epoll, EPOLL_CTL_ADD, fd, mask, generation)
  }

  epollModify(epoll: number, fd: number, mask: number, generation: number): number {
    return this.#epollControl(epoll, EPOLL_CTL_MOD, fd, mask, generation)
  }

  epollRemove(epoll: number, fd: number): number {
    return this.#epollControl(epoll, EPOLL_CTL_DEL, fd, 0, 0)
  }

  /** How many events there are now, or within so long; {@link eventMask} and its like read them. */
  epollWait(epoll: number, timeoutMs = 0): number {
    const n = this.#c.epoll_wait(epoll, this.#events.address, MAX_EVENTS, timeoutMs)
    return n < 0 ? -(this.#errno[0] ?? 0) : n
  }

  eventMask(at: number): number {
    return this.#eventWords[at * EVENT_WORDS] ?? 0
  }

  eventDescriptor(at: number): number {
    return this.#eventWords[at * EVENT_WORDS + EVENT_DATA] ?? -1
  }

  eventGeneration(at: number): number {
    return this.#eventWords[at * EVENT_WORDS + EVENT_DATA + 1] ?? 0
  }

  /** Has Node's event loop wake up whenever `fd` is readable. Answers undefined where libuv refuses. */
  wakeFor(fd: number): WakeUp | undefined {
    const { calloc, free, uv_handle_size, uv_poll_init, uv_poll_start } = this.#c
    const size = Number(uv_handle_size(UV_POLL))
    const handle = calloc(1n, BigInt(size))
    if (uv_poll_init(this.native.ffi.getCurrentEventLoop(), handle, fd) !== 0) {
      free(handle)
      return undefined
    }
    markInternal(new Int32Array(this.native.ffi.toArrayBuffer(handle, size, false)), () => this.#c.uv_unref(handle))
    uv_poll_start(handle, UV_READABLE, this.native.library.getSymbol(HARMLESS))
    const { uv_ref, uv_unref, uv_poll_stop, uv_close } = this.#c
    return {
      ref: () => uv_ref(handle),
      unref: () => uv_unref(handle),
      close: async () => {
        uv_poll_stop(handle)
        uv_close(handle, 0n)
        // libuv lets go of the handle at the end of this turn of the loop
        await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
        free(handle)
      },
    }
  }

  /** Whether calls, struct layouts and errno are as this file has them: a few harmless calls whose answers are known. Answers what is
   *  wrong, or undefined. */
  selfTest(): string | undefined {
    if (this.#c.socketpair(AF_UNIX, SOCK_STREAM | NONBLOCK_CLOEXEC, 0, this.#argument.address) !== 0)
      return 'socketpair'
    const [one = -1, other = -1] = this.#argumentWords
    const epoll = this.epollCreate()
    try {
      if (this.read(one) !== EAGAIN) return 'read from an empty socket'
      const large = Buffer.alloc(SMALL_WRITE_BYTES + 1, 'x')
      if (this.epollAdd(epoll, one, EPOLLIN | EPOLLET, 7_000_001) !== 0) return 'epoll_ctl'
      if (this.epollWait(epoll) !== 0) return 'epoll_wait without events'
      if (this.write(other, Buffer.from('abc').subarray(1)) !== 2) return 'write'
      if (this.write(other, large) !== large.length) return 'write of a buffer'
      if (this.epollWait(epoll) !== 1 || this.eventMask(0) !== EPOLLIN) return 'epoll_wait'
      if (this.eventDescriptor(0) !== one || this.eventGeneration(0) !== 7_000_001) return 'struct epoll_event'
      if (this.peek(one) !== 1) return 'recv'
      if (this.read(one) !== large.length + 2 || this.readBuffer.toString('latin1', 0, 3) !== 'bcx') return 'read'
      if (this.setOption(one, OPTIONS.keepAlive, 1) !== 0 || this.takeError(one) !== 0) return 'getsockopt'
      if (this.shutdown(other) !== 0 || this.read(one) !== 0) return 'shutdown'
    } finally {
      for (const fd of [one, other, epoll]) this.close(fd)
    }
    // never a descriptor that was just closed: another thread of the process may have been given its number
    if (this.read(NO_DESCRIPTOR) !== EBADF || this.close(NO_DESCRIPTOR) !== EBADF) return 'errno'
    return undefined
  }

  #epollControl(epoll: number, operation: number, fd: number, mask: number, generation: number): number {
    this.#eventWord[0] = mask
    this.#eventWord[EVENT_DATA] = fd
    this.#eventWord[EVENT_DATA + 1] = generation
    return this.#c.epoll_ctl(epoll, operation, fd, this.#event.address) < 0 ? -(this.#errno[0] ?? 0) : 0
  }
}

/** Keeps a descriptor of ours among those Node's event loop waits for. */
export interface WakeUp {
  /** Keeps the process alive; or no longer. */
  ref(): void
  unref(): void
  /** To be called once. Resolves when libuv has let go. */
  close(): Promise<void>
}

/** A thread that ends with a handle of ours open would end the whole process, unless libuv counts the handle among its own. The flags
 *  have no address in libuv's interface: they are the word in which `unref` clears the bit for it. */
function markInternal(words: Int32Array, unref: () => void): void {
  const before = Int32Array.from(words)
  unref()
  const flags = words.findIndex((word, at) => word !== before[at])
  if (flags >= 0 && ((before[flags] ?? 0) ^ (words[flags] ?? 0)) === UV_HANDLE_REF) {
    words[flags] = (words[flags] ?? 0) | UV_HANDLE_INTERNAL
  }
}

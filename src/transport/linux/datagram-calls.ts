// The system calls of UDP: many datagrams with one call, in memory that all sockets of a thread share. Struct layouts are the same on
// x86-64 and arm64.

import type { Endpoint } from '../../net/endpoint.ts'
import { type Native, PinnedMemory } from './native.ts'
import { readSocketAddress, SOCKET_ADDRESS_BYTES, writeSocketAddress } from './socket-address.ts'

/** Datagrams one call moves at most. */
export const BATCH = 32
/** larger than any datagram, so none is cut off */
export const SLOT_BYTES = 65_536
const ADDRESS_STRIDE = 32
const CONTROL_BYTES = 512
/** struct iovec: address, length */
const IOVEC_BYTES = 16
/** struct mmsghdr: msg_name 0, msg_namelen 8, msg_iov 16, msg_iovlen 24, msg_control 32, msg_controllen 40, msg_flags 48, msg_len 56 */
const MMSGHDR_BYTES = 64
export const NAME_LENGTH = 8
export const CONTROL_LENGTH = 40
export const MSG_LEN = 56
export const MSG_DONTWAIT = 0x40
const MSG_ERRQUEUE = 0x2000
/** struct cmsghdr: cmsg_len (8), cmsg_level (4), cmsg_type (4); struct sock_extended_err begins with ee_errno (4), ee_origin (1) */
export const CMSG_LEVEL = 8
export const CMSG_TYPE = 12
const EE_ERRNO = 16
const EE_ORIGIN = 20
const SO_EE_ORIGIN_ICMP = 2
/** [level, IP_RECVERR or IPV6_RECVERR] */
const RECEIVE_ERRORS = { 4: [0, 11], 6: [41, 25] } as const

const AF_INET = 2
const AF_INET6 = 10
const SOCK_DGRAM = 2
const NONBLOCK_CLOEXEC = 0x80800

/** Slots for datagrams with their addresses, as recvmmsg and sendmmsg want them. */
export class Slots {
  readonly data: PinnedMemory
  readonly names: PinnedMemory
  readonly headers: PinnedMemory
  readonly #iovecs: PinnedMemory

  constructor({ ffi }: Native, count: number, slotBytes: number, control?: PinnedMemory) {
    this.data = new PinnedMemory(ffi, count * slotBytes)
    this.names = new PinnedMemory(ffi, count * ADDRESS_STRIDE)
    this.#iovecs = new PinnedMemory(ffi, count * IOVEC_BYTES)
    this.headers = new PinnedMemory(ffi, count * MMSGHDR_BYTES)
    for (let slot = 0; slot < count; slot++) {
      const iovec = slot * IOVEC_BYTES
      const header = slot * MMSGHDR_BYTES
      this.#iovecs.bytes.writeBigUInt64LE(this.data.address + BigInt(slot * slotBytes), iovec)
      this.#iovecs.bytes.writeBigUInt64LE(BigInt(slotBytes), iovec + 8)
      this.headers.bytes.writeBigUInt64LE(this.names.address + BigInt(slot * ADDRESS_STRIDE), header)
      this.headers.bytes.writeBigUInt64LE(this.#iovecs.address + BigInt(iovec), header + 16)
      this.headers.bytes.writeBigUInt64LE(1n, header + 24)
      if (control !== undefined) this.headers.bytes.writeBigUInt64LE(control.address, header + 32)
    }
  }

  setLength(slot: number, length: number): void {
    this.#iovecs.bytes.writeUInt32LE(length, slot * IOVEC_BYTES + 8)
  }

  nameOf(slot: number): Buffer {
    return this.names.bytes.subarray(slot * ADDRESS_STRIDE, (slot + 1) * ADDRESS_STRIDE)
  }
}

/** The calls of one thread, with the slots of memory they work in; results below 0 are negated errno values. */
export class DatagramCalls {
  readonly #c: Native['c']
  readonly #errno: Int32Array
  readonly #received: Slots
  readonly #sent: Slots
  readonly #control: PinnedMemory
  readonly #failed: Slots
  readonly #option: PinnedMemory
  /** slots whose address lengths the last call has written over */
  #used = BATCH
  /** what was read of a sender's address last: most datagrams of a batch have one sender */
  #lastName = Buffer.alloc(0)
  #lastSender: Endpoint | undefined

  constructor(native: Native) {
    this.#c = native.c
    this.#errno = native.errno
    this.#received = new Slots(native, BATCH, SLOT_BYTES)
    this.#sent = new Slots(native, BATCH, SLOT_BYTES)
    this.#control = new PinnedMemory(native.ffi, CONTROL_BYTES)
    this.#failed = new Slots(native, 1, 64, this.#control)
    this.#option = new PinnedMemory(native.ffi, 8)
  }

  /** A UDP socket, non-blocking, closed on exec, that keeps ICMP errors for {@link nextFailure}. Answers a negative errno otherwise. */
  udpSocket(family: 4 | 6): number {
    const fd = this.#c.socket(family === 4 ? AF_INET : AF_INET6, SOCK_DGRAM | NONBLOCK_CLOEXEC, 0)
    if (fd < 0) return -(this.#errno[0] ?? 0)
    const [level, name] = RECEIVE_ERRORS[family]
    this.#option.bytes.writeInt32LE(1)
    this.#c.setsockopt(fd, level, name, this.#option.address, 4)
    return fd
  }

  /** Receives up to {@link BATCH} datagrams; {@link payload} and {@link sender} read them until the next call. */
  receive(fd: number): number {
    const { headers } = this.#received
    for (let slot = 0; slot < this.#used; slot++) {
      headers.bytes.writeUInt32LE(SOCKET_ADDRESS_BYTES, slot * MMSGHDR_BYTES + NAME_LENGTH)
    }
    const n = this.#c.recvmmsg(fd, headers.address, BATCH, MSG_DONTWAIT, 0n)
    const status = n < 0 ? -(this.#errno[0] ?? 0) : n
    this.#used = status < 0 ? BATCH : status
    return status
  }

  payload(slot: number): Buffer {
    const from = slot * SLOT_BYTES
    const length = this.#received.headers.bytes.readUInt32LE(slot * MMSGHDR_BYTES + MSG_LEN)
    return this.#received.data.bytes.subarray(from, from + length)
  }

  sender(slot: number): Endpoint | undefined {
    const length = this.#received.headers.bytes.readUInt32LE(slot * MMSGHDR_BYTES + NAME_LENGTH)
    const { bytes } = this.#received.names
    const from = slot * ADDRESS_STRIDE
    const last = this.#lastName
    if (length === last.length && bytes.compare(last, 0, length, from, from + length) === 0) return this.#lastSender
    this.#lastName = Buffer.from(bytes.subarray(from, from + length))
    this.#lastSender = readSocketAddress(this.#lastName)
    return this.#lastSender
  }

  /** Puts a datagram into a slot to be sent. False where no datagram can be so large. */
  prepare(slot: number, to: Endpoint, payload: Uint8Array, header: Uint8Array | undefined): boolean {
    const headed = header?.length ?? 0
    const length = headed + payload.length
    if (length > SLOT_BYTES) return false
    const { data, headers } = this.#sent
    if (header !== undefined) data.bytes.set(header, slot * SLOT_BYTES)
    data.bytes.set(payload, slot * SLOT_BYTES + headed)
    this.#sent.setLength(slot, length)
    const named = writeSocketAddress(this.#sent.nameOf(slot), to, 0)
    headers.bytes.writeUInt32LE(named, slot * MMSGHDR_BYTES + NAME_LENGTH)
    return true
  }

  /** Sends the slots from `first` on, before `end`. Answers how many it sent; a negative errno where the first cannot be. */
  send(fd: number, first: number, end: number): number {
    const from = this.#sent.headers.address + BigInt(first * MMSGHDR_BYTES)
    const n = this.#c.sendmmsg(fd, from, end - first, MSG_DONTWAIT)
    return n < 0 ? -(this.#errno[0] ?? 0) : n
  }

  /** The next ICMP error that came back for a datagram (recvmsg(2), MSG_ERRQUEUE): a negative errno, and where it was sent. */
  nextFailure(fd: number): { readonly status: number; readonly to: Endpoint } | undefined {
    const { headers } = this.#failed
    const control = this.#control.bytes
    for (;;) {
      headers.bytes.writeUInt32LE(SOCKET_ADDRESS_BYTES, NAME_LENGTH)
      headers.bytes.writeUInt32LE(CONTROL_BYTES, CONTROL_LENGTH)
      if (this.#c.recvmsg(fd, headers.address, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) return undefined
      const to = readSocketAddress(this.#failed.nameOf(0))
      const level = control.readInt32LE(CMSG_LEVEL)
      const type = control.readInt32LE(CMSG_TYPE)
      const isError = Object.values(RECEIVE_ERRORS).some(([l, t]) => l === level && t === type)
      // what this system itself refused has been told by the call that sent it
      if (to !== undefined && isError && (control[EE_ORIGIN] ?? 0) >= SO_EE_ORIGIN_ICMP) {
        return { status: -control.readUInt32LE(EE_ERRNO), to }
      }
    }
  }
}

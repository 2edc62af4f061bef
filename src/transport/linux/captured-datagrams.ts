// UDP on ports of every address of a network namespace: each datagram comes with the address it was sent to, and answers leave from
// there (ip(7), ipv6(7): IP_PKTINFO). One datagram a call; for programs under test, not for the data path.

import type { Endpoint } from '../../net/endpoint.ts'
import { fromIpv4Number, fromIpv6Words, type Ip, unmapIp } from '../../net/ip.ts'
import { systemError } from '../system-error.ts'
import {
  CMSG_LEVEL,
  CMSG_TYPE,
  CONTROL_LENGTH,
  DatagramCalls,
  MSG_DONTWAIT,
  MSG_LEN,
  NAME_LENGTH,
  SLOT_BYTES,
  Slots,
} from './datagram-calls.ts'
import type { EventLoop, Watcher } from './event-loop.ts'
import { type Native, PinnedMemory } from './native.ts'
import { readSocketAddress, SOCKET_ADDRESS_BYTES, writeSocketAddress } from './socket-address.ts'
import { EPOLLIN } from './system-calls.ts'

/** By the socket's family. `option`: that asks for the addresses. `type`: of the control message that carries one. `received`, `source`:
 *  where in it the destination stands, and the source of a datagram to send. `bytes`: of struct in_pktinfo, in6_pktinfo. `free`: lets
 *  an answer leave from an address that is local by a route alone. */
const PACKET_INFO = {
  4: { level: 0, free: 15, option: 8, type: 8, bytes: 12, received: 8, source: 4 },
  6: { level: 41, free: 78, option: 49, type: 50, bytes: 20, received: 0, source: 0 },
} as const
/** struct cmsghdr */
const HEADER_BYTES = 16
const CONTROL_BYTES = 128
/** Datagrams one socket reads in a turn. */
const MOST_PER_TURN = 64

/** `payload` is the receiver's to keep. */
export type OnCaptured = (payload: Buffer, from: Endpoint, to: Endpoint) => void

/** The sockets of one capture, one for each port: what arrives is handed to one callback. */
export class CapturedDatagrams {
  readonly #loop: EventLoop
  readonly #native: Native
  readonly #onDatagram: OnCaptured
  readonly #sockets = new Map<number, { readonly fd: number; readonly family: 4 | 6 }>()
  readonly #calls: DatagramCalls
  readonly #controls: readonly [received: PinnedMemory, sent: PinnedMemory]
  readonly #received: Slots
  readonly #sent: Slots

  constructor(loop: EventLoop, onDatagram: OnCaptured) {
    this.#loop = loop
    this.#native = loop.calls.native
    this.#onDatagram = onDatagram
    this.#calls = new DatagramCalls(this.#native)
    const { ffi } = this.#native
    this.#controls = [new PinnedMemory(ffi, CONTROL_BYTES), new PinnedMemory(ffi, CONTROL_BYTES)]
    this.#received = new Slots(this.#native, 1, SLOT_BYTES, this.#controls[0])
    this.#sent = new Slots(this.#native, 1, SLOT_BYTES, this.#controls[1])
  }

  /** Takes this port of every address, of IPv4 alone where there is no IPv6. Throws the system's error. */
  listen(port: number): void {
    const wide = this.#calls.udpSocket(6)
    const family = wide < 0 ? 4 : 6
    const fd = wide < 0 ? this.#calls.udpSocket(4) : wide
    if (fd < 0) throw systemError(fd, 'socket')
    const { level, option, free } = PACKET_INFO[family]
    const on = new PinnedMemory(this.#native.ffi, 4)
    on.bytes.writeInt32LE(1)
    for (const name of [option, free]) this.#native.c.setsockopt(fd, level, name, on.address, 4)
    const any = family === 4 ? fromIpv4Number(0) : fromIpv6Words([0, 0, 0, 0])
    const bound = this.#loop.calls.bind(fd, { ip: any, port })
    const watcher: Watcher = {
      onEvents: () => this.#receive(fd, family, port),
      destroy: () => void this.#loop.calls.close(fd),
    }
    const status = bound === 0 ? this.#loop.add(fd, watcher, EPOLLIN) : bound
    if (status !== 0) {
      this.#loop.calls.close(fd)
      throw systemError(status, 'bind')
    }
    this.#sockets.set(port, { fd, family })
  }

  /** Sends from an address that is nobody's but the program's destination. What the system does not take is lost. */
  send(payload: Uint8Array, from: Endpoint, to: Endpoint): void {
    const socket = this.#sockets.get(from.port)
    if (socket === undefined || payload.length > SLOT_BYTES) return
    const { fd, family } = socket
    const { level, type, bytes, source } = PACKET_INFO[family]
    const { data, headers } = this.#sent
    const control = this.#controls[1].bytes.fill(0)
    control.writeBigUInt64LE(BigInt(HEADER_BYTES + bytes))
    control.writeInt32LE(level, CMSG_LEVEL)
    control.writeInt32LE(type, CMSG_TYPE)
    wordsFor(from.ip, family).forEach((word, at) => {
      control.writeUInt32BE(word, HEADER_BYTES + source + 4 * at)
    })
    data.bytes.set(payload)
    this.#sent.setLength(0, payload.length)
    const peer = { ip: family === 4 ? to.ip : fromIpv6Words(wordsFor(to.ip, 6)), port: to.port }
    headers.bytes.writeUInt32LE(writeSocketAddress(this.#sent.nameOf(0), peer, 0), NAME_LENGTH)
    // CMSG_SPACE: whole words of eight bytes
    headers.bytes.writeUInt32LE(HEADER_BYTES + Math.ceil(bytes / 8) * 8, CONTROL_LENGTH)
    this.#native.c.sendmmsg(fd, headers.address, 1, MSG_DONTWAIT)
  }

  #receive(fd: number, family: 4 | 6, port: number): void {
    const { headers, data } = this.#received
    for (let count = 0; count < MOST_PER_TURN; count++) {
      headers.bytes.writeUInt32LE(SOCKET_ADDRESS_BYTES, NAME_LENGTH)
      headers.bytes.writeUInt32LE(CONTROL_BYTES, CONTROL_LENGTH)
      const received = this.#native.c.recvmmsg(fd, headers.address, 1, MSG_DONTWAIT, 0n)
      if (received !== 1) {
        if (this.#calls.nextFailure(fd) === undefined) return
        continue
      }
      const from = readSocketAddress(this.#received.nameOf(0))
      const ip = this.#destination(family)
      if (from === undefined || ip === undefined) continue
      this.#onDatagram(Buffer.from(data.bytes.subarray(0, headers.bytes.readUInt32LE(MSG_LEN))), from, { ip, port })
    }
  }

  #destination(family: 4 | 6): Ip | undefined {
    const { level, type, received } = PACKET_INFO[family]
    const control = this.#controls[0].bytes
    if (control.readInt32LE(CMSG_LEVEL) !== level || control.readInt32LE(CMSG_TYPE) !== type) return undefined
    const word = (at: number) => control.readUInt32BE(HEADER_BYTES + received + 4 * at)
    return family === 4 ? fromIpv4Number(word(0)) : unmapIp(fromIpv6Words([word(0), word(1), word(2), word(3)]))
  }
}

/** An IPv4 address on an IPv6 socket is a mapped one (RFC 4291 section 2.5.5.2). */
function wordsFor({ family, words }: Ip, socket: 4 | 6): readonly number[] {
  if (socket === 6 && family === 4) return [0, 0, 0xffff, words[0] ?? 0]
  return words.slice(0, socket === 4 ? 1 : 4)
}

// Load by datagrams: a SOCKS5 UDP association, and round trips through it to the load origin, which sends back what it gets.

import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { associate, type ProxyUnderTest } from './operation.ts'

const PAYLOAD = Buffer.alloc(64, 0x2e)
/** Loopback loses datagrams only where a buffer is full. */
const LOST_AFTER_MS = 1_000

export class Association {
  readonly #control: Socket
  readonly #socket: UdpSocket
  readonly #datagram: Buffer
  #answered: (() => void) | undefined

  private constructor(control: Socket, socket: UdpSocket, datagram: Buffer) {
    this.#control = control
    this.#socket = socket
    this.#datagram = datagram
    socket.on('message', () => this.#answered?.())
  }

  /** Logs in, associates, and connects a socket to the relay. */
  static async open(subject: ProxyUnderTest): Promise<Association> {
    const { control, relay } = await associate(subject)
    const socket = createSocket('udp4')
    socket.bind(0, control.localAddress)
    await once(socket, 'listening')
    socket.connect(relay.port, relay.ip.text)
    await once(socket, 'connect')
    const header = Buffer.from([0, 0, 0, 1, 0, 0, 0, 0, 0, 0])
    header.writeUInt32BE(subject.origin.ip.words[0] ?? 0, 4)
    header.writeUInt16BE(subject.origin.port, 8)
    return new Association(control, socket, Buffer.concat([header, PAYLOAD]))
  }

  /** One datagram there and back. Rejects when it does not come back within a second. */
  roundTrip(): Promise<void> {
    return new Promise((resolve, reject) => {
      const lost = setTimeout(() => reject(new Error('a datagram did not come back')), LOST_AFTER_MS)
      this.#answered = () => {
        clearTimeout(lost)
        resolve()
      }
      this.#socket.send(this.#datagram)
    })
  }

  close(): void {
    this.#socket.close()
    this.#control.destroy()
  }
}

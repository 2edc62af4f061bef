// Datagrams on sockets of Node's.

import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import type { Endpoint } from '../../net/endpoint.ts'
import type { DatagramHandler, DatagramSocket } from '../datagrams.ts'
import { systemError } from '../system-error.ts'
import { endpointOf } from './node-stream.ts'

/** What may wait in this process when the system takes no more; beyond it datagrams are dropped, as routers do. */
const MAX_QUEUED_BYTES = 1024 * 1024
const EAGAIN = -11

/** Rejects with the system's error, and leaves no socket then. */
export async function bindNodeDatagrams({ ip, port }: Endpoint): Promise<DatagramSocket> {
  const socket = createSocket({ type: ip.family === 4 ? 'udp4' : 'udp6', lookup: asItIs })
  const listening = once(socket, 'listening')
  socket.bind({ address: ip.text, port, exclusive: true })
  try {
    await listening
  } catch (thrown) {
    socket.close()
    throw thrown
  }
  const bound = socket.address()
  return new NodeDatagrams(socket, endpointOf(bound.address, bound.port) ?? { ip, port: bound.port })
}

class NodeDatagrams implements DatagramSocket {
  readonly address: Endpoint
  readonly #socket: Socket
  #handler: DatagramHandler | undefined
  #isClosed = false

  constructor(socket: Socket, address: Endpoint) {
    this.#socket = socket
    this.address = address
    socket.on('error', () => undefined)
    socket.on('message', (payload, { address: ip, port: from }) => {
      const sender = endpointOf(ip, from)
      if (sender !== undefined) this.#handler?.onDatagram(payload, sender)
    })
  }

  setHandler(handler: DatagramHandler | undefined): void {
    this.#handler = handler
  }

  send(to: Endpoint, payload: Uint8Array, header?: Uint8Array): void {
    if (this.#isClosed) return
    if (this.#socket.getSendQueueSize() > MAX_QUEUED_BYTES) {
      queueMicrotask(() => this.#handler?.onFailure(systemError(EAGAIN, 'send'), to))
      return
    }
    const bytes = header === undefined ? Buffer.from(payload) : Buffer.concat([header, payload])
    this.#socket.send(bytes, to.port, to.ip.text, (error) => {
      if (error !== null && !this.#isClosed) this.#handler?.onFailure(error, to)
    })
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#handler = undefined
    this.#socket.close()
  }
}

/** Only addresses are ever sent to; Node's own look-up would put each datagram off by a tick. */
function asItIs(
  address: string,
  _options: unknown,
  done: (error: null, address: string, family: number) => void,
): void {
  done(null, address, address.includes(':') ? 6 : 4)
}

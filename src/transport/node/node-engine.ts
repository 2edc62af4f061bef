// The engine `node`: plain sockets of Node's. Works on every system and every version of Node; whoever dials chooses the port.

import { createServer, type Server, Socket } from 'node:net'
import type { Endpoint } from '../../net/endpoint.ts'
import type { ByteStream } from '../byte-stream.ts'
import type { DialListener, DialRequest, Engine, ListeningSocket, ListenOptions, PendingDial } from '../engine.ts'
import { systemError } from '../system-error.ts'
import { bindNodeDatagrams } from './node-datagrams.ts'
import { endpointOf, NodeStream } from './node-stream.ts'

const DEFAULT_BACKLOG = 1024

export const nodeEngine: Engine = {
  name: 'node',
  sharesPorts: false,
  takesBindings: false,
  listen,
  dial: (request, listener) => new NodeDial(request, listener),
  bindDatagrams: async (at, binding) => {
    if (binding !== undefined) throw cannotBindSo()
    return bindNodeDatagrams(at)
  },
  close: async () => {},
}

async function listen(
  { host, port, backlog = DEFAULT_BACKLOG, reusePort = false }: ListenOptions,
  onConnection: (stream: ByteStream) => void,
): Promise<ListeningSocket> {
  const server = createServer({ allowHalfOpen: true, noDelay: true })
  server.on('connection', (socket) => onConnection(new NodeStream(socket)))
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host, port, backlog, reusePort }, () => {
      server.off('error', reject)
      resolve()
    })
  })
  // accepting may fail for one client (out of descriptors); the next one is accepted when it can be
  server.on('error', ignore)
  const address = addressOf(server)
  return { address, close: () => stopListening(server) }
}

function addressOf(server: Server): Endpoint {
  const address = server.address()
  const endpoint =
    address === null || typeof address === 'string' ? undefined : endpointOf(address.address, address.port)
  if (endpoint === undefined) throw new TypeError('the listening socket has no address')
  return endpoint
}

/** The port is free at once; Node's own callback would wait for the last connection. */
function stopListening(server: Server): Promise<void> {
  server.close()
  return new Promise((resolve) => setImmediate(resolve))
}

class NodeDial implements PendingDial {
  readonly localPort: number | undefined
  readonly #socket = new Socket({ allowHalfOpen: true, noDelay: true })
  readonly #listener: DialListener

  constructor({ to, from, binding }: DialRequest, listener: DialListener) {
    this.#listener = listener
    this.localPort = from === undefined || from.port === 0 ? undefined : from.port
    this.#socket.once('connect', this.#connected)
    this.#socket.once('error', this.#failed)
    if (binding !== undefined) {
      this.#socket.destroy(cannotBindSo())
      return
    }
    this.#socket.connect({
      host: to.ip.text,
      port: to.port,
      ...(from === undefined ? {} : { localAddress: from.ip.text, localPort: from.port }),
    })
  }

  cancel(): void {
    if (!this.#socket.connecting && !this.#socket.destroyed) return
    this.#socket.off('connect', this.#connected)
    this.#socket.off('error', this.#failed)
    this.#socket.on('error', ignore)
    this.#socket.destroy()
  }

  readonly #connected = (): void => {
    this.#socket.off('error', this.#failed)
    this.#listener.onConnect(new NodeStream(this.#socket))
  }

  readonly #failed = (cause: Error): void => {
    this.#socket.off('connect', this.#connected)
    this.#listener.onFailure(cause)
  }
}

const EOPNOTSUPP = -95

/** Node has no such options for sockets of its own. */
function cannotBindSo(): Error {
  return systemError(EOPNOTSUPP, 'setsockopt')
}

function ignore(): void {}

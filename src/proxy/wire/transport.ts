// Where wires come from: connections a server accepts, and connections dialled from a chosen address. Twice: on TCP handles, and on
// sockets of Node's where there are none that we know.

import { type Server, Socket } from 'node:net'
import type { Endpoint } from '../../net/endpoint.ts'
import { HandleWire } from './handle-wire.ts'
import { StreamWire } from './stream-wire.ts'
import { systemError } from './system-error.ts'
import { handleOf, type TcpBinding, type TcpHandle, tcpBinding } from './tcp-handle.ts'
import type { Wire } from './wire.ts'

export interface DialRequest {
  readonly to: Endpoint
  /** the address and port to bind; absent: the system chooses */
  readonly from?: Endpoint
}

/** Hears, once, how a dial ended. Never within the call of `dial`. */
export interface DialListener {
  onConnect(wire: Wire): void
  /** with the code and the call of the system's error: `bind` or `connect` */
  onFailure(cause: Error): void
}

/** A dial under way. */
export interface Dialling {
  /** Gives up; nothing is told any more. Too late, it does nothing. */
  cancel(): void
}

export interface Transport {
  /** Hands over every connection that a server accepts once it listens. */
  serve(server: Server, welcome: (wire: Wire) => void): void
  dial(options: DialRequest, listener: DialListener): Dialling
}

/** By sockets: works everywhere, and costs each short tunnel half as much again. */
export const socketTransport: Transport = {
  serve: (server, welcome) => void server.on('connection', (socket) => welcome(new StreamWire(socket))),
  dial: (options, listener) => new SocketDialling(options, listener),
}

/** The best there is on this version of Node. */
export const transport: Transport = tcpBinding === undefined ? socketTransport : handleTransport(tcpBinding)

function handleTransport(binding: TcpBinding): Transport {
  return {
    serve(server, welcome) {
      const takeOver = () => {
        const listening = handleOf(server)
        if (listening === undefined) {
          socketTransport.serve(server, welcome)
          return
        }
        const isPrompt = inheritsNoDelay && listening.setNoDelay(true) === 0
        listening.onconnection = (status, client) => {
          if (status === 0 && client !== undefined) welcome(acceptedWire(binding, client, isPrompt))
        }
      }
      if (server.listening) takeOver()
      else server.prependOnceListener('listening', takeOver)
    },
    dial: (options, listener) => new HandleDialling(binding, options, listener),
  }
}

/** Connections take TCP_NODELAY over from the socket that accepts them. */
const inheritsNoDelay = process.platform === 'linux'

function acceptedWire(binding: TcpBinding, client: TcpHandle, isPrompt: boolean): Wire {
  if (!isPrompt) client.setNoDelay(true)
  return new HandleWire(binding, client, true)
}

class HandleDialling implements Dialling {
  readonly #binding: TcpBinding
  readonly #listener: DialListener
  #handle: TcpHandle | undefined

  constructor(binding: TcpBinding, { to, from }: DialRequest, listener: DialListener) {
    this.#binding = binding
    this.#listener = listener
    const handle = binding.makeTcp()
    this.#handle = handle
    const bound = from === undefined ? 0 : bind(handle, from)
    if (bound !== 0) {
      queueMicrotask(() => this.#fail(bound, 'bind'))
      return
    }
    const request = new binding.ConnectRequest()
    request.oncomplete = (status) => this.#completed(status)
    const begun =
      to.ip.family === 4 ? handle.connect(request, to.ip.text, to.port) : handle.connect6(request, to.ip.text, to.port)
    if (begun !== 0) queueMicrotask(() => this.#fail(begun, 'connect'))
  }

  cancel(): void {
    const handle = this.#handle
    this.#handle = undefined
    handle?.close()
  }

  #completed(status: number): void {
    const handle = this.#handle
    if (handle === undefined) return
    if (status !== 0) {
      this.#fail(status, 'connect')
      return
    }
    this.#handle = undefined
    this.#listener.onConnect(new HandleWire(this.#binding, handle, false))
  }

  #fail(status: number, syscall: string): void {
    if (this.#handle === undefined) return
    this.cancel()
    this.#listener.onFailure(systemError(status, syscall))
  }
}

function bind(handle: TcpHandle, { ip, port }: Endpoint): number {
  return ip.family === 4 ? handle.bind(ip.text, port) : handle.bind6(ip.text, port, 0)
}

class SocketDialling implements Dialling {
  readonly #socket = new Socket({ allowHalfOpen: true, noDelay: true })
  readonly #listener: DialListener

  constructor({ to, from }: DialRequest, listener: DialListener) {
    this.#listener = listener
    this.#socket.once('connect', this.#connected)
    this.#socket.once('error', this.#failed)
    this.#socket.connect({
      host: to.ip.text,
      port: to.port,
      ...(from === undefined ? {} : { localAddress: from.ip.text, localPort: from.port }),
    })
  }

  cancel(): void {
    if (!this.#socket.connecting) return
    this.#socket.off('connect', this.#connected)
    this.#socket.off('error', this.#failed)
    this.#socket.on('error', ignore)
    this.#socket.destroy()
  }

  readonly #connected = (): void => {
    this.#socket.off('error', this.#failed)
    this.#listener.onConnect(new StreamWire(this.#socket))
  }

  readonly #failed = (cause: Error): void => {
    this.#socket.off('connect', this.#connected)
    this.#listener.onFailure(cause)
  }
}

function ignore(): void {}

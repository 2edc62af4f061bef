// Serves pipelined requests of one connection one at a time. Node's HTTP server would start all of them at once; this
// way other connections are served in between, and a client that pipelines without end loses its connection. Knows no
// routes.

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

export type RequestHandler = (request: IncomingMessage, response: ServerResponse) => void

/** Wraps a handler of `request` events: it is called for the next request of a connection once the response before it
 *  is done, with a turn of the event loop in between. A connection with more than `maxWaiting` waiting requests is
 *  destroyed. */
export function oneAtATime(handle: RequestHandler, maxWaiting: number): RequestHandler {
  const queues = new WeakMap<Socket, RequestQueue>()
  return (request, response) => {
    const { socket } = request
    const queue = queues.get(socket) ?? new RequestQueue(handle)
    queues.set(socket, queue)
    if (queue.waiting >= maxWaiting) socket.destroy()
    if (socket.destroyed) queue.close()
    else queue.add(request, response)
  }
}

/** The requests of one connection. */
class RequestQueue {
  readonly #handle: RequestHandler
  readonly #waiting: (readonly [IncomingMessage, ServerResponse])[] = []
  #busy = false

  constructor(handle: RequestHandler) {
    this.#handle = handle
  }

  get waiting(): number {
    return this.#waiting.length
  }

  add(request: IncomingMessage, response: ServerResponse): void {
    if (this.#busy) this.#waiting.push([request, response])
    else this.#begin(request, response)
  }

  close(): void {
    this.#waiting.length = 0
  }

  #begin(request: IncomingMessage, response: ServerResponse): void {
    this.#busy = true
    response.once('close', () => {
      this.#busy = false
      if (this.#waiting.length > 0) setImmediate(this.#next)
    })
    this.#handle(request, response)
  }

  readonly #next = (): void => {
    if (this.#busy) return
    const next = this.#waiting.shift()
    if (next === undefined) return
    const [request, response] = next
    if (request.socket.destroyed) this.close()
    else this.#begin(request, response)
  }
}

// One request after the other on each connection to an HTTP server of Node's, which would begin all that it has read at once: whoever
// pipelines waits, everybody else is served in between, and who asks without end loses the connection. Knows no route.

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

export type RequestHandler = (request: IncomingMessage, response: ServerResponse) => void

/** The same handler for `request` events, called for the next request of a connection once the answer before it is done, and never twice
 *  without a turn of the event loop between. A connection with more than `maxWaiting` requests waiting is destroyed. */
export function inTurns(handle: RequestHandler, maxWaiting: number): RequestHandler {
  const lines = new WeakMap<Socket, Line>()
  return (request, response) => {
    const { socket } = request
    const line = lines.get(socket) ?? new Line(handle)
    lines.set(socket, line)
    if (line.waiting >= maxWaiting) socket.destroy()
    if (socket.destroyed) line.close()
    else line.enter(request, response)
  }
}

/** The requests of one connection. */
class Line {
  readonly #handle: RequestHandler
  readonly #waiting: (readonly [IncomingMessage, ServerResponse])[] = []
  #busy = false

  constructor(handle: RequestHandler) {
    this.#handle = handle
  }

  get waiting(): number {
    return this.#waiting.length
  }

  enter(request: IncomingMessage, response: ServerResponse): void {
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

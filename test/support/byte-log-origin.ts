// An origin that keeps every byte it gets and answers as it is told, without any HTTP of its own in between.

import type { Socket } from 'node:net'
import { PATIENCE_MS } from './patience.ts'
import { listen } from './tcp.ts'

export interface ByteLogOrigin {
  readonly port: number
  /** connections so far */
  readonly connections: number
  /** everything received over all connections, Latin-1, in order of arrival */
  readonly received: string
  /** resolves once this text has arrived */
  text(expected: string): Promise<void>
}

export const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

/** `answer` is called with everything one connection has sent so far, whenever more arrives. Without it every complete head
 *  is answered with {@link OK}. */
export async function byteLogOrigin(
  answer: (socket: Socket, sofar: string) => void = answerHeads(),
): Promise<ByteLogOrigin> {
  let received = ''
  let connections = 0
  let wake = () => {}
  const { port } = await listen((socket) => {
    connections++
    let sofar = ''
    socket.on('data', (chunk: Buffer) => {
      received += chunk.toString('latin1')
      sofar += chunk.toString('latin1')
      wake()
      answer(socket, sofar)
    })
    socket.on('end', () => socket.end())
  })
  return {
    port,
    get connections() {
      return connections
    },
    get received() {
      return received
    },
    async text(expected) {
      const deadline = AbortSignal.timeout(PATIENCE_MS)
      while (!received.includes(expected)) {
        await new Promise<void>((resolve, reject) => {
          wake = resolve
          deadline.addEventListener('abort', () => reject(new Error(`origin got ${JSON.stringify(received)}`)))
        })
      }
    },
  }
}

function answerHeads(): (socket: Socket, sofar: string) => void {
  const answered = new WeakMap<Socket, number>()
  return (socket, sofar) => {
    const heads = sofar.split('\r\n\r\n').length - 1
    for (let at = answered.get(socket) ?? 0; at < heads; at++) socket.write(OK)
    answered.set(socket, heads)
  }
}

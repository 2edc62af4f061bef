// A line between browser and lab that a test can cut and mend: a TCP forwarder on a port of its own.

import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { ownPort } from '../support/own-network.ts'

export interface Line {
  readonly url: string
  /** Drops every connection and listens no more. */
  cut(): Promise<void>
  mend(): Promise<void>
}

/** Forwards to a port of this machine. */
export async function layLine(port: number): Promise<Line> {
  const sockets = new Set<Socket>()
  const server = createServer((near) => {
    const far = connect(port, '127.0.0.1')
    for (const socket of [near, far]) {
      sockets.add(socket)
      socket.on('error', () => undefined)
      socket.on('close', () => {
        sockets.delete(socket)
        near.destroy()
        far.destroy()
      })
    }
    near.pipe(far).pipe(near)
  })
  const listen = async (at: number) => {
    server.listen(at, '127.0.0.1')
    await once(server, 'listening')
  }
  const own = ownPort(34)
  await listen(own)
  return {
    url: `http://127.0.0.1:${own}`,
    cut: async () => {
      const closed = once(server, 'close')
      server.close()
      for (const socket of sockets) socket.destroy()
      await closed
    },
    mend: () => listen(own),
  }
}

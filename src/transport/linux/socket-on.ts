// A descriptor of ours handed to a socket of Node's, which owns it from then on.

import { Socket } from 'node:net'
import type { ByteStream } from '../byte-stream.ts'

/** The same connection over a socket of Node's. `reset`: has the peer see a reset when the socket is destroyed next. */
export type StreamOverSocket = (socket: Socket, options: { readonly reset: () => unknown }) => ByteStream

/** What the stream that had the descriptor leaves to the socket. */
export interface LeftOver {
  readonly unread: readonly Buffer[]
  readonly unsent: readonly Buffer[]
  /** FIN is to follow what is unsent */
  readonly ended: boolean
}

/** `fd` is watched by nobody any more; -1: a closed socket. */
export function socketOn(fd: number, { unread, unsent, ended }: LeftOver): Socket {
  if (fd < 0) return new Socket().destroy()
  const socket = new Socket({ fd, readable: true, writable: true, allowHalfOpen: true })
  for (const chunk of unread) socket.push(chunk)
  for (const chunk of unsent) socket.write(chunk)
  if (ended) socket.end()
  return socket
}

// The last word to a client: written, then the connection goes, whether the client listens or not.

import type { Socket } from 'node:net'
import type { Clock } from '../transport/timer-wheel.ts'

const LINGER_MS = 2000

/** Writes the words, ends, and lets go. What the client still sends is thrown away unread for a moment, so that the words
 *  are not lost to a reset (RFC 9112 section 9.6); then the socket is destroyed. */
export function hangUp(socket: Socket, clock: Clock, words: string | Uint8Array): void {
  if (socket.destroyed) return
  if (socket.writable) socket.end(words)
  if (socket.readableEnded) {
    socket.destroySoon()
    return
  }
  const patience = clock.after(LINGER_MS, () => socket.destroy())
  socket.once('end', () => socket.destroySoon())
  socket.once('close', () => patience.cancel())
  socket.resume()
}

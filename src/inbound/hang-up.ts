// The last word to a client: written, then the connection goes, whether the client listens or not.

import type { Socket } from 'node:net'
import type { Clock } from '../proxy/deadline.ts'

const LINGER_MS = 2000
/** A client that goes on sending so much does not listen. */
const LINGER_BYTES = 4 * 1024 * 1024
const HEAD = Buffer.from('HEAD ')

/** Writes the words, ends, and lets go. What the client still sends is thrown away unread for a moment, so that the words
 *  are not lost to a reset (RFC 9112 section 9.6); then, or after {@link LINGER_BYTES}, the socket is destroyed. */
export function hangUp(socket: Socket, clock: Clock, words: string | Uint8Array): void {
  if (socket.destroyed) return
  if (socket.writable) socket.end(words)
  // also where the client has ended: one that does not read would keep words, and socket, for ever
  const patience = clock.after(LINGER_MS, () => socket.destroy())
  socket.once('close', () => patience.cancel())
  if (socket.readableEnded) {
    socket.destroySoon()
    return
  }
  socket.once('end', () => socket.destroySoon())
  const already = socket.bytesRead
  socket.on('data', () => {
    if (socket.bytesRead - already > LINGER_BYTES) socket.destroy()
  })
  socket.resume()
}

/** The method that what has arrived of a request begins with, as far as it matters: `HEAD` is answered without a body. Takes the bytes
 *  out of the socket. */
export function openingMethod(socket: Socket): 'HEAD' | undefined {
  const opening: Buffer | null = socket.read()
  return opening?.subarray(0, HEAD.length).equals(HEAD) ? 'HEAD' : undefined
}

// Resetting a stream of Node's, which it can do for plain TCP sockets only.

import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { TLSSocket } from 'node:tls'

/** Closes a stream so that its peer sees a reset where the transport has one; `destroy` would show a clean end on TCP. While a
 *  FIN is on its way out a reset is refused by libuv, and Node then neither closes the socket nor says so: it is destroyed. */
export function resetStream(stream: Pick<Duplex, 'destroyed'> & { destroy(): unknown }): void {
  if (stream.destroyed) return
  const isTcp = stream instanceof Socket && !(stream instanceof TLSSocket)
  if (isTcp && !(stream.writableEnded && !stream.writableFinished)) stream.resetAndDestroy()
  else stream.destroy()
}

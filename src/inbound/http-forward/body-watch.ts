// Notices a request body that stands still although we are ready to read it (RS-01); one that moves may take all day (RS-02).

import type { IncomingMessage } from 'node:http'
import type { Clock } from '../../transport/timer-wheel.ts'

/** Calls `onStill` once if no byte came for `idleMs` while the body was being read. Ends by itself with the body. */
export function watchBody(req: IncomingMessage, clock: Clock, idleMs: number, onStill: () => void): void {
  let seen = req.socket.bytesRead
  const check = () => {
    if (req.complete || req.destroyed) return
    const now = req.socket.bytesRead
    if (now === seen && !req.isPaused()) {
      onStill()
      return
    }
    seen = now
    watch = clock.after(idleMs, check)
  }
  let watch = clock.after(idleMs, check)
  req.once('close', () => watch.cancel())
}

// Work that blocks the thread, done when nobody needs the thread.

import { performance } from 'node:perf_hooks'

const LOOK_EVERY_MS = 5000
/** share of the time between two looks */
const IDLE = 0.02

/**
 * Calls once, as soon as this thread had almost nothing to do from one look to the next: for work that blocks it and that nobody waits
 * for. Does not keep the process alive; a thread that is never idle is left alone.
 *
 * @param act what blocks
 * @param lookEveryMs how long the thread must have been idle, milliseconds
 */
export function onceIdle(act: () => void, lookEveryMs: number = LOOK_EVERY_MS): void {
  let before = performance.eventLoopUtilization()
  const timer = setInterval(() => {
    const now = performance.eventLoopUtilization()
    const { utilization } = performance.eventLoopUtilization(now, before)
    before = now
    if (utilization > IDLE) return
    clearInterval(timer)
    act()
  }, lookEveryMs).unref()
}

// How time passes for a scenario: at once, or by the machine's clock, some factor faster. The lab's clock goes along.

import { setTimeout as sleep } from 'node:timers/promises'
import type { Pace } from '../../scenario/stage.ts'

const MAX_TIMER_MS = 2 ** 31 - 1

export interface ScenarioClock extends Pace {
  /** what the lab takes for the machine's time, epoch ms */
  readonly machineTime: () => number
}

/** Each moment comes as soon as what was before it is done. */
export function instantClock(startAt: number): ScenarioClock {
  let now = startAt
  return {
    machineTime: () => now,
    until: async (atMs) => {
      now = Math.max(now, startAt + atMs)
    },
  }
}

/** Moments come when it is their time, `speed` times as fast as the machine's clock. Begins with the first moment. */
export function runningClock(startAt: number, speed: number, signal?: AbortSignal): ScenarioClock {
  let begun: number | undefined
  const elapsed = () => (begun === undefined ? 0 : (performance.now() - begun) * speed)
  return {
    machineTime: () => startAt + elapsed(),
    until: async (atMs) => {
      begun ??= performance.now()
      // timers may fire a little early, and hold 24 days at most
      while (elapsed() < atMs && !signal?.aborted) {
        const waitMs = Math.min((atMs - elapsed()) / speed, MAX_TIMER_MS)
        // a stop is no failure: who plays asks the signal
        await sleep(waitMs, undefined, signal === undefined ? {} : { signal }).catch(() => undefined)
      }
    },
  }
}

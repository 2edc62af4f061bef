// A lab that runs until somebody asks it to stop, then drains (LC-01).

import type { RunningLab } from '../cli/services.ts'
import { exitCodeOf, untilStopSignal } from './signals.ts'

/** Waits for SIGINT or SIGTERM, stops the lab, and answers the exit code that says so. A second signal ends at once. */
export async function runUntilSignal(lab: RunningLab): Promise<130 | 143> {
  const signal = await untilStopSignal()
  await lab.close()
  return exitCodeOf(signal)
}

// SIGINT and SIGTERM: the first asks for an orderly stop, a second one for an immediate end. A terminal, npm and a
// launcher may each pass the same Ctrl-C on, so signals that come together count as one.

import type { RunningLab } from '../lab/start-lab.ts'

export type StopSignal = 'SIGINT' | 'SIGTERM'

/** How long after a signal another one is still the same press of keys. */
const TOGETHER_MS = 300

/** The exit code of a process that a signal stopped. */
export function exitCodeOf(signal: StopSignal): 130 | 143 {
  return signal === 'SIGINT' ? 130 : 143
}

/** Resolves with the first signal. From then on a further one exits the process at once. */
export function untilStopSignal(): Promise<StopSignal> {
  return new Promise((resolve) => {
    let first: { readonly at: number } | undefined
    const onSignal = (signal: StopSignal) => {
      if (first === undefined) {
        first = { at: performance.now() }
        resolve(signal)
      } else if (performance.now() - first.at > TOGETHER_MS) process.exit(exitCodeOf(signal))
    }
    process.on('SIGINT', onSignal)
    process.on('SIGTERM', onSignal)
  })
}

/** The same for a command that only follows something: one signal is enough. `forget` restores the usual handling. */
export function watchStopSignal(): { readonly promise: Promise<130 | 143>; readonly forget: () => void } {
  const { promise, resolve } = Promise.withResolvers<130 | 143>()
  const onSignal = (signal: StopSignal) => resolve(exitCodeOf(signal))
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
  return { promise, forget: () => process.off('SIGINT', onSignal).off('SIGTERM', onSignal) }
}

/** Waits for SIGINT or SIGTERM, stops the lab, and answers the exit code that says so. A second signal ends at once. */
export async function runUntilSignal(lab: RunningLab): Promise<130 | 143> {
  const signal = await untilStopSignal()
  await lab.close()
  return exitCodeOf(signal)
}

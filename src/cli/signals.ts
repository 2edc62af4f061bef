// SIGINT and SIGTERM: the first asks for an orderly stop, a second one for an immediate end. A terminal, npm and a
// launcher may each pass the same Ctrl-C on, so signals that come together count as one.

import { execFile } from 'node:child_process'
import type { RunningLab } from '../lab/start-lab.ts'
import type { Io } from './terminal.ts'

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

/** Waits for SIGINT or SIGTERM, stops the lab, and answers the exit code that says so; for a service manager an orderly stop is 0. A
 *  second signal ends at once. SIGHUP reads the configuration again where nobody sits at a terminal; where somebody does, it means
 *  that the terminal is gone. */
export async function runUntilSignal(lab: RunningLab, manager: ServiceManager | undefined): Promise<0 | 130 | 143> {
  const reload = () => lab.reload()
  if (process.stdin.isTTY !== true) process.on('SIGHUP', reload)
  try {
    const signal = await untilStopSignal()
    await manager?.tell('STOPPING=1')
    await lab.close()
    return manager === undefined ? exitCodeOf(signal) : 0
  } finally {
    process.off('SIGHUP', reload)
  }
}

/** systemd, which starts a service of `Type=notify` with NOTIFY_SOCKET (sd_notify(3)). */
export interface ServiceManager {
  /** Sends assignments such as `READY=1`; a message that cannot be sent is told once, and nothing else comes of it. */
  tell(...assignments: readonly string[]): Promise<void>
}

/** Undefined where no service manager listens. Node has no datagrams on Unix sockets, so systemd's own `systemd-notify` sends. */
export function serviceManager({ env, stderr }: Io): ServiceManager | undefined {
  if ((env.NOTIFY_SOCKET ?? '') === '') return undefined
  let isTold = false
  return {
    tell: (...assignments) =>
      new Promise((resolve) => {
        execFile('systemd-notify', assignments, { env }, (error) => {
          if (error !== null && !isTold) {
            stderr.write(`the service manager cannot be told \`${assignments[0]}\`: ${error.message.trim()}\n`)
            isTold = true
          }
          resolve()
        })
      }),
  }
}

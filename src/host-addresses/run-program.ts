// A program with this terminal's streams: signals reach it, and its exit code comes back as a shell would have it.

import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { constants } from 'node:os'
import { errnoOf } from '../errors/thrown.ts'

/** What a terminal sends to the whole foreground group by itself. */
const FROM_TERMINAL = ['SIGINT', 'SIGQUIT'] as const
const PASSED_ON = ['SIGTERM', 'SIGHUP', 'SIGUSR2', 'SIGCONT'] as const

/** Runs it to its end. Answers its exit code; 128 and the signal's number where a signal ended it. Rejects with the system's
 *  error where it cannot be started. `onStart` gets the process. */
export async function runProgram(
  [program = '', ...args]: readonly string[],
  { onStart, ...options }: SpawnOptions & { readonly onStart?: (child: ChildProcess) => void } = {},
): Promise<number> {
  const child = spawn(program, args, { stdio: 'inherit', ...options })
  const passOn = (signal: NodeJS.Signals) => void child.kill(signal)
  // one that was sent to this process alone is passed on; one that was typed has reached the program already
  const onTyped = process.stdin.isTTY === true ? () => undefined : passOn
  for (const signal of FROM_TERMINAL) process.on(signal, onTyped)
  for (const signal of PASSED_ON) process.on(signal, passOn)
  try {
    return await new Promise<number>((resolve, reject) => {
      child.once('error', reject)
      child.once('exit', (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])))
      onStart?.(child)
    })
  } finally {
    for (const signal of FROM_TERMINAL) process.off(signal, onTyped)
    for (const signal of PASSED_ON) process.off(signal, passOn)
  }
}

/** The exit code `run` answers; where the system refused to start the program, the one a shell has for that (127: there is none,
 *  126: it cannot be run), and `write` is told why. Rejects with any other error. */
export async function exitCodeOf(
  [program = '']: readonly string[],
  run: () => Promise<number>,
  write: (text: string) => void,
): Promise<number> {
  try {
    return await run()
  } catch (thrown) {
    const code = errnoOf(thrown)
    if (code === '') throw thrown
    const isMissing = code === 'ENOENT'
    write(`cannot run \`${program}\`: ${isMissing ? 'there is no such program' : code}\n`)
    return isMissing ? 127 : 126
  }
}

// The streams of this process as verbs use them, and what becomes of errors that nobody caught.

import { once } from 'node:events'
import type { WriteStream } from 'node:tty'
import type { Io, TerminalOutput } from './terminal.ts'

/** A reader of standard output that went away (`| head -1`) ends a verb quietly; it must not end a running lab, which
 *  therefore writes its sessions through a queue of its own (RS-08). */
export function processIo(): Io {
  process.stdin.setEncoding('utf8')
  return {
    stdin: process.stdin,
    stdout: output(process.stdout),
    stderr: output(process.stderr),
    env: process.env,
  }
}

function output(stream: WriteStream): TerminalOutput {
  let isGone = false
  const gone = new Promise<void>((resolve) => {
    stream.on('error', () => {
      isGone = true
      process.stdin.destroy()
      resolve()
    })
  })
  return {
    gone,
    write: (text) => {
      if (!isGone) stream.write(text)
    },
    drained: async () => {
      if (!isGone && stream.writableNeedDrain) await Promise.race([once(stream, 'drain'), once(stream, 'close')])
    },
    isTerminal: stream.isTTY === true,
    columns: stream.columns ?? 80,
  }
}

/** From now on an uncaught exception or rejection is printed to standard error and the process exits with 1. */
export function dieOfSurprises(): void {
  process.on('uncaughtException', die)
  process.on('unhandledRejection', die)
  // a file that reaches the limit of `ulimit -f` is a failed write, which is told of, and not the end of the process
  process.on('SIGXFSZ', ignore)
}

function ignore(): void {}

function die(thrown: unknown): void {
  const text = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)
  process.stderr.write(`egresslab: an unexpected error ends this process\n${text}\n`, () => process.exit(1))
}

// The streams and the environment of this process, as commands see them.

import { once } from 'node:events'
import type { WriteStream } from 'node:tty'
import type { Io, TerminalOutput } from './terminal.ts'

/** When the reader of standard output goes away (`| head -1`), a command ends quietly. A running lab must not end with it:
 *  it writes its sessions through a queue of its own [RS-08]. */
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

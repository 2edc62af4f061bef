// A progress bar on the terminal's error stream; silent everywhere else.

import type { Io } from './io.ts'

export interface Progress {
  /** `share` done, 0…1 */
  readonly show: (share: number) => void
  /** takes the bar away again */
  readonly clear: () => void
}

const WIDTH = 30

/** A bar behind this text, with the time left once there is something to tell it from. */
export function createProgress({ stderr }: Io, text: string): Progress {
  if (!stderr.isTerminal) return { show: () => {}, clear: () => {} }
  const start = performance.now()
  return {
    show: (share) => {
      const done = Math.round(Math.min(1, Math.max(0, share)) * WIDTH)
      const left = share > 0.02 ? ` ${Math.ceil(((performance.now() - start) / 1000) * (1 / share - 1))} s left` : ''
      stderr.write(`\r\u001b[K${text} ${'█'.repeat(done)}${'░'.repeat(WIDTH - done)}${left}`)
    },
    clear: () => stderr.write('\r\u001b[K'),
  }
}

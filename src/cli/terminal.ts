// What a verb may touch of the outside: its streams and environment. Passed in, so that tests see whole outputs.

import { stripVTControlCharacters } from 'node:util'

export interface TerminalOutput {
  readonly write: (text: string) => void
  /** resolves once the reader has taken most of what was written */
  readonly drained: () => Promise<void>
  /** resolves when nobody reads any more */
  readonly gone?: Promise<void>
  readonly isTerminal: boolean
  /** width of the terminal; 80 elsewhere */
  readonly columns: number
}

export interface Io {
  /** UTF-8 text in pieces of any size */
  readonly stdin: AsyncIterable<string>
  readonly stdout: TerminalOutput
  readonly stderr: TerminalOutput
  readonly env: Readonly<Record<string, string | undefined>>
}

/** One JSON document and a line feed; the only thing `--json` puts on standard output. */
export function writeJson(io: Io, document: unknown): void {
  io.stdout.write(`${JSON.stringify(document, null, io.stdout.isTerminal ? 2 : undefined)}\n`)
}

/** The lines of standard input, without their line ends. A last line needs none. `isLast`: no further line has arrived
 *  yet, so this is the moment to hand over what is waiting. */
export async function* linesOf(stdin: AsyncIterable<string>): AsyncGenerator<{ line: string; isLast: boolean }> {
  let rest = ''
  for await (const piece of stdin) {
    const lines = (rest + piece).split('\n')
    rest = lines.pop() ?? ''
    for (const [at, line] of lines.entries()) {
      yield { line: line.endsWith('\r') ? line.slice(0, -1) : line, isLast: at === lines.length - 1 }
    }
  }
  if (rest !== '') yield { line: rest, isLast: true }
}

const CODES = { good: 32, bad: 31, warn: 33, accent: 36, strong: 1, dim: 2 } as const

export type TerminalPaint = Readonly<Record<keyof typeof CODES, (text: string) => string>>

/** Paint for one of the two output streams. */
export function paintFor(io: Io, output: TerminalOutput): TerminalPaint {
  const on = output.isTerminal && (io.env.NO_COLOR ?? '') === '' && io.env.TERM !== 'dumb'
  const entries = Object.entries(CODES).map(([name, code]) => [
    name,
    on ? (text: string) => `\u001b[${code}m${text}\u001b[0m` : (text: string) => text,
  ])
  return Object.freeze(Object.fromEntries(entries))
}

/** The rows, columns two blanks apart, each line ending in a line feed. Colour codes take no width. */
export function renderTable(rows: readonly (readonly string[])[]): string {
  const widths: number[] = []
  for (const row of rows) {
    for (const [at, cell] of row.entries()) widths[at] = Math.max(widths[at] ?? 0, width(cell))
  }
  const line = (row: readonly string[]) => row.map((cell, at) => cell + ' '.repeat((widths[at] ?? 0) - width(cell)))
  return rows.map((row) => `${line(row).join('  ').trimEnd()}\n`).join('')
}

function width(cell: string): number {
  return stripVTControlCharacters(cell).length
}

export interface ProgressBar {
  /** `share` done, 0…1 */
  readonly show: (share: number) => void
  /** takes the bar away again */
  readonly clear: () => void
}

const WIDTH = 30

/** A bar behind this text, with the time left once there is something to tell it from. */
export function createProgressBar({ stderr }: Io, text: string): ProgressBar {
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

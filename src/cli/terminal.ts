// A command's streams and environment, passed in so that tests see whole outputs.

import { stripVTControlCharacters, styleText } from 'node:util'

export interface TerminalOutput {
  readonly write: (text: string) => void
  /** resolves once the reader has taken most of what was written */
  readonly drained: () => Promise<void>
  /** resolves when the reader is gone */
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

const FORMATS = { good: 'green', bad: 'red', warn: 'yellow', accent: 'cyan', strong: 'bold', dim: 'dim' } as const

/** Functions that give a text a colour or weight, by what it means. */
export type TextStyles = Readonly<Record<keyof typeof FORMATS, (text: string) => string>>

/** Leaves every text as it is, for reports that machines read. */
export const PLAIN: TextStyles = stylesWhere(false)

/** The styles of one of the two output streams: plain unless it is a terminal that takes colours (`NO_COLOR`, `TERM=dumb`). */
export function stylesFor(io: Io, output: TerminalOutput): TextStyles {
  return stylesWhere(takesColour(io, output))
}

/** Whether escape sequences for colour may be written to this stream. */
export function takesColour({ env }: Io, { isTerminal }: TerminalOutput): boolean {
  return isTerminal && (env.NO_COLOR ?? '') === '' && env.TERM !== 'dumb'
}

function stylesWhere(isColoured: boolean): TextStyles {
  const style = (format: (typeof FORMATS)[keyof typeof FORMATS]) => (text: string) =>
    isColoured ? styleText(format, text, { validateStream: false }) : text
  return {
    good: style(FORMATS.good),
    bad: style(FORMATS.bad),
    warn: style(FORMATS.warn),
    accent: style(FORMATS.accent),
    strong: style(FORMATS.strong),
    dim: style(FORMATS.dim),
  }
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

/** A progress bar after this text, with the time left once it can be estimated. */
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

// What a verb may touch of the outside: its streams and environment. Passed in, so that tests see whole outputs.

export interface Output {
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
  readonly stdout: Output
  readonly stderr: Output
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

// Runs one command line in this process, with the real services, and gives back everything it wrote.

import { runCli } from '../../src/cli/program.ts'
import { createServices } from '../../src/services.ts'

export interface Ran {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export interface Surroundings {
  readonly stdin?: string | readonly string[]
  readonly env?: Readonly<Record<string, string>>
  readonly terminal?: boolean
}

/** `egresslab` with these arguments. `stdin` arrives in the pieces given. */
export async function run(
  args: readonly string[],
  { stdin = '', env = {}, terminal = false }: Surroundings = {},
): Promise<Ran> {
  const written = { stdout: '', stderr: '' }
  const output = (name: keyof typeof written) => ({
    write: (text: string) => {
      written[name] += text
    },
    drained: async () => {},
    isTerminal: terminal,
    columns: 100,
  })
  async function* pieces() {
    yield* typeof stdin === 'string' ? [stdin] : stdin
  }
  const io = { stdin: pieces(), stdout: output('stdout'), stderr: output('stderr'), env }
  const code = await runCli(args, io, createServices())
  return { code, ...written }
}

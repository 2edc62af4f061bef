// The proof an example configuration carries in its comments: commands (`# $ …`), what they print (`# > …`), and programs
// that have to run meanwhile (`# & …`, ready once they print a line).

import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { PATIENCE_MS } from './patience.ts'

export interface Proof {
  readonly programs: readonly string[]
  readonly commands: readonly { readonly command: string; readonly output: string }[]
}

/** Reads the comment block of an example. */
export function readProof(text: string): Proof {
  const programs: string[] = []
  const commands: { command: string; output: string }[] = []
  for (const line of text.split('\n')) {
    const rest = line.slice(4)
    if (line.startsWith('# & ')) programs.push(rest)
    if (line.startsWith('# $ ')) commands.push({ command: rest, output: '' })
    const last = commands.at(-1)
    if (line.startsWith('# > ') && last !== undefined) last.output += `${rest}\n`
  }
  return { programs, commands }
}

const ENVIRONMENT = { PATH: process.env.PATH ?? '', HOME: '/nonexistent' }

/** What a command prints on standard output, run by sh; `rewrite` puts the real ports in. Gives up after 20 seconds. */
export function printed(command: string, rewrite: (command: string) => string): Promise<string> {
  return new Promise((resolve) => {
    const options = { env: ENVIRONMENT, timeout: PATIENCE_MS }
    execFile('sh', ['-c', rewrite(command)], options, (_error, stdout) => resolve(stdout))
  })
}

/** Starts a program and waits for its first line. */
export async function startProgram(command: string): Promise<ChildProcess> {
  const child = spawn('sh', ['-c', `exec ${command}`], { env: ENVIRONMENT, stdio: ['ignore', 'pipe', 'inherit'] })
  await once(child.stdout, 'data', { signal: AbortSignal.timeout(PATIENCE_MS) })
  return child
}

/** Commands name the ports of the file; the lab under test has others. */
export function portRewriter(
  written: readonly { readonly port: number }[],
  real: readonly { readonly port: number }[],
): (command: string) => string {
  const ports = new Map(written.map(({ port }, at) => [port, real[at]?.port]))
  return (command) => command.replace(/(?<=127\.0\.0\.1:)\d+/g, (port) => String(ports.get(Number(port)) ?? port))
}

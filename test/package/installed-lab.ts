// A lab of the installed package, run as a program of its own.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { ownNetwork } from '../support/own-network.ts'
import { PATIENCE_MS } from '../support/patience.ts'

/** With what a file could be told from another by. */
export function filesOf(root: string): string[] {
  return readdirSync(root, { recursive: true, withFileTypes: true }).map(({ parentPath, name }) => {
    const { size, mtimeMs, ino } = statSync(join(parentPath, name))
    return `${join(parentPath, name)} ${size} ${mtimeMs} ${ino}`
  })
}

/** The configuration `init` writes, on ports and stand-ins of this test's own. */
export function privateConfig(cwd: string): void {
  const file = join(cwd, 'lab.yaml')
  const text = readFileSync(file, 'utf8').replace(/port: 80[89]0/g, 'port: 0')
  writeFileSync(file, `${text}\nstand_ins: { network: ${ownNetwork(6)} }\n`)
}

/** Runs a program that is a lab until it says that it listens; `stop` answers its exit code. */
export async function startLab(program: string, args: readonly string[], cwd: string) {
  const env = { PATH: `${join(process.execPath, '..')}:/usr/bin:/bin`, HOME: join(cwd, '..', 'home') }
  const child = spawn(program, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
  child.stdout.resume()
  await expect.poll(() => said + (child.exitCode ?? '')).toMatch(/explains why\.|\d$/)
  expect(said).toContain('explains why.')
  return {
    said,
    proxy: /proxy +(127\.0\.0\.1:\d+)/.exec(said)?.[1] ?? '',
    api: /API +(http:\/\/127\.0\.0\.1:\d+)/.exec(said)?.[1] ?? '',
    stop: async (): Promise<number> => {
      const ended = once(child, 'exit', { signal: AbortSignal.timeout(PATIENCE_MS) })
      child.kill('SIGTERM')
      return (await ended)[0]
    },
  }
}

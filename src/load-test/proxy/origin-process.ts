// The load origin as a process of its own, so that its processor time is its own.

import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'

/** A process of this project's that says one line when it is ready and stops when its standard input ends. */
export interface LoadProcess {
  readonly pid: number
  /** what it said */
  readonly line: string
  stop(): Promise<void>
}

export interface OriginProcess {
  readonly port: number
  stop(): Promise<void>
}

/** Rejects when it ends before it says anything. */
export async function startLoadProcess(file: string, args: readonly string[]): Promise<LoadProcess> {
  const child = spawn(process.execPath, [file, ...args], { stdio: ['pipe', 'pipe', 'inherit'] })
  for await (const line of createInterface({ input: child.stdout })) {
    return { pid: child.pid ?? 0, line, stop: () => stop(child) }
  }
  throw new Error('a load-test process ended without output')
}

/** Starts the load origin on an address. */
export async function startOriginProcess(host: string): Promise<OriginProcess> {
  const { line, stop } = await startLoadProcess(join(import.meta.dirname, 'origin.ts'), [host])
  return { port: Number(line), stop }
}

async function stop(child: ChildProcessByStdio<Writable, Readable, null>): Promise<void> {
  if (child.exitCode !== null) return
  const exited = once(child, 'exit')
  child.stdin.end()
  await exited
}

// The load origin as a process of its own, so that its processor time is its own.

import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'

/** A process of this project's that says one line when it is ready and stops when its standard input ends. */
export interface LoadProcess {
  readonly pid: number
  /** what it said */
  readonly line: string
  stop(): Promise<void>
}

const BODY = 'egresslab load origin: sixty-four bytes of nothing in particular.\n'
/** What the load origin answers. */
export const ANSWER = Buffer.from(
  `HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY}`,
)
/** A request whose first byte is this asks it for bytes without end. */
export const BULK = 'B'

export interface OriginProcess {
  readonly port: number
  stop(): Promise<void>
}

/** Rejects when it ends before it says anything. */
export async function startLoadProcess(module: URL, args: readonly string[]): Promise<LoadProcess> {
  const child = spawn(process.execPath, [fileURLToPath(module), ...args], { stdio: ['pipe', 'pipe', 'inherit'] })
  for await (const line of createInterface({ input: child.stdout })) {
    return { pid: child.pid ?? 0, line, stop: () => stop(child) }
  }
  throw new Error('a load-test process ended without output')
}

/** Starts the load origin on an address. */
export async function startOriginProcess(host: string): Promise<OriginProcess> {
  const { line, stop } = await startLoadProcess(new URL('./origin.ts', import.meta.url), [host])
  return { port: Number(line), stop }
}

async function stop(child: ChildProcessByStdio<Writable, Readable, null>): Promise<void> {
  if (child.exitCode !== null) return
  const exited = once(child, 'exit')
  child.stdin.end()
  await exited
}

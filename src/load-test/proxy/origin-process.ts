// The load origin as a process of its own, so that its processor time is its own; and the processor time of another process,
// all its threads, user and system, as the kernel accounts it (Linux).

import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
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

/** Kernel ticks per second; 100 on every Linux that Node runs on (USER_HZ). */
const TICKS_PER_SECOND = 100

/** Seconds of processor time used so far, to a hundredth, by a process (the first) and its descendants, those included that have
 *  ended and been waited for. Throws where /proc has no such process; a descendant may be gone by now. */
export function processorSeconds([root = 0, ...descendants]: readonly number[]): number {
  // the root last: by then it has the time of a child that ended meanwhile
  const ofDescendants = descendants.reduce((sum, pid) => sum + ticksOfChild(pid), 0)
  return (ofDescendants + ticksOf(root)) / TICKS_PER_SECOND
}

/** Resident memory in bytes. */
export function residentBytes(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]
  if (kilobytes === undefined) throw new Error(`cannot read the memory use of process ${pid}`)
  return Number(kilobytes) * 1024
}

function ticksOfChild(pid: number): number {
  try {
    return ticksOf(pid)
  } catch {
    return 0
  }
}

/** utime, stime, cutime and cstime of proc_pid_stat(5). */
function ticksOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return [11, 12, 13, 14].reduce((sum, at) => sum + Number(fields[at]), 0)
}

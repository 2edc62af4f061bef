// Processor time of another process, all its threads, user and system, as the kernel accounts it (Linux).

import { readFileSync } from 'node:fs'

/** Kernel ticks per second; 100 on every Linux that Node runs on (USER_HZ). */
const TICKS_PER_SECOND = 100

/** Seconds of processor time the processes have used so far, to a hundredth. Throws where /proc has no such process. */
export function processorSeconds(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + ticksOf(pid), 0) / TICKS_PER_SECOND
}

/** Resident memory in bytes. */
export function residentBytes(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]
  if (kilobytes === undefined) throw new Error(`process ${pid} does not say how much memory it has`)
  return Number(kilobytes) * 1024
}

function ticksOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return Number(fields[11]) + Number(fields[12])
}

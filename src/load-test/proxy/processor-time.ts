// Processor time of another process, all its threads, user and system, as the kernel accounts it (Linux).

import { readFileSync } from 'node:fs'

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

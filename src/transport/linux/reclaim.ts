// What a thread leaves behind when it ends without closing its engine: the system keeps descriptors for the whole process, and a listening
// socket that nobody accepts from would still be given its share of connections.

import { readFileSync } from 'node:fs'
import type { SystemCalls } from './system-calls.ts'

/** Closes an epoll descriptor and everything it watches, another epoll descriptor with what that one watches. Whoever made them must be
 *  gone. */
export function reclaim(calls: SystemCalls, epoll: number): void {
  for (const fd of descriptorsOf(epoll)) reclaim(calls, fd)
  calls.close(epoll)
}

/** proc_pid_fdinfo(5): one line `tfd: N` for each descriptor that is watched, none where this is no epoll descriptor */
function descriptorsOf(epoll: number): number[] {
  const text = readFileSync(`/proc/self/fdinfo/${epoll}`, 'latin1')
  return Array.from(text.matchAll(/^tfd:\s*(\d+)/gm), ([, fd]) => Number(fd))
}

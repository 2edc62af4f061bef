// What a thread leaves behind when it ends without closing its engine: the system keeps descriptors for the whole process, and a listening
// socket that nobody accepts from would still be given its share of connections.

import { readFileSync } from 'node:fs'
import type { SystemCalls } from './system-calls.ts'

/** Closes an epoll descriptor and everything it watches, another epoll descriptor with what that one watches. Whoever made them must be
 *  gone. `except`: what stays open. */
export function reclaim(calls: SystemCalls, epoll: number, except: Iterable<number> = []): void {
  // gathered first: two may watch the same one, and what is closed may be somebody else's at once
  const found = new Set<number>()
  gather(epoll, found)
  for (const fd of except) found.delete(fd)
  for (const fd of found) calls.close(fd)
}

function gather(fd: number, found: Set<number>): void {
  if (found.has(fd)) return
  found.add(fd)
  for (const watched of watchedBy(fd)) gather(watched, found)
}

/** proc_pid_fdinfo(5): one line `tfd: N` for each descriptor that is watched, none where this is no epoll descriptor */
function watchedBy(fd: number): readonly number[] {
  let text: string
  try {
    text = readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1')
  } catch {
    // there is no /proc
    return []
  }
  return Array.from(text.matchAll(/^tfd:\s*(\d+)/gm), ([, watched]) => Number(watched))
}

// How V8 is to look after the memory of this process. One setting, for a reason that was measured; no heap sizes, which are the
// operator's (NODE_OPTIONS).

import { setFlagsFromString } from 'node:v8'

/** V8 allocates among the old objects what comes from a place in the code whose objects tend to live on. Parts of connections are
 *  taken for such while many are open, and whatever they refer to then lives until the next major collection, sockets and all. Without
 *  that guess a minor collection takes 3 ms in place of 7 while thousands of short tunnels come and go, and a tunnel 0.85 of the
 *  processor time. For all threads of the process; to be called before anything is served. */
export function expectShortLives(): void {
  setFlagsFromString('--no-allocation-site-pretenuring')
}

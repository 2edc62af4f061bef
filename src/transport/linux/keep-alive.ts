// TCP keep-alive, as Node sets it for its own sockets.

import { OPTIONS, type SystemCalls } from './system-calls.ts'

const PROBES = 10

/** After so many seconds of silence the peer is asked every second, ten times, whether it is there. */
export function setKeepAlive(calls: SystemCalls, fd: number, seconds: number): void {
  calls.setOption(fd, OPTIONS.keepAlive, 1)
  calls.setOption(fd, OPTIONS.keepIdle, seconds)
  calls.setOption(fd, OPTIONS.keepInterval, 1)
  calls.setOption(fd, OPTIONS.keepCount, PROBES)
}

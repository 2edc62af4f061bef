// Memory and descriptors of a process, as Linux shows them.

import { readdirSync } from 'node:fs'
import { residentBytes } from '../../src/load-test/proxy/processor-time.ts'

export interface ProcessMetrics {
  readonly residentMb: number
  readonly descriptors: number
}

export function measureProcess(pid: number): ProcessMetrics {
  return { residentMb: residentBytes(pid) / 1e6, descriptors: readdirSync(`/proc/${pid}/fd`).length }
}

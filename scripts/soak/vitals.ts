// Memory and descriptors of a process, as Linux shows them.

import { readdirSync, readlinkSync } from 'node:fs'
import { residentBytes } from '../../src/load-test/proxy/processor-time.ts'

export interface Vitals {
  readonly residentMb: number
  readonly descriptors: number
}

export function vitalsOf(pid: number): Vitals {
  return { residentMb: residentBytes(pid) / 1e6, descriptors: readdirSync(`/proc/${pid}/fd`).length }
}

/** How many descriptors of each kind a process has: `socket`, `pipe`, `anon_inode:[eventpoll]`, a file's path. */
export function descriptorsByKind(pid: number): ReadonlyMap<string, number> {
  const kinds = new Map<string, number>()
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    const kind = kindOf(`/proc/${pid}/fd/${fd}`)
    if (kind !== undefined) kinds.set(kind, (kinds.get(kind) ?? 0) + 1)
  }
  return kinds
}

/** undefined: closed meanwhile */
function kindOf(link: string): string | undefined {
  try {
    const target = readlinkSync(link).replace(/:\[\d+\]$/, '')
    // libuv keeps one descriptor in reserve: of /dev/null at first, of / once it was needed
    return target === '/' ? '/dev/null' : target
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}

/** What there is more of, as text; empty: of nothing. */
export function moreOf(before: ReadonlyMap<string, number>, after: ReadonlyMap<string, number>): string {
  return [...after]
    .map(([kind, count]) => ({ kind, more: count - (before.get(kind) ?? 0) }))
    .filter(({ more }) => more > 0)
    .map(({ kind, more }) => `${more} × ${kind}`)
    .join(', ')
}

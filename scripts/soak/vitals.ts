// Memory and descriptors of a process, as Linux shows them.

import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { residentBytes } from '../../src/load-test/proxy/origin-process.ts'

export interface Vitals {
  readonly residentMb: number
  readonly descriptors: number
}

export function vitalsOf(pid: number): Vitals {
  return { residentMb: residentBytes(pid) / 1e6, descriptors: readdirSync(`/proc/${pid}/fd`).length }
}

/** Every descriptor of a process, by number: `socket:[4711]`, `pipe:[4712]`, `anon_inode:[eventpoll]`, a file's path. */
export function descriptorsOf(pid: number): ReadonlyMap<string, string> {
  const targets = new Map<string, string>()
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    const target = targetOf(`/proc/${pid}/fd/${fd}`)
    if (target !== undefined) targets.set(fd, target)
  }
  return targets
}

/** undefined: closed meanwhile */
function targetOf(link: string): string | undefined {
  try {
    const target = readlinkSync(link)
    // libuv keeps one descriptor in reserve: of /dev/null at first, of / once it was needed
    return target === '/' ? '/dev/null' : target
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}

/** Every descriptor that is new, of the kinds of which there are more; empty: there are no more of any kind. */
export function moreOf(before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>, pid: number): string {
  const [had, has] = [countKinds(before), countKinds(after)]
  const more = [...has].filter(([kind, count]) => count > (had.get(kind) ?? 0)).map(([kind]) => kind)
  if (more.length === 0) return ''
  const known = new Set(before.values())
  return [...after]
    .filter(([fd, target]) => {
      // what has no number of its own is known by that of its descriptor
      const isNew = kindOf(target) === target ? before.get(fd) !== target : !known.has(target)
      return more.includes(kindOf(target)) && isNew
    })
    .map(([fd, target]) => `${fd} ${target} ${connectionOf(pid, target)}`)
    .join(', ')
}

function countKinds(targets: ReadonlyMap<string, string>): ReadonlyMap<string, number> {
  const kinds = new Map<string, number>()
  for (const target of targets.values()) kinds.set(kindOf(target), (kinds.get(kindOf(target)) ?? 0) + 1)
  return kinds
}

function kindOf(target: string): string {
  return target.replace(/:\[\d+\]$/, '')
}

/** A socket's line in the system's tables: local and remote address in hexadecimal, and state. */
function connectionOf(pid: number, target: string): string {
  const inode = /^socket:\[(\d+)\]$/.exec(target)?.[1]
  if (inode === undefined) return ''
  for (const table of ['tcp', 'tcp6', 'udp', 'udp6']) {
    for (const line of readFileSync(`/proc/${pid}/net/${table}`, 'utf8').split('\n')) {
      const fields = line.trim().split(/\s+/)
      if (fields[9] === inode) return `(${table} ${fields[1]} to ${fields[2]}, state ${fields[3]})`
    }
  }
  return '(in no table: neither bound nor connected)'
}

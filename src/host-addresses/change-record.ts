// What was added to this machine, kept in the state folder so that `addresses down` takes away exactly that. One small file,
// replaced whole; it is gone when nothing is left to take away. Holds names of changes, never commands.

import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { inputError } from '../errors/issue.ts'
import { parseCidr } from '../net/cidr.ts'
import { NONLOCAL_BIND } from './system-commands.ts'

export interface ChangeRecord {
  readonly file: string
  /** names of changes, in the order they were made */
  readonly added: readonly string[]
  add(what: string): void
  /** Forgets a change that was taken back. */
  remove(what: string): void
}

/** Opens the record of a state folder. Throws an InputError for a file that is not one. */
export function openChangeRecord(state: string): ChangeRecord {
  const file = join(state, 'addresses.json')
  let added = read(file)
  const write = (next: readonly string[]) => {
    added = next
    if (next.length === 0) return rmSync(file, { force: true })
    mkdirSync(state, { recursive: true })
    writeFileSync(`${file}.new`, `${JSON.stringify({ added: next }, null, 2)}\n`)
    renameSync(`${file}.new`, file)
  }
  return {
    file,
    get added() {
      return added
    },
    add: (what) => write([...added.filter((one) => one !== what), what]),
    remove: (what) => write(added.filter((one) => one !== what)),
  }
}

function read(file: string): readonly string[] {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch {
    return []
  }
  const added: unknown = Object(parsed(text)).added
  if (Array.isArray(added) && added.every(isName)) return added
  const message = 'this is not a record of added addresses'
  const hint = '`ip route show table local` lists the routes of this machine; delete the file once none of it is left'
  throw inputError('address.bad_record', message, { hint, file })
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && (value === NONLOCAL_BIND || parseCidr(value) !== undefined)
}

// Why a state directory cannot be used, each in words a person can act on; and how SQLite says the same.

import { readFileSync, statfsSync } from 'node:fs'
import { join } from 'node:path'
import type { Kind } from '../config/lab-state.ts'
import { InputError, type Issue } from '../errors/issue.ts'

/** Somebody else owns it (CF-06). */
export function inUse(directory: string): InputError {
  let owner = ''
  try {
    owner = ` (process ${readFileSync(join(directory, 'owner'), 'utf8').trim()})`
  } catch {
    // the owner is only said where it is known
  }
  return refused(
    'state.in_use',
    `the state directory \`${directory}\` is in use by another egresslab${owner}`,
    'stop that one, or give this one its own with `--state DIR` or `--ephemeral`',
  )
}

/** Written by a version that knows more (CF-08). */
export function newer(file: string, version: number, known: number): InputError {
  return refused(
    'state.newer',
    `\`${file}\` was written by a newer egresslab (layout ${version}; this one knows ${known})`,
    'use the newer version, or another `--state DIR`',
  )
}

/** Neither the state nor its copy can be read (CF-05). */
export function bothDamaged(
  file: string,
  { fault, previous }: { readonly fault: string; readonly previous: string },
): InputError {
  return refused(
    'state.damaged',
    `\`${file}\` is ${fault} and its copy \`${previous}\` is damaged: both are left as they are`,
    'put a good copy in the place of one of them, or move both away to start with an empty state',
  )
}

/** A look at a state that only its copy can still be read of. */
export function readFromCopy(file: string, copy: string): Issue {
  return {
    severity: 'warning',
    code: 'state.damaged',
    message: `\`${file}\` cannot be read: this is what its copy \`${copy}\` says`,
    file,
  }
}

/** The copy that a later start would go on from was not made; the one of before stays. */
export function copyFailed(previous: string, thrown: unknown): Issue {
  const said = thrown instanceof Error ? thrown.message : String(thrown)
  return {
    severity: 'warning',
    code: 'state.no_copy',
    message: `the copy of the state \`${previous}\` could not be renewed: ${said}`,
    file: previous,
  }
}

/** The file system says no. */
export function unusable(directory: string, thrown: unknown): InputError {
  const said = thrown instanceof Error ? thrown.message : String(thrown)
  const full = isFull(directory, thrown)
  const reason = full && !/full/.test(said) ? `${said}; the disk is full` : said
  return refused(
    'state.unusable',
    `the state directory \`${directory}\` cannot be used: ${reason}`,
    `${full ? 'make room' : 'make it writable'}, or start with \`--state DIR\` or \`--ephemeral\``,
  )
}

/** SQLITE_FULL (13), ENOSPC, EDQUOT; or SQLITE_IOERR (10), as it says for files it maps, on a disk without room. */
function isFull(directory: string, thrown: unknown): boolean {
  const code = thrown instanceof Error && 'code' in thrown ? thrown.code : undefined
  if (resultCode(thrown) === 13 || code === 'ENOSPC' || code === 'EDQUOT') return true
  return resultCode(thrown) === 10 && freeBytes(directory) < NO_ROOM_BYTES
}

const NO_ROOM_BYTES = 128 * 1024

function freeBytes(directory: string): number {
  try {
    const { bavail, bsize } = statfsSync(directory)
    return bavail * bsize
  } catch {
    return Number.POSITIVE_INFINITY
  }
}

/** One problem that keeps the state from being used. */
export function refused(code: string, message: string, hint?: string): InputError {
  return new InputError([{ severity: 'error', code, message, ...(hint === undefined ? {} : { hint }) }])
}

/** SQLITE_BUSY (5) and SQLITE_LOCKED (6). */
export function isBusy(thrown: unknown): boolean {
  return [5, 6].includes(resultCode(thrown))
}

/** SQLite's primary result code; 0 for anything else. */
export function resultCode(thrown: unknown): number {
  const code = thrown instanceof Error && 'errcode' in thrown ? thrown.errcode : undefined
  return typeof code === 'number' ? code & 0xff : 0
}

/** The file's version of something changed at run time is a new one; the run-time change still holds. */
export function movedOn(kind: Kind, id: string, file: string): Issue {
  return Object.freeze({
    severity: 'warning',
    code: 'state.file_moved_on',
    message: `\`${kind}/${id}\` was changed at run time, and \`${file}\` has a newer version of it: the run-time change stays in force`,
    hint: `to take the file's version: DELETE /lab/v1/overrides/${kind}/${id}`,
    file,
  })
}

/** `policy.source` is `file`, and the API had changed rules before. */
export function rulesSetAside(count: number, file: string): Issue {
  return Object.freeze({
    severity: 'warning',
    code: 'state.rules_set_aside',
    message: `${count} rule${count === 1 ? '' : 's'} changed at run time set aside: rules come from \`${file}\` alone`,
    hint: 'set policy.source to `api` to have them back',
    file,
  })
}

/** Someone who listens for changes failed; the change itself stands. */
export function listenerFailed(thrown: unknown): Issue {
  const reason = thrown instanceof Error ? thrown.message : String(thrown)
  return Object.freeze({
    severity: 'warning',
    code: 'state.listener_failed',
    message: `a listener for changes failed: ${reason}`,
  })
}

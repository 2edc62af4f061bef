// Why a state directory cannot be used, each with a remedy; and SQLite's codes for the same.

import { readFileSync, statfsSync } from 'node:fs'
import { join } from 'node:path'
import type { Kind } from '../config/lab-state.ts'
import { type InputError, type Issue, inputError } from '../errors/issue.ts'

/** Another process owns it (CF-06). */
export function inUse(directory: string): InputError {
  let owner = ''
  try {
    owner = ` (process ${readFileSync(join(directory, 'owner'), 'utf8').trim()})`
  } catch {
    // the owner is named only if it is known
  }
  return refused(
    'state.in_use',
    `the state directory \`${directory}\` is in use by another egresslab${owner}`,
    'stop that process, or start this one beside it with `start --parallel --state DIR`, or with `--ephemeral`',
  )
}

/** Written by a newer version (CF-08). */
export function newer(file: string, version: number, known: number): InputError {
  return refused(
    'state.newer',
    `\`${file}\` was written by a newer egresslab (layout ${version}; this one knows ${known})`,
    'use the newer version, or another `--state DIR`',
  )
}

/** Used last by a newer version, of the same layout. */
export function usedByNewer(file: string, version: string, own: string): InputError {
  return refused(
    'state.newer',
    `\`${file}\` was last used by egresslab ${version}, and this is ${own}`,
    'use the newer version, or another `--state DIR`',
  )
}

/** Used last by an older version, which from now on refuses it. */
export function takenOver(file: string, version: string, own: string): Issue {
  return {
    severity: 'warning',
    code: 'state.taken_over',
    message: `\`${file}\` was last used by egresslab ${version}; from now on it belongs to ${own}, and ${version} refuses it`,
    file,
  }
}

/** Neither the state nor its copy can be read (CF-05). */
export function bothDamaged(
  file: string,
  { fault, previous }: { readonly fault: string; readonly previous: string },
): InputError {
  return refused(
    'state.damaged',
    `\`${file}\` is ${fault} and its copy \`${previous}\` is damaged; both are left unchanged`,
    'replace one of them with a good copy, or move both away to start with an empty state',
  )
}

/** The state can only be read from its copy. */
export function readFromCopy(file: string, copy: string): Issue {
  return {
    severity: 'warning',
    code: 'state.damaged',
    message: `\`${file}\` cannot be read; this was read from its copy \`${copy}\``,
    file,
  }
}

/** The copy for a later start could not be renewed; the earlier one stays. */
export function copyFailed(previous: string, thrown: unknown): Issue {
  const reason = thrown instanceof Error ? thrown.message : String(thrown)
  return {
    severity: 'warning',
    code: 'state.no_copy',
    message: `the copy of the state \`${previous}\` could not be renewed: ${reason}`,
    file: previous,
  }
}

/** The file system refuses. */
export function unusable(directory: string, thrown: unknown): InputError {
  const found = thrown instanceof Error ? thrown.message : String(thrown)
  const full = isFull(directory, thrown)
  const reason = full && !/full/.test(found) ? `${found}; the disk is full` : found
  return refused(
    'state.unusable',
    `the state directory \`${directory}\` cannot be used: ${reason}`,
    `${full ? 'make room' : 'make it writable'}, or start with \`--state DIR\` or \`--ephemeral\``,
  )
}

/** SQLITE_FULL (13), ENOSPC, EDQUOT; or SQLITE_IOERR (10), which SQLite returns for mapped files on a full disk. */
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

/** An InputError with one problem that prevents use of the state. */
export function refused(code: string, message: string, hint?: string): InputError {
  return inputError(code, message, { hint })
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

/** The file has a new version of something changed at run time; the runtime change still applies. */
export function movedOn(kind: Kind, id: string, file: string): Issue {
  return Object.freeze({
    severity: 'warning',
    code: 'state.file_moved_on',
    message: `\`${kind}/${id}\` was changed at run time, and \`${file}\` has a newer version of it; the change made at run time still applies`,
    hint: `to take the file's version: DELETE /lab/v1/overrides/${kind}/${id}`,
    file,
  })
}

/** `policy.source` is `file`, and rules were changed through the API before. */
export function rulesSetAside(count: number, file: string): Issue {
  return Object.freeze({
    severity: 'warning',
    code: 'state.rules_set_aside',
    message: `${count} rule${count === 1 ? '' : 's'} changed at run time set aside; rules come only from \`${file}\` alone`,
    hint: 'set policy.source to `api` to restore them',
    file,
  })
}

/** A listener for changes threw; the change itself stands. */
export function listenerFailed(thrown: unknown): Issue {
  const reason = thrown instanceof Error ? thrown.message : String(thrown)
  return Object.freeze({
    severity: 'warning',
    code: 'state.listener_failed',
    message: `a listener for changes failed: ${reason}`,
  })
}

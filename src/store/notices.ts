// What the store tells people at start and reload: never an error, always something they would want to know.

import type { Kind } from '../config/lab-state.ts'
import type { Issue } from '../errors/issue.ts'

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

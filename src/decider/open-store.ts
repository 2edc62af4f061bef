// Opens the store of a lab that starts; a store that cannot be opened is an InputError like any other.

import type { LabConfig } from '../config/lab-config.ts'
import { ChangeError } from '../errors/change-error.ts'
import { type InputError, type Issue, inputError } from '../errors/issue.ts'
import { type Journal, memoryJournal } from '../store/journal.ts'
import { unusable } from '../store/state-problems.ts'
import { createStore, type Store } from '../store/store.ts'

export interface OpenStoreOptions {
  /** what was changed at run time; absent: nothing was, and changes stay in memory */
  readonly kept?: { readonly journal: Journal; readonly folder: string }
  /** revisions are a fleet's, which the journal reads */
  readonly follows?: boolean
  readonly onNotice: (notice: Issue) => void
  /** epoch ms; default: the machine's */
  readonly machineTime?: () => number
}

/** Throws an InputError for a disk that cannot be written, and where file and run-time changes contradict each other; then the
 *  folder is given back. */
export function openStore(
  config: LabConfig,
  { kept, follows = false, onNotice, machineTime }: OpenStoreOptions,
): Store {
  const journal = kept?.journal ?? memoryJournal()
  try {
    return createStore(config, { journal, follows, onNotice, ...(machineTime === undefined ? {} : { machineTime }) })
  } catch (thrown) {
    journal.close()
    if (!(thrown instanceof ChangeError)) throw thrown
    throw thrown.code === 'change.disk'
      ? unusable(kept?.folder ?? '', thrown.cause)
      : contradiction(config, thrown, kept)
  }
}

function contradiction({ file }: LabConfig, { message }: ChangeError, kept: OpenStoreOptions['kept']): InputError {
  if (kept === undefined) return inputError('state.contradiction', message, { file })
  return inputError(
    'state.contradiction',
    `\`${file}\` and the run-time changes in \`${kept.folder}\` contradict each other: ${message}`,
    { hint: 'change the file, or start with `--ephemeral` or another `--state DIR`', file },
  )
}

// Files of the state directory are readable by their owner only: they hold users, addresses and rules (AP-07).

import { chmodSync, closeSync, openSync, statSync } from 'node:fs'

const OWNER_ONLY = 0o600
const OTHERS = 0o077

/** Creates the file if missing, readable by its owner only, and removes others' rights from an existing one. Throws
 *  the system's error. */
export function makePrivate(file: string): void {
  closeSync(openSync(file, 'a', OWNER_ONLY))
  keepPrivate(file)
}

/** The same for an existing file. */
export function keepPrivate(file: string): void {
  if ((statSync(file).mode & OTHERS) !== 0) chmodSync(file, OWNER_ONLY)
}

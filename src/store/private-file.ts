// Files of the state directory are their owner's alone: they hold people, addresses and rules (AP-07).

import { chmodSync, closeSync, openSync, statSync } from 'node:fs'

const OWNER_ONLY = 0o600
const OTHERS = 0o077

/** Makes the file where it is missing, for its owner only, and takes from others what rights they have to one that is there.
 *  Throws the system's error. */
export function makePrivate(file: string): void {
  closeSync(openSync(file, 'a', OWNER_ONLY))
  keepPrivate(file)
}

/** The same for a file that is there. */
export function keepPrivate(file: string): void {
  if ((statSync(file).mode & OTHERS) !== 0) chmodSync(file, OWNER_ONLY)
}

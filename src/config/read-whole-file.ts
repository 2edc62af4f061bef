// Reads a file named by the user, whatever it is: a FIFO without a writer or an endless device must not block the
// process.

import { closeSync, constants, fstatSync, openSync, readFileSync, statSync } from 'node:fs'

/** Where a shell passes a file through a pipe: `-c /dev/stdin`, `-c <(…)`. These end. */
const HANDED_OVER = /^(\/dev\/stdin|\/dev\/fd\/\d+|\/proc\/self\/fd\/\d+)$/

/** Thrown for anything that is not a regular file; `code` is in words. */
export class NotRegularError extends Error {
  override readonly name = 'NotRegularError'
  readonly code = 'it is not a regular file'

  constructor(path: string) {
    super(`\`${path}\` is not a regular file`)
  }
}

/** The contents of a regular file, as bytes. Throws {@link NotRegularError} for anything else but a directory, and
 *  the system's error. */
export function readWholeFile(path: string): Buffer {
  if (HANDED_OVER.test(path)) return readFileSync(path)
  requireRegular(path)
  const descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    const found = fstatSync(descriptor)
    if (!found.isFile() && !found.isDirectory()) throw new NotRegularError(path)
    return readFileSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

/** Checks the file before it is opened, since opening alone may block or have effects. Throws as {@link
 *  readWholeFile}; a directory is left to the caller. */
export function requireRegular(path: string): void {
  const found = statSync(path)
  if (!found.isFile() && !found.isDirectory()) throw new NotRegularError(path)
}

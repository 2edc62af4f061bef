// Reading a file that somebody named, whatever is behind the name: a FIFO nobody writes to or a device without end must not
// hold up the process.

import { closeSync, constants, fstatSync, openSync, readFileSync, statSync } from 'node:fs'

/** Where a shell hands a file over through a pipe: `-c /dev/stdin`, `-c <(…)`. They end. */
const HANDED_OVER = /^(\/dev\/stdin|\/dev\/fd\/\d+|\/proc\/self\/fd\/\d+)$/

/** Thrown for what is no file with contents and an end; `code` is in words. */
export class NotRegularError extends Error {
  override readonly name = 'NotRegularError'
  readonly code = 'it is not a regular file'

  constructor(path: string) {
    super(`\`${path}\` is not a regular file`)
  }
}

/** The whole of a regular file, as bytes. Throws {@link NotRegularError} for anything else but a directory, and the system's error. */
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

/** Looks before anything is opened, as opening alone may wait or do something. Throws as {@link readWholeFile} does; a directory is left
 *  to whoever reads it. */
export function requireRegular(path: string): void {
  const found = statSync(path)
  if (!found.isFile() && !found.isDirectory()) throw new NotRegularError(path)
}

// Files that the user names, read and written whole. A FIFO without a writer or an endless device must not block the
// process.

import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, resolve } from 'node:path'
import { type InputError, inputError } from '../errors/issue.ts'
import { errnoOf, messageOf } from '../errors/thrown.ts'

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

/** Creates a folder with its parents, unless it is there. Throws the system's error, with the reason: Node's recursive mkdir says
 *  ENOENT on a read-only file system, and never returns where a file system says so of what it does not create, as `/proc`. */
export function makeFolder(path: string, mode = 0o777): void {
  try {
    mkdirSync(path, { mode })
  } catch (thrown) {
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) return
    const parent = dirname(resolve(path))
    if (errnoOf(thrown) !== 'ENOENT' || existsSync(parent)) throw thrown
    makeFolder(parent, mode)
    makeFolder(path, mode)
  }
}

/** Writes a text file. Throws an InputError with this code where that fails. */
export function writeOutput(file: string, text: string, code: string): void {
  try {
    writeFileSync(file, text)
  } catch (thrown) {
    throw cannotWrite(file, thrown, code)
  }
}

/** Replaces a text file as a whole (CF-07): a failure leaves the file that was there. Throws an InputError with this code. */
export function replaceOutput(file: string, text: string, code: string, mode = 0o666): void {
  const draft = `${file}.new`
  try {
    writeFileSync(draft, text, { mode })
    renameSync(draft, file)
  } catch (thrown) {
    rmSync(draft, { force: true })
    throw cannotWrite(file, thrown, code)
  }
}

/** The error for a file or folder that cannot be written, with the system's code in brackets. */
export function cannotWrite(path: string, thrown: unknown, code: string): InputError {
  return inputError(code, `cannot write \`${path}\` (${errnoOf(thrown) || messageOf(thrown)})`)
}

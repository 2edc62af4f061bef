// Writes the files that a command's options name: reports, rules, PAC files.

import { renameSync, rmSync, writeFileSync } from 'node:fs'
import { type InputError, inputError } from '../errors/issue.ts'
import { errnoOf, messageOf } from '../errors/thrown.ts'

/** Writes a text file. Throws an InputError with this code where that fails. */
export function writeOutput(file: string, text: string, code: string): void {
  try {
    writeFileSync(file, text)
  } catch (thrown) {
    throw cannotWrite(file, thrown, code)
  }
}

/** Replaces a text file as a whole: a failure leaves the file that was there. Throws an InputError with this code. */
export function replaceOutput(file: string, text: string, code: string): void {
  const draft = `${file}.new`
  try {
    writeFileSync(draft, text)
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

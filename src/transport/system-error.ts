// Errors of the system in the form Node gives them.

import { getSystemErrorMessage, getSystemErrorName } from 'node:util'

/** `status` is a negative errno, `syscall` the call that failed. */
export function systemError(status: number, syscall: string): NodeJS.ErrnoException {
  const code = getSystemErrorName(status)
  const message = `${syscall} ${code}: ${getSystemErrorMessage(status)}`
  return Object.assign(new Error(message), { errno: status, code, syscall })
}

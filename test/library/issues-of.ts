// What an attempt was refused for, by the library's own error.

import { expect } from 'vitest'
import { InputError } from '../../src/library/index.ts'

/** Fails the test where nothing is refused. */
export async function issuesOf(attempt: () => unknown): Promise<InputError['issues']> {
  try {
    await attempt()
  } catch (thrown) {
    if (thrown instanceof InputError) return thrown.issues
    throw thrown
  }
  return expect.unreachable('nothing was refused')
}

// For a store that keeps nothing and lives for a moment: it has nothing to tell, and if it does, that must not pass in silence.

import type { Issue } from '../errors/issue.ts'

/** Throws what it is told. */
export function unexpectedNotice({ message }: Issue): never {
  throw new Error(`nobody was listening for this notice: ${message}`)
}

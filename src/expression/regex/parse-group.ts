// Reads what may follow a group's bracket: a name, flags, or nothing.

import type { Flags, PatternReader } from './reader.ts'

/** `flags`: a directive such as `(?i)`, complete with its closing bracket. */
export interface GroupHead {
  readonly kind: 'capture' | 'group' | 'flags'
  /** the flags that apply from here on */
  readonly flags: Flags
}

/** Names of groups; each may occur once in a pattern. */
export class GroupNames {
  readonly #names = new Set<string>()

  /** Reads a name after its `<`. Throws PatternProblem. */
  read(reader: PatternReader): void {
    const start = reader.at
    while (!reader.isAtEnd && !reader.sees('>')) {
      const allowed = reader.at === start ? FIRST_OF_NAME : REST_OF_NAME
      if (!allowed.test(reader.character)) throw reader.problem('invalid capture group name', reader.at)
      reader.bump()
    }
    const name = reader.text.slice(start, reader.at)
    if (!reader.take('>')) throw reader.problem('unclosed capture group name', start)
    if (name === '') throw reader.problem('empty capture group name', start)
    if (this.#names.has(name)) throw reader.problem('duplicate capture group name', start)
    this.#names.add(name)
  }
}

const FIRST_OF_NAME = /^[_\p{Alphabetic}]$/u
const REST_OF_NAME = /^[_.[\]\p{Alphabetic}\p{N}]$/u

/** Reads a group's head from its `(`. Throws PatternProblem. */
export function readGroupHead(reader: PatternReader, names: GroupNames): GroupHead {
  const start = reader.at
  reader.bumpPastIgnored()
  if (['?=', '?!', '?<=', '?<!'].some((prefix) => reader.sees(prefix))) {
    throw reader.problem('look-around, including look-ahead and look-behind, is not supported', start)
  }
  if (reader.take('?P<') || reader.take('?<')) {
    names.read(reader)
    return { kind: 'capture', flags: reader.flags }
  }
  if (!reader.take('?')) return { kind: 'capture', flags: reader.flags }
  const flags = readFlags(reader, start)
  return { kind: reader.take(')') ? 'flags' : takeColon(reader), flags }
}

function takeColon(reader: PatternReader): 'group' {
  reader.take(':')
  return 'group'
}

/** Reads `flags`, `-flags` or `flags-flags` up to `)` or `:`. */
function readFlags(reader: PatternReader, start: number): Flags {
  const flags: Record<keyof Flags, boolean> = { ...reader.flags }
  const seen = new Set<string>()
  let value = true
  for (let isFirst = true; !reader.sees(')') && !reader.sees(':'); isFirst = false) {
    const at = reader.at
    const flag = reader.character
    if (flag === '') throw reader.problem('unclosed group', at)
    reader.bump()
    if (flag === '-') {
      if (!value) throw reader.problem('flag negation operator repeated', at)
      value = false
      if (reader.sees(')') || reader.sees(':')) throw reader.problem('dangling flag negation operator', at)
      continue
    }
    if (!/[imsxRUu]/.test(flag)) throw reader.problem(isFirst ? 'unrecognized flag or group' : 'unrecognized flag', at)
    if (seen.has(flag)) throw reader.problem('duplicate flag', at)
    seen.add(flag)
    if (flag === 'u' && value) throw reader.problem('Unicode mode is not supported, patterns match bytes', at)
    if (isKept(flag)) flags[flag] = value
  }
  if (seen.size === 0 && reader.sees(')')) throw reader.problem('repetition operator missing expression', start)
  return flags
}

/** Swapped greed and the absence of Unicode mode do not affect whether a pattern matches. */
function isKept(flag: string): flag is keyof Flags {
  return flag !== 'u' && flag !== 'U'
}

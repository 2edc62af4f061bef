// What every text matched by a wildcard or a regular expression looks like, as keys of the rule index: whole texts, and
// endings that start with `.` or `@`. Undefined for a pattern that implies neither.

import type { RegexShape } from '../../expression/regex/shape.ts'
import type { Wildcard } from '../../expression/wildcard.ts'

/** At least one of these holds for every text that matches. Endings are compared without ASCII case. */
export type TextKey = { readonly whole: string } | { readonly ending: string }

/** `*.example.com` ends with `.example.com`. */
export function keysOfWildcard({ parts, strict }: Pick<Wildcard, 'parts' | 'strict'>): readonly TextKey[] | undefined {
  const [only] = parts
  if (parts.length === 1 && only !== undefined && strict) return [{ whole: only }]
  return ending(parts.at(-1) ?? '')
}

/** `^(.*\.)?corp\.test$` is `corp.test` or ends with `.corp.test`. */
export function keysOfRegex(shape: RegexShape): readonly TextKey[] | undefined {
  switch (shape.kind) {
    case 'equals':
      return shape.texts.map((whole) => ({ whole }))
    case 'ends':
      return ending(shape.text)
    case 'domain':
      return [{ whole: shape.text }, ...(ending(shape.dotted) ?? [])]
    case 'automaton':
      return ending(shape.suffix)
    default:
      return undefined
  }
}

/** The text from its first `.` or `@` on. */
function ending(text: string): readonly TextKey[] | undefined {
  const start = text.search(/[.@]/)
  return start < 0 ? undefined : [{ ending: text.slice(start) }]
}

// A compiled regular expression over byte strings: linear time for every pattern, and a string operation instead of an
// automaton where the pattern allows it. Never uses the platform's backtracking engine.

import { createAutomaton } from './automaton.ts'
import { parsePattern } from './parse-pattern.ts'
import { createProgram, type Pattern } from './pattern.ts'
import type { RegexPiece } from './piece.ts'
import { PatternProblem } from './reader.ts'
import { type RegexShape, shapeOf } from './shape.ts'

export interface Regex {
  /** the pattern as written between the quotes */
  readonly pattern: string
  /** what the pattern is equivalent to; `automaton` if nothing simpler is known */
  readonly shape: RegexShape
  /** Whether the pattern matches anywhere in the value (one code unit per byte). */
  matches(value: string): boolean
}

export type RegexResult =
  | { readonly ok: true; readonly regex: Regex }
  | {
      readonly ok: false
      readonly message: string
      /** UTF-16 offset into the pattern */
      readonly at: number
      readonly hint: string | undefined
      readonly tooLarge: boolean
    }

/** Compiles a pattern. `sizeLimit`: bytes of the engine's compiled form ([L16]). Never throws. */
export function createRegex(pattern: string, sizeLimit: number): RegexResult {
  let piece: RegexPiece
  try {
    piece = parsePattern(pattern)
  } catch (problem) {
    if (!(problem instanceof PatternProblem)) throw problem
    const { message, at, hint } = problem
    return { ok: false, message, at, hint, tooLarge: false }
  }
  if (piece.bytes > sizeLimit) {
    const message = `compiled regex exceeds size limit of ${sizeLimit} bytes`
    return { ok: false, message, at: 0, hint: 'use smaller repetition counts', tooLarge: true }
  }
  const shape = shapeOf(piece.pattern)
  return { ok: true, regex: Object.freeze({ pattern, shape, matches: matcherOf(shape, piece.pattern) }) }
}

function matcherOf(shape: RegexShape, tree: Pattern): (value: string) => boolean {
  switch (shape.kind) {
    case 'always':
      return () => true
    case 'equals': {
      const [only] = shape.texts
      if (shape.texts.length === 1 && only !== undefined) return (value) => value === only
      const texts = new Set(shape.texts)
      return (value) => texts.has(value)
    }
    case 'starts': {
      const { text } = shape
      return (value) => value.startsWith(text)
    }
    case 'ends': {
      const { text } = shape
      if (shape.oneLine) return (value) => value.endsWith(text) && !value.includes('\n')
      return (value) => value.endsWith(text)
    }
    case 'contains': {
      const { text } = shape
      return (value) => value.includes(text)
    }
    case 'domain': {
      const { text, dotted } = shape
      if (shape.oneLine) return (value) => value === text || (value.endsWith(dotted) && !value.includes('\n'))
      return (value) => value === text || value.endsWith(dotted)
    }
    case 'automaton': {
      // made when first needed: most rules are never evaluated, only looked up
      let test: ((value: string) => boolean) | undefined
      return (value) => {
        test ??= automatonOf(shape, tree)
        return test(value)
      }
    }
  }
}

/** The automaton, after a cheap test for text that every match must contain. */
function automatonOf(shape: RegexShape & { kind: 'automaton' }, tree: Pattern): (value: string) => boolean {
  const test = createAutomaton(createProgram(tree))
  const { prefix, suffix, inner } = shape
  if (suffix !== '') {
    if (inner === '') return (value) => value.endsWith(suffix) && value.startsWith(prefix) && test(value)
    return (value) => value.endsWith(suffix) && value.startsWith(prefix) && value.includes(inner) && test(value)
  }
  if (prefix !== '') return (value) => value.startsWith(prefix) && value.includes(inner) && test(value)
  return inner === '' ? test : (value) => value.includes(inner) && test(value)
}

// A regular expression as a tree over bytes: what is left of a pattern once flags, escapes, classes and names are
// resolved. Whether a repetition is greedy is gone too, because only "does it match" is ever asked.

import type { ByteClass } from './byte-class.ts'

export type Pattern =
  | { readonly kind: 'empty' }
  | { readonly kind: 'byte'; readonly byte: number }
  | { readonly kind: 'class'; readonly set: ByteClass }
  | { readonly kind: 'sequence'; readonly items: readonly Pattern[] }
  | { readonly kind: 'choice'; readonly items: readonly Pattern[] }
  /** `max` may be Infinity */
  | { readonly kind: 'repeat'; readonly item: Pattern; readonly min: number; readonly max: number }
  | { readonly kind: 'assert'; readonly what: Assertion }

/** Places that take no byte; `crlf-` ones also know `\r` and `\r\n` as line ends. */
export type Assertion =
  | 'start'
  | 'end'
  | 'line-start'
  | 'line-end'
  | 'crlf-line-start'
  | 'crlf-line-end'
  | 'word-boundary'
  | 'not-word-boundary'
  | 'word-start'
  | 'word-end'
  | 'word-start-half'
  | 'word-end-half'

export const EMPTY: Pattern = { kind: 'empty' }

/** The items one after the other, flat, without empty ones. */
export function sequence(items: readonly Pattern[]): Pattern {
  const flat = items.flatMap((item) => (item.kind === 'sequence' ? item.items : item.kind === 'empty' ? [] : [item]))
  const [only] = flat
  if (only === undefined) return EMPTY
  return flat.length === 1 ? only : { kind: 'sequence', items: flat }
}

/** States the pattern takes when every repetition is written out; what the size limit counts. */
export function sizeOf(pattern: Pattern): number {
  switch (pattern.kind) {
    case 'empty':
    case 'byte':
    case 'class':
    case 'assert':
      return 1
    case 'sequence':
    case 'choice':
      return pattern.items.reduce((sum, item) => sum + sizeOf(item), 1)
    case 'repeat': {
      const times = pattern.max === Number.POSITIVE_INFINITY ? pattern.min + 1 : pattern.max
      return 1 + sizeOf(pattern.item) * Math.max(times, 1)
    }
  }
}

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

/** `max` may be Infinity. What takes no byte is the same however often it stands there, and none of anything is nothing. */
export function repeat(item: Pattern, min: number, max: number): Pattern {
  const most = takesNothing(item) ? 1 : Number.POSITIVE_INFINITY
  const [low, high] = [Math.min(min, most), Math.min(max, most)]
  if (high === 0) return EMPTY
  return low === 1 && high === 1 ? item : { kind: 'repeat', item, min: low, max: high }
}

/** Can it only ever match no byte at all? */
export function takesNothing(pattern: Pattern): boolean {
  switch (pattern.kind) {
    case 'empty':
    case 'assert':
      return true
    case 'byte':
    case 'class':
      return false
    case 'sequence':
    case 'choice':
      return pattern.items.every(takesNothing)
    case 'repeat':
      return takesNothing(pattern.item)
  }
}

// A regular expression as a tree over bytes, with flags, escapes, classes and names resolved. Does not record greed:
// only whether a value matches is ever needed.

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

/** Zero-width positions; `crlf-` ones also accept `\r` and `\r
 *  ` as line ends. */
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

/** The items in sequence, flattened, without empty ones. */
export function sequence(items: readonly Pattern[]): Pattern {
  const flat = items.flatMap((item) => (item.kind === 'sequence' ? item.items : item.kind === 'empty' ? [] : [item]))
  const [only] = flat
  if (only === undefined) return EMPTY
  return flat.length === 1 ? only : { kind: 'sequence', items: flat }
}

/** `max` may be Infinity. A zero-width item is never repeated, and zero repetitions are empty. */
export function repeat(item: Pattern, min: number, max: number): Pattern {
  const most = takesNothing(item) ? 1 : Number.POSITIVE_INFINITY
  const [low, high] = [Math.min(min, most), Math.min(max, most)]
  if (high === 0) return EMPTY
  return low === 1 && high === 1 ? item : { kind: 'repeat', item, min: low, max: high }
}

/** Whether it can only match the empty text. */
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

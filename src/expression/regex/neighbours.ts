// What assertions look at: the byte before and the byte behind a place, as far as any assertion cares.

import { type ByteClass, PERL_CLASSES } from './byte-class.ts'
import type { Assertion } from './pattern.ts'

/** EDGE is the start (looking back) or the end (looking ahead) of the value. */
export const EDGE = 0
export const OTHER = 1
export const LINE_FEED = 2
export const CARRIAGE_RETURN = 3
export const WORD = 4

const WORD_BYTES = PERL_CLASSES.w as ByteClass

/** The kind of every byte, for these assertions: differences none of them can see are not made. */
export function kindsOfBytes(assertions: readonly Assertion[]): Uint8Array {
  const kinds = new Uint8Array(256).fill(OTHER)
  if (assertions.some((what) => what.includes('word'))) {
    for (let byte = 0; byte < 256; byte++) if (WORD_BYTES[byte] === 1) kinds[byte] = WORD
  }
  if (assertions.some((what) => what.includes('line'))) kinds[0x0a] = LINE_FEED
  if (assertions.some((what) => what.startsWith('crlf'))) kinds[0x0d] = CARRIAGE_RETURN
  return kinds
}

/** Does the assertion hold between a byte of kind `before` and one of kind `after`? */
export function holds(what: Assertion, before: number, after: number): boolean {
  switch (what) {
    case 'start':
      return before === EDGE
    case 'end':
      return after === EDGE
    case 'line-start':
      return before === EDGE || before === LINE_FEED
    case 'line-end':
      return after === EDGE || after === LINE_FEED
    case 'crlf-line-start':
      return before === EDGE || before === LINE_FEED || (before === CARRIAGE_RETURN && after !== LINE_FEED)
    case 'crlf-line-end':
      return after === EDGE || after === CARRIAGE_RETURN || (after === LINE_FEED && before !== CARRIAGE_RETURN)
    case 'word-boundary':
      return (before === WORD) !== (after === WORD)
    case 'not-word-boundary':
      return (before === WORD) === (after === WORD)
    case 'word-start':
      return before !== WORD && after === WORD
    case 'word-end':
      return before === WORD && after !== WORD
    case 'word-start-half':
      return before !== WORD
    case 'word-end-half':
      return after !== WORD
  }
}

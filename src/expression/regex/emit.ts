// Prints a byte pattern in the small part of RE2's syntax that means the same thing in every RE2: explicit classes,
// non-capturing groups, `\A`, `\z`, `\b`. Everything dialect-specific has been resolved before.

import { toRanges } from './byte-class.ts'
import type { Assertion, Pattern } from './pattern.ts'

/** RE2 refuses counted repetitions beyond this product; larger ones are written out. */
const REPEAT_LIMIT = 1000

const ASSERTIONS: Readonly<Record<Assertion, string>> = {
  start: '\\A',
  end: '\\z',
  'line-start': '(?m:^)',
  'line-end': '(?m:$)',
  'word-boundary': '\\b',
  'not-word-boundary': '\\B',
}

/** The pattern as text for RE2, to be matched against a string of which every unit is one byte. */
export function emitPattern(pattern: Pattern): string {
  switch (pattern.kind) {
    case 'empty':
      return '(?:)'
    case 'byte':
      return hex(pattern.byte)
    case 'class':
      return emitRanges(toRanges(pattern.set))
    case 'assert':
      return ASSERTIONS[pattern.what]
    case 'sequence':
      return pattern.items.map(emitPattern).join('')
    case 'choice':
      return `(?:${pattern.items.map(emitPattern).join('|')})`
    case 'repeat':
      return emitRepeat(pattern.item, pattern.min, pattern.max)
  }
}

function emitRanges(ranges: readonly (readonly [number, number])[]): string {
  if (ranges.length === 0) return '[^\\x00-\\x{10FFFF}]'
  return `[${ranges.map(([first, last]) => (first === last ? hex(first) : `${hex(first)}-${hex(last)}`)).join('')}]`
}

function emitRepeat(item: Pattern, min: number, max: number): string {
  const unit = `(?:${emitPattern(item)})`
  if (max === 0) return '(?:)'
  if (max === Number.POSITIVE_INFINITY) {
    if (min === 0) return `${unit}*`
    return min === 1 ? `${unit}+` : `${emitTimes(item, unit, min, min)}${unit}*`
  }
  return emitTimes(item, unit, min, max)
}

/** `unit` from `min` to `max` times, in pieces RE2 takes. */
function emitTimes(item: Pattern, unit: string, min: number, max: number): string {
  if (min === 0 && max === 1) return `${unit}?`
  const most = Math.max(1, Math.floor(REPEAT_LIMIT / countedProduct(item)))
  const pieces: string[] = []
  let low = min
  for (let left = max; left > 0; ) {
    const high = Math.min(left, most)
    const least = Math.min(low, high)
    pieces.push(high === 1 ? (least === 1 ? unit : `${unit}?`) : `${unit}{${least},${high}}`)
    low -= least
    left -= high
  }
  return `(?:${pieces.join('')})`
}

/** How often the innermost counted item is repeated, as RE2 counts it. */
function countedProduct(pattern: Pattern): number {
  if (pattern.kind === 'sequence' || pattern.kind === 'choice') {
    return Math.max(1, ...pattern.items.map(countedProduct))
  }
  if (pattern.kind !== 'repeat') return 1
  const times = pattern.max === Number.POSITIVE_INFINITY ? pattern.min : pattern.max
  const inner = countedProduct(pattern.item)
  return inner * Math.max(1, Math.min(times, Math.max(1, Math.floor(REPEAT_LIMIT / inner))))
}

function hex(byte: number): string {
  return `\\x${byte.toString(16).padStart(2, '0')}`
}

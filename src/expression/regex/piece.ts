// A parsed part of a pattern: its tree, its nesting depth, and its size in the engine's compiled form. Depth and size
// depend on the text as written, so the tree alone does not have them.

import { type ByteClass, EMPTY, type Pattern, repeat, sequence, takesNothing } from './pattern.ts'

export interface RegexPiece {
  readonly pattern: Pattern
  /** nesting depth of groups, brackets, alternations, concatenations, repetitions and class operators */
  readonly depth: number
  /** bytes of the engine's compiled form, in which every repetition is expanded */
  readonly bytes: number
}

/** Bytes of one state, of one range of a class and of one branch (regex-automata 0.4, 64 bits). */
const STATE = 32
const RANGE = 8
const BRANCH = 4
const PLACE = 2 * STATE + BRANCH

export const NOTHING: RegexPiece = { pattern: EMPTY, depth: 0, bytes: STATE }

/** Bytes to match one after the other. */
export function literalPiece(bytes: readonly number[]): RegexPiece {
  const pattern = sequence(bytes.map((byte): Pattern => ({ kind: 'byte', byte })))
  return { pattern, depth: 0, bytes: STATE * bytes.length }
}

/** One byte of a set. */
export function classPiece(set: ByteClass, depth: number): RegexPiece {
  return { pattern: { kind: 'class', set }, depth, bytes: bytesOfClass(set) }
}

/** A zero-width assertion. */
export function assertionPiece(pattern: Pattern & { kind: 'assert' }): RegexPiece {
  return { pattern, depth: 0, bytes: STATE }
}

/** Pieces in sequence. `count`: items of the text, including flag directives. */
export function concatenation(pieces: readonly RegexPiece[], count: number): RegexPiece {
  const [only] = pieces
  if (count === 1 && only !== undefined) return only
  const taking = pieces.filter(({ pattern }) => pattern.kind !== 'empty')
  return {
    pattern: sequence(taking.map(({ pattern }) => pattern)),
    depth: count === 0 ? 0 : deepest(pieces) + 1,
    bytes: count === 0 || taking.length === 0 ? STATE : sum(taking),
  }
}

/** One of several pieces. */
export function alternation(pieces: readonly RegexPiece[]): RegexPiece {
  const items = pieces.map(({ pattern }) => pattern)
  return { pattern: { kind: 'choice', items }, depth: deepest(pieces) + 1, bytes: bytesOfChoice(pieces, items) }
}

/** A piece in a group; `captures`: whether it is a capturing one. */
export function groupPiece(inner: RegexPiece, captures: boolean): RegexPiece {
  return { ...inner, depth: inner.depth + 1, bytes: captures ? inner.bytes + 2 * STATE : inner.bytes }
}

/** `max` may be Infinity. */
export function repetition(item: RegexPiece, min: number, max: number): RegexPiece {
  const pattern = repeat(item.pattern, min, max)
  return { pattern, depth: item.depth + 1, bytes: bytesOfRepetition(item, pattern) }
}

function bytesOfRepetition({ pattern: inner, bytes }: RegexPiece, pattern: Pattern): number {
  if (pattern.kind === 'empty') return STATE
  if (pattern === inner || pattern.kind !== 'repeat') return bytes
  const { min, max } = pattern
  const fork = STATE + 2 * BRANCH
  if (max === Number.POSITIVE_INFINITY) {
    if (min > 0) return min * bytes + fork
    return mayTakeNothing(inner) ? bytes + 2 * fork + STATE : bytes + fork
  }
  if (min === max) return min * bytes
  if (max === 1) return bytes + fork + STATE
  return (min === 0 ? STATE : min * bytes) + STATE + (max - min) * (fork + bytes)
}

/** Single bytes become one class, texts a prefix tree, anything else one branch each. */
function bytesOfChoice(pieces: readonly RegexPiece[], items: readonly Pattern[]): number {
  const merged = mergedClass(pieces)
  if (merged !== undefined) return bytesOfClass(merged)
  const texts = items.map((item) => literalText(item))
  if (texts.every((text, at) => text !== undefined && pieces[at]?.bytes === STATE * text.length)) {
    return bytesOfTexts(texts.filter((text) => text !== undefined))
  }
  return sum(pieces) + 2 * STATE + BRANCH * pieces.length
}

function mergedClass(pieces: readonly RegexPiece[]): ByteClass | undefined {
  if (pieces.some(({ pattern: { kind } }) => kind !== 'byte' && kind !== 'class')) return undefined
  const all = new Uint8Array(256)
  for (const { pattern, bytes } of pieces) {
    if (pattern.kind === 'byte' && bytes === STATE) all[pattern.byte] = 1
    else if (pattern.kind === 'class' && bytes === bytesOfClass(pattern.set)) {
      for (let byte = 0; byte < 256; byte++) if (pattern.set[byte] === 1) all[byte] = 1
    } else return undefined
  }
  return all
}

/** The engine matches a value from either end and so keeps two trees; the larger one counts. */
function bytesOfTexts(texts: readonly string[]): number {
  return STATE + Math.max(bytesOfTree(texts, 'forward'), bytesOfTree(texts, 'backward'))
}

/** Nodes of a tree that are told apart; texts that need more are counted as if they shared no prefix. */
const MOST_PLACES = 2 ** 20

/** The prefix tree of the texts: a branch and a class of next bytes at every node that continues. */
function bytesOfTree(texts: readonly string[], direction: 'forward' | 'backward'): number {
  const next = new Map<number, number>()
  const branches = [0]
  let beyond = 0
  for (const text of texts) {
    let place = 0
    for (let step = 0; step < text.length; step++) {
      const byte = text.charCodeAt(direction === 'forward' ? step : text.length - 1 - step)
      const known = next.get(place * 256 + byte)
      if (known === undefined && next.size >= MOST_PLACES) {
        beyond += text.length - step
        break
      }
      const to = known ?? branches.push(0) - 1
      if (known === undefined) {
        next.set(place * 256 + byte, to)
        branches[place] = (branches[place] ?? 0) + 1
      }
      place = to
    }
  }
  const inner = branches.filter((count) => count > 0)
  return inner.reduce((bytes, count) => bytes + PLACE + (count > 1 ? RANGE * count : 0), beyond * PLACE)
}

function bytesOfClass(set: ByteClass): number {
  let ranges = 0
  let members = 0
  for (let byte = 0; byte < 256; byte++) {
    if (set[byte] !== 1) continue
    members++
    if (byte === 0 || set[byte - 1] !== 1) ranges++
  }
  return members === 1 ? STATE : 2 * STATE + RANGE * ranges
}

function literalText(pattern: Pattern): string | undefined {
  const items = pattern.kind === 'sequence' ? pattern.items : [pattern]
  let text = ''
  for (const item of items) {
    if (item.kind !== 'byte') return undefined
    text += String.fromCharCode(item.byte)
  }
  return text
}

function mayTakeNothing(pattern: Pattern): boolean {
  switch (pattern.kind) {
    case 'byte':
    case 'class':
      return false
    case 'sequence':
      return pattern.items.every(mayTakeNothing)
    case 'choice':
      return pattern.items.some(mayTakeNothing)
    case 'repeat':
      return pattern.min === 0 || mayTakeNothing(pattern.item)
    default:
      return takesNothing(pattern)
  }
}

function deepest(pieces: readonly RegexPiece[]): number {
  return pieces.reduce((most, { depth }) => Math.max(most, depth), 0)
}

function sum(pieces: readonly RegexPiece[]): number {
  return pieces.reduce((all, { bytes }) => all + bytes, 0)
}

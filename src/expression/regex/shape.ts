// Recognises patterns that are equivalent to something simpler: fixed text, a prefix, a suffix, a few words, a domain
// with its subdomains. The rule index uses the result too.

import type { Pattern } from './pattern.ts'

/** All text is bytes. `domain`: `text` itself or anything that ends in `dotted` (which is `.` + `text`). `oneLine`:
 *  only if no line feed precedes the text. `automaton`: nothing simpler; a match must start with `prefix`, end with
 *  `suffix` and contain `inner` (each may be empty). */
export type RegexShape =
  | { readonly kind: 'always' }
  | { readonly kind: 'equals'; readonly texts: readonly string[] }
  | { readonly kind: 'starts'; readonly text: string }
  | { readonly kind: 'ends'; readonly text: string; readonly oneLine: boolean }
  | { readonly kind: 'contains'; readonly text: string }
  | { readonly kind: 'domain'; readonly text: string; readonly dotted: string; readonly oneLine: boolean }
  | { readonly kind: 'automaton'; readonly prefix: string; readonly suffix: string; readonly inner: string }

/** Alternatives that amount to more texts than this stay automata. */
const TEXT_LIMIT = 64

/** The simplest equivalent of a pattern. */
export function shapeOf(pattern: Pattern): RegexShape {
  const items = pattern.kind === 'sequence' ? [...pattern.items] : [pattern]
  const anchoredStart = dropWhile(items, isStart, 'front')
  const anchoredEnd = dropWhile(items, isEnd, 'back')
  if (!anchoredStart) dropWhile(items, isOptionalRun, 'front')
  if (!anchoredEnd) dropWhile(items, isOptionalRun, 'back')
  const texts = textsOf(items)
  if (texts !== undefined)
    return anchored(texts, anchoredStart, anchoredEnd) ?? automaton(items, anchoredStart, anchoredEnd)
  const special = anchoredEnd
    ? (domainOf(items, anchoredStart) ?? (anchoredStart ? suffixOf(items) : undefined))
    : undefined
  return special ?? automaton(items, anchoredStart, anchoredEnd)
}

function anchored(texts: readonly string[], start: boolean, end: boolean): RegexShape | undefined {
  if (start && end) return { kind: 'equals', texts }
  const [text, ...others] = texts
  if (text === undefined || others.length > 0) return undefined
  if (text === '') return { kind: 'always' }
  if (start) return { kind: 'starts', text }
  return end ? { kind: 'ends', text, oneLine: false } : { kind: 'contains', text }
}

function automaton(items: readonly Pattern[], start: boolean, end: boolean): RegexShape {
  const runs = literalRuns(items)
  const [first] = runs
  const last = runs.at(-1)
  const longest = runs.reduce((best, run) => (run.text.length > best.length ? run.text : best), '')
  const prefix = start && first?.from === 0 ? first.text : ''
  const suffix = end && last?.to === items.length ? last.text : ''
  const isCovered = prefix.includes(longest) || suffix.includes(longest)
  return { kind: 'automaton', prefix, suffix, inner: isCovered ? '' : longest }
}

interface Run {
  readonly from: number
  readonly to: number
  readonly text: string
}

/** Adjacent single bytes, as texts that every match must contain. */
function literalRuns(items: readonly Pattern[]): Run[] {
  const runs: Run[] = []
  for (const [at, item] of items.entries()) {
    if (item.kind !== 'byte') continue
    const unit = String.fromCharCode(item.byte)
    const last = runs.at(-1)
    if (last?.to === at) runs[runs.length - 1] = { from: last.from, to: at + 1, text: last.text + unit }
    else runs.push({ from: at, to: at + 1, text: unit })
  }
  return runs
}

/** `(^|\.)text$`, `^(.*\.)?text$`: the domain and its subdomains. */
function domainOf(items: readonly Pattern[], anchoredStart: boolean): RegexShape | undefined {
  const [head, ...rest] = items
  const text = singleText(rest)
  if (head === undefined || text === undefined) return undefined
  const dotted = `.${text}`
  if (!anchoredStart) return isStartOrDot(head) ? { kind: 'domain', text, dotted, oneLine: false } : undefined
  if (head.kind !== 'repeat' || head.min !== 0 || head.max !== 1 || head.item.kind !== 'sequence') return undefined
  const [run, dot, ...others] = head.item.items
  if (run === undefined || dot === undefined || others.length > 0 || !isDot(dot)) return undefined
  const taken = anyRun(run)
  return taken === undefined ? undefined : { kind: 'domain', text, dotted, oneLine: taken === 'one-line' }
}

/** `^.*text$` */
function suffixOf(items: readonly Pattern[]): RegexShape | undefined {
  const [run, ...rest] = items
  const text = singleText(rest)
  const taken = run === undefined ? undefined : anyRun(run)
  return taken === undefined || text === undefined ? undefined : { kind: 'ends', text, oneLine: taken === 'one-line' }
}

/** The only text without line feeds that the items match. */
function singleText(items: readonly Pattern[]): string | undefined {
  const texts = textsOf(items)
  const [text] = texts ?? []
  return texts?.length === 1 && text !== '' && !text?.includes('\n') ? text : undefined
}

function isStartOrDot(pattern: Pattern): boolean {
  if (pattern.kind !== 'choice' || pattern.items.length !== 2) return false
  return pattern.items.some(isStart) && pattern.items.some(isDot)
}

/** `.*`, with or without line feeds. */
function anyRun(pattern: Pattern): 'any' | 'one-line' | undefined {
  if (pattern.kind !== 'repeat' || pattern.min !== 0 || pattern.max !== Number.POSITIVE_INFINITY) return undefined
  if (pattern.item.kind !== 'class') return undefined
  const missing = pattern.item.set.reduce((count, flag) => count + 1 - flag, 0)
  if (missing === 0) return 'any'
  return missing === 1 && pattern.item.set[0x0a] === 0 ? 'one-line' : undefined
}

function isDot(pattern: Pattern): boolean {
  return pattern.kind === 'byte' && pattern.byte === 0x2e
}

function isStart(pattern: Pattern): boolean {
  return pattern.kind === 'assert' && pattern.what === 'start'
}

function isEnd(pattern: Pattern): boolean {
  return pattern.kind === 'assert' && pattern.what === 'end'
}

/** Something that can match the empty text at the edge of an unanchored search, and so requires nothing. */
function isOptionalRun(pattern: Pattern): boolean {
  return pattern.kind === 'repeat' && pattern.min === 0
}

/** Every text the items can match, if they are few. */
function textsOf(items: readonly Pattern[]): readonly string[] | undefined {
  let texts: readonly string[] = ['']
  for (const item of items) {
    const next = textsOfOne(item)
    if (next === undefined || next.length * texts.length > TEXT_LIMIT) return undefined
    texts = texts.flatMap((text) => next.map((more) => text + more))
  }
  return texts
}

function textsOfOne(pattern: Pattern): readonly string[] | undefined {
  switch (pattern.kind) {
    case 'empty':
      return ['']
    case 'byte':
      return [String.fromCharCode(pattern.byte)]
    case 'sequence':
      return textsOf(pattern.items)
    case 'choice': {
      const all = pattern.items.map((item) => textsOfOne(item))
      return all.some((texts) => texts === undefined) ? undefined : all.flatMap((texts) => texts ?? [])
    }
    case 'repeat': {
      if (pattern.min !== 0 || pattern.max !== 1) return undefined
      const texts = textsOfOne(pattern.item)
      return texts === undefined ? undefined : ['', ...texts]
    }
    default:
      return undefined
  }
}

/** Removes matching items from one end; returns whether there were any. */
function dropWhile(items: Pattern[], test: (item: Pattern) => boolean, end: 'front' | 'back'): boolean {
  let dropped = false
  for (;;) {
    const item = end === 'front' ? items[0] : items.at(-1)
    if (item === undefined || !test(item)) return dropped
    if (end === 'front') items.shift()
    else items.pop()
    dropped = true
  }
}

// Names in expressions, which rules in a file may write for ids: puts ids in their place before anything is parsed, and
// shows expressions and positions as their author wrote them (docs/decisions/0020-names-in-rules.md).

import type { Span } from '../expression/index.ts'
import { configuredId, type Names, noSuch, type ReferenceKind } from './names.ts'

/** A name that its author wrote for an id. `at` and `length`: of the id in the expanded expression, in characters. */
export interface WrittenName {
  readonly at: number
  readonly length: number
  readonly written: string
}

/** An expression in the product's language, with ids, and how its author wrote it. */
export interface ExpandedExpression {
  readonly text: string
  readonly names: readonly WrittenName[]
  /** names of nothing; in `text` each has an id all the same. `span`: in characters of the written text. */
  readonly unknown: readonly { readonly message: string; readonly hint: string; readonly span: Span }[]
}

/** The fields whose values are ids, and what has them ([F3]). */
const FIELD_KINDS: ReadonlyMap<string, ReferenceKind> = new Map([
  ['net.vnet_id', 'virtual_networks'],
  ['proxy.endpoint', 'listeners'],
  ['identity.groups.id', 'groups'],
  ['device_posture.checks.passed', 'posture_checks'],
  ['device_posture.checks.failed', 'posture_checks'],
])

/** Raw string, string, list (`$"A name"`, `$name`), name of a field or word, comparison; anything else is skipped. */
const TOKEN =
  /r(#*)"(?<raw>[\s\S]*?)"\1|\$?"(?<quoted>(?:[^"\\]|\\[\s\S])*)"|\$(?<list>[\w.-]+)|(?<word>[A-Za-z_][\w.]*(?:\[\*\]\.\w+)?)|[!=]=/g
const COMPARISONS = new Set(['==', '!=', 'eq', 'ne', 'in'])
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$|^[0-9a-f]{32}$/i

/** Puts ids in place of names: texts compared (`==`, `!=`, `in`) with a field of ids, and lists by name, `$name` or
 *  `$"A name"`. The language itself stays the product's ([L3]): text that is no such name is left as it is. */
export function expandNames(source: string, known: Names): ExpandedExpression {
  const names: WrittenName[] = []
  const unknown: ExpandedExpression['unknown'][number][] = []
  let [text, taken] = ['', 0]
  let kind: ReferenceKind | undefined
  let isCompared = false
  for (const { 0: token, index, groups = {} } of source.matchAll(TOKEN)) {
    const { raw, quoted, list, word } = groups
    if (COMPARISONS.has(token)) isCompared = true
    else if (word !== undefined) [kind, isCompared] = [FIELD_KINDS.get(word.replace('[*]', '')), false]
    else {
      const isList = token.startsWith('$')
      const name = raw ?? list ?? (quoted ?? '').replaceAll(/\\(["\\])/g, '$1')
      const of = isList ? 'lists' : isCompared ? kind : undefined
      if (of === undefined) continue
      const at = source.slice(0, index)
      const found = known.find(of, name)
      const isQuotedList = isList && quoted !== undefined
      const isMistake = found === undefined && (isQuotedList || isNoId(of, name))
      if (isMistake) {
        const span = [lengthOf(at), lengthOf(at) + lengthOf(token)] as const
        unknown.push({ message: noSuch(of, name), hint: known.advise(of, name), span })
      }
      const id = found ?? (isMistake ? configuredId(of, { name }) : name)
      if (id.toLowerCase() === name.toLowerCase() && !isQuotedList) continue
      const written = isList ? `$${id}` : `"${id.replaceAll(/["\\]/g, '\\$&')}"`
      text += source.slice(taken, index)
      names.push({ at: lengthOf(text), length: lengthOf(written), written: token })
      text += written
      taken = index + token.length
    }
  }
  return { text: text + source.slice(taken), names, unknown }
}

/** Whether a text that is no name is no id either: networks, lists and checks have UUIDs, endpoints host names. Of a list's
 *  id that there is no list for the policy warns. */
function isNoId(kind: ReferenceKind, text: string): boolean {
  if (kind === 'groups' || text === '') return false
  return kind === 'listeners' ? !text.includes('.') : !UUID.test(text)
}

/** The expression as its author wrote it. */
export function asWritten(text: string, names: readonly WrittenName[]): string {
  const characters = Array.from(text)
  const parts = names.map(({ at, written }, nth) => {
    const before = names[nth - 1]
    return characters.slice(before === undefined ? 0 : before.at + before.length, at).join('') + written
  })
  const last = names.at(-1)
  return parts.join('') + characters.slice(last === undefined ? 0 : last.at + last.length).join('')
}

/** A span of the expanded expression as one of the written expression; a name is never cut. */
export function writtenSpan([start, end]: Span, names: readonly WrittenName[]): Span {
  const written = (offset: number, isEnd: boolean) => {
    let shift = 0
    for (const { at, length, written } of names) {
      if (offset <= at) break
      const size = lengthOf(written)
      if (offset < at + length) return at + shift + (isEnd ? size : 0)
      shift += size - length
    }
    return offset + shift
  }
  return [written(start, false), written(end, true)]
}

/** Names put back into a text that has their ids, such as the expression's normal form. */
export function restoreNames(normal: string, { text, names }: ExpandedExpression): string {
  const characters = Array.from(text)
  return names.reduce(
    (all, { at, length, written }) => all.replaceAll(characters.slice(at, at + length).join(''), () => written),
    normal,
  )
}

function lengthOf(text: string): number {
  return Array.from(text).length
}

// Reads the wanted fields of session records. Records of one program look alike but for their values, so a pattern of the
// first ones, with the wanted values as groups, reads the others five times faster than parsing them whole (bench/replay).
// Patterns take exactly what is JSON; anything none of them takes is parsed.

import { FIELDS, type FieldValue, valuesOfJson } from './recorded-session.ts'

/** Optional keys give records of one program several looks; so many are known at once. */
const MOST_PATTERNS = 24
/** Records looked at for new patterns; after that, what is unknown is parsed. */
const MOST_LESSONS = 200

/** RFC 8259 sections 6 and 7. */
const NUMBER = String.raw`-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?`
const PLAIN = String.raw`[^"\\\x00-\x1f]*`
/** A loop of plain characters first: as alternatives of one loop this takes twice as long. */
const STRING = String.raw`${PLAIN}(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})${PLAIN})*`

interface Pattern {
  readonly expression: RegExp
  readonly groups: readonly { readonly slot: number; readonly isNumber: boolean }[]
}

const SLOTS = new Map(FIELDS.map((path, slot) => [JSON.stringify(path.split('.')), slot]))

/** Reads records one after the other and learns from them. */
export class SessionReader {
  readonly #patterns: Pattern[] = []
  readonly #values: FieldValue[] = FIELDS.map(() => undefined)
  #lessons = 0

  /** Values by slot of FIELDS, good until the next call; undefined where text[from…to) is JSON but no object.
   *  Throws a SyntaxError where it is no JSON. */
  read(text: string, from: number, to: number): readonly FieldValue[] | undefined {
    for (let nth = 0; nth < this.#patterns.length; nth++) {
      const pattern = this.#patterns[nth]
      if (pattern === undefined || !this.#match(pattern, text, from, to)) continue
      // the frequent ones move to the front, step by step
      const before = this.#patterns[nth - 1]
      if (before !== undefined) [this.#patterns[nth - 1], this.#patterns[nth]] = [pattern, before]
      return this.#values
    }
    const record: unknown = JSON.parse(text.slice(from, to))
    this.#learn(record)
    return valuesOfJson(record)
  }

  #match({ expression, groups }: Pattern, text: string, from: number, to: number): boolean {
    expression.lastIndex = from
    const match = expression.exec(text)
    if (match === null || expression.lastIndex !== to) return false
    this.#values.fill(undefined)
    for (let at = 0; at < groups.length; at++) {
      const group = groups[at]
      if (group === undefined) break
      this.#values[group.slot] = group.isNumber ? Number(match[at + 1]) : match[at + 1]
    }
    return true
  }

  #learn(record: unknown): void {
    if (this.#patterns.length >= MOST_PATTERNS || this.#lessons >= MOST_LESSONS) return
    this.#lessons++
    const groups: Pattern['groups'][number][] = []
    const source = sourceOf(record, [], groups)
    if (source !== undefined) this.#patterns.push({ expression: new RegExp(source, 'y'), groups })
  }
}

/** The pattern of a value without white space; undefined where there is a list in it. A wanted text must have no escape. */
function sourceOf(value: unknown, path: readonly string[], groups: Pattern['groups'][number][]): string | undefined {
  if (Array.isArray(value)) return undefined
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).map(([key, inner]) => {
      const source = sourceOf(inner, [...path, key], groups)
      return source === undefined ? undefined : `${literally(JSON.stringify(key))}:${source}`
    })
    return entries.includes(undefined) ? undefined : String.raw`\{${entries.join(',')}\}`
  }
  if (typeof value === 'boolean') return '(?:true|false)'
  if (typeof value !== 'string' && typeof value !== 'number') return 'null'
  const isNumber = typeof value === 'number'
  const slot = SLOTS.get(JSON.stringify(path))
  if (slot === undefined) return isNumber ? NUMBER : `"${STRING}"`
  groups.push({ slot, isNumber })
  return isNumber ? `(${NUMBER})` : `"(${PLAIN})"`
}

/** A pattern of just this text. */
function literally(text: string): string {
  return text.replace(/\W/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** A copy of a piece of a large text that does not keep the whole alive. */
export function detached(piece: string): string {
  return ` ${piece}`.slice(1)
}

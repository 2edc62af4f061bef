// Reads the wanted fields of session records. Records of one program look alike but for their values, so a pattern of the
// first ones, with the wanted values as groups, reads the others five times faster than parsing them whole (bench/replay).
// Patterns take exactly what is JSON; anything none of them takes is parsed. What collectors wrapped is unwrapped.

import { FIELDS, type FieldValue, LIST_FIELDS } from './recorded-session.ts'

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
    const wrap = isObject(record) ? pathToSession(record) : undefined
    if (wrap === undefined) return
    this.#lessons++
    const groups: Pattern['groups'][number][] = []
    const source = sourceOf(record, { path: [], wrap }, groups)
    if (source !== undefined) this.#patterns.push({ expression: new RegExp(source, 'y'), groups })
  }
}

/** Where a value is: its path in the record, and that of the session inside it. */
interface ValuePosition {
  readonly path: readonly string[]
  readonly wrap: readonly string[]
}

/** The pattern of a value without white space; undefined where there are none that fits all alike. A wanted text must
 *  have no escape. */
function sourceOf(value: unknown, at: ValuePosition, groups: Pattern['groups'][number][]): string | undefined {
  if (isObject(value)) {
    const entries = Object.entries(value).map(([key, inner]) => {
      const source = sourceOf(inner, { ...at, path: [...at.path, key] }, groups)
      return source === undefined ? undefined : `${literally(JSON.stringify(key))}:${source}`
    })
    return entries.includes(undefined) ? undefined : String.raw`\{${entries.join(',')}\}`
  }
  const slot = slotAt(at)
  if (Array.isArray(value)) return listSource(value, slot, groups)
  if (typeof value === 'boolean') return '(?:true|false)'
  if (typeof value !== 'string' && typeof value !== 'number') return 'null'
  const isNumber = typeof value === 'number'
  if (slot === undefined) return isNumber ? NUMBER : `"${STRING}"`
  groups.push({ slot, isNumber })
  return isNumber ? `(${NUMBER})` : `"(${PLAIN})"`
}

function slotAt({ path, wrap }: ValuePosition): number | undefined {
  if (wrap.some((key, depth) => path[depth] !== key)) return undefined
  return SLOTS.get(JSON.stringify(path.slice(wrap.length)))
}

const SHORT_NUMBERS = String.raw`\[(?:(?:0|[1-9]\d{0,8})(?:,(?:0|[1-9]\d{0,8}))*)?\]`
const SCALAR = `(?:"${STRING}"|${NUMBER}|true|false|null)`
const SCALARS = String.raw`\[(?:${SCALAR}(?:,${SCALAR})*)?\]`

function listSource(
  list: readonly unknown[],
  slot: number | undefined,
  groups: Pattern['groups'][number][],
): string | undefined {
  if (slot === undefined || !LIST_FIELDS.has(FIELDS[slot] ?? '')) {
    return list.some((item) => typeof item === 'object' && item !== null) ? undefined : SCALARS
  }
  if (!list.every(isShortNumber)) return undefined
  groups.push({ slot, isNumber: false })
  return `(${SHORT_NUMBERS})`
}

/** A pattern of just this text. */
function literally(text: string): string {
  return text.replace(/\W/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** A copy of a piece of a large text that does not keep the whole alive. */
export function detached(piece: string): string {
  return ` ${piece}`.slice(1)
}

const PATHS = FIELDS.map((path) => path.split('.'))

/** Fields that only a session has, or that make one of what has no other. */
const SIGNATURE: ReadonlySet<string> = new Set([
  'SessionID',
  'Protocol',
  'OriginIP',
  'EgressIP',
  'ResolvedFQDN',
  'SessionStartTime',
  'DestinationIP',
  'TransportProtocol',
  'Transport',
  'HTTPHost',
  'URL',
])
/** How deep collectors wrap what they pass on. */
const DEEPEST_WRAP = 3

/** Where the session is in a record: itself, or what collectors wrapped (`{"event":{…}}`). Undefined where none is. */
export function pathToSession(record: object, depth = 0): readonly string[] | undefined {
  const entries = Object.entries(record)
  if (entries.some(([key]) => SIGNATURE.has(key))) return []
  if (depth >= DEEPEST_WRAP) return undefined
  for (const [key, value] of entries) {
    const inner = isObject(value) ? pathToSession(value, depth + 1) : undefined
    if (inner !== undefined) return [key, ...inner]
  }
  return undefined
}

/** Values by slot from a parsed record, wrapped or not, as an object or as text; undefined where it is no JSON object. */
export function valuesOfJson(record: unknown): FieldValue[] | undefined {
  if (!isObject(record)) return undefined
  const path = pathToSession(record)
  const session = path === undefined ? (sessionInText(record) ?? record) : memberAt(record, path)
  return PATHS.map((keys, slot) => {
    const value = memberAt(session, keys)
    if (Array.isArray(value)) return LIST_FIELDS.has(FIELDS[slot] ?? '') ? listOf(value) : undefined
    return typeof value === 'string' || typeof value === 'number' ? value : undefined
  })
}

/** Some collectors pass a record on as the text it was (`"_raw":"{…}"`). */
function sessionInText(record: object, depth = 0): unknown {
  for (const value of Object.values(record)) {
    if (isObject(value) && depth < DEEPEST_WRAP) {
      const inner = sessionInText(value, depth + 1)
      if (inner !== undefined) return inner
    }
    if (typeof value !== 'string' || !/^\s*\{/.test(value)) continue
    const inner = parsed(value)
    const path = isObject(inner) ? pathToSession(inner) : undefined
    if (path !== undefined) return memberAt(inner, path)
  }
  return undefined
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    return undefined
  }
}

function memberAt(record: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (inside, key) => (Object.hasOwn(Object(inside), key) ? Object(inside)[key] : undefined),
    record,
  )
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** As a pattern reads it: short whole numbers. */
function listOf(list: readonly unknown[]): string | undefined {
  return list.every(isShortNumber) ? JSON.stringify(list) : undefined
}

/** Numbers of applications and categories. */
export function isShortNumber(value: unknown): boolean {
  return Number.isInteger(value) && !Object.is(value, -0) && Number(value) >= 0 && Number(value) < 1e9
}

/** What a record that is no session looks like, in words. */
export function describeOther(record: unknown): string {
  const has = (key: string) => isObject(record) && Object.hasOwn(record, key)
  if (has('QueryName')) return 'a record of `gateway_dns`, which is a question and no connection'
  if (has('ClientRequestHost') || has('EdgeStartTimestamp'))
    return "a record of a zone's `http_requests`, not of Gateway"
  return 'JSON, but not a session record'
}

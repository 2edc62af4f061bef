// Reads the wanted fields of a session record out of its JSON text without building the rest: several times faster than
// parsing it whole (bench/replay). Gives up on anything unusual, escapes in a wanted value for one; the caller then parses.

import { FIELDS, type FieldValue } from './recorded-session.ts'

const [QUOTE, COMMA, COLON, OPEN, CLOSE, OPEN_LIST, CLOSE_LIST, BACKSLASH] = [34, 44, 58, 123, 125, 91, 93, 92] as const
/** Keys of one object whose order is remembered. */
const MOST_KNOWN_KEYS = 256

/** A field to keep, an object to look into, or neither. */
type Target = number | ObjectShape | undefined

/** An object's wanted keys, and all keys in the order the last record had them, with the colon: records written by one program
 *  have them in the same order, so that mostly one comparison reads a key. */
class ObjectShape {
  readonly targets = new Map<string, Target>()
  readonly order: { readonly text: string; readonly target: Target }[] = []
}

function shapeOf(paths: readonly string[]): ObjectShape {
  const root = new ObjectShape()
  for (const [slot, path] of paths.entries()) {
    const keys = path.split('.')
    let shape = root
    for (const key of keys.slice(0, -1)) {
      const inner = shape.targets.get(key)
      const next = inner instanceof ObjectShape ? inner : new ObjectShape()
      shape.targets.set(key, next)
      shape = next
    }
    shape.targets.set(keys.at(-1) ?? '', slot)
  }
  return root
}

/** Scans records one after the other. `values` holds those of the last one, by slot of FIELDS. */
export class SessionScanner {
  readonly values: FieldValue[] = FIELDS.map(() => undefined)
  readonly #root = shapeOf(FIELDS)
  #text = ''
  #at = 0

  /** Reads the record at text[from…to). False: parse it instead; it may be fine or not. */
  scan(text: string, from: number, to: number): boolean {
    this.values.fill(undefined)
    this.#text = text
    this.#at = from
    this.#skipBlanks()
    if (text.charCodeAt(this.#at++) !== OPEN || !this.#object(this.#root)) return false
    while (this.#at < to && text.charCodeAt(this.#at) <= 32) this.#at++
    return this.#at === to
  }

  #skipBlanks(): void {
    while (this.#text.charCodeAt(this.#at) <= 32) this.#at++
  }

  /** Behind the opening brace to behind the closing one. */
  #object(shape: ObjectShape): boolean {
    const text = this.#text
    this.#skipBlanks()
    if (text.charCodeAt(this.#at) === CLOSE) {
      this.#at++
      return true
    }
    for (let nth = 0; ; nth++) {
      const known = shape.order[nth]
      let target: Target
      if (known !== undefined && text.startsWith(known.text, this.#at)) {
        this.#at += known.text.length
        target = known.target
      } else {
        this.#skipBlanks()
        const start = this.#at
        if (!this.#key()) return false
        const end = text.indexOf('"', start + 1)
        target = shape.targets.get(text.slice(start + 1, end))
        if (nth < MOST_KNOWN_KEYS) shape.order[nth] = { text: detached(text.slice(start, this.#at)), target }
      }
      this.#skipBlanks()
      if (!this.#value(target)) return false
      this.#skipBlanks()
      const next = text.charCodeAt(this.#at++)
      if (next !== COMMA) return next === CLOSE
    }
  }

  /** Over a key and its colon. */
  #key(): boolean {
    const text = this.#text
    if (text.charCodeAt(this.#at) !== QUOTE) return false
    const end = text.indexOf('"', this.#at + 1)
    if (end < 0 || text.charCodeAt(end - 1) === BACKSLASH) return false
    this.#at = end + 1
    this.#skipBlanks()
    return text.charCodeAt(this.#at++) === COLON
  }

  #value(target: Target): boolean {
    const first = this.#text.charCodeAt(this.#at)
    if (first === QUOTE) return this.#string(target)
    if (first === OPEN && target instanceof ObjectShape) {
      this.#at++
      return this.#object(target)
    }
    return first === OPEN || first === OPEN_LIST ? this.#nested() : this.#literal(target)
  }

  #string(target: Target): boolean {
    const text = this.#text
    const start = this.#at + 1
    let end = text.indexOf('"', start)
    while (end >= 0 && isEscaped(text, end)) end = text.indexOf('"', end + 1)
    if (end < 0) return false
    this.#at = end + 1
    if (typeof target !== 'number') return true
    const value = text.slice(start, end)
    if (value.includes('\\')) return false
    this.values[target] = value
    return true
  }

  /** A number, or true, false, null. */
  #literal(target: Target): boolean {
    const text = this.#text
    const start = this.#at
    for (;;) {
      const code = text.charCodeAt(this.#at)
      if (code === COMMA || code === CLOSE || code === CLOSE_LIST || !(code > 32)) break
      this.#at++
    }
    if (typeof target !== 'number') return this.#at > start
    const value = text.slice(start, this.#at)
    if (/^-?\d/.test(value)) this.values[target] = Number(value)
    return value !== ''
  }

  /** Over an object or a list nobody wants. */
  #nested(): boolean {
    const text = this.#text
    let depth = 0
    do {
      const code = text.charCodeAt(this.#at)
      if (Number.isNaN(code)) return false
      if (code === QUOTE) {
        if (!this.#string(undefined)) return false
        continue
      }
      if (code === OPEN || code === OPEN_LIST) depth++
      else if (code === CLOSE || code === CLOSE_LIST) depth--
      this.#at++
    } while (depth > 0)
    return true
  }
}

function isEscaped(text: string, at: number): boolean {
  let backslashes = 0
  while (text.charCodeAt(at - 1 - backslashes) === BACKSLASH) backslashes++
  return backslashes % 2 === 1
}

/** A copy of a piece of a large text that does not keep the whole alive. */
export function detached(piece: string): string {
  return ` ${piece}`.slice(1)
}

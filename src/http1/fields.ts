// Header and trailer fields of HTTP/1.1 (RFC 9112 section 5) as a flat list of names and values in their order and
// spelling: read out of text, and written as text (Latin-1).

import { Defect } from './defect.ts'
import { BLANK, byteName, COLON, CR, endOf, isKind, isNamed, KINDS, TEXT, TOKEN } from './grammar.ts'

/** How a field section is read. `request`: whatever two readers could understand differently is refused. `response`: a bare LF ends a
 *  line and blanks before the colon are removed (RFC 9112 sections 2.2 and 5.1). `interim`: as a response, and a line that is not
 *  sound is left out, since only the final response matters to whoever asked. */
export type Reading = 'request' | 'response' | 'interim'

/** Reads the lines of `text` from `start` to the empty line. Throws {@link Defect}. */
export function parseFields(text: string, start: number, reading: Reading, maxFields: number): string[] {
  const fields: string[] = []
  let at = start
  for (;;) {
    const lf = text.indexOf('\n', at)
    if (lf < 0) throw new Defect('head-cut-short', 'the header fields have no end')
    const hasCr = lf > at && text.charCodeAt(lf - 1) === CR
    if (!hasCr && reading === 'request') throw bareLf()
    const end = hasCr ? lf - 1 : lf
    if (end === at) return fields
    const problem = readLine(fields, { text, at, end, reading })
    if (problem !== undefined && reading !== 'interim') throw problem
    if (fields.length > 2 * maxFields) {
      throw new Defect('too-many-fields', `there are more than ${maxFields} header fields`, { limit: maxFields })
    }
    at = lf + 1
  }
}

/** Every value of a field, in order. `name` is in lower case. */
export function valuesOf(fields: readonly string[], name: string): string[] {
  const values: string[] = []
  for (let at = 0; at < fields.length; at += 2) {
    if (isNamed(fields[at] ?? '', name)) values.push(fields[at + 1] ?? '')
  }
  return values
}

/** Version, trace, parent and flags; a version after 00 may say more (W3C Trace Context, section 3.2). */
const TRACEPARENT =
  /^(?:00-[\da-f]{32}-[\da-f]{16}-[\da-f]{2}|(?!00|ff)[\da-f]{2}-[\da-f]{32}-[\da-f]{16}-[\da-f]{2}(?:-.*)?)$/
/** of all zeros, which name nothing */
const NO_TRACE = /^..-(?:0{32}|[\da-f]{32}-0{16})/

/** The trace that a request belongs to: its `traceparent`, up to the flags; undefined where there is none, more than one, or one that
 *  is not well-formed. */
export function traceparentIn(fields: readonly string[]): string | undefined {
  const [value, second] = valuesOf(fields, 'traceparent')
  if (value === undefined || second !== undefined || !TRACEPARENT.test(value) || NO_TRACE.test(value)) return undefined
  return value.slice(0, TRACEPARENT_LENGTH)
}

const TRACEPARENT_LENGTH = 55

interface Line {
  readonly text: string
  readonly at: number
  readonly end: number
  readonly reading: Reading
}

/** Adds the field of one line, or says what is wrong with it. */
function readLine(fields: string[], line: Line): Defect | undefined {
  const { text, at, end } = line
  const nameEnd = endOf(TOKEN, text, at, end)
  let colon = nameEnd
  if (line.reading !== 'request') colon = endOf(BLANK, text, nameEnd, end)
  if (nameEnd === at || colon === end || text.charCodeAt(colon) !== COLON) return describe(line, nameEnd)
  const from = endOf(BLANK, text, colon + 1, end)
  let to = end
  while (to > from && isKind(BLANK, text, to - 1)) to--
  const odd = endOf(TEXT, text, from, to)
  if (odd < to) return unsoundValue(text.charCodeAt(odd))
  fields.push(text.slice(at, nameEnd), text.slice(from, to))
  return undefined
}

function describe({ text, at, end }: Line, nameEnd: number): Defect {
  if (isKind(BLANK, text, at)) return new Defect('folded-field', 'a header field is folded over several lines')
  if (nameEnd === end) return new Defect('no-colon', 'a header line has no colon')
  const code = text.charCodeAt(nameEnd)
  if (nameEnd > at && ((KINDS[code] ?? 0) & BLANK) !== 0) {
    const next = endOf(BLANK, text, nameEnd, end)
    if (next < end && text.charCodeAt(next) === COLON) {
      return new Defect('blank-before-colon', 'there is white space before the colon of a header field')
    }
  }
  if (code === CR) return bareCr()
  const name = 'a header field has no valid name'
  return nameEnd === at && code === COLON
    ? new Defect('field-name', name)
    : new Defect('field-name', name, { byte: byteName(code) })
}

function unsoundValue(code: number): Defect {
  if (code === CR) return bareCr()
  return new Defect('control-character', `a header field holds the control character ${byteName(code)}`, {
    byte: byteName(code),
  })
}

function bareCr(): Defect {
  return new Defect('bare-cr', 'a header field holds a CR without LF')
}

/** The defect of a line that ends in LF alone (RFC 9112 section 2.2). */
export function bareLf(): Defect {
  return new Defect('bare-lf', 'a line ends in LF without CR')
}

// Written only of parts that were checked before: names are tokens, values hold no CR or LF.

/** Start line and fields with the empty line behind them. */
export function formatHead(startLine: string, fields: readonly string[]): string {
  let text = `${startLine}\r\n`
  for (let at = 0; at < fields.length; at += 2) text += `${fields[at]}: ${fields[at + 1]}\r\n`
  return `${text}\r\n`
}

/** Behind the last chunk: its size, trailers, the empty line. */
export function formatLastChunk(trailers: readonly string[]): string {
  if (trailers.length === 0) return '0\r\n\r\n'
  return formatHead('0', trailers)
}

// A second reading of RFC 9112, written from its grammar with regular expressions over the whole text and nothing of the codec: what a
// recipient that takes no liberty (requests) or only those the RFC allows (responses) makes of a message.

import type { Reading, Side } from './codec-reading.ts'

const TOKEN = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]+"
const VALUE = '[\\t \\x21-\\x7e\\x80-\\xff]*'
const REQUEST_LINE = new RegExp(`^(${TOKEN}) ([\\x21-\\x7e]+) HTTP/(1\\.[01])$`)
const STATUS_LINE = /^HTTP\/1\.(\d) ([1-5]\d\d)(?: ([\t \x21-\x7e\x80-\xff]*))?$/
const STRICT_FIELD = new RegExp(`^(${TOKEN}):[ \\t]*(${VALUE}?)[ \\t]*$`)
const LENIENT_FIELD = new RegExp(`^(${TOKEN})[ \\t]*:[ \\t]*(${VALUE}?)[ \\t]*$`)
const LENGTH = /^(?:0|[1-9][0-9]{0,15})$/
const MAX = { head: 8192, line: 4096, fields: 100, extensions: 1024 }

const REFUSED: Reading = { kind: 'refused' }
const INCOMPLETE: Reading = { kind: 'incomplete' }

type Body =
  | { readonly kind: 'body'; readonly body: string; readonly trailers: readonly string[]; readonly rest: string }
  | { readonly kind: 'refused' | 'incomplete' }

/** The bytes as Latin-1; they end with the connection. */
export function readByRfc(side: Side, text: string, method = 'GET'): Reading {
  const start = side === 'request' ? (/^(?:\r?\n)*/.exec(text)?.[0].length ?? 0) : 0
  if (start > MAX.head) return REFUSED
  const message = text.slice(start)
  const end = /(?:^|\n)\r?\n/.exec(message)
  if (end === null) {
    const isLineOpen = !message.includes('\n')
    return message.length > MAX.head || (isLineOpen && message.length > MAX.line) ? REFUSED : INCOMPLETE
  }
  const headLength = end.index + end[0].length
  if (headLength > MAX.head) return REFUSED
  const head = message.slice(0, headLength)
  if (side === 'request' && /(?:^|[^\r])\n/.test(head)) return REFUSED
  const [startLine = '', ...lines] = head
    .split('\n')
    .slice(0, -2)
    .map((line) => line.replace(/\r$/, ''))
  return side === 'request'
    ? readRequest(startLine, lines, message.slice(headLength))
    : readResponse({ startLine, lines, behind: message.slice(headLength), method })
}

function readRequest(startLine: string, lines: readonly string[], behind: string): Reading {
  const [, method = '', target = '', version = ''] = REQUEST_LINE.exec(startLine) ?? []
  const fields = readFields(lines, STRICT_FIELD)
  if (method === '' || fields === undefined) return REFUSED
  const codings = all(fields, 'transfer-encoding')
  const lengths = all(fields, 'content-length')
  if (codings.length > 0 && (lengths.length > 0 || version === '1.0')) return REFUSED
  if (codings.length > 0 && !(codings.length === 1 && /^chunked$/i.test(codings[0] ?? ''))) return REFUSED
  if (lengths.length > 1 || (lengths.length === 1 && !isLength(lengths[0] ?? ''))) return REFUSED
  const body = codings.length > 0 ? readChunks(behind, 'request') : readLength(behind, Number(lengths[0] ?? 0))
  return finish([method, target, version], fields, body)
}

interface ResponseText {
  readonly startLine: string
  readonly lines: readonly string[]
  readonly behind: string
  readonly method: string
}

function readResponse({ startLine, lines, behind, method }: ResponseText): Reading {
  const match = STATUS_LINE.exec(startLine)
  if (match === null) return REFUSED
  const [, minor = '', status = '', reason = ''] = match
  const isInterim = status.startsWith('1')
  const fields = isInterim ? soundFields(lines) : readFields(lines, LENIENT_FIELD)
  if (fields === undefined) return REFUSED
  const line = [minor === '0' ? '1.0' : '1.1', status, reason] as const
  const codings = all(fields, 'transfer-encoding')
  const lengths = all(fields, 'content-length').flatMap((value) => value.split(/[ \t]*,[ \t]*/))
  if (codings.length > 0 && lengths.length > 0) return REFUSED
  if (codings.length > 0 && !(codings.length === 1 && /^chunked$/i.test(codings[0] ?? ''))) return REFUSED
  if (!lengths.every(isLength) || new Set(lengths).size > 1) return REFUSED
  if (method === 'HEAD' || isInterim || /^(204|205|304)$/.test(status))
    return finish(line, fields, readLength(behind, 0))
  if (codings.length > 0) return finish(line, fields, readChunks(behind, 'response'))
  if (lengths.length > 0) return finish(line, fields, readLength(behind, Number(lengths[0])))
  return finish(line, fields, { kind: 'body', body: behind, trailers: [], rest: '' })
}

function finish(line: readonly [string, string, string], fields: readonly string[], body: Body): Reading {
  if (body.kind !== 'body') return { kind: body.kind }
  return { kind: 'message', line, fields, body: body.body, trailers: body.trailers, rest: body.rest.length }
}

function isLength(text: string): boolean {
  return LENGTH.test(text) && Number(text) <= Number.MAX_SAFE_INTEGER
}

function readLength(behind: string, length: number): Body {
  if (behind.length < length) return INCOMPLETE as Body
  return { kind: 'body', body: behind.slice(0, length), trailers: [], rest: behind.slice(length) }
}

function readChunks(behind: string, side: Side): Body {
  // blanks behind a size (BWS, padding): of a response only
  const sound =
    side === 'request'
      ? /^([0-9a-f]{1,16})((?:;[\t \x21-\x7e\x80-\xff]*)?)\r\n/i
      : /^([0-9a-f]{1,16})((?:[ \t]*;[\t \x21-\x7e\x80-\xff]*|[ \t]*))\r\n/i
  const begun =
    side === 'request'
      ? /^(?:[0-9a-f]{1,16}(?:;[\t \x21-\x7e\x80-\xff]*)?)?$/i
      : /^(?:[0-9a-f]{1,16}(?:[ \t]*(?:;[\t \x21-\x7e\x80-\xff]*)?)?)?$/i
  let body = ''
  let extensions = 0
  let rest = behind
  for (;;) {
    const match = sound.exec(rest)
    if (match === null) {
      const open = rest.replace(/\r$/, '')
      const isOpen = !rest.includes('\n') && begun.test(open) && !(rest.endsWith('\r') && !sound.test(`${rest}\n`))
      return (isOpen && fits(open) ? INCOMPLETE : REFUSED) as Body
    }
    const [all, digits = '', extension = ''] = match
    extensions += extension.length
    if (!fits(digits) || extensions > MAX.extensions) return REFUSED as Body
    const size = Number.parseInt(digits, 16)
    rest = rest.slice(all.length)
    if (size === 0) return readTrailers(body, rest, side)
    if (rest.length < size) return INCOMPLETE as Body
    body += rest.slice(0, size)
    rest = rest.slice(size)
    if (!rest.startsWith('\r\n')) return ('\r\n'.startsWith(rest) ? INCOMPLETE : REFUSED) as Body
    rest = rest.slice(2)
  }
}

function fits(digits: string): boolean {
  const only = /^[0-9a-f]*/i.exec(digits)?.[0] ?? ''
  return only === '' || Number.parseInt(only, 16) <= Number.MAX_SAFE_INTEGER
}

function readTrailers(body: string, text: string, side: Side): Body {
  const end = /(?:^|\n)\r?\n/.exec(text)
  if (end === null) return (text.length > MAX.head ? REFUSED : INCOMPLETE) as Body
  const length = end.index + end[0].length
  const section = text.slice(0, length)
  if (length > MAX.head || (side === 'request' && /(?:^|[^\r])\n/.test(section))) return REFUSED as Body
  const lines = section
    .split('\n')
    .slice(0, -2)
    .map((line) => line.replace(/\r$/, ''))
  const trailers = readFields(lines, side === 'request' ? STRICT_FIELD : LENIENT_FIELD)
  if (trailers === undefined) return REFUSED as Body
  return { kind: 'body', body, trailers, rest: text.slice(length) }
}

function readFields(lines: readonly string[], form: RegExp): string[] | undefined {
  const matches = lines.map((line) => form.exec(line))
  if (lines.length > MAX.fields || matches.some((match) => match === null)) return undefined
  return matches.flatMap((match) => [match?.[1] ?? '', match?.[2] ?? ''])
}

function soundFields(lines: readonly string[]): string[] | undefined {
  const sound = lines.filter((line) => LENIENT_FIELD.test(line))
  return readFields(sound, LENIENT_FIELD)
}

function all(fields: readonly string[], name: string): string[] {
  return fields.filter((_, at) => at % 2 === 1 && fields[at - 1]?.toLowerCase() === name)
}

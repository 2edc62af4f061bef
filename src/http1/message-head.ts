// The head of a message. Of a request (RFC 9112 section 3), read strictly: whatever two readers could understand differently
// is refused, nothing is repaired. Of a response (section 4), read with the leniency the RFC gives a recipient and no more.

import { Defect } from './defect.ts'
import { bareLf, parseFields } from './fields.ts'
import { byteName, CR, endOf, SPACE, TEXT, TOKEN, VISIBLE } from './grammar.ts'

export interface RequestHead {
  readonly method: string
  /** as sent: absolute form, origin form, authority form or `*` (RFC 9112 section 3.2) */
  readonly target: string
  readonly version: '1.0' | '1.1'
  /** names and values in turns, in their order and spelling */
  readonly fields: readonly string[]
}

/** ` HTTP/1.1` */
const VERSION_LENGTH = 9

/** Reads a whole head, its empty line included. Throws {@link Defect}. */
export function parseRequestHead(text: string, maxFields: number): RequestHead {
  const lf = text.indexOf('\n')
  if (lf < 1 || text.charCodeAt(lf - 1) !== CR) {
    checkRequestLine(text.slice(0, Math.max(0, lf)))
    throw bareLf()
  }
  const end = lf - 1
  const space = endOf(TOKEN, text, 0, end)
  const blank = end - VERSION_LENGTH
  const isPlain =
    space > 0 &&
    blank > space + 1 &&
    text.charCodeAt(space) === 0x20 &&
    text.startsWith(' HTTP/1.', blank) &&
    endOf(VISIBLE, text, space + 1, blank) === blank
  const minor = text.charCodeAt(end - 1)
  if (!isPlain || (minor !== 0x31 && minor !== 0x30)) throw lineDefect(text.slice(0, end))
  return {
    method: text.slice(0, space),
    target: text.slice(space + 1, blank),
    version: minor === 0x31 ? '1.1' : '1.0',
    fields: parseFields(text, lf + 1, 'request', maxFields),
  }
}

/** Throws {@link Defect} when the first bytes of a request line cannot be a method. */
export function checkMethodBeginning(text: string): void {
  const end = endOf(TOKEN, text, 0, text.length)
  if (end === text.length || (end > 0 && text.charCodeAt(end) === SPACE)) return
  // an empty line ahead of the request line, not yet complete
  if (text === '\r') return
  throw lineDefect(text)
}

/** Throws {@link Defect} for a request line, without its line end, that no fields behind it can make sound. */
export function checkRequestLine(line: string): void {
  const parts = line.split(' ')
  const isSound =
    parts.length === 3 &&
    /^HTTP\/1\.[01]$/.test(parts[2] ?? '') &&
    parts[0] !== '' &&
    endOf(TOKEN, line, 0, (parts[0] ?? '').length) === (parts[0] ?? '').length &&
    parts[1] !== '' &&
    endOf(VISIBLE, parts[1] ?? '', 0, (parts[1] ?? '').length) === (parts[1] ?? '').length
  if (!isSound) throw lineDefect(line)
}

function lineDefect(line: string): Defect {
  const parts = line.split(' ')
  const [method = '', target = '', version = ''] = parts
  const odd = endOf(TOKEN, method, 0, method.length)
  if (odd < method.length || method === '') {
    const details = method === '' ? {} : { byte: byteName(method.charCodeAt(odd)) }
    return new Defect('method', 'the request does not begin with a method', details)
  }
  const wrong = endOf(VISIBLE, target, 0, target.length)
  if (wrong < target.length) {
    const byte = byteName(target.charCodeAt(wrong))
    const why = `the request target contains the byte ${byte}, which must be written as %${byte.slice(2).toUpperCase()}`
    return new Defect('target-character', why, { byte, at: wrong })
  }
  if (parts.length === 2 && target !== '') {
    return new Defect('version-missing', 'the request line has no version; write ` HTTP/1.1` behind the target')
  }
  if (parts.length === 3 && /^HTTP\/\d\.\d$/.test(version)) {
    return new Defect('version', `the proxy does not speak ${version} here`, { version })
  }
  return new Defect('request-line', 'the request line is not `method target HTTP/1.1`')
}

export interface ResponseHead {
  /** 100…599 */
  readonly status: number
  readonly reason: string
  /** a higher minor version reads as `1.1` (RFC 9110 section 2.5) */
  readonly version: '1.0' | '1.1'
  /** names and values in turns, in their order and spelling */
  readonly fields: readonly string[]
}

const STATUS_LINE = /^HTTP\/1\.(\d) (\d{3})(?: (.*))?$/s

/** Reads a whole head, its empty line included. Lines of an interim response (1xx) that are not sound are left out. Throws
 *  {@link Defect}. */
export function parseResponseHead(text: string, maxFields: number): ResponseHead {
  const lf = text.indexOf('\n')
  const line = text.slice(0, lf > 0 && text.charCodeAt(lf - 1) === CR ? lf - 1 : Math.max(0, lf))
  const match = STATUS_LINE.exec(line)
  if (match === null) throw statusLineDefect(line)
  const [, minor, digits, reason = ''] = match
  const odd = endOf(TEXT, reason, 0, reason.length)
  if (odd < reason.length) {
    const byte = byteName(reason.charCodeAt(odd))
    throw new Defect('control-character', `the reason phrase holds the control character ${byte}`, { byte })
  }
  const status = Number(digits)
  if (status < 100 || status > 599) throw new Defect('status', `its status is ${status}`, { status })
  const fields = parseFields(text, lf + 1, status < 200 ? 'interim' : 'response', maxFields)
  return { status, reason, version: minor === '0' ? '1.0' : '1.1', fields }
}

function statusLineDefect(line: string): Defect {
  const version = /^HTTP\/(\d+(?:\.\d+)?)(?: |$)/.exec(line)?.[1]
  if (version !== undefined && !/^1\.\d$/.test(version)) {
    return new Defect('version', `it is in HTTP/${version.slice(0, 8)}`, { version: version.slice(0, 8) })
  }
  return new Defect('status-line', 'it does not begin with a status line such as `HTTP/1.1 200 OK`')
}

// The head of a response (RFC 9112 section 4), read with the leniency the RFC gives a recipient and no more.

import { Defect } from './defect.ts'
import { parseFields } from './fields.ts'
import { byteName, CR, endOf, TEXT } from './grammar.ts'

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
  if (match === null) throw lineDefect(line)
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

function lineDefect(line: string): Defect {
  const version = /^HTTP\/(\d+(?:\.\d+)?)(?: |$)/.exec(line)?.[1]
  if (version !== undefined && !/^1\.\d$/.test(version)) {
    return new Defect('version', `it is in HTTP/${version.slice(0, 8)}`, { version: version.slice(0, 8) })
  }
  return new Defect('status-line', 'it does not begin with a status line such as `HTTP/1.1 200 OK`')
}

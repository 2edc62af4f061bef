// Translates an origin's response head for the client: end-to-end fields in their order, one normalised length, the
// proxy's Via, the canonical reason phrase.

import { STATUS_CODES } from 'node:http'
import { ANNOTATION_NAMES } from '../../errors/to-http.ts'
import { valuesOf } from '../../http1/fields.ts'
import type { ResponseFraming } from '../../http1/framing.ts'
import { isNamed } from '../../http1/grammar.ts'
import type { ResponseHead } from '../../http1/response-head.ts'
import { endToEnd } from './hop-by-hop.ts'

/** The head of a response, as a {@link Responder} takes it. */
export interface AnswerHead {
  readonly status: number
  /** the canonical phrase; an origin's own is dropped */
  readonly reason: string
  /** flat list of names and values; includes Content-Length where the length is known, no other framing */
  readonly fields: readonly string[]
  /** bytes of the body; CHUNKED or UNTIL_CLOSE where its length is not known ahead */
  readonly body: number
}

/** Via is rebuilt; Proxy-Status belongs to the proxy, so an origin cannot forge it (HH-10). */
const NOT_FORWARDED = new Set(['proxy-status', 'via'])
const NEITHER_LENGTH = new Set([...NOT_FORWARDED, 'content-length'])
const MAX_INTERIM_FIELDS = 32

/** What the proxy says of itself in a response. */
export interface ResponseMarks {
  /** the proxy's name in Via */
  readonly pseudonym: string
  /** fields that match the response with its session; an origin's own of these names are dropped */
  readonly annotation: readonly string[]
}

/** The head of a final response for the client. */
export function forwardResponse(
  head: ResponseHead,
  framing: ResponseFraming,
  { pseudonym, annotation }: ResponseMarks,
): AnswerHead {
  const { status } = head
  const fields = annotation.length === 0 ? head.fields : withoutAnnotation(head.fields)
  const kept = endToEnd(fields, status === 204 || status === 205 ? NEITHER_LENGTH : NOT_FORWARDED)
  if (framing.contentLength !== undefined) oneLength(kept, framing.contentLength)
  if (status === 205) kept.push('Content-Length', '0')
  addVia(kept, fields, pseudonym)
  kept.push(...annotation)
  return { status, reason: STATUS_CODES[status] ?? '', fields: kept, body: framing.body }
}

function withoutAnnotation(fields: readonly string[]): readonly string[] {
  const names: readonly string[] = ANNOTATION_NAMES
  return fields.filter((_, at) => !names.includes((fields[at - (at % 2)] ?? '').toLowerCase()))
}

/** The head of an interim response (1xx) for the client. `pseudonym`: the proxy's name in Via. */
export function forwardInterim(head: ResponseHead, pseudonym: string): AnswerHead {
  const kept = endToEnd(head.fields, NEITHER_LENGTH).slice(0, 2 * MAX_INTERIM_FIELDS)
  // a 100 stays without fields, as clients that wait for it expect
  if (head.status !== 100) addVia(kept, head.fields, pseudonym)
  return { status: head.status, reason: STATUS_CODES[head.status] ?? '', fields: kept, body: 0 }
}

function addVia(kept: string[], fields: readonly string[], pseudonym: string): void {
  const before = valuesOf(fields, 'via')
  const own = `1.1 ${pseudonym}`
  kept.push('Via', before.length === 0 ? own : [...before, own].join(', '))
}

/** Reduces repeated equal lengths to one. */
function oneLength(kept: string[], length: number): void {
  let isWritten = false
  for (let at = 0; at < kept.length; at += 2) {
    if (!isNamed(kept[at] ?? '', 'content-length')) continue
    if (isWritten) {
      kept.splice(at, 2)
      at -= 2
    } else {
      kept[at + 1] = String(length)
      isWritten = true
    }
  }
}

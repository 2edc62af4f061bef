// Where the body of a message ends (RFC 9112 section 6), and whether the connection goes on behind it (section 9.3): the
// one reading of Transfer-Encoding and Content-Length in this program.

import { Defect } from './defect.ts'
import { valuesOf } from './fields.ts'
import { isNamed, tokensOf, trimBlanks } from './grammar.ts'

/** The length of a body in bytes, or one of these. */
export const CHUNKED = -1
/** everything up to the end of the connection; responses only */
export const UNTIL_CLOSE = -2

/** What a message says of its body. */
interface Claims {
  readonly codings: readonly string[]
  /** each as sent, lists taken apart */
  readonly lengths: readonly string[]
  readonly lengthFields: number
}

const NOTHING: readonly string[] = []

/** The body of a request; 0: it has none. Throws {@link Defect}: with two framings or an odd one, nothing behind the head can be
 *  trusted. Repeated lengths are refused even where they are equal. */
export function requestFraming(version: string, fields: readonly string[]): number {
  const { codings, lengths, lengthFields } = claimsOf(fields)
  if (codings.length > 0) {
    if (lengthFields > 0) throw lengthAndCoding()
    if (version === '1.0') {
      throw new Defect('coding-in-http-1.0', 'Transfer-Encoding has no place in a request of HTTP/1.0')
    }
    checkCoding(codings)
    return CHUNKED
  }
  if (lengthFields === 0) return 0
  if (lengths.length > 1) throw new Defect('lengths', 'there is more than one Content-Length')
  return lengthOf(lengths[0] ?? '')
}

export interface ResponseFraming {
  /** bytes of the body, {@link CHUNKED} or {@link UNTIL_CLOSE} */
  readonly body: number
  /** what Content-Length says, normalised; also where there is no body (HEAD, 304) */
  readonly contentLength: number | undefined
  /** the connection can carry another exchange as far as framing goes */
  readonly isReusable: boolean
}

/** The body of a final response to a request of this method. Equal repeated lengths are taken for one; Transfer-Encoding in HTTP/1.0
 *  is obeyed and ends the connection (RFC 9112 section 6.1). Throws {@link Defect}. */
export function responseFraming(
  method: string,
  {
    status,
    version,
    fields,
  }: { readonly status: number; readonly version: string; readonly fields: readonly string[] },
): ResponseFraming {
  const { codings, lengths, lengthFields } = claimsOf(fields)
  if (codings.length > 0) {
    if (lengthFields > 0) throw lengthAndCoding()
    checkCoding(codings)
  }
  const contentLength = lengthFields === 0 ? undefined : equalLength(lengths)
  if (hasNoBody(method, status)) {
    const claimsBody = status === 205 && method !== 'HEAD' && (codings.length > 0 || (contentLength ?? 0) > 0)
    return { body: 0, contentLength, isReusable: !claimsBody }
  }
  if (codings.length > 0) return { body: CHUNKED, contentLength, isReusable: version !== '1.0' }
  if (contentLength !== undefined) return { body: contentLength, contentLength, isReusable: true }
  return { body: UNTIL_CLOSE, contentLength, isReusable: false }
}

/** RFC 9112 section 6.3 and RFC 9110 section 15.3.6. */
export function hasNoBody(method: string, status: number): boolean {
  return method === 'HEAD' || status < 200 || status === 204 || status === 205 || status === 304
}

function claimsOf(fields: readonly string[]): Claims {
  let codings = NOTHING
  let lengths = NOTHING
  let lengthFields = 0
  for (let at = 0; at < fields.length; at += 2) {
    const name = fields[at] ?? ''
    if (name.length === 14 && isNamed(name, 'content-length')) {
      lengthFields++
      lengths = [...lengths, ...(fields[at + 1] ?? '').split(',').map(trimBlanks)]
    } else if (name.length === 17 && isNamed(name, 'transfer-encoding')) {
      codings = [...codings, fields[at + 1] ?? '']
    }
  }
  return { codings, lengths, lengthFields }
}

function checkCoding(codings: readonly string[]): void {
  const [only = ''] = codings
  if (codings.length === 1 && isNamed(trimBlanks(only), 'chunked')) return
  throw new Defect('transfer-coding', 'it uses a transfer coding other than `chunked`, once')
}

function equalLength(lengths: readonly string[]): number {
  const values = lengths.map(lengthOf)
  const [first = 0] = values
  if (values.some((value) => value !== first)) {
    throw new Defect('lengths', `it has different Content-Lengths: ${values.slice(0, 4).join(' and ')}`)
  }
  return first
}

/** Decimal digits without sign or leading zero: `010` is eight to one reader and ten to another. */
function lengthOf(text: string): number {
  if (!/^(?:0|[1-9]\d*)$/.test(text)) throw new Defect('length', 'the Content-Length field is not a number')
  const length = Number(text)
  if (!Number.isSafeInteger(length)) throw new Defect('length-overflow', 'the Content-Length is too large')
  return length
}

function lengthAndCoding(): Defect {
  return new Defect('length-and-coding', 'there are both Content-Length and Transfer-Encoding')
}

/** HTTP/1.1 goes on unless it says `close`; HTTP/1.0 ends unless it says `keep-alive`. */
export function keepsConnection(version: '1.0' | '1.1', fields: readonly string[]): boolean {
  const values = valuesOf(fields, 'connection')
  if (values.length === 0) return version === '1.1'
  const options = values.flatMap(tokensOf)
  return !options.includes('close') && (version === '1.1' || options.includes('keep-alive'))
}

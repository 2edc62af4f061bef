// What can be wrong with the fields of a request over HTTP/2 (RFC 9113 sections 8.1.1, 8.2 and 8.3): one name per defect.

export type Http2DefectName =
  | 'blank-around-value'
  | 'body-cut-short'
  | 'body-too-long'
  | 'capital-in-name'
  | 'connection-field'
  | 'control-character'
  | 'field-name'
  | 'length'
  | 'lengths'
  | 'pseudo-field'

/** Why a request is malformed. `message` is one lower-case clause; of the sender's text it holds at most a name that is sound. */
export interface Http2Defect {
  readonly defect: Http2DefectName
  readonly message: string
  readonly field?: string
}

const PSEUDO_FIELDS = new Set([':method', ':scheme', ':authority', ':path'])
const CONNECTION_FIELDS = new Set(['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade'])
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/
const CAPITAL = /[A-Z]/
/** visible characters, space, tab, bytes above 127; none of the control characters, CR, LF and NUL first of all */
const TEXT = /^[\t\x20-\x7e\x80-\xff]*$/
const BLANK_AROUND = /^[ \t]|[ \t]$/
const MAX_SHOWN = 64
const DIGITS = /^\d+$/

/** What is wrong with one field by itself, undefined for nothing. Name and value are Latin-1. */
export function fieldDefect(name: string, value: string): Http2Defect | undefined {
  const wrongName = name.startsWith(':') ? pseudoDefect(name) : nameDefect(name)
  if (wrongName !== undefined) return wrongName
  if (!TEXT.test(value)) {
    return {
      defect: 'control-character',
      field: name,
      message: `the value of ${shown(name)} holds a control character`,
    }
  }
  if (BLANK_AROUND.test(value)) {
    return {
      defect: 'blank-around-value',
      field: name,
      message: `the value of ${shown(name)} begins or ends with a blank`,
    }
  }
  if (CONNECTION_FIELDS.has(name) || (name === 'te' && value.toLowerCase() !== 'trailers')) {
    return { defect: 'connection-field', field: name, message: `${shown(name)} belongs to HTTP/1.1` }
  }
  if (name === 'content-length' && !DIGITS.test(value)) {
    return { defect: 'length', field: name, message: '`content-length` is not a number' }
  }
  return undefined
}

function nameDefect(name: string): Http2Defect | undefined {
  if (TOKEN.test(name)) return undefined
  if (CAPITAL.test(name)) return { defect: 'capital-in-name', message: 'the name of a field has capital letters' }
  return { defect: 'field-name', message: 'a field has no valid name' }
}

function pseudoDefect(name: string): Http2Defect | undefined {
  if (PSEUDO_FIELDS.has(name)) return undefined
  return { defect: 'pseudo-field', message: 'a pseudo-header field is none of a request' }
}

function shown(name: string): string {
  return `\`${name.length > MAX_SHOWN ? `${name.slice(0, MAX_SHOWN)}…` : name}\``
}

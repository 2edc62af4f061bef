// A flat list of names and values as Node's HTTP/2 takes a response head.

import type { OutgoingHttpHeaders } from 'node:http2'

/** Names in lower case (RFC 9113 section 8.2.1); a name that comes several times keeps all its values, in order. */
export function responseHeaders(status: number, fields: readonly string[]): OutgoingHttpHeaders {
  const headers: Record<string, string | string[] | number> = Object.create(null)
  for (let at = 0; at < fields.length; at += 2) {
    const name = (fields[at] ?? '').toLowerCase()
    const value = fields[at + 1] ?? ''
    const before = headers[name]
    if (before === undefined) headers[name] = value
    else headers[name] = Array.isArray(before) ? [...before, value] : [String(before), value]
  }
  headers[':status'] = status
  return headers
}

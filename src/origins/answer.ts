// What an origin answers, in the three forms it can go out: plain for curl, JSON for programs, a page for browsers.

import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Attribution, PAGE_HEADERS, type Page, renderPage } from './page.ts'

export interface Answer {
  readonly status: number
  /** complete lines */
  readonly text: string
  readonly json: unknown
  readonly page: Page
  /** only this form, whatever the client would like */
  readonly only?: 'json' | 'text'
  readonly headers?: Readonly<Record<string, string>>
}

/** Sends the form the client asks for (RFC 9110 section 12.5.1, by the types named, not by their weights). Answers differ
 *  by who asks, so nothing may be stored. */
export function send(
  answer: Answer,
  request: IncomingMessage,
  response: ServerResponse,
  attribution: Attribution,
): void {
  const form = answer.only ?? preferredForm(request.headers.accept ?? '')
  const [headers, body] = {
    html: () => [PAGE_HEADERS, renderPage(answer.page, attribution)] as const,
    json: () => [JSON_HEADERS, `${JSON.stringify(answer.json, null, 2)}\n`] as const,
    text: () => [TEXT_HEADERS, answer.text] as const,
  }[form]()
  const bytes = Buffer.from(body)
  response.writeHead(answer.status, {
    ...headers,
    'cache-control': 'no-store',
    vary: 'accept',
    'content-length': bytes.length,
    ...answer.headers,
  })
  response.end(request.method === 'HEAD' ? undefined : bytes)
}

const JSON_HEADERS = { 'content-type': 'application/json; charset=utf-8' }
const TEXT_HEADERS = { 'content-type': 'text/plain; charset=utf-8' }

function preferredForm(accept: string): 'html' | 'json' | 'text' {
  if (/\btext\/html\b/i.test(accept)) return 'html'
  return /\bapplication\/(?:[\w.-]+\+)?json\b/i.test(accept) ? 'json' : 'text'
}

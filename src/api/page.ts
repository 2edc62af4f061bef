// The console's files over HTTP: known by exact path only, so that nothing else can be asked for (AP-05), with a policy that lets
// no foreign and no inline code run. Holds no secrets.

import type { IncomingHttpHeaders } from 'node:http'
import type { TextAnswer } from './answer.ts'
import type { Page } from './ports.ts'

const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "font-src 'self'",
  "connect-src 'self'",
  "form-action 'none'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ')

/** The file, or 304 where the browser has this very one (RFC 9110 section 13.1.2). Files whose names carry their hash stay for good. */
export function answerPage(page: Page, headers: IncomingHttpHeaders): TextAnswer {
  const { contentType, body, etag, immutable = false } = page
  const known = etag !== undefined && (headers['if-none-match'] ?? '').split(/\s*,\s*/).includes(etag)
  return {
    kind: 'text',
    status: known ? 304 : 200,
    contentType,
    body: known ? '' : body,
    headers: {
      'content-security-policy': CONTENT_SECURITY_POLICY,
      'cross-origin-opener-policy': 'same-origin',
      'cache-control': immutable ? 'public, max-age=31536000, immutable' : 'no-cache',
      ...(etag === undefined ? {} : { etag }),
    },
  }
}

/** Is a person coming here by a link or the address bar? Pages may be linked to from anywhere; what they show is asked for anew. */
export function isNavigation(method: string, headers: IncomingHttpHeaders): boolean {
  return method === 'GET' && headers['sec-fetch-mode'] === 'navigate' && headers['sec-fetch-dest'] === 'document'
}

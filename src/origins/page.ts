// The common layout of all test origins: a small page without external resources, readable without style sheets, whose
// policy forbids loading anything (CSP 3), so that a browser's developer tools show only the traffic under test.

import { createHash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'

export interface OriginPage {
  readonly title: string
  /** BCP 47; default English */
  readonly language?: string
  /** the main result, in large type */
  readonly headline: string
  readonly tone: 'plain' | 'good' | 'bad'
  readonly body: Markup
}

/** The attribution that the geolocation data's licence requires. */
export interface Attribution {
  readonly text: string
  readonly href: string
}

const STYLE = `
:root{color-scheme:light dark;--ink:#1b1f24;--dim:#57606a;--paper:#fff;--line:#d0d7de;--plain:#0550ae;--good:#116329;--bad:#a40e26}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--dim:#9da7b3;--paper:#0d1117;--line:#30363d;--plain:#79c0ff;--good:#7ee787;--bad:#ffa198}}
body{margin:0;background:var(--paper);color:var(--ink);font:1rem/1.5 system-ui,sans-serif}
main{max-width:42rem;margin:0 auto;padding:2.5rem 1.25rem}
header p{font-weight:600;color:var(--dim);margin:0}
h1{font-size:clamp(1.5rem,6vw,2.5rem);font-weight:650;overflow-wrap:anywhere;margin:.25rem 0 1.5rem}
.plain{color:var(--plain)}.good{color:var(--good)}.bad{color:var(--bad)}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.4rem 1.25rem;margin:1.5rem 0;border-top:1px solid var(--line);padding-top:1.25rem}
dt{color:var(--dim)}dd{margin:0;overflow-wrap:anywhere}
code,pre{font:.9rem/1.5 ui-monospace,monospace}pre{overflow:auto;padding:.75rem;border:1px solid var(--line);border-radius:.4rem}
input,button{font:inherit;padding:.5rem .75rem;border:1px solid var(--line);border-radius:.4rem;background:none;color:inherit}
footer{color:var(--dim);font-size:.875rem;border-top:1px solid var(--line);padding-top:1rem}a{color:var(--plain)}
`

const STYLE_HASH = createHash('sha256').update(STYLE).digest('base64')

/** Headers of every page. */
export const PAGE_HEADERS: Readonly<Record<string, string>> = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy': `default-src 'none'; style-src 'sha256-${STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
}

/** The page as the text of an HTML document. */
export function renderPage(page: OriginPage, attribution: Attribution): string {
  return html`<!doctype html>
<html lang="${page.language ?? 'en'}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<title>${page.title}</title>
<style>${{ markup: STYLE }}</style>
</head>
<body>
<main>
<header><p>${page.title}</p><h1 class="${page.tone}" dir="auto">${page.headline}</h1></header>
${page.body}
<footer lang="en"><p>A test origin of egresslab, not the real site. <a href="${attribution.href}">${attribution.text}</a></p></footer>
</main>
</body>
</html>
`.markup
}

/** A list of facts; those without a value are omitted. */
export function factList(facts: Readonly<Record<string, string | number | undefined>>): Markup {
  const rows = Object.entries(facts).flatMap(([name, value]) =>
    value === undefined ? [] : [html`<dt>${name}</dt><dd>${value}</dd>\n`],
  )
  return html`<dl>\n${rows}</dl>`
}

/** Markup that needs no escaping. */
export interface Markup {
  readonly markup: string
}

type Part = Markup | readonly Markup[] | string | number

/** html`<p>${text}</p>`: strings and numbers are escaped, markup is kept, lists are joined. */
export function html(fixed: TemplateStringsArray, ...parts: readonly Part[]): Markup {
  const markup = fixed.map((text, at) => text + render(parts[at] ?? '')).join('')
  return { markup }
}

function render(part: Part): string {
  if (typeof part === 'string' || typeof part === 'number') return escaped(String(part))
  return 'markup' in part ? part.markup : part.map((item) => item.markup).join('')
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? '')
}

export interface OriginAnswer {
  readonly status: number
  /** complete lines */
  readonly text: string
  readonly json: unknown
  readonly page: OriginPage
  /** only this form, whatever the client accepts */
  readonly only?: 'json' | 'text'
  readonly headers?: Readonly<Record<string, string>>
}

/** Sends the form that the client accepts (RFC 9110 section 12.5.1, by the types named, ignoring their weights).
 *  Responses depend on the client, so they must not be cached. */
export function send(
  answer: OriginAnswer,
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

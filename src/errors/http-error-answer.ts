// How a failed connection looks to an HTTP client: status, Proxy-Status (RFC 9209), and a few lines of text that say
// what happened and which rule and address were involved. Never repeats raw client bytes, never a secret (LG-02,
// HH-03).

import type { GatewayError } from './gateway-error.ts'

const REASONS: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  403: 'Forbidden',
  405: 'Method Not Allowed',
  407: 'Proxy Authentication Required',
  408: 'Request Timeout',
  414: 'URI Too Long',
  417: 'Expectation Failed',
  429: 'Too Many Requests',
  431: 'Request Header Fields Too Large',
  500: 'Internal Server Error',
  501: 'Not Implemented',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
  505: 'HTTP Version Not Supported',
  508: 'Loop Detected',
}

const MAX_DETAILS = 400

/** An answer of the proxy itself. `fields` is a flat list of names and values without framing and Connection. */
export interface HttpErrorAnswer {
  readonly status: number
  readonly reason: string
  readonly fields: readonly string[]
  readonly body: string
}

export interface HttpErrorOptions {
  /** The client waits for 100 (Continue): no body, because Java 17's own client waits for ever if a final response
   *  has one of up to 1,024 bytes. The error is in Proxy-Status as well. */
  readonly expectsContinue?: boolean
  /** of the request, where it is known: the answer to a HEAD ends with its head (RFC 9110 section 9.3.2) */
  readonly method?: string | undefined
  /** a person waits for a page: the answer is one, not the lines of text that programs get */
  readonly page?: ErrorPage | undefined
}

/** What the page for a person says beside the error. */
export interface ErrorPage {
  /** where the request was going, `host:port` */
  readonly target: string
  /** address of the console, `http://127.0.0.1:8090`, where the session is told in full */
  readonly console?: string | undefined
}

/** The answer to a request that failed with this error (docs/reference/reliability.md#status). */
export function httpErrorAnswer(error: GatewayError, options: HttpErrorOptions = {}): HttpErrorAnswer {
  const { http: status } = error.rendering
  const body =
    options.expectsContinue === true ? '' : options.page === undefined ? bodyOf(error) : pageOf(error, options.page)
  const fields = [
    ...(body === '' ? [] : [...typeOf(options.page), 'X-Content-Type-Options', 'nosniff']),
    'Cache-Control',
    'no-store',
    'Proxy-Status',
    proxyStatus(error),
  ]
  const { session, egress, rule } = error.details
  if (session !== undefined) fields.push(...annotationFields(String(session), String(egress ?? ''), String(rule ?? '')))
  if (status === 407) fields.push('Proxy-Authenticate', 'Basic realm="egresslab", charset="UTF-8"')
  if (status === 405) fields.push('Allow', 'GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH')
  if (error.code === 'guard.too_many_connections') fields.push('Retry-After', '1')
  return { status, reason: REASONS[status] ?? 'Error', fields, body }
}

/** The same as the bytes of one HTTP/1.1 response, for sockets that no HTTP server looks after. */
export function httpErrorText(
  error: GatewayError,
  connection: 'close' | 'keep-alive',
  options: HttpErrorOptions = {},
): string {
  const { status, reason, fields, body } = httpErrorAnswer(error, options)
  let head = `HTTP/1.1 ${status} ${reason}\r\n`
  for (let at = 0; at < fields.length; at += 2) head += `${fields[at]}: ${fields[at + 1]}\r\n`
  return `${head}Content-Length: ${body.length}\r\nConnection: ${connection}\r\n\r\n${options.method === 'HEAD' ? '' : body}`
}

/** The names of the fields by which a listener with `annotate` matches answers with sessions, lower case. */
export const ANNOTATION_NAMES = ['egresslab-session', 'egresslab-egress', 'egresslab-rule'] as const

/** These fields as a flat list: the session's id, and egress address and rule name unless they are ''. */
export function annotationFields(session: string, egress: string, rule: string): string[] {
  return [
    'Egresslab-Session',
    session,
    ...(egress === '' ? [] : ['Egresslab-Egress', egress]),
    ...(rule === '' ? [] : ['Egresslab-Rule', visible(rule)]),
  ]
}

/** `egresslab; error=dns_error; code="name.not_found"; details="…"`: the RFC's token where it has one, our own code
 *  always. */
function proxyStatus(error: GatewayError): string {
  const token = error.rendering.proxyStatus
  return [
    'egresslab',
    ...(token === null ? [] : [`error=${token}`]),
    `code="${error.code}"`,
    `details=${quoted(error.message)}`,
  ].join('; ')
}

function bodyOf(error: GatewayError): string {
  const { rule, outcome, egress } = error.details
  const lines = [`egresslab: ${visible(publicMessage(error))}`, '', `code: ${error.code}`]
  if (rule) lines.push(`rule: ${visible(String(rule))}`)
  if (outcome) lines.push(`outcome: ${visible(String(outcome))}`)
  if (egress) lines.push(`egress IP: ${visible(String(egress))}`)
  return `${lines.join('\n')}\n`
}

function typeOf(page: ErrorPage | undefined): readonly string[] {
  if (page === undefined) return ['Content-Type', 'text/plain; charset=utf-8']
  return [
    'Content-Type',
    'text/html; charset=utf-8',
    'Content-Security-Policy',
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  ]
}

const PAGE_STYLE =
  ':root{color-scheme:light dark}body{max-width:40rem;margin:12vh auto;padding:0 1rem;font:16px/1.5 system-ui,sans-serif}' +
  'h1{font-size:1.4rem}dl{display:grid;grid-template-columns:max-content 1fr;gap:.25rem 1rem}dt{opacity:.75}' +
  'dd{margin:0;overflow-wrap:anywhere}'

/** What, why, which rule, and where to read on, without a script. */
function pageOf(error: GatewayError, page: ErrorPage): string {
  const { rule, outcome, egress } = error.details
  const said = visible(publicMessage(error))
  const facts = { Asked: page.target, Rule: rule, Outcome: outcome, 'Egress IP': egress, Code: error.code }
  const rows = Object.entries(facts).flatMap(([name, value]) =>
    value ? [`<dt>${name}</dt><dd>${inHtml(String(value))}</dd>`] : [],
  )
  const sessions = `${page.console}/sessions?q=${encodeURIComponent(page.target)}`
  const more =
    page.console === undefined ? '' : `<p><a href="${inHtml(sessions)}">This session in the console</a></p>\n`
  return (
    `<!doctype html>\n<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">` +
    `<title>egresslab: ${error.rendering.http} ${REASONS[error.rendering.http] ?? 'Error'}</title>` +
    `<style>${PAGE_STYLE}</style>\n<h1>egresslab could not fetch this page</h1>\n` +
    `<p>${inHtml(said.charAt(0).toUpperCase() + said.slice(1))}.</p>\n<dl>${rows.join('')}</dl>\n${more}</html>\n`
  )
}

function inHtml(text: string): string {
  return visible(text).replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll("'", '&#39;')
}

/** A fault of our own keeps its detail to the log. */
function publicMessage(error: GatewayError): string {
  return error.code === 'internal.invariant' ? 'an unexpected error inside the proxy' : error.message
}

/** A structured-field string (RFC 9651 section 3.3.3). */
function quoted(text: string): string {
  return `"${visible(text).replace(/[\\"]/g, '\\$&')}"`
}

/** Printable ASCII only, bounded: nothing a client sent can start a new line or a tag of its own. */
function visible(text: string): string {
  const cut = text.length > MAX_DETAILS ? `${text.slice(0, MAX_DETAILS - 3)}...` : text
  return cut.replace(/[^\x20-\x7e]/g, '?').replace(/[<>]/g, '?')
}

// Writes a proxy auto-configuration file (PAC) for a listener of the lab: one function in ES3, which sends everything
// through the listener except loopback names and configured exceptions. It has no DIRECT fallback: while the lab is
// down, requests fail.

import { type InputError, inputError } from '../errors/issue.ts'
import { formatTarget } from '../net/endpoint.ts'
import { parseHost } from '../net/host.ts'
import type { Listener } from '../proxy/arrival.ts'

/** How a browser connects to the proxy. */
export const PAC_SCHEMES = ['http', 'https', 'socks5'] as const
export type PacScheme = (typeof PAC_SCHEMES)[number]

export interface PacQuestion {
  readonly listeners: readonly Listener[]
  /** where the API listens, and its further host names */
  readonly api: { readonly host: string; readonly port: number; readonly names?: readonly string[] }
  /** name of the listener; default: one made for browsers, with a sign-in page, else the first */
  readonly listener?: string | undefined
  /** default: `https` where the listener requires TLS, else `http` */
  readonly scheme?: PacScheme | undefined
  /** names to connect to directly: `wiki.internal.test`, or `*.internal.test` for all names below it */
  readonly direct?: readonly string[]
  /** this machine's name or address for clients, where a listener is on all addresses; default 127.0.0.1 */
  readonly machine?: string | undefined
}

const PAC_KEYWORDS = { http: 'PROXY', https: 'HTTPS', socks5: 'SOCKS5' } as const
const EVERY_ADDRESS = new Set(['0.0.0.0', '::'])
const MOST_DIRECT = 200

/** The text of the file. Throws InputError `pac.*` for an unknown listener, an impossible scheme or an invalid name. */
export function writePac(question: PacQuestion): string {
  const { api, direct = [], machine = '127.0.0.1' } = question
  const chosen = listenerOf(question)
  const scheme = schemeFor(chosen, question.scheme)
  const place = (host: string, port: number) => placeOf(EVERY_ADDRESS.has(host) ? machine : host, port)
  const own = [api.host, 'localhost', ...(api.names ?? [])].map((host) => place(host, api.port))
  const proxy = `${PAC_KEYWORDS[scheme]} ${place(chosen.host, chosen.port)}`
  const list = (texts: readonly string[]) => `[${[...new Set(texts)].map((text) => JSON.stringify(text)).join(', ')}]`
  return `// egresslab: sends everything through the listener ${JSON.stringify(chosen.name)}, as ${scheme}.
${scheme === 'socks5' && requiresCredentials(chosen) ? '// Browsers cannot log in to SOCKS proxies, and this listener asks who they are.\n' : ''}function FindProxyForURL(url, host) {
  var own = ${list(own)};
  var direct = ${list(['*.localhost', ...direct.map(directName)])};
  var authority = (url.split("/")[2] || "").split("@").pop().toLowerCase();
  var i;
  if (host.indexOf(":") < 0 && isPlainHostName(host)) return "DIRECT";
  for (i = 0; i < own.length; i++) if (authority === own[i]) return "DIRECT";
  for (i = 0; i < direct.length; i++) if (shExpMatch(host.toLowerCase(), direct[i])) return "DIRECT";
  return ${JSON.stringify(proxy)};
}
`
}

/** `host:port`, IPv6 in brackets. */
function placeOf(host: string, port: number): string {
  return formatTarget({ ...(parseHost(host) ?? { kind: 'name', name: host }), port })
}

function listenerOf({ listeners, listener, direct = [] }: PacQuestion): Listener {
  const found = listener === undefined ? forBrowsers(listeners) : listeners.find(({ name }) => name === listener)
  if (found === undefined) {
    const names = listeners.map(({ name }) => `\`${name}\``).join(', ')
    throw wrong('pac.unknown_listener', `there is no listener ${quote(listener ?? '')}`, `there are ${names}`)
  }
  if (found.port === 0) {
    const hint = 'start the lab and fetch `/proxy.pac` from its API'
    throw wrong('pac.no_port', `the listener \`${found.name}\` chooses a free port at each start`, hint)
  }
  if (direct.length > MOST_DIRECT) throw wrong('pac.too_many', `more than ${MOST_DIRECT} direct host names`)
  return found
}

/** Where people sign in on a page; else the first, for which a browser asks by itself. */
function forBrowsers(listeners: readonly Listener[]): Listener | undefined {
  return listeners.find(({ endpoint }) => endpoint?.signIn === 'page') ?? listeners[0]
}

function schemeFor({ name, tls }: Listener, wanted: PacScheme | undefined): PacScheme {
  const mode = tls?.mode
  const scheme = wanted ?? (mode === 'required' ? 'https' : 'http')
  if (scheme === 'https' && mode === 'refused') {
    throw wrong('pac.scheme', `the listener \`${name}\` does not accept TLS, so it cannot be an \`https\` proxy`)
  }
  if (scheme !== 'https' && mode === 'required') {
    throw wrong(
      'pac.scheme',
      `the listener \`${name}\` accepts TLS only, so browsers can use it only as an \`https\` proxy`,
    )
  }
  return scheme
}

function requiresCredentials({ authentication, fixedUser }: Listener): boolean {
  return authentication === 'required' && fixedUser === undefined
}

/** In the form browsers compare: lower case, A-labels. */
function directName(text: string): string {
  const below = text.startsWith('*.') ? '*.' : ''
  const host = parseHost(text.slice(below.length))
  if (host?.kind === 'name') return below + host.name
  if (host?.kind === 'ip' && below === '') return host.ip.text
  throw wrong('pac.direct', `${quote(text)} is not a host name`, 'write `wiki.internal.test`, or `*.internal.test`')
}

function quote(text: string): string {
  const short = text.length > 64 ? `${text.slice(0, 64)}…` : text
  return `\`${short.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, '\ufffd')}\``
}

function wrong(code: string, message: string, hint?: string): InputError {
  return inputError(code, message, { hint })
}

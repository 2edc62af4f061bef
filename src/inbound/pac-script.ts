// A proxy auto-configuration file (PAC) for the lab's own doors: one function in the JavaScript of old browsers, which sends everything
// by way of one listener and leaves alone what has to be. There is no way around the proxy behind it: a lab that is down is an error.

import { InputError } from '../errors/issue.ts'
import { formatTarget } from '../net/endpoint.ts'
import { parseHost } from '../net/host.ts'
import type { Listener } from '../proxy/arrival.ts'

/** How a browser speaks to the proxy. */
export const PAC_SCHEMES = ['http', 'https', 'socks5'] as const
export type PacScheme = (typeof PAC_SCHEMES)[number]

export interface PacQuestion {
  readonly listeners: readonly Listener[]
  /** where the API listens, and the host names it goes by beside */
  readonly api: { readonly host: string; readonly port: number; readonly names?: readonly string[] }
  /** name of the listener; default: the first */
  readonly listener?: string | undefined
  /** default: `https` where the listener takes nothing else, `http` otherwise */
  readonly scheme?: PacScheme | undefined
  /** names that are reached without the proxy: `wiki.internal.test`, or `*.internal.test` for all below it */
  readonly direct?: readonly string[]
  /** the name or address this machine goes by for clients, where a listener is on every address; default 127.0.0.1 */
  readonly machine?: string | undefined
}

const WORDS = { http: 'PROXY', https: 'HTTPS', socks5: 'SOCKS5' } as const
const EVERY_ADDRESS = new Set(['0.0.0.0', '::'])
const MOST_DIRECT = 200

/** The file's text. Throws an InputError for a listener, scheme or name that cannot be. */
export function writePac(question: PacQuestion): string {
  const { api, direct = [], machine = '127.0.0.1' } = question
  const door = doorOf(question)
  const scheme = schemeFor(door, question.scheme)
  const place = (host: string, port: number) => placeOf(EVERY_ADDRESS.has(host) ? machine : host, port)
  const own = [api.host, 'localhost', ...(api.names ?? [])].map((host) => place(host, api.port))
  const proxy = `${WORDS[scheme]} ${place(door.host, door.port)}`
  const list = (texts: readonly string[]) => `[${[...new Set(texts)].map((text) => JSON.stringify(text)).join(', ')}]`
  return `// egresslab: everything by way of the listener ${JSON.stringify(door.name)}, as ${scheme}.
${scheme === 'socks5' && asksWho(door) ? '// Browsers cannot log in to SOCKS proxies, and this listener asks who they are.\n' : ''}function FindProxyForURL(url, host) {
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

function doorOf({ listeners, listener, direct = [] }: PacQuestion): Listener {
  const found = listener === undefined ? listeners[0] : listeners.find(({ name }) => name === listener)
  if (found === undefined) {
    const names = listeners.map(({ name }) => `\`${name}\``).join(', ')
    throw wrong('pac.unknown_listener', `there is no listener ${quote(listener ?? '')}`, `there are ${names}`)
  }
  if (found.port === 0) {
    const hint = 'start the lab and fetch `/proxy.pac` from its API'
    throw wrong('pac.no_port', `the listener \`${found.name}\` takes a free port at each start`, hint)
  }
  if (direct.length > MOST_DIRECT) throw wrong('pac.too_many', `more than ${MOST_DIRECT} names to be reached directly`)
  return found
}

function schemeFor({ name, tls }: Listener, wanted: PacScheme | undefined): PacScheme {
  const mode = tls?.mode
  const scheme = wanted ?? (mode === 'required' ? 'https' : 'http')
  if (scheme === 'https' && mode === 'refused') {
    throw wrong('pac.scheme', `the listener \`${name}\` takes no TLS, so it is no \`https\` proxy`)
  }
  if (scheme !== 'https' && mode === 'required') {
    throw wrong(
      'pac.scheme',
      `the listener \`${name}\` takes TLS only, which browsers speak to \`https\` proxies alone`,
    )
  }
  return scheme
}

function asksWho({ authentication, fixedUser }: Listener): boolean {
  return authentication === 'required' && fixedUser === undefined
}

/** In the form browsers compare: lower case, A-labels. */
function directName(text: string): string {
  const below = text.startsWith('*.') ? '*.' : ''
  const host = parseHost(text.slice(below.length))
  if (host?.kind === 'name') return below + host.name
  if (host?.kind === 'ip' && below === '') return host.ip.text
  throw wrong('pac.direct', `${quote(text)} is no host name`, 'write `wiki.internal.test`, or `*.internal.test`')
}

function quote(text: string): string {
  const short = text.length > 64 ? `${text.slice(0, 64)}…` : text
  return `\`${short.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, '\ufffd')}\``
}

function wrong(code: string, message: string, hint?: string): InputError {
  return new InputError([{ severity: 'error', code, message, ...(hint === undefined ? {} : { hint }) }])
}

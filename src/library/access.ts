// The ways of a client through a running lab: the URL of its proxy for a person, fetch and dispatchers on it, and the variables
// for programs. Passwords come from the configuration; they appear in nothing but the URL and the credentials sent.

import { resolve } from 'node:path'
import { type Dispatcher, fetch, type RequestInit, type Response } from 'undici'
import type { LabConfig } from '../config/lab-config.ts'
import type { ProxyAccess } from '../decider/proxy-client.ts'
import { didYouMean } from '../errors/did-you-mean.ts'
import { formatTarget, reachableHost } from '../net/endpoint.ts'
import { canonicalEmail } from '../policy/canonical-email.ts'
import type { Listener } from '../proxy/arrival.ts'
import { checkOptions, oneOf, optionError, TEXT } from './check-options.ts'
import type { LabFetchInit, ProxyChoice } from './lab.ts'
import { httpProxyAgent, type ProxyConnections, refusalIn, socksAgent } from './proxy-agents.ts'

const CHOICES = {
  user: TEXT,
  password: TEXT,
  virtualNetwork: TEXT,
  device: TEXT,
  sourceIp: TEXT,
  family: oneOf([4, 6]),
  protocol: oneOf(['http', 'https', 'socks5']),
  listener: TEXT,
}
const ANY = { what: 'anything', test: () => true }
/** of the platform's fetch */
const INIT = Object.fromEntries(
  [
    'method',
    'headers',
    'body',
    'redirect',
    'signal',
    'credentials',
    'cache',
    'mode',
    'referrer',
    'referrerPolicy',
    'integrity',
    'keepalive',
    'duplex',
    'window',
  ].map((name) => [name, ANY]),
)

/** What has to be known of a lab, in this process or not. */
export interface AccessibleLab {
  /** with the ports really listening */
  readonly listeners: readonly Listener[]
  readonly authorityFile: string
  /** as it is now */
  readonly snapshot: () => {
    readonly account: { readonly virtualNetworks: readonly { readonly id: string; readonly name: string }[] }
  }
  readonly decider: { readonly config: Pick<LabConfig, 'users' | 'devices'> }
}

/** The access of programs to one lab; dispatchers are made once per person and closed together. */
export class ClientAccess {
  readonly #lab: AccessibleLab
  readonly #authority: string
  readonly #dispatchers = new Map<string, { readonly agent: ProxyConnections; readonly dispatcher: Dispatcher }>()

  /** `authority`: PEM of the lab's certificate authority */
  constructor(lab: AccessibleLab, authority: string) {
    this.#lab = lab
    this.#authority = authority
  }

  /** The proxy's URL, with the person's user name and password. Throws an InputError as {@link proxyAccess} does. */
  proxyUrl(choice: ProxyChoice = {}): string {
    const { scheme, proxy, credentials } = this.proxyAccess(choice)
    const login = credentials && Object.values(credentials).map(encodeURIComponent).join(':')
    const at = formatTarget({ kind: 'name', name: proxy.host, port: proxy.port })
    return `${scheme === 'socks5' ? 'socks5h' : scheme}://${login === undefined ? at : `${login}@${at}`}`
  }

  /** Node's fetch through the proxy; rejects as fetch does. */
  async fetch(url: string | URL, init: LabFetchInit = {}): Promise<Response> {
    checkOptions(init, { ...CHOICES, ...INIT })
    const isChoice = (name: string) => Object.hasOwn(CHOICES, name)
    const entries = Object.entries(init).filter(([, value]) => value !== undefined)
    const choice: ProxyChoice = Object.fromEntries(entries.filter(([name]) => isChoice(name)))
    const rest: RequestInit = Object.fromEntries(entries.filter(([name]) => !isChoice(name)))
    try {
      return await fetch(url, { ...rest, dispatcher: this.dispatcher(choice) })
    } catch (thrown) {
      throw refusalIn(thrown) ?? thrown
    }
  }

  /** A dispatcher of undici's through the proxy: one per person and listener, closed with {@link close}. */
  dispatcher(choice: ProxyChoice = {}): Dispatcher {
    const access = this.proxyAccess(choice)
    const key = JSON.stringify(access)
    const known = this.#dispatchers.get(key)
    if (known !== undefined) return known.dispatcher
    const agent = access.scheme === 'socks5' ? socksAgent(access) : httpProxyAgent(access)
    const dispatcher = agent.dispatcher.compose(
      (dispatch) => (options, handler) => dispatch({ ...options, reset: true }, handler),
    )
    this.#dispatchers.set(key, { agent, dispatcher })
    return dispatcher
  }

  /** The environment variables by which programs find the proxy and its certificates, as `egresslab env` prints them. */
  env(choice: ProxyChoice = {}): Record<string, string> {
    const proxy = this.proxyUrl(choice)
    const ca = resolve(this.#lab.authorityFile)
    const proxies = { http_proxy: proxy, https_proxy: proxy, all_proxy: proxy, no_proxy: NOT_THROUGH_THE_PROXY }
    const capitals = Object.entries(proxies).map(([name, value]) => [name.toUpperCase(), value] as const)
    return {
      ...proxies,
      ...Object.fromEntries(capitals),
      SSL_CERT_FILE: ca,
      CURL_CA_BUNDLE: ca,
      REQUESTS_CA_BUNDLE: ca,
      GIT_SSL_CAINFO: ca,
      NODE_EXTRA_CA_CERTS: ca,
      NODE_USE_ENV_PROXY: '1',
      JAVA_TOOL_OPTIONS: javaOptions(this.proxyAccess(choice)),
    }
  }

  /** Destroys every dispatcher and its connections; requests under way reject. */
  async close(): Promise<void> {
    await Promise.all([...this.#dispatchers.values()].map(({ agent }) => agent.close()))
  }

  /** The choice, as the first user of the configuration where nobody is named and the listener asks who it is. */
  asSomebody(choice: ProxyChoice): ProxyChoice {
    checkOptions(choice, CHOICES)
    const { authentication, fixedUser } = this.#listenerFor(choice)
    const email = this.#lab.decider.config.users[0]?.identity.email
    const isAsked = authentication !== 'anonymous' && fixedUser === undefined
    return choice.user === undefined && isAsked && email !== undefined ? { ...choice, user: email } : choice
  }

  /** Where the proxy is and what to tell it. Throws an InputError for names that the lab does not know. */
  proxyAccess(choice: ProxyChoice): SchemedAccess {
    checkOptions(choice, CHOICES)
    this.#checkNames(choice)
    const listener = this.#listenerFor(choice)
    const takesTlsOnly = listener.tls?.mode === 'required'
    const { protocol: scheme = takesTlsOnly ? 'https' : 'http' } = choice
    if (takesTlsOnly && scheme !== 'https') {
      throw optionError(['protocol'], `the listener \`${listener.name}\` takes TLS only`, 'use `protocol: "https"`')
    }
    if (scheme === 'https' && listener.tls?.mode === 'refused') {
      throw optionError(['protocol'], `the listener \`${listener.name}\` takes no TLS`, 'use `protocol: "http"`')
    }
    const credentials = this.#credentials(choice, listener)
    return {
      scheme,
      proxy: { host: reachableHost(listener.host), port: listener.port, tls: scheme === 'https' },
      ...(credentials === undefined ? {} : { credentials }),
      authority: this.#authority,
    }
  }

  #listenerFor({ listener: wanted, user }: ProxyChoice): Listener {
    const { listeners } = this.#lab
    const namesOf = ({ name, endpoint }: Listener) => [
      name,
      ...(endpoint === undefined ? [] : [endpoint.name, endpoint.host]),
    ]
    const isFor = ({ authentication, fixedUser }: Listener) =>
      user === undefined || authentication !== 'anonymous' || fixedUser === canonicalEmail(user)
    const fitting =
      wanted === undefined ? listeners.filter(isFor) : listeners.filter((one) => namesOf(one).includes(wanted))
    const [found = wanted === undefined ? listeners[0] : undefined] = fitting
    if (found !== undefined) return found
    const hint = didYouMean(wanted ?? '', listeners.flatMap(namesOf))
    throw optionError(['listener'], `there is no listener \`${wanted}\``, hint)
  }

  /** Undefined where none are needed. */
  #credentials(choice: ProxyChoice, listener: Listener): ProxyAccess['credentials'] {
    const { user, password, virtualNetwork: vnet, device, sourceIp: src, family } = choice
    const chosen = Object.entries({ vnet, src, device, family }).flatMap(([name, value]) =>
      value === undefined ? [] : [`${name}=${value}`],
    )
    if (user === undefined && chosen.length === 0) return undefined
    const needsNone = user === undefined || listener.authentication === 'anonymous'
    const username = [user ?? '', ...chosen].join(';')
    return { username, password: needsNone ? '' : (password ?? this.#passwordOf(user)) }
  }

  #passwordOf(user: string): string {
    const { users } = this.#lab.decider.config
    const known = users.find(({ identity }) => identity.email === canonicalEmail(user))
    if (known === undefined) {
      const hint = didYouMean(
        user,
        users.map(({ identity }) => identity.email),
      )
      throw optionError(['user'], `the configuration has no user \`${user}\``, hint)
    }
    if (known.password?.kind === 'plain') return known.password.text.reveal()
    const why = known.password === undefined ? 'has no password' : 'has only a hash of the password'
    throw optionError(['user'], `the configuration ${why} of \`${user}\``, 'pass it as `password`')
  }

  #checkNames({ virtualNetwork, device }: ProxyChoice): void {
    const { virtualNetworks } = this.#lab.snapshot().account
    const networks = virtualNetworks.flatMap(({ id, name }) => [name, id])
    if (virtualNetwork !== undefined && !networks.includes(virtualNetwork)) {
      const hint = didYouMean(
        virtualNetwork,
        virtualNetworks.map(({ name }) => name),
      )
      throw optionError(['virtualNetwork'], `there is no virtual network \`${virtualNetwork}\``, hint)
    }
    const devices = this.#lab.decider.config.devices.flatMap(({ device: { id, name } }) => [name, id])
    if (device !== undefined && !devices.includes(device)) {
      throw optionError(['device'], `there is no device \`${device}\``, didYouMean(device, devices))
    }
  }
}

/** What runs on this machine is reached directly, the lab's own API too. */
const NOT_THROUGH_THE_PROXY = 'localhost,127.0.0.1,::1'

/** Java's own clients take the login from nothing but an Authenticator of the program; Apache's, Maven and Gradle take it from these
 *  properties. A listener that takes TLS only is beyond Java. White space separates options; quotes keep it. */
function javaOptions({ proxy, credentials }: SchemedAccess): string {
  const quotedWhere = (text: string) => (/[\s"']/.test(text) ? `"${text.replaceAll('"', `"'"'"`)}"` : text)
  const perScheme = (scheme: string) => ({
    [`${scheme}.proxyHost`]: proxy.host,
    [`${scheme}.proxyPort`]: String(proxy.port),
    ...(credentials && {
      [`${scheme}.proxyUser`]: credentials.username,
      [`${scheme}.proxyPassword`]: credentials.password,
    }),
  })
  const properties = {
    ...perScheme('http'),
    ...perScheme('https'),
    'http.nonProxyHosts': 'localhost|127.*|[::1]',
    // Java logs in to proxies with Basic through no tunnel, unless it is told to (JDK 8u111)
    'jdk.http.auth.tunneling.disabledSchemes': '',
  }
  return Object.entries(properties)
    .map(([name, value]) => quotedWhere(`-D${name}=${value}`))
    .join(' ')
}

export interface SchemedAccess extends ProxyAccess {
  readonly scheme: 'http' | 'https' | 'socks5'
}

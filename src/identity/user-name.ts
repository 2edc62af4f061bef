// The proxy user name: an email, then choices after semicolons (`alice@example.com;vnet=vnet-EMEA;family=4`). Parses
// the text only; others decide whether a choice exists or is allowed.

import { didYouMean } from '../errors/did-you-mean.ts'
import { GatewayError } from '../errors/gateway-error.ts'
import { type Family, type Ip, parseIp } from '../net/ip.ts'
import { canonicalEmail } from '../policy/canonical-email.ts'
import type { Credentials } from '../proxy/arrival.ts'

/** The choices in a user name. */
export interface Choices {
  /** name or id, as given */
  readonly virtualNetwork?: string
  readonly source?: Ip
  /** name or id, as given */
  readonly device?: string
  readonly family?: Family
}

const NO_CHOICES: Choices = Object.freeze({})
const MOST_CHARACTERS = 1024

/** The claims of a client's credentials. */
export interface ParsedLogin {
  /** canonical; empty for no user */
  readonly email: string
  /** the text after the first semicolon */
  readonly parameters: string
  readonly password: string
}

/** Some clients send the user name as it is written in a proxy URL: `bob%40example.com`. No email looks like that. */
const STILL_ENCODED = /^[^@;]*%40/

/** Parses credentials. A user name that cannot be one, because its `@` is percent-encoded, is decoded once, and the
 *  password with it: a client that does not decode one does not decode the other. Any other is used as it is. */
export function readLogin({ username, password, scheme }: Credentials): ParsedLogin {
  if (scheme === 'user-id') return readUserId(username)
  if (!STILL_ENCODED.test(username)) return split(username, password)
  return split(decoded(username), decoded(password))
}

function split(username: string, password: string): ParsedLogin {
  const end = username.indexOf(';')
  if (end < 0) return { email: canonicalEmail(username), parameters: '', password }
  return { email: canonicalEmail(username.slice(0, end)), parameters: username.slice(end + 1), password }
}

/** A SOCKS4 user id is often the account name of the client's system, which is no claim. */
function readUserId(text: string): ParsedLogin {
  const login = split(STILL_ENCODED.test(text) ? decoded(text) : text, '')
  return login.email.includes('@') ? login : { ...login, email: '' }
}

/** Unchanged if a percent sign in it is not an escape. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** Parses `key=value;key=value`. Values may be percent-encoded (`%3A` for the colon of an IPv6 address, which Basic
 *  credentials cannot hold in a user name). A closing semicolon is allowed. Throws `request.malformed` for unknown
 *  or repeated keys and invalid values. */
export function parseChoices(parameters: string): Choices {
  if (parameters === '') return NO_CHOICES
  if (parameters.length > MOST_CHARACTERS) throw malformed('the parameters of the user name are too long')
  const found: Partial<Record<Key, string>> = {}
  for (const part of parameters.replace(/;$/, '').split(';')) {
    const equals = part.indexOf('=')
    const key = equals < 0 ? part : part.slice(0, equals)
    if (!isKey(key)) throw unknownKey(key)
    if (found[key] !== undefined) throw malformed(`the user-name parameter \`${key}\` is given twice`)
    found[key] = equals < 0 ? '' : decode(key, part.slice(equals + 1))
    if (found[key] === '') throw malformed(`the user-name parameter \`${key}\` has no value`)
  }
  const { vnet, src, device, family } = found
  return Object.freeze({
    ...(vnet === undefined ? {} : { virtualNetwork: vnet }),
    ...(src === undefined ? {} : { source: parseSource(src) }),
    ...(device === undefined ? {} : { device }),
    ...(family === undefined ? {} : { family: parseFamily(family) }),
  })
}

/** User text for a message: at most 64 characters, control characters as U+FFFD. */
export function shown(text: string): string {
  const short = text.length > 64 ? `${text.slice(0, 64)}…` : text
  return `\`${short.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, '\ufffd')}\``
}

const KEYS = ['vnet', 'src', 'device', 'family'] as const
type Key = (typeof KEYS)[number]

function isKey(text: string): text is Key {
  return KEYS.some((key) => key === text)
}

function decode(key: Key, text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw malformed(`the user-name parameter \`${key}\` has a percent sign that is not an escape; write it as \`%25\``)
  }
}

function parseSource(text: string): Ip {
  const address = parseIp(text)
  if (address === undefined) throw malformed(`the user-name parameter \`src\`, ${shown(text)}, is not an IP address`)
  return address
}

function parseFamily(text: string): Family {
  if (text === '4') return 4
  if (text === '6') return 6
  throw malformed(`the user-name parameter \`family\`, ${shown(text)}, is neither 4 nor 6`)
}

function unknownKey(key: string): GatewayError {
  const hint = didYouMean(key, KEYS, 'there are')
  return malformed(`there is no user-name parameter ${shown(key)}${hint === undefined ? '' : `; ${hint}`}`)
}

function malformed(message: string): GatewayError {
  return new GatewayError('request.malformed', message)
}

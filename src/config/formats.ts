// The formats that config/lab.schema.json names: the test of each, and its description in messages.

import { parseCidr } from '../net/cidr.ts'
import { parseAuthority, parseHost } from '../net/host.ts'
import { parseIp } from '../net/ip.ts'
import { OUTCOMES } from '../policy/decision.ts'

export interface Format {
  /** completes "`x` is not …" */
  readonly what: string
  readonly test: (text: string) => boolean
}

const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i
const SERIAL = /^(?=.{1,59}$)[0-9a-f]+(?::[0-9a-f]+)*$/i
/** N a power of two from 2^10 to 2^17, r and p one or two digits, salt and hash of 8 bytes or more */
const HASH =
  /^scrypt\$(1024|2048|4096|8192|16384|32768|65536|131072)\$\d{1,2}\$\d{1,2}\$[A-Za-z0-9+/]{11,}={0,2}\$[A-Za-z0-9+/]{22,}={0,2}$/

/** Format name → test and description. */
export const FORMATS: Readonly<Record<string, Format>> = {
  ipv4: format('an IPv4 address such as `203.0.113.10`', (text) => parseIp(text)?.family === 4),
  'ip-address': format('an IP address', (text) => parseIp(text) !== undefined),
  'ipv4-network': format('an IPv4 network such as `203.0.113.0/24`', (text) => parseCidr(text)?.family === 4),
  'ipv6-network': format('an IPv6 range such as `2001:db8:10::/64`', (text) => parseCidr(text)?.family === 6),
  'ip-network': format('an IP address or a network such as `203.0.113.0/24`', (text) => parseCidr(text) !== undefined),
  'address-and-port': format(
    'an IP address and a port such as `192.0.2.7:1080` or `[2001:db8::7]:1080`',
    (text) => parseAuthority(text)?.kind === 'ip',
  ),
  'web-address': format('an http or https address such as `https://team.example.com/certs`', (text) =>
    /^https?:$/.test(URL.parse(text)?.protocol ?? ''),
  ),
  'field-name': format('the name of a header field such as `x-api-key`', (text) => /^[\w!#$%&'*+.^`|~-]+$/.test(text)),
  'public-address': format(
    'an http or https address without query, such as `https://tools.corp.example/egresslab/`',
    (text) => parsePublicUrl(text) !== undefined,
  ),
  'name-server': format(
    'an IP address such as `192.0.2.53`, or one with a port such as `192.0.2.53:5353`',
    (text) => parseIp(text) !== undefined || parseAuthority(text)?.kind === 'ip',
  ),
  'nats-server': format('a NATS server such as `nats://n1.corp.example:4222`', (text) =>
    /^(?:nats|tls):\/\/(?:[a-z0-9.-]+|\[[0-9a-f:]+\])(?::[1-9]\d{0,4})?$/i.test(text),
  ),
  'network-device': format('the name of a network device such as `eth1`', (text) =>
    /^(?!\.{1,2}$)[^\s/:\0]{1,15}$/.test(text),
  ),
  'port-number': format('a port, 1 to 65535', (text) => /^[1-9]\d{0,4}$/.test(text) && Number(text) <= 65_535),
  hostname: format('a host name such as `bank.saas.test`', (text) => parseHost(text)?.kind === 'name'),
  'host-pattern': format(
    'a host name such as `wiki.internal.test` or `*.internal.test`',
    (text) => parseHost(text.replace(/^\*\./, ''))?.kind === 'name',
  ),
  'dns-label': format('a host label of letters, digits and hyphens', (text) => LABEL.test(text)),
  'user-email': format('an email address such as `alice@example.com`', (text) => /^[^\s;:@]+@[^\s;:@]+$/.test(text)),
  'choice-name': format('a name without spaces, commas or semicolons', (text) => /^[^\s;,=]+$/.test(text)),
  'colo-code': format('a data center code such as `AMS`', (text) => text !== ''),
  'country-code': format('a country of two capitals such as `GB`', (text) => /^[A-Z]{2}$/.test(text)),
  'account-id': format('an account id of 32 hex digits', (text) => /^[0-9a-f]{32}$/.test(text)),
  version: format('a version such as `"0.1.0"`', (text) => /^\d+(\.\d+){0,2}(-[\w.-]+)?$/.test(text)),
  'serial-number': format('a serial number in hex such as `0A:1B:2C`', (text) => SERIAL.test(text)),
  outcome: format(`one of ${OUTCOMES.map((outcome) => `\`${outcome}\``).join(', ')}`, (text) =>
    OUTCOMES.some((outcome) => outcome === text),
  ),
  uuid: format('a UUID such as `8b1d5d3e-2f0a-4c57-9d7e-6a3f1c2b4d5e`', (text) => UUID.test(text)),
  'date-time': format('a time such as `2026-11-01T00:00:00Z`', (text) => parseInstantMs(text) !== undefined),
  duration: format('a duration such as `15s`, `250ms` or `8h`', (text) => parseDurationMs(text) !== undefined),
  period: format('a duration such as `90s`, `8h` or `14d`', (text) => parsePeriodMs(text) !== undefined),
  moment: format('a time since the start such as `0s`, `5s` or `1.5m`', (text) => parseMomentMs(text) !== undefined),
  size: format('a size such as `64KiB` or `64MiB`', (text) => parseSizeBytes(text) !== undefined),
  'password-hash': format('a password hash of the form scrypt$N$r$p$salt$hash', (text) => HASH.test(text)),
  'origin-kind': format('one of `echo`, `saas`, `search`, `site`, `udp-echo`', (text) =>
    /^(echo|saas|search|site|udp-echo)$/.test(text),
  ),
}

function format(what: string, test: (text: string) => boolean): Format {
  return { what, test }
}

const DURATION_UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }
const PERIOD_UNITS = { ...DURATION_UNITS, d: 86_400_000, w: 7 * 86_400_000 }
const SIZE_UNITS = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 }

/** `250ms`, `15s`, `1.5m`, `8h` in milliseconds, 1 ms … 24.8 days (what a timer can hold); `undefined` otherwise. */
export function parseDurationMs(text: string): number | undefined {
  const value = parseQuantity(text, DURATION_UNITS)
  return value === undefined || value > 2 ** 31 - 1 ? undefined : value
}

/** The same with `7d` and `6w` and without an upper limit: for clocks, not for timers. */
export function parsePeriodMs(text: string): number | undefined {
  return parseQuantity(text, PERIOD_UNITS)
}

/** A time since some start, in milliseconds: a period, or `0s`. */
export function parseMomentMs(text: string): number | undefined {
  return /^0(ms|[smhdw])?$/.test(text) ? 0 : parsePeriodMs(text)
}

/** `512B`, `64KiB`, `1.5MiB`, `1GiB` in bytes, at least 1; `undefined` for other text. */
export function parseSizeBytes(text: string): number | undefined {
  return parseQuantity(text, SIZE_UNITS)
}

function parseQuantity(text: string, units: Readonly<Record<string, number>>): number | undefined {
  const match = /^(\d{1,12}(?:\.\d{1,3})?)([A-Za-z]+)$/.exec(text)
  const unit = Object.hasOwn(units, match?.[2] ?? '') ? units[match?.[2] ?? ''] : undefined
  if (match === null || unit === undefined) return undefined
  const value = Math.round(Number(match[1]) * unit)
  return value >= 1 && Number.isSafeInteger(value) ? value : undefined
}

/** RFC 3339's date-time, its seconds and zone optional, or its date alone. `Date.parse` accepts much more: `1` is a
 *  year. */
const INSTANT = /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d))?$/

/** Epoch ms of a time, or of the start of a day in UTC; undefined for other text. */
export function parseInstantMs(text: string): number | undefined {
  const instant = INSTANT.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(instant) ? undefined : instant
}

/** The address people use. */
export interface PublicUrl {
  /** `https://tools.corp.example` */
  readonly origin: string
  /** the host without its port, in lower case */
  readonly host: string
  /** before every path: '' or `/egresslab` */
  readonly base: string
}

/** The parts of a public address; undefined where the text is none. */
export function parsePublicUrl(text: string): PublicUrl | undefined {
  const url = URL.parse(text)
  if (url === null || !/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '') return undefined
  if (/[?#]/.test(text) || !/^(\/[A-Za-z0-9._~-]+)*\/?$/.test(url.pathname)) return undefined
  const base = url.pathname.replace(/\/$/, '')
  return Object.freeze({ origin: url.origin, host: url.hostname.replace(/^\[|\]$/g, ''), base })
}

// An IP address as a value: parsed once, compared as numbers. Accepts plain literals only; host.ts and the destination
// guard handle other spellings (decimal, octal, short forms, embedded IPv4).

import ipaddr from 'ipaddr.js'

export type Family = 4 | 6

const DOT = 0x2e
const ZERO = 0x30
const NINE = 0x39

/** One address. `words` holds one (IPv4) or four (IPv6) unsigned 32-bit integers, most significant first; `text` is
 *  the canonical spelling (RFC 5952 for IPv6), a flat string. Values are frozen and may be shared. */
export interface Ip {
  readonly family: Family
  readonly words: readonly number[]
  readonly text: string
}

/** Parses a dotted quad (four decimal octets, no leading zeros) or an IPv6 literal without brackets or zone.
 *  IPv4-mapped IPv6 stays IPv6. Returns `undefined` for any other text. */
export function parseIp(text: string): Ip | undefined {
  const quad = parseQuad(text)
  if (quad !== undefined) return fromIpv4Number(quad)
  if (!text.includes(':') || text.includes('%')) return undefined
  const plain = text.includes('.') ? withoutDots(text) : text
  if (plain === undefined || !ipaddr.IPv6.isValid(plain)) return undefined
  const { parts } = ipaddr.IPv6.parse(plain)
  const words = [0, 2, 4, 6].map((at) => (((parts[at] ?? 0) << 16) | (parts[at + 1] ?? 0)) >>> 0)
  return fromIpv6Words(words)
}

/** Like {@link parseIp}, for text known to be an address. Throws RangeError for any other. */
export function ip(text: string): Ip {
  const parsed = parseIp(text)
  if (parsed === undefined) throw new RangeError(`\`${text}\` is not an IP address`)
  return parsed
}

/** A cache of recent IPv4 addresses, each in the slot its value hashes to: most connections repeat a few, and
 *  creating one costs ten times the lookup. */
const made: (Ip | undefined)[] = new Array<Ip | undefined>(1024).fill(undefined)

/** The IPv4 address with this unsigned 32-bit value. */
export function fromIpv4Number(value: number): Ip {
  const v = value >>> 0
  const place = Math.imul(v, 0x9e3779b1) >>> 22
  const before = made[place]
  if (before !== undefined && before.words[0] === v) return before
  const text = [v >>> 24, (v >>> 16) & 255, (v >>> 8) & 255, v & 255].join('.')
  const address: Ip = Object.freeze({ family: 4, words: Object.freeze([v]), text })
  made[place] = address
  return address
}

/** The IPv6 address with these four unsigned 32-bit words, most significant first. */
export function fromIpv6Words(words: readonly number[]): Ip {
  const parts = words.flatMap((word) => [word >>> 16, word & 0xffff])
  const text = flatText(new ipaddr.IPv6(parts).toRFC5952String())
  return Object.freeze({ family: 6, words: Object.freeze([...words]), text })
}

/** Same family and same value. */
export function equalIp(a: Ip, b: Ip): boolean {
  return a.family === b.family && compareIp(a, b) === 0
}

/** Numeric order within a family; IPv4 sorts before IPv6. Negative, zero or positive. */
export function compareIp(a: Ip, b: Ip): number {
  if (a.family !== b.family) return a.family - b.family
  for (let at = 0; at < a.words.length; at++) {
    const difference = (a.words[at] ?? 0) - (b.words[at] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

/** The IPv4 address of `::ffff:a.b.c.d`; every other address unchanged (RFC 4291 section 2.5.5.2). */
export function unmapIp(address: Ip): Ip {
  if (address.family === 4) return address
  const [a, b, c, d] = address.words
  return a === 0 && b === 0 && c === 0xffff ? fromIpv4Number(d ?? 0) : address
}

/** `::1.2.3.4` as `::102:304`; the library would turn it into an IPv4-mapped address. */
function withoutDots(text: string): string | undefined {
  const from = text.lastIndexOf(':') + 1
  const quad = parseQuad(text.slice(from))
  return quad === undefined
    ? undefined
    : `${text.slice(0, from)}${(quad >>> 16).toString(16)}:${(quad & 0xffff).toString(16)}`
}

/** Character by character: every connection has addresses to parse, and a regular expression takes four times as
 *  long. */
function parseQuad(text: string): number | undefined {
  let value = 0
  let octet = -1
  let octets = 0
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === DOT) {
      if (octet < 0 || octets === 3) return undefined
      value = value * 256 + octet
      octet = -1
      octets++
    } else {
      // a second digit after a leading zero is rejected, as is anything above 255
      if (code < ZERO || code > NINE || octet === 0) return undefined
      octet = (octet < 0 ? 0 : octet * 10) + (code - ZERO)
      if (octet > 255) return undefined
    }
  }
  return octets === 3 && octet >= 0 ? value * 256 + octet : undefined
}

// Flat strings. In V8 a string that was sliced out of another or concatenated refers to its source: it keeps a whole
// request in memory for one host name, and JSON.stringify takes four times as long over every record that contains one.

/** The same text as a flat string, for text that is kept or logged. Costs 0.1 µs for short texts. */
export function flatText(text: string): string {
  const half = text.length >> 1
  // joining two parts writes a new string; a single part, or an empty one, would be returned as it is
  return half === 0 ? text : [text.slice(0, half), text.slice(half)].join('')
}

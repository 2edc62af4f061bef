// What kind of address this is, as far as safety is concerned (SS-01, SS-02, SS-05). Pure tables from the IANA special-purpose
// registries (RFC 6890) and the RFCs named below.

import { type Cidr, cidr, containsIp } from '../net/cidr.ts'
import { equalIp, fromIpv4Number, type Ip, ip, unmapIp } from '../net/ip.ts'

export type AddressClass =
  | { readonly kind: 'public' }
  | { readonly kind: 'loopback' | 'private'; readonly what: string }
  /** no connection may ever go there, whoever asks, unless the operator allows it by name */
  | { readonly kind: 'forbidden'; readonly what: string }

interface SpecialRange {
  readonly prefix: Cidr
  readonly found: AddressClass
}

const METADATA_SERVICES = ['169.254.169.254', '100.100.100.200', 'fd00:ec2::254'].map(ip)

const SPECIAL: readonly SpecialRange[] = [
  special('127.0.0.0/8', 'loopback', 'a loopback address'),
  special('10.0.0.0/8', 'private', 'a private address'),
  special('172.16.0.0/12', 'private', 'a private address'),
  special('192.168.0.0/16', 'private', 'a private address'),
  // initial resolved addresses: what is behind one is known by name only (gateway-egress section 9)
  special('100.80.0.0/16', 'forbidden', 'a placeholder that Gateway DNS gave out'),
  special('2606:4700:cf1:4000::/64', 'forbidden', 'a placeholder that Gateway DNS gave out'),
  special('100.64.0.0/10', 'private', 'a carrier-grade NAT address'),
  special('0.0.0.0/8', 'forbidden', 'an unspecified address, which would reach this host'),
  special('169.254.0.0/16', 'forbidden', 'a link-local address'),
  special('192.0.0.0/24', 'forbidden', 'an address reserved for protocols'),
  special('224.0.0.0/4', 'forbidden', 'a multicast address'),
  special('255.255.255.255/32', 'forbidden', 'the broadcast address'),
  special('240.0.0.0/4', 'forbidden', 'a reserved address'),
  special('::1/128', 'loopback', 'a loopback address'),
  special('::/128', 'forbidden', 'an unspecified address, which would reach this host'),
  special('fc00::/7', 'private', 'a unique local address'),
  special('fe80::/10', 'forbidden', 'a link-local address'),
  special('fec0::/10', 'forbidden', 'a site-local address'),
  special('ff00::/8', 'forbidden', 'a multicast address'),
  special('100::/64', 'forbidden', 'an address that discards'),
  special('64:ff9b:1::/48', 'forbidden', 'an address for local translation'),
]

const PUBLIC: AddressClass = Object.freeze({ kind: 'public' })
const METADATA: AddressClass = Object.freeze({
  kind: 'forbidden',
  what: "the address of a cloud's metadata service",
})

/** IPv6 forms that carry an IPv4 address, and where it is. */
const EMBEDDING: readonly (readonly [prefix: Cidr, name: string, embedded: (words: readonly number[]) => number])[] = [
  [cidr('::ffff:0:0/96'), 'an IPv4-mapped address', (words) => words[3] ?? 0],
  [cidr('::/96'), 'an IPv4-compatible address', (words) => words[3] ?? 0],
  [cidr('::ffff:0:0:0/96'), 'an IPv4-translated address', (words) => words[3] ?? 0],
  [cidr('64:ff9b::/96'), 'a NAT64 address', (words) => words[3] ?? 0],
  [cidr('2002::/16'), 'a 6to4 address', ([first = 0, second = 0]) => ((first << 16) | (second >>> 16)) >>> 0],
  [cidr('2001::/32'), 'a Teredo address', (words) => ~(words[3] ?? 0) >>> 0],
]

/** The class of an address. IPv6 forms with an IPv4 address inside (RFC 4291, 6052, 3056, 4380; ISATAP, RFC 5214) are public
 *  only when the one inside is, and forbidden otherwise: nobody needs to spell a local address like that. */
export function classifyAddress(address: Ip): AddressClass {
  const unmapped = unmapIp(address)
  for (const service of METADATA_SERVICES) if (equalIp(service, unmapped)) return METADATA
  for (const { prefix, found } of SPECIAL) if (containsIp(prefix, address)) return found
  if (address.family === 4) return PUBLIC
  const form = embeddedIn(address)
  if (form === undefined) return PUBLIC
  const inner = classifyAddress(form.inner)
  return inner.kind === 'public' ? PUBLIC : { kind: 'forbidden', what: `${form.name} around \`${form.inner.text}\`` }
}

/** The IPv4 address inside an IPv6 one, where its form carries one. */
export function embeddedIpv4(address: Ip): Ip | undefined {
  return address.family === 4 ? undefined : embeddedIn(address)?.inner
}

function embeddedIn({ words, ...rest }: Ip): { readonly name: string; readonly inner: Ip } | undefined {
  for (const [prefix, name, embedded] of EMBEDDING) {
    if (containsIp(prefix, { words, ...rest })) return { name, inner: fromIpv4Number(embedded(words)) }
  }
  const isIsatap = ((words[2] ?? 0) & 0xfdff_ffff) >>> 0 === 0x0000_5efe
  return isIsatap ? { name: 'an ISATAP address', inner: fromIpv4Number(words[3] ?? 0) } : undefined
}

function special(prefix: string, kind: 'loopback' | 'private' | 'forbidden', what: string): SpecialRange {
  return { prefix: cidr(prefix), found: Object.freeze({ kind, what }) }
}

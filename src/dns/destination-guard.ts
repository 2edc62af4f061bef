// Whether a connection to an address is allowed. Protects the lab itself, its machine and the network around it from
// use through the proxy (SS-01 … SS-05). Checks addresses only, after resolution; egress rules never block.

import type { GuardSettings } from '../config/lab-config.ts'
import { GatewayError } from '../errors/gateway-error.ts'
import { type Cidr, cidr, containsIp } from '../net/cidr.ts'
import { type Endpoint, formatEndpoint } from '../net/endpoint.ts'
import { equalIp, type Family, fromIpv4Number, type Ip, ip, unmapIp } from '../net/ip.ts'

/** Every socket the lab itself listens on, TCP and UDP alike; filled in as they are opened. */
export interface OwnSockets {
  /** the proxy's listeners, the API and Gateway DNS: unreachable through the proxy */
  readonly services: readonly Endpoint[]
  /** the test origins' real addresses: reached by their names and public addresses, which policy knows */
  readonly origins: readonly Endpoint[]
}

export interface GuardFacts {
  readonly settings: GuardSettings
  readonly ownSockets: OwnSockets
  /** whether it is one of this machine's interface addresses; not called for loopback */
  readonly isLocal: (address: Ip) => boolean
}

const LOOPBACK: Readonly<Record<Family, Ip>> = { 4: ip('127.0.0.1'), 6: ip('::1') }

export interface GuardedDestination {
  /** the address that policy sees */
  readonly destination: Endpoint
  /** the address that would be dialled */
  readonly dial: Endpoint
  /** whether the configuration maps it: a stand-in may be local, which is its purpose */
  readonly configured: boolean
}

/** Why the connection is not allowed, for everybody or for this client; `undefined` if it is. Checked in this order:
 *  the lab's own listeners (always refused), `deny`, mapped destinations, `allow`, test origins other than by their
 *  public addresses, forbidden kinds of addresses, and local addresses: for clients on this machine only (profile
 *  `lab`) or for nobody (`strict`). */
export function refusalOf(target: GuardedDestination, client: Ip, facts: GuardFacts): GatewayError | undefined {
  const { settings } = facts
  if (reachesOwnListener(target, facts)) {
    return refusal(
      'guard.own_listener',
      target,
      'is a listener of the lab itself, which cannot be reached through the proxy',
    )
  }
  if (settings.deny.length > 0 && isDenied(target, settings.deny)) {
    return refusal('guard.forbidden_destination', target, 'is in `guard.deny`')
  }
  if (target.configured || settings.allow.some((prefix) => containsIp(prefix, target.dial.ip))) return undefined

  if (reachesOrigin(target, facts)) {
    const advice = 'is the real address of a test origin of the lab; use its name or its public address'
    return refusal('guard.own_listener', target, advice)
  }

  const what = classifyAddress(target.dial.ip)
  switch (what.kind) {
    case 'public':
      return undefined
    case 'forbidden':
      return refusal('guard.forbidden_destination', target, `is ${what.what}; \`guard.allow\` can permit it`)
    default:
      return localRefusal(target, what, client, settings)
  }
}

function isDenied({ destination, dial }: GuardedDestination, deny: readonly Cidr[]): boolean {
  const addresses = [destination.ip, dial.ip, embeddedIpv4(dial.ip) ?? dial.ip]
  return deny.some((prefix) => addresses.some((address) => containsIp(prefix, address)))
}

function localRefusal(
  target: GuardedDestination,
  { what }: Exclude<AddressClass, { kind: 'public' }>,
  client: Ip,
  settings: GuardSettings,
): GatewayError | undefined {
  if (settings.profile === 'strict') {
    return refusal('guard.forbidden_destination', target, `is ${what}, and the guard's profile is strict`)
  }
  if (classifyAddress(unmapIp(client)).kind === 'loopback') return undefined
  return refusal('guard.forbidden_destination', target, `is ${what}, which only clients on this machine may reach`)
}

/** A literal local address with the port of an own listener is refused even if that listener is on another local
 *  address: which ones listen must not be revealed. A configured stand-in is refused only where a listener really
 *  is. */
function reachesOwnListener({ dial, configured }: GuardedDestination, { ownSockets, isLocal }: GuardFacts): boolean {
  for (const listener of ownSockets.services) {
    if (listener.port !== dial.port) continue
    const dialled = unmapIp(dial.ip)
    if (equalIp(unmapIp(listener.ip), dialled)) return true
    const local = isThisHost(dialled) || isLocal(dialled)
    if (local && (!configured || isUnspecified(listener.ip))) return true
  }
  return false
}

function reachesOrigin({ dial }: GuardedDestination, { ownSockets }: GuardFacts): boolean {
  const dialled = unmapIp(dial.ip)
  return ownSockets.origins.some(
    (origin) =>
      origin.port === dial.port && equalIp(origin.ip, isUnspecified(dialled) ? LOOPBACK[dialled.family] : dialled),
  )
}

/** Loopback, or unspecified, which the kernel treats as loopback. */
function isThisHost(address: Ip): boolean {
  return classifyAddress(address).kind === 'loopback' || isUnspecified(address)
}

function isUnspecified(address: Ip): boolean {
  return address.words.every((word) => word === 0)
}

function refusal(
  code: 'guard.own_listener' | 'guard.forbidden_destination',
  { destination, dial }: GuardedDestination,
  predicate: string,
): GatewayError {
  const shown = formatEndpoint(destination)
  const real = formatEndpoint(dial)
  const which = shown === real ? `\`${shown}\`` : `\`${shown}\` (really \`${real}\`)`
  return new GatewayError(code, `${which} ${predicate}`)
}

export type AddressClass =
  | { readonly kind: 'public' }
  | { readonly kind: 'loopback' | 'private'; readonly what: string }
  /** never allowed for anybody, unless the operator lists it in `guard.allow` */
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
  // initial resolved addresses: what is behind one is known by name only ([D1])
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
  special('100::/64', 'forbidden', 'an address of the discard prefix'),
  special('64:ff9b:1::/48', 'forbidden', 'an address of the local translation prefix'),
]

const PUBLIC: AddressClass = Object.freeze({ kind: 'public' })
const METADATA: AddressClass = Object.freeze({
  kind: 'forbidden',
  what: "the address of a cloud's metadata service",
})

/** IPv6 forms that embed an IPv4 address, and where it is. */
const EMBEDDING: readonly (readonly [prefix: Cidr, name: string, embedded: (words: readonly number[]) => number])[] = [
  [cidr('::ffff:0:0/96'), 'an IPv4-mapped address', (words) => words[3] ?? 0],
  [cidr('::/96'), 'an IPv4-compatible address', (words) => words[3] ?? 0],
  [cidr('::ffff:0:0:0/96'), 'an IPv4-translated address', (words) => words[3] ?? 0],
  [cidr('64:ff9b::/96'), 'a NAT64 address', (words) => words[3] ?? 0],
  [cidr('2002::/16'), 'a 6to4 address', ([first = 0, second = 0]) => ((first << 16) | (second >>> 16)) >>> 0],
  [cidr('2001::/32'), 'a Teredo address', (words) => ~(words[3] ?? 0) >>> 0],
]

/** The class of an address. An IPv6 form with an embedded IPv4 address (RFC 4291, 6052, 3056, 4380; ISATAP, RFC
 *  5214) is public if the embedded address is, and forbidden otherwise: no client needs that form for a local
 *  address. */
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

/** The IPv4 address embedded in an IPv6 one, if its form has one. */
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

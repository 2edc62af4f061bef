// May a connection go to this address? Keeps the proxy from being used against the lab itself, against the machine it runs on
// and against the network around it (SS-01 … SS-05). Decides on addresses only, after resolution; egress rules never block.

import type { GuardSettings } from '../config/lab-config.ts'
import { GatewayError } from '../errors/gateway-error.ts'
import { type Cidr, containsIp } from '../net/cidr.ts'
import { type Endpoint, formatEndpoint } from '../net/endpoint.ts'
import { equalIp, type Family, type Ip, ip, unmapIp } from '../net/ip.ts'
import { type AddressClass, classifyAddress, embeddedIpv4 } from './address-class.ts'

/** Every socket the lab itself listens on, TCP and UDP alike; filled in as they come up. */
export interface OwnSockets {
  /** the proxy's doors, the API and Gateway DNS: nobody reaches them through the proxy */
  readonly services: readonly Endpoint[]
  /** the test origins, where they really listen: reached by their names and public addresses, which policy knows */
  readonly origins: readonly Endpoint[]
}

export interface GuardFacts {
  readonly settings: GuardSettings
  readonly ownSockets: OwnSockets
  /** is it one of this machine's interface addresses (loopback is known without asking) */
  readonly isLocal: (address: Ip) => boolean
}

const LOOPBACK: Readonly<Record<Family, Ip>> = { 4: ip('127.0.0.1'), 6: ip('::1') }

export interface GuardedDestination {
  /** as policy sees it */
  readonly destination: Endpoint
  /** as it would be dialled */
  readonly dial: Endpoint
  /** the configuration maps it: the stand-in may be local, that is what it is for */
  readonly configured: boolean
}

/** Why nobody, or not this client, may connect there; `undefined` when it is fine. In this order: the lab's own listeners
 *  (nothing opens those), `deny`, what the configuration maps, `allow`, test origins past their public addresses, forbidden kinds
 *  of addresses, and what is local: for clients on this machine only (profile `lab`) or for nobody (`strict`). */
export function refusalOf(target: GuardedDestination, client: Ip, facts: GuardFacts): GatewayError | undefined {
  const { settings } = facts
  if (reachesOwnListener(target, facts)) {
    return refusal(
      'guard.own_listener',
      target,
      'is a port of the lab itself, which cannot be reached through the proxy',
    )
  }
  if (settings.deny.length > 0 && isDenied(target, settings.deny)) {
    return refusal('guard.forbidden_destination', target, 'is in `guard.deny`')
  }
  if (target.configured || settings.allow.some((prefix) => containsIp(prefix, target.dial.ip))) return undefined

  if (reachesOrigin(target, facts)) {
    const advice = 'is where a test origin of the lab really listens; ask for its name or its public address'
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

/** A literal local address with the port of an own listener counts even where nothing listens on exactly that address: which
 *  of them do is nobody's business outside. A configured stand-in is only refused where a listener really is. */
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

/** Loopback, or unspecified, which the kernel takes for loopback. */
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

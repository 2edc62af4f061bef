// Target in, candidate addresses out, in the order to try them: from the configuration, the machine's hosts file, then
// DNS. The guard checks each address, and exactly these addresses are dialled: nothing resolves twice (SS-03).

import type { ConfiguredTunnel, Destination } from '../config/lab-config.ts'
import { GatewayError } from '../errors/gateway-error.ts'
import type { Endpoint, Target } from '../net/endpoint.ts'
import { equalIp, type Family, type Ip } from '../net/ip.ts'
import type { Allowlists } from '../policy/allowlist.ts'
import type { Place } from '../policy/place.ts'
import type { Ports, ResolveOptions } from '../proxy/pipeline-ports.ts'
import type { Candidate } from '../proxy/stage-values.ts'
import { type AddressBook, type AddressEntry, createAddressBook, type HostsFile } from './address-book.ts'
import { type GuardFacts, refusalOf } from './destination-guard.ts'
import { type DnsClient, lookUpBoth, lookUpOne } from './dns-client.ts'
import { createTunnels } from './tunnels.ts'

export interface ResolverFacts {
  readonly destinations: readonly Destination[]
  readonly hosts: HostsFile
  readonly tunnels?: readonly ConfiguredTunnel[]
  /** instead of one made from destinations and hosts */
  readonly book?: AddressBook
  /** services that are known to have one */
  readonly allowlists?: Allowlists
  readonly dns: DnsClient
  readonly guard: GuardFacts
  readonly placeOf: (address: Ip) => Place | undefined
  /** whether the address is in Cloudflare's published ranges ([E5]) */
  readonly isProxiedByCloudflare: (address: Ip) => boolean
  /** where Gateway DNS listens, filled in as it is opened ([E1] `exempt`) */
  readonly gatewayDns?: readonly Endpoint[]
}

/** The `resolve` stage of the pipeline. Synchronous unless DNS is needed. Throws GatewayError `name.not_found`,
 *  `.failed`, `.timeout`, `guard.*`, `egress.no_matching_family`, or the reason of the signal. */
export function createResolver(facts: ResolverFacts): Ports['resolve'] {
  const book = facts.book ?? createAddressBook(facts.destinations, facts.hosts)
  const tunnels = createTunnels(facts.tunnels ?? [])

  /** What is known without DNS; `undefined`: ask DNS. */
  function knownAddresses(
    target: Target,
    { placeholderAddress, routes }: ResolveOptions,
  ): readonly AddressEntry[] | undefined {
    if (target.kind === 'ip') return [book.withMapping(target.ip)]
    const tunnelId = routes === undefined ? undefined : tunnels.behindName(target.name, routes)
    const inside = tunnelId === undefined ? undefined : tunnels.addressesOf(tunnelId, target.name)
    const known = inside?.map((address) => ({ ip: address })) ?? book.addressesOf(target.name)
    if (placeholderAddress !== undefined) {
      const same = typeof known === 'object' ? known.find((found) => equalIp(found.ip, placeholderAddress)) : undefined
      return [same ?? book.withMapping(placeholderAddress)]
    }
    if (known === 'never') throw notFound(target.name, tunnelId && tunnels.nameOf(tunnelId))
    return known
  }

  function candidatesOf(target: Target, found: readonly AddressEntry[], options: ResolveOptions): readonly Candidate[] {
    const { family } = options
    const fitting = family === undefined ? found : found.filter((each) => each.ip.family === family)
    if (fitting.length === 0) throw noSuchFamily(target, family)
    const candidates: Candidate[] = []
    let refused: GatewayError | undefined
    for (const each of interleave(fitting)) {
      const candidate = followTunnel(candidateOf(each, target, facts), each, target, options)
      const { destination, dial, tunnel } = candidate
      const configured = each.mapped !== undefined || tunnel !== undefined
      const refusal = refusalOf({ destination, dial, configured }, options.peer.ip, facts.guard)
      if (refusal === undefined) candidates.push(candidate)
      else refused ??= refusal
    }
    if (candidates.length === 0 && refused !== undefined) throw refused
    return candidates
  }

  /** A destination behind a tunnel is dialled where the tunnel routes it, or at its own stand-in if the tunnel
   *  routes it nowhere. */
  function followTunnel(
    candidate: Candidate,
    { mapped }: AddressEntry,
    target: Target,
    { routes, virtualNetworkId }: ResolveOptions,
  ): Candidate {
    if (routes === undefined) return candidate
    const { destination } = candidate
    const byName = target.kind === 'name' ? tunnels.behindName(target.name, routes) : undefined
    const id = byName ?? tunnels.behindAddress(destination.ip, virtualNetworkId, routes)
    if (id === undefined) return candidate
    const { tunnel, dial } = tunnels.wayTo(id, destination)
    if (tunnel.by === 'nothing' && mapped !== undefined) return { ...candidate, tunnel: { ...tunnel, by: 'stand-in' } }
    return { ...candidate, dial, tunnel }
  }

  async function fromDns(target: Target & { kind: 'name' }, options: ResolveOptions): Promise<readonly Candidate[]> {
    const { family, signal } = options
    const addresses = await (family === undefined
      ? lookUpBoth(facts.dns, target.name, signal)
      : lookUpOne(facts.dns, target.name, family, signal))
    return candidatesOf(target, addresses.map(book.withMapping), options)
  }

  return (target, options) => {
    const known = knownAddresses(target, options)
    if (known !== undefined) return candidatesOf(target, known, options)
    if (target.kind === 'ip') throw new GatewayError('internal.invariant', 'an address needs no look-up')
    return fromDns(target, options)
  }
}

function candidateOf({ ip: address, mapped }: AddressEntry, target: Target, facts: ResolverFacts): Candidate {
  const { port } = target
  const destination = { ip: address, port }
  const place = mapped?.destination.place ?? facts.placeOf(address)
  const dial =
    mapped === undefined ? destination : { ip: mapped.address.standIn, port: mapped.address.ports.get(port) ?? port }
  const proxiedByCloudflare = mapped?.destination.proxiedByCloudflare === true || facts.isProxiedByCloudflare(address)
  const candidate: { -readonly [Name in keyof Candidate]: Candidate[Name] } =
    place === undefined ? { destination, dial, proxiedByCloudflare } : { destination, dial, proxiedByCloudflare, place }
  if (isAmong(facts.gatewayDns, dial)) candidate.gatewayDns = true
  const allowlist = facts.allowlists?.find(target.kind === 'name' ? target.name : undefined, address.text)
  if (allowlist !== undefined) candidate.allowlist = allowlist
  if (mapped?.destination.proxyProtocol !== undefined) candidate.proxyProtocol = mapped.destination.proxyProtocol
  return candidate
}

function isAmong(endpoints: readonly Endpoint[] | undefined, { ip, port }: Endpoint): boolean {
  return endpoints?.some((endpoint) => endpoint.port === port && equalIp(endpoint.ip, ip)) ?? false
}

/** IPv6 first, then alternating families, each in its own order (RFC 8305 section 4; [E3]). */
function interleave(found: readonly AddressEntry[]): readonly AddressEntry[] {
  if (found.length === 1) return found
  const six = found.filter((each) => each.ip.family === 6)
  const four = found.filter((each) => each.ip.family === 4)
  const turns = Math.max(six.length, four.length)
  return Array.from({ length: turns }, (_, turn) => [six[turn], four[turn]])
    .flat()
    .filter((each) => each !== undefined)
}

function notFound(name: string, tunnel: string | undefined): GatewayError {
  const where =
    tunnel === undefined
      ? 'the configuration or the hosts file, and such names are never sent to DNS'
      : `the \`hosts\` of tunnel \`${tunnel}\`, which it is behind, and such names are never sent to DNS`
  return new GatewayError('name.not_found', `there is no host \`${name}\` in ${where}`)
}

function noSuchFamily(target: Target, family: Family | undefined): GatewayError {
  const host = target.kind === 'ip' ? target.ip.text : target.name
  const what =
    family === undefined ? 'no address' : `no IPv${family} address, and this connection must use IPv${family} only`
  return new GatewayError('egress.no_matching_family', `\`${host}\` has ${what}`)
}

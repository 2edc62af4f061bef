// The answers of Gateway DNS: placeholders for names that some egress rule depends on, real addresses for the rest
// ([D1]). Resolves names as the proxy does; opens no socket.

import { type HostFacts, ruleThatDependsOn } from '../analysis/name-screen.ts'
import { GatewayError } from '../errors/gateway-error.ts'
import type { Target } from '../net/endpoint.ts'
import { parseHost } from '../net/host.ts'
import { type Family, type Ip, ip, parseIp } from '../net/ip.ts'
import type { Snapshot } from '../policy/ruleset.ts'
import type { Ports } from '../proxy/pipeline-ports.ts'
import type { Placeholder } from '../proxy/stage-values.ts'
import type { AddressBook } from './address-book.ts'
import type { DnsClient } from './dns-client.ts'
import type { DnsAction } from './dns-policies.ts'
import type { DnsForwarder } from './forward.ts'
import { type DnsQuery, type DnsReply, EDE, passOn, RCODE, readQuery, TYPE, writeReply } from './message.ts'
import { PLACEHOLDER_TTL_S, type PlaceholderTable } from './placeholder-table.ts'
import type { Tunnels } from './tunnels.ts'

/** Names of the lab change only with its configuration file. */
const KNOWN_TTL_S = 30
/** Most addresses of one name in an answer; more would not fit a datagram. */
const MOST_ADDRESSES = 16

export interface GatewayDnsParts {
  readonly snapshot: () => Snapshot
  /** called for each query: the configuration may be reloaded */
  readonly book: () => AddressBook
  /** private names, and which names are behind a tunnel; called for each query */
  readonly tunnels: () => Pick<Tunnels, 'behindName' | 'addressesOf'>
  readonly dns: DnsClient
  readonly forward: DnsForwarder
  readonly table: PlaceholderTable
  readonly categoriesOf: Ports['categoriesOf']
  /** whether HTTPS and SVCB records of names that rules depend on are withheld; the product lets them pass. Default: no */
  readonly withholdsServiceBindings?: () => boolean
  /** what a rule of type `dns` does to this query; absent: there are none */
  readonly actionFor?: (name: string, type: string) => DnsAction | undefined
  /** receives notices for the operator: a range is used up */
  readonly onExhausted: (message: string) => void
}

export interface GatewayDns {
  /** The reply to one message in at most `limit(query)` bytes; undefined: send none. Never rejects. */
  answer(message: Buffer, limit: (query: DnsQuery) => number): Promise<Buffer | undefined>
  readonly placeholderAt: (target: Target) => Placeholder | undefined
  readonly counts: () => GatewayDnsCounts
}

export interface GatewayDnsCounts {
  readonly queries: number
  readonly placeholders: number
  readonly exhausted: number
}

/** The addresses of a name in one family. */
type ReverseEntry =
  | { readonly kind: 'addresses'; readonly addresses: readonly [Ip, ...Ip[]]; readonly ttl: number }
  | { readonly kind: 'reply'; readonly reply: DnsReply }

/** Creates Gateway DNS without listeners ([D1] to [D3]). See the head of this file. */
export function createGatewayDns(parts: GatewayDnsParts): GatewayDns {
  const { table, snapshot, categoriesOf } = parts
  const counts = { queries: 0, placeholders: 0, exhausted: 0 }

  async function answerQuery(query: DnsQuery, limit: number): Promise<Buffer> {
    const host = parseHost(query.name)
    const family = familyOf(query.type)
    const say = (reply: DnsReply) => writeReply(query, reply, limit)
    if (query.type === TYPE.PTR) {
      const name = nameBehind(query.name)
      if (name !== undefined) return say({ rcode: RCODE.noError, name, ttl: PLACEHOLDER_TTL_S })
    }
    if (host?.kind === 'ip') return say({ rcode: RCODE.missing })
    if (host === undefined) return passedOn(query, limit)
    if (query.type === TYPE.ANY) return say({ rcode: RCODE.noError, hint: MINIMAL_ANY, ttl: KNOWN_TTL_S })
    const action = parts.actionFor?.(host.name, TYPE_NAMES.get(query.type) ?? '')
    if (action !== undefined) return say(await ruledReply(action, family))
    if (family !== undefined) return say(await addressReply(host.name, family))
    if (isServiceBinding(query.type) && parts.withholdsServiceBindings?.() === true) {
      const reply = await withheld(host.name)
      if (reply !== undefined) return say(reply)
    }
    const known = knownAddresses(host.name)
    if (known === 'never') return say({ rcode: RCODE.missing })
    return known === undefined ? passedOn(query, limit) : say({ rcode: RCODE.noError })
  }

  /** A rule's answer in place of the name's own: no host selector sees the name behind it. */
  async function ruledReply(action: DnsAction, family: Family | undefined): Promise<DnsReply> {
    if (family === undefined) return { rcode: RCODE.noError }
    if (action.kind === 'block') return { rcode: RCODE.noError, addresses: [BLOCKED[family]], ttl: KNOWN_TTL_S }
    if (action.host === undefined) {
      const addresses = action.addresses.filter((address) => address.family === family)
      return { rcode: RCODE.noError, addresses, ttl: KNOWN_TTL_S }
    }
    const found = await lookUp(action.host, family)
    return found.kind === 'reply' ? found.reply : { ...found, rcode: RCODE.noError }
  }

  async function addressReply(name: string, family: Family): Promise<DnsReply> {
    const found = await lookUp(name, family)
    if (found.kind === 'reply') return found.reply
    const { addresses, ttl } = found
    if (!needsName(name, addresses)) return { rcode: RCODE.noError, addresses: addresses.slice(0, MOST_ADDRESSES), ttl }
    const initial = table.give(name, addresses)
    if (initial === undefined) return exhausted(name, family)
    counts.placeholders++
    return { rcode: RCODE.noError, addresses: [initial], ttl: PLACEHOLDER_TTL_S }
  }

  function exhausted(name: string, family: Family): DnsReply {
    counts.exhausted++
    const text = `every placeholder for IPv${family} is in use`
    parts.onExhausted(
      `no placeholder is left for \`${name}\`: ${text}; widen the range through the API (docs/gateway-dns.md)`,
    )
    return { rcode: RCODE.serverFailure, error: { code: EDE.other, text } }
  }

  async function lookUp(name: string, family: Family): Promise<ReverseEntry> {
    const known = knownAddresses(name)
    if (known === 'never') return replyWith({ rcode: RCODE.missing })
    if (known !== undefined) {
      const addresses = known.map((found) => found.ip).filter((address) => address.family === family)
      return foundOf(addresses, KNOWN_TTL_S)
    }
    const answer = await parts.dns.query(name, family)
    switch (answer.kind) {
      case 'addresses':
        return foundOf(answer.addresses, parts.dns.secondsLeft(name, family))
      case 'missing':
        return replyWith({ rcode: RCODE.missing })
      case 'empty':
        return replyWith({ rcode: RCODE.noError })
      case 'timeout': {
        const error = { code: EDE.noReachableAuthority, text: 'no name server answered in time' }
        return replyWith({ rcode: RCODE.serverFailure, error })
      }
      case 'failed':
        return replyWith({ rcode: RCODE.serverFailure, error: { code: EDE.networkError, text: answer.why } })
    }
  }

  /** The address known to the name's tunnel, else the one in the lab's address book. */
  function knownAddresses(name: string): readonly { readonly ip: Ip }[] | 'never' | undefined {
    const tunnel = parts.tunnels().behindName(name, snapshot().tables.routes)
    const addresses = tunnel === undefined ? undefined : parts.tunnels().addressesOf(tunnel, name)
    return addresses?.map((address) => ({ ip: address })) ?? parts.book().addressesOf(name)
  }

  /** Whether connections must be identifiable by this name: for a host name route, or for a rule that depends on the
   *  name at any of its addresses (categories may depend on the address). */
  function needsName(name: string, addresses: readonly Ip[]): boolean {
    const current = snapshot()
    if (parts.tunnels().behindName(name, current.tables.routes) !== undefined) return true
    return addresses.some((address) => {
      const named: HostFacts = { host: name, ...categoriesOf({ kind: 'name', name, port: 0 }, address) }
      const unnamed = categoriesOf({ kind: 'ip', ip: address, port: 0 }, address)
      return ruleThatDependsOn(current, { named, unnamed }) !== undefined
    })
  }

  /** The reply in place of records that would reveal addresses and bypass placeholders: an empty answer if an
   *  address of the name gets a placeholder, an error if that cannot be determined. Undefined: the records may be
   *  sent. */
  async function withheld(name: string): Promise<DnsReply | undefined> {
    const both = await Promise.all([lookUp(name, 4), lookUp(name, 6)])
    const addresses = both.flatMap((found) => (found.kind === 'addresses' ? found.addresses : []))
    if (needsName(name, [...addresses, NOWHERE])) return { rcode: RCODE.noError }
    return both.flatMap((found) => (found.kind === 'reply' && found.reply.error ? [found.reply] : []))[0]
  }

  async function passedOn(query: DnsQuery, limit: number): Promise<Buffer> {
    const reply = await parts.forward(query)
    const passed = reply === undefined ? undefined : passOn(query, reply, limit)
    const error = { code: EDE.noReachableAuthority, text: 'no name server answered this query' }
    return passed ?? writeReply(query, { rcode: RCODE.serverFailure, error }, limit)
  }

  function nameBehind(reversed: string): string | undefined {
    const address = addressInReverse(reversed)
    const found = address === undefined ? undefined : table.at(address)
    return found === undefined || found === 'unknown' ? undefined : found.name
  }

  return {
    counts: () => ({ ...counts }),
    placeholderAt: (target) => placeholderAt(table, target),
    async answer(message, limit) {
      const read = readQuery(message)
      if (read.kind === 'silence') return undefined
      counts.queries++
      if (read.kind === 'reply') return read.message
      const { query } = read
      try {
        return await answerQuery(query, limit(query))
      } catch {
        return writeReply(query, { rcode: RCODE.serverFailure }, limit(query))
      }
    },
  }
}

/** In no categorised network: stands for a name without an address. */
const NOWHERE = ip('0.0.0.0')

/** What a blocked name resolves to, as at Cloudflare. */
const BLOCKED: Readonly<Record<Family, Ip>> = { 4: ip('0.0.0.0'), 6: ip('::') }
const TYPE_NAMES: ReadonlyMap<number, string> = new Map(Object.entries(TYPE).map(([name, type]) => [type, name]))

/** RFC 8482 section 4.2. */
const MINIMAL_ANY = Object.freeze({ cpu: 'RFC8482', os: '' })

function replyWith(reply: DnsReply): ReverseEntry {
  return { kind: 'reply', reply }
}

function foundOf([first, ...others]: readonly Ip[], ttl: number): ReverseEntry {
  if (first === undefined) return replyWith({ rcode: RCODE.noError })
  return { kind: 'addresses', addresses: [first, ...others], ttl }
}

function familyOf(type: number): Family | undefined {
  if (type === TYPE.A) return 4
  return type === TYPE.AAAA ? 6 : undefined
}

/** HTTPS and SVCB records contain addresses themselves ([D1]). */
function isServiceBinding(type: number): boolean {
  return type === TYPE.HTTPS || type === TYPE.SVCB
}

function placeholderAt(table: PlaceholderTable, target: Target): Placeholder | undefined {
  if (target.kind === 'name') return undefined
  const found = table.at(target.ip)
  if (found !== 'unknown') return found
  const what = `\`${target.ip.text}\` is in the placeholder range, but Gateway DNS gave it to no name, or too long ago`
  throw new GatewayError('name.unknown_placeholder', `${what}; resolve the name again`)
}

/** `1.0.80.100.in-addr.arpa` → 100.80.0.1; undefined for anything but the name of one whole address. */
export function addressInReverse(name: string): Ip | undefined {
  const lower = name.toLowerCase()
  const [, octets] = /^((?:\d{1,3}\.){4})in-addr\.arpa$/.exec(lower) ?? []
  if (octets !== undefined) return parseIp(octets.split('.').slice(0, 4).reverse().join('.'))
  const [, nibbles] = /^((?:[0-9a-f]\.){32})ip6\.arpa$/.exec(lower) ?? []
  if (nibbles === undefined) return undefined
  const digits = nibbles.split('.').slice(0, 32).reverse().join('')
  return parseIp(digits.replace(/(.{4})(?=.)/g, '$1:'))
}

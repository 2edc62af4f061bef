// Resolves addresses with DNS without blocking: by c-ares rather than getaddrinfo, whose threads one slow name can use
// up (EG-09). Caches positive and negative answers, shares a query among concurrent callers, and bounds those in
// progress. Independent of policy.

import { Resolver } from 'node:dns/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { lru } from 'tiny-lru'
import { GatewayError } from '../errors/gateway-error.ts'
import { type Family, type Ip, parseIp, unmapIp } from '../net/ip.ts'
import type { Cancellation } from '../transport/cancellation.ts'

/** `missing`: the name does not exist; `empty`: it exists but has no address of this family. */
export type DnsAnswer =
  | { readonly kind: 'addresses'; readonly addresses: readonly Ip[] }
  | { readonly kind: 'missing' | 'empty' | 'timeout' }
  | { readonly kind: 'failed'; readonly why: string }

export interface DnsClient {
  /** The cached answer, or a promise that never rejects. `name` must be normalised. */
  query(name: string, family: Family): DnsAnswer | Promise<DnsAnswer>
  /** The remaining lifetime of the cached answer in whole seconds; 0 if there is none. */
  secondsLeft(name: string, family: Family): number
  readonly counts: () => { readonly cached: number; readonly underWay: number }
}

export interface DnsClientSettings {
  /** `address:port`; default: the system's name servers */
  readonly servers?: readonly string[]
  /** timeout of the first try; the second takes twice as long */
  readonly timeoutMs?: number
  readonly tries?: number
  readonly maxCached?: number
  readonly maxUnderWay?: number
  /** monotonic, ms */
  readonly now?: () => number
}

/** Lifetimes of cached answers in seconds: what servers say, within limits; for negative answers our own (RFC 2308
 *  allows up to three hours for names that do not exist in section 5, and five minutes for failures in section 7). */
const TTL = Object.freeze({ least: 5, most: 3_600, missing: 30, failed: 2 })

const MISSING_CODES = new Set(['ENOTFOUND', 'EBADNAME'])
const TIMEOUT_CODES = new Set(['ETIMEOUT', 'ECANCELLED'])

/** Creates a client with a cache of its own. See the head of this file. */
export function createDnsClient(settings: DnsClientSettings = {}): DnsClient {
  const { maxUnderWay = 1_000, now = () => performance.now() } = settings
  const resolver = new Resolver({ timeout: settings.timeoutMs ?? 1_500, tries: settings.tries ?? 2 })
  if (settings.servers !== undefined) resolver.setServers(settings.servers)
  const cache = lru<{ readonly answer: DnsAnswer; readonly until: number }>(settings.maxCached ?? 10_000)
  const underWay = new Map<string, Promise<DnsAnswer>>()

  async function ask(name: string, family: Family, key: string): Promise<DnsAnswer> {
    const { answer, ttl } = await askServers(resolver, name, family)
    cache.set(key, { answer, until: now() + ttl * 1_000 })
    underWay.delete(key)
    return answer
  }

  return {
    query(name, family) {
      const key = `${name} ${family}`
      const cached = cache.get(key)
      if (cached !== undefined && cached.until > now()) return cached.answer
      const pending = underWay.get(key)
      if (pending !== undefined) return pending
      if (underWay.size >= maxUnderWay)
        return { kind: 'failed', why: `${maxUnderWay} names are already being resolved` }
      const asking = ask(name, family, key)
      underWay.set(key, asking)
      return asking
    },
    secondsLeft(name, family) {
      const until = cache.get(`${name} ${family}`)?.until ?? 0
      return Math.max(0, Math.ceil((until - now()) / 1_000))
    },
    counts: () => ({ cached: cache.size, underWay: underWay.size }),
  }
}

async function askServers(
  resolver: Resolver,
  name: string,
  family: Family,
): Promise<{ readonly answer: DnsAnswer; readonly ttl: number }> {
  try {
    const records = await (family === 4
      ? resolver.resolve4(name, { ttl: true })
      : resolver.resolve6(name, { ttl: true }))
    const addresses = records.flatMap(({ address }) => parseIp(address) ?? []).map(unmapIp)
    const ttl = Math.min(...records.map((record) => record.ttl))
    return { answer: { kind: 'addresses', addresses }, ttl: Math.min(Math.max(ttl, TTL.least), TTL.most) }
  } catch (thrown) {
    const code = (thrown as NodeJS.ErrnoException).code ?? ''
    if (MISSING_CODES.has(code)) return { answer: { kind: 'missing' }, ttl: TTL.missing }
    if (code === 'ENODATA') return { answer: { kind: 'empty' }, ttl: TTL.missing }
    if (TIMEOUT_CODES.has(code)) return { answer: { kind: 'timeout' }, ttl: TTL.failed }
    return { answer: { kind: 'failed', why: describeFailure(code) }, ttl: TTL.failed }
  }
}

function describeFailure(code: string): string {
  switch (code) {
    case 'ESERVFAIL':
      return 'the name server failed (SERVFAIL)'
    case 'EREFUSED':
      return 'the name server refused the query'
    case 'ECONNREFUSED':
      return 'no name server is listening at the address this machine is configured to use'
    case 'EBADRESP':
    case 'EFORMERR':
      return 'the response of the name server is not a DNS message'
    default:
      return `the lookup failed (${code || 'unknown reason'})`
  }
}

/** Once one family has answered, how long to wait for the other (RFC 8305 section 3, Resolution Delay). */
const RESOLUTION_DELAY_MS = 50

/** The addresses of one family. Throws GatewayError `name.*`, or `egress.no_matching_family` if the name has only
 *  addresses of the other family. */
export async function lookUpOne(
  dns: DnsClient,
  name: string,
  family: Family,
  signal: Cancellation,
): Promise<readonly Ip[]> {
  const answer = await unlessAborted(dns.query(name, family), signal)
  if (answer.kind === 'addresses') return answer.addresses
  if (answer.kind !== 'empty') throw failureOf(name, [answer])
  const message = `\`${name}\` has no IPv${family} address, and this connection must use IPv${family} only`
  throw new GatewayError('egress.no_matching_family', message)
}

/** The addresses of both families, IPv6 first. Throws GatewayError `name.*`. */
export async function lookUpBoth(dns: DnsClient, name: string, signal: Cancellation): Promise<readonly Ip[]> {
  const six = Promise.resolve(dns.query(name, 6))
  const four = Promise.resolve(dns.query(name, 4))
  const first = await unlessAborted(Promise.race([six, four]), signal)
  const patience = first.kind === 'addresses' ? [delay(RESOLUTION_DELAY_MS, undefined)] : []
  const both = await unlessAborted(Promise.race([Promise.all([six, four]), ...patience]), signal)
  const answers = both ?? [first]
  const addresses = answers.flatMap((answer) => (answer.kind === 'addresses' ? answer.addresses : []))
  if (addresses.length === 0) throw failureOf(name, answers)
  return addresses
}

/** A failed query takes precedence over a definite negative answer. */
function failureOf(name: string, answers: readonly DnsAnswer[]): GatewayError {
  const failed = answers.find((answer) => answer.kind === 'failed')
  if (failed !== undefined) return new GatewayError('name.failed', `\`${name}\` could not be resolved: ${failed.why}`)
  if (answers.some(({ kind }) => kind === 'timeout')) {
    return new GatewayError('name.timeout', `\`${name}\` could not be resolved: no name server answered in time`)
  }
  return answers.some(({ kind }) => kind === 'empty')
    ? new GatewayError('name.not_found', `\`${name}\` exists but has no address`)
    : new GatewayError('name.not_found', `there is no host \`${name}\``)
}

/** The value, unless the signal is aborted first. Queries are shared, so a client that disconnects cancels none. */
async function unlessAborted<Value>(value: Value | Promise<Value>, signal: Cancellation): Promise<Value> {
  if (!(value instanceof Promise)) return value
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const abort = () => reject(abortReason(signal))
  signal.addEventListener('abort', abort)
  if (signal.aborted) abort()
  try {
    return await Promise.race([value, aborted])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

function abortReason(signal: Cancellation): GatewayError {
  if (signal.reason instanceof GatewayError) return signal.reason
  return new GatewayError('relay.client_reset', 'the client disconnected during name resolution', {
    cause: signal.reason,
  })
}

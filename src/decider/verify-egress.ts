// The documented verification of dedicated egress: ask an echo site of each address family, and see whether what it saw is one
// of the account's dedicated IPs. Knows whom to ask and what answers mean; the asking is the caller's.

import { Client, errors } from 'undici'
import type { Destination, LabConfig } from '../config/lab-config.ts'
import { containsIp } from '../net/cidr.ts'
import { formatTarget } from '../net/endpoint.ts'
import { equalIp, type Family, type Ip, parseIp } from '../net/ip.ts'
import type { DedicatedEgressIp } from '../policy/account.ts'

/** What one echo origin saw; `problem` says why nothing is known. */
export interface EgressVerification {
  readonly family: Family
  readonly asked: string
  readonly seen: string
  readonly dedicated: boolean
  readonly colo: string | null
  readonly problem: string | null
}

export interface EchoOrigin {
  readonly name: string
  readonly family: Family
}

/** One echo origin per family: rather one that has no other family. Empty where the configuration has none. */
export function echoOrigins({ origins, destinations }: Pick<LabConfig, 'origins' | 'destinations'>): EchoOrigin[] {
  const echoes = new Set(origins.filter(({ kind }) => kind === 'echo').map(({ name }) => name))
  const named = destinations.filter(({ name }) => name !== undefined && echoes.has(name))
  return ([4, 6] as const).flatMap((family) => {
    const fitting = named.filter((destination) => familiesOf(destination).has(family))
    const best = fitting.find((destination) => familiesOf(destination).size === 1) ?? fitting[0]
    return best?.name === undefined ? [] : [{ name: best.name, family }]
  })
}

/** Asks one origin and judges its answer. A request that throws is a problem in its own words. */
export async function verifyOrigin(
  { name, family }: EchoOrigin,
  dedicatedIps: readonly DedicatedEgressIp[],
  request: (url: string) => Promise<{ readonly status: number; readonly body: string }>,
): Promise<EgressVerification> {
  const asked = `http://${name}/`
  const nothing = { family, asked, seen: '', dedicated: false, colo: null }
  try {
    const { status, body } = await request(asked)
    const seen = parseIp(body.trim())
    if (status !== 200 || seen === undefined) return { ...nothing, problem: `${status}: ${firstLine(body)}` }
    const owner = ownerOf(dedicatedIps, seen)
    return { ...nothing, seen: seen.text, dedicated: owner !== undefined, colo: owner?.colo ?? null, problem: null }
  } catch (thrown) {
    return { ...nothing, problem: thrown instanceof Error ? thrown.message : String(thrown) }
  }
}

function familiesOf({ addresses }: Destination): Set<Family> {
  return new Set(addresses.map((address) => address.public.family))
}

function ownerOf(dedicatedIps: readonly DedicatedEgressIp[], seen: Ip): DedicatedEgressIp | undefined {
  return dedicatedIps.find(
    ({ ipv4, ipv6 }) =>
      (ipv4 !== undefined && equalIp(ipv4.address, seen)) || (ipv6 !== undefined && containsIp(ipv6.range, seen)),
  )
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? ''
}

const PATIENCE_MS = 10_000

/** The proxy's or the origin's answer. Throws an Error with a sentence for people when there is none. */
export async function askThroughProxy({ proxy, url, username, password }: ProxyRequest): Promise<ProxyAnswer> {
  const at = formatTarget({ kind: 'name', name: proxy.host, port: proxy.port })
  const client = new Client(`http://${at}`)
  try {
    const { statusCode, headers, body } = await client.request({
      method: 'GET',
      path: url,
      headers: { host: new URL(url).host, ...(username === undefined ? {} : credentials(username, password ?? '')) },
      signal: AbortSignal.timeout(PATIENCE_MS),
    })
    const status = headers['proxy-status']
    const answer = { status: statusCode, body: await body.text() }
    return typeof status === 'string' ? { ...answer, proxyStatus: status } : answer
  } catch (thrown) {
    throw new Error(failure(thrown, at), { cause: thrown })
  } finally {
    await client.destroy()
  }
}

function credentials(username: string, password: string) {
  return { 'proxy-authorization': `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}` }
}

function failure(thrown: unknown, at: string): string {
  const code = thrown instanceof Error && 'code' in thrown ? thrown.code : undefined
  if (code === 'ECONNREFUSED') return `nothing listens at ${at}; is the lab running (\`npm start\`)?`
  if (thrown instanceof DOMException && thrown.name === 'TimeoutError') return `no answer from ${at} within 10 s`
  if (thrown instanceof errors.UndiciError) return `${at} broke off: ${thrown.message}`
  return `cannot ask ${at}: ${thrown instanceof Error ? thrown.message : String(thrown)}`
}

export interface ProxyRequest {
  readonly proxy: { readonly host: string; readonly port: number }
  readonly username?: string
  readonly password?: string
  /** `http://…` */
  readonly url: string
}
export interface ProxyAnswer {
  readonly status: number
  readonly body: string
  /** RFC 9209, as the proxy sent it */
  readonly proxyStatus?: string
}

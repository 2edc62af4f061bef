// The documented verification of dedicated egress: request an echo origin of each address family and check whether the
// address it saw is one of the account's dedicated IPs. Picks the origins and judges their answers; the caller sends the requests.

import type { Destination, LabConfig } from '../config/lab-config.ts'
import { messageOf } from '../errors/thrown.ts'
import { containsIp } from '../net/cidr.ts'
import { equalIp, type Family, type Ip, parseIp } from '../net/ip.ts'
import type { DedicatedEgressIp } from '../policy/account.ts'

/** How long an echo origin may take to answer through the proxy. */
export const VERIFY_TIMEOUT_MS = 10_000

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
    return { ...nothing, problem: messageOf(thrown) }
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

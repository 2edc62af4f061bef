// Test origins on loopback addresses of this process's own, asked as if through the lab: a table says which local source
// address stands for which public one, as the dialler would.

import type { Destination, OriginSpec } from '../../src/config/lab-config.ts'
import { cidr } from '../../src/net/cidr.ts'
import { type Ip, ip } from '../../src/net/ip.ts'
import type { OriginSiteView } from '../../src/origins/origin-request.ts'
import { type OriginsOptions, type RunningOrigins, startOrigins } from '../../src/origins/serve.ts'
import type { Colo } from '../../src/policy/place.ts'
import type { DialAttempt } from '../../src/proxy/stage-values.ts'
import { issueAuthority, issueLeaf } from '../../src/tls/issue-certificates.ts'

export const HTTP_PORT = 10080
export const HTTPS_PORT = 10443
export const LAB_TIME = Date.parse('2026-12-01T12:00:00Z')
export const PROXY = 'http://127.0.0.1:8080'

const LHR: Colo = { code: 'LHR', city: 'London', country: 'GB', latitude: 51.47, longitude: -0.45 }
const LAS: Colo = { code: 'LAS', city: 'Las Vegas', country: 'US', latitude: 36.08, longitude: -115.15 }

/** local source address → what the lab knows of it */
export const SOURCES: Readonly<Record<string, string>> = {
  '127.0.10.20': '203.0.113.20',
  '127.0.10.40': '203.0.113.40',
  '127.0.16.20': '2001:db8:20::a11c:e',
}

export function spec(name: string, kind: OriginSpec['kind'], allow: readonly string[] = []): OriginSpec {
  return { name, kind, title: name, allow: allow.map((text) => cidr(text)) }
}

export function destination(name: string, publicIp: string, standIn: string, proxied = false): Destination {
  const ports = new Map([
    [80, HTTP_PORT],
    [443, HTTPS_PORT],
  ])
  return { name, addresses: [{ public: ip(publicIp), standIn: ip(standIn), ports }], proxiedByCloudflare: proxied }
}

/** Starts origins and the certificates they need; `authority` is PEM. */
export async function startTestOrigins(
  specs: readonly OriginSpec[],
  destinations: readonly Destination[],
  siteViewOf: OriginsOptions['siteViewOf'] = viewOf,
): Promise<RunningOrigins & { readonly authority: string }> {
  const authority = await issueAuthority(Date.now())
  const certificate = await issueLeaf(
    authority,
    specs.map(({ name }) => name),
    Date.now(),
  )
  const proxied = new Set(
    destinations.flatMap((one) => (one.proxiedByCloudflare ? one.addresses.map(({ standIn }) => standIn.text) : [])),
  )
  const origins = await startOrigins({
    specs,
    destinations,
    certificate,
    proxy: PROXY,
    now: () => LAB_TIME,
    attribution: { text: 'IP Geolocation by DB-IP', href: 'https://db-ip.com/' },
    siteViewOf,
    publicSourceOf: (peer, local) => {
      const address = SOURCES[peer.ip.text]
      if (address === undefined) return undefined
      return {
        endpoint: { ip: ip(address), port: peer.port },
        attempt: attemptFrom(ip(address), local.ip, proxied.has(local.ip.text)),
      }
    },
  })
  return { ...origins, authority: authority.certificate }
}

function viewOf(address: Ip): OriginSiteView | undefined {
  if (address.text === '203.0.113.40') return undefined
  return { place: { city: 'London', country: 'GB', continent: 'EU', latitude: 51.47, longitude: -0.45 } }
}

function attemptFrom(address: Ip, dialled: Ip, proxiedByCloudflare: boolean): DialAttempt {
  const destination = { ip: dialled, port: 80 }
  const flow = {
    transport: 'tcp' as const,
    source: { ip: ip('192.0.2.1'), port: 50_000 },
    virtualNetworkId: '',
    destination,
    proxiedByCloudflare,
    contentCategories: [],
    applications: [],
  }
  return {
    flow,
    candidate: { destination, dial: destination, proxiedByCloudflare },
    decision: {
      outcome: 'balanced',
      rule: null,
      reason: 'no rule matched; nearest dedicated IP',
      egress: { family: address.family, address, standIns: [], fallback: false },
      ingressColo: LAS,
      physicalColo: LAS,
      logical: { colo: LHR, place: { city: 'London', country: 'GB', latitude: 51.47, longitude: -0.45 } },
    },
  }
}

// Dial attempts for tests: only the addresses matter to the dialer, the rest of flow and decision is plain.

import type { Endpoint } from '../../src/net/endpoint.ts'
import { ip } from '../../src/net/ip.ts'
import type { DialAttempt } from '../../src/proxy/stage-values.ts'

const COLO = { code: 'AMS', city: 'Amsterdam', country: 'NL', latitude: 52.3, longitude: 4.76 }

export function endpoint(address: string, port: number): Endpoint {
  return { ip: ip(address), port }
}

/** Connects to `dial` as public `destination`, leaving as `egress` through the first fitting stand-in. */
export function attempt(parts: {
  readonly dial: Endpoint
  readonly destination?: Endpoint
  readonly egress?: string
  readonly standIns?: readonly string[]
}): DialAttempt {
  const { dial, destination = dial, egress = '203.0.113.10', standIns = ['127.0.10.10'] } = parts
  const address = ip(egress)
  return {
    flow: {
      transport: 'tcp',
      source: endpoint('192.0.2.1', 40_000),
      virtualNetworkId: '11111111-1111-4111-8111-111111111111',
      destination,
      proxiedByCloudflare: false,
      contentCategories: [],
      applications: [],
    },
    candidate: { destination, dial, proxiedByCloudflare: false },
    decision: {
      outcome: 'balanced',
      rule: null,
      reason: 'a test said so',
      egress: { family: address.family, address, standIns: standIns.map(ip), fallback: false },
      ingressColo: COLO,
      physicalColo: COLO,
      logical: { colo: COLO, place: COLO },
    },
  }
}

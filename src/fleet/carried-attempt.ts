// A connection that was decided at one member and leaves at another: what is said of it on the link, and what the other makes of that.
// The address was decided; whose it is and how it is bound, the member that has it knows itself.

import { GatewayError } from '../errors/gateway-error.ts'
import { containsIp } from '../net/cidr.ts'
import { type Endpoint, formatEndpoint } from '../net/endpoint.ts'
import { parseAuthority } from '../net/host.ts'
import { equalIp, type Ip, parseIp } from '../net/ip.ts'
import type { Account, DedicatedEgressIp } from '../policy/account.ts'
import { type DecisionOutcome, type Egress, OUTCOMES } from '../policy/decision.ts'
import type { Snapshot } from '../policy/ruleset.ts'
import type { Candidate, DialAttempt } from '../proxy/stage-values.ts'

/** For those who look at the connection where it leaves: test origins. Nothing is decided by it. */
export interface CarriedFacts {
  readonly outcome: DecisionOutcome
  readonly reason: string
  readonly rule: string | null
  readonly ingress: string
  readonly physical: string | null
  readonly source: string
  readonly vnet: string
  readonly host?: string
  readonly endpoint?: string
}

/** What the member that dials has to know of a decision made here; endpoints as text, ids as they are. */
export function factsOf({ decision, flow }: DialAttempt): CarriedFacts {
  return {
    outcome: decision.outcome,
    reason: decision.reason,
    rule: decision.rule?.id ?? null,
    ingress: decision.ingressColo.code,
    physical: decision.physicalColo?.code ?? null,
    source: formatEndpoint(flow.source),
    vnet: flow.virtualNetworkId,
    ...(flow.host === undefined ? {} : { host: flow.host }),
    ...(flow.proxyEndpoint === undefined ? {} : { endpoint: flow.proxyEndpoint }),
  }
}

/** The attempt at the member that has the address. Throws GatewayError `egress.member_failed` where it is not this member's. */
export function attemptAt(
  { account, ruleset }: Snapshot,
  own: { readonly member: string; readonly colo: string },
  {
    egress: text,
    candidate,
    facts,
  }: { readonly egress: string; readonly candidate: Candidate; readonly facts: CarriedFacts },
): DialAttempt {
  const address = parseIp(text)
  const egress = address === undefined ? undefined : egressOf(account, own.colo, address)
  const ingressColo = account.colos.get(facts.ingress)
  const ownColo = account.colos.get(own.colo)
  if (egress === undefined || ingressColo === undefined || ownColo === undefined || !OUTCOMES.includes(facts.outcome)) {
    throw new GatewayError(
      'egress.member_failed',
      `\`${text}\` is no address of member \`${own.member}\` at ${own.colo}`,
    )
  }
  return {
    candidate,
    flow: {
      transport: 'tcp',
      source: endpointOr(facts.source, candidate.destination),
      virtualNetworkId: facts.vnet,
      host: facts.host,
      destination: candidate.destination,
      proxiedByCloudflare: candidate.proxiedByCloudflare,
      contentCategories: [],
      applications: [],
      proxyEndpoint: facts.endpoint,
    },
    decision: {
      outcome: facts.outcome,
      rule: ruleset.rules.find(({ id }) => id === facts.rule) ?? null,
      reason: facts.reason,
      egress,
      ingressColo,
      physicalColo: account.colos.get(facts.physical ?? '') ?? ownColo,
      logical: { colo: ownColo, place: egress.dedicated?.geolocation ?? ownColo },
    },
  }
}

function egressOf(account: Account, colo: string, address: Ip): Egress | undefined {
  const own = account.dedicatedIps.filter((dedicated) => dedicated.colo === colo)
  if (address.family === 4) {
    const dedicated = own.find(({ ipv4 }) => ipv4 !== undefined && equalIp(ipv4.address, address))
    return dedicated?.ipv4 && { ...egressIn(dedicated, address), standIns: dedicated.ipv4.standIns }
  }
  const dedicated = own.find(({ ipv6 }) => ipv6 !== undefined && containsIp(ipv6.range, address))
  if (dedicated?.ipv6 === undefined) return undefined
  const { standIns, isItself } = dedicated.ipv6
  return { ...egressIn(dedicated, address), standIns: isItself === true ? [address, ...standIns] : standIns }
}

function egressIn(dedicated: DedicatedEgressIp, address: Ip): Omit<Egress, 'standIns'> {
  return { family: address.family, address, dedicated, fallback: false }
}

function endpointOr(text: string, other: Endpoint): Endpoint {
  const found = parseAuthority(text)
  return found?.kind === 'ip' ? { ip: found.ip, port: found.port } : other
}

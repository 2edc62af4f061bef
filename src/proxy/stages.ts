// The stages of the pipeline, each a function from one value to the next:
//
//   Received ─► Identified ─► Named ─► Resolved ─► Decided
//
// Each writes its value out as one literal: spreading the value before costs 3 µs per connection in all.
// Connecting, and the record of a failure, are the pipeline's (pipeline.ts). The decider takes the same stages for
// connections that nobody makes.

import { GatewayError } from '../errors/gateway-error.ts'
import type { Target } from '../net/endpoint.ts'
import { decide } from '../policy/decide.ts'
import type { Flow } from '../policy/flow.ts'
import type { Snapshot } from '../policy/ruleset.ts'
import type { Cancellation } from '../transport/cancellation.ts'
import type { Arrival, ClientInfo } from './arrival.ts'
import type { Ports, ResolveOptions } from './pipeline-ports.ts'
import type {
  Candidate,
  Decided,
  DialAttempt,
  Identification,
  Identified,
  Named,
  Received,
  Resolved,
} from './stage-values.ts'

/** Takes a connection in, under the version of the policy that decides it. */
export function receive(client: ClientInfo, target: Target | undefined, snapshot: Snapshot): Received {
  return { client, target, snapshot, receivedTick: performance.now() }
}

/** Finds out who is behind an arrival, unless that is known. Rejects with GatewayError `identity.*`,
 *  `request.malformed`. */
export async function identify(
  ports: Pick<Ports, 'identify'>,
  received: Received,
  arrival: Arrival,
  known?: Identification,
): Promise<Identified> {
  const context = known?.context ?? (await ports.identify(arrival, received.snapshot))
  const { client, snapshot, receivedTick } = received
  return { client, target: arrival.target, snapshot, receivedTick, context }
}

/** Puts the name behind a placeholder in its place. Rejects with GatewayError `name.unknown_placeholder`. */
export async function resolvePlaceholder(
  { placeholderAt }: Pick<Ports, 'placeholderAt'>,
  identified: Identified,
): Promise<Named> {
  const { client, target, snapshot, receivedTick, context } = identified
  const placeholder = await placeholderAt?.(target)
  const effectiveTarget: Target =
    placeholder === undefined ? target : { kind: 'name', name: placeholder.name, port: target.port }
  return { client, target, snapshot, receivedTick, context, placeholder, effectiveTarget }
}

/** Finds the addresses of the target. Rejects with GatewayError `name.*`, `guard.*`, `egress.no_matching_family`, or
 *  the reason of the signal. */
export async function resolveTarget(
  ports: Pick<Ports, 'resolve'>,
  named: Named,
  signal: Cancellation,
): Promise<Resolved> {
  const { client, target, snapshot, receivedTick, context, placeholder, effectiveTarget } = named
  const options: { -readonly [Name in keyof ResolveOptions]: ResolveOptions[Name] } = {
    transport: client.transport,
    peer: client.peer,
    virtualNetworkId: context.virtualNetworkId,
    routes: snapshot.tables.routes,
    signal,
  }
  if (context.family !== undefined) options.family = context.family
  if (placeholder !== undefined) options.placeholderAddress = placeholder.address
  const candidates = await ports.resolve(effectiveTarget, options)
  return { client, target, snapshot, receivedTick, context, placeholder, effectiveTarget, candidates }
}

/** Decides every candidate address. `ruleEvaluationMs` covers the decisions alone. */
export function decideFlows(ports: Pick<Ports, 'placeOf' | 'categoriesOf'>, resolved: Resolved): Decided {
  const pairs = flowsOf(ports, resolved)
  const before = performance.now()
  const attempts = pairs.map(({ flow, candidate }) => ({
    flow,
    candidate,
    decision: decide(resolved.snapshot, flow),
  }))
  const ruleEvaluationMs = performance.now() - before
  const usable = attempts.every(hasEgress) ? attempts : attempts.filter(hasEgress)
  const { client, target, snapshot, receivedTick, context, placeholder, effectiveTarget, candidates } = resolved
  return {
    client,
    target,
    snapshot,
    receivedTick,
    context,
    placeholder,
    effectiveTarget,
    candidates,
    attempts,
    usable,
    ruleEvaluationMs,
  }
}

/** Throws GatewayError `egress.unroutable`, with the reason of the decision, when no attempt has an egress address. */
export function requireEgress({ attempts, usable }: Decided): void {
  if (usable.length > 0) return
  const reason = attempts[0]?.decision.reason ?? 'the destination has no address'
  throw new GatewayError('egress.unroutable', `no egress address can be used: ${reason}`)
}

function hasEgress({ decision }: DialAttempt): boolean {
  return decision.egress !== null
}

/** The facts a decision is made on, and the address they are about. */
export interface FlowPair {
  readonly flow: Flow
  readonly candidate: Candidate
}

/** The facts of the connection, once per candidate address ([E3]): destination and its place differ, the rest is
 *  shared. One object literal, even for absent fields: spreading optional parts costs 1 µs per connection. */
export function flowsOf(
  ports: Pick<Ports, 'placeOf' | 'categoriesOf'>,
  {
    client,
    context,
    effectiveTarget,
    candidates,
  }: Pick<Resolved, 'client' | 'context' | 'effectiveTarget' | 'candidates'>,
): FlowPair[] {
  const sourcePlace = ports.placeOf(context.source.ip)
  return candidates.map((candidate) => {
    const { contentCategories, applications } = ports.categoriesOf(effectiveTarget, candidate.destination.ip)
    const flow: Flow = {
      transport: client.transport,
      source: context.source,
      virtualNetworkId: context.virtualNetworkId,
      host: effectiveTarget.kind === 'name' ? effectiveTarget.name : undefined,
      identity: context.identity,
      device: context.device,
      internalSource: context.internalSource,
      userPlace: context.userPlace,
      sourcePlace,
      proxyEndpoint: client.listener.endpoint?.host,
      contentCategories,
      applications,
      destination: candidate.destination,
      proxiedByCloudflare: candidate.proxiedByCloudflare,
      gatewayDns: candidate.gatewayDns,
      destinationPlace: candidate.place,
    }
    return { candidate, flow }
  })
}

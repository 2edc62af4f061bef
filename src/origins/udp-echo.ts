// The UDP echo origins: they reply to every datagram with its public source address and a line feed. Listen on stand-in
// addresses only.

import type { Socket } from 'node:dgram'
import type { Destination, OriginSpec } from '../config/lab-config.ts'
import { InputError, type Issue } from '../errors/issue.ts'
import { type Endpoint, formatEndpoint } from '../net/endpoint.ts'
import { parseIp, unmapIp } from '../net/ip.ts'
import type { PublicSourceOf } from '../proxy/stage-values.ts'
import { bindDatagramSocket } from '../transport/datagram-socket.ts'
import { datagramEndpoints, originsWithoutAddress } from './listen-plan.ts'

export interface UdpEchoOptions {
  /** origins of other kinds are ignored */
  readonly specs: readonly OriginSpec[]
  readonly destinations: readonly Destination[]
  /** of UDP */
  readonly publicSourceOf: PublicSourceOf
}

export interface RunningUdpEcho {
  /** the bound endpoints */
  readonly endpoints: readonly Endpoint[]
  readonly close: () => void
}

/** Binds all endpoints or none. Rejects with an InputError that names each address that cannot be bound. */
export async function startUdpEcho(options: UdpEchoOptions): Promise<RunningUdpEcho> {
  const places = options.specs
    .filter(({ kind }) => kind === 'udp-echo')
    .flatMap((spec) => endpointsOf(spec, options.destinations).map((at) => ({ spec, at })))
  const outcomes = await Promise.all(places.map(({ spec, at }) => open(spec, at, options.publicSourceOf)))
  const sockets = outcomes.flatMap((outcome) => ('issue' in outcome ? [] : [outcome.socket]))
  const issues = outcomes.flatMap((outcome) => ('issue' in outcome ? [outcome.issue] : []))
  const close = () => {
    for (const socket of sockets) socket.close()
  }
  if (issues.length > 0) {
    close()
    throw new InputError(issues)
  }
  return { endpoints: places.map(({ at }) => at), close }
}

function endpointsOf(spec: OriginSpec, destinations: readonly Destination[]): Endpoint[] {
  const destination = destinations.find(({ name }) => name === spec.name)
  if (destination === undefined) throw new InputError([originsWithoutAddress(spec)])
  return datagramEndpoints(destination)
}

async function open(
  spec: OriginSpec,
  at: Endpoint,
  publicSourceOf: PublicSourceOf,
): Promise<{ readonly socket: Socket } | { readonly issue: Issue }> {
  try {
    const socket = await bindDatagramSocket(at)
    socket.on('message', (_payload, { address, port }) => {
      const ip = parseIp(address)
      if (ip === undefined) return
      const source = publicSourceOf({ ip: unmapIp(ip), port }, at)
      socket.send(`${source?.endpoint.ip.text ?? `not through the lab: ${address}`}\n`, port, address)
    })
    return { socket }
  } catch (thrown) {
    const code = thrown instanceof Error && 'code' in thrown ? String(thrown.code) : 'unknown'
    const message = `the test origin ${spec.name} cannot listen on UDP \`${formatEndpoint(at)}\` (${code})`
    const hint = 'give the destination a stand-in address and port that can be listened on'
    return { issue: { severity: 'error', code: 'origins.not_bound', message, hint, path: ['destinations'] } }
  }
}

// The UDP echo origins: they reply to every datagram with its public source address and a line feed. Listen on stand-in
// addresses only.

import type { Destination, OriginSpec } from '../config/lab-config.ts'
import { InputError, type Issue } from '../errors/issue.ts'
import { type Endpoint, formatEndpoint } from '../net/endpoint.ts'
import type { PublicSourceOf } from '../proxy/stage-values.ts'
import type { DatagramSocket } from '../transport/datagrams.ts'
import { bindNodeDatagrams } from '../transport/node/node-datagrams.ts'
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
): Promise<{ readonly socket: DatagramSocket } | { readonly issue: Issue }> {
  try {
    const socket = await bindNodeDatagrams(at)
    socket.setHandler({
      onDatagram: (_payload, from) => {
        const source = publicSourceOf(from, at)
        const seen = source?.endpoint.ip.text ?? `not through the lab: ${from.ip.text}`
        socket.send(from, Buffer.from(`${seen}\n`))
      },
      // the client has gone, or the network accepts no more: no reply, as usual with UDP
      onFailure: () => undefined,
    })
    return { socket }
  } catch (thrown) {
    const code = thrown instanceof Error && 'code' in thrown ? String(thrown.code) : 'unknown'
    const message = `the test origin ${spec.name} cannot listen on UDP \`${formatEndpoint(at)}\` (${code})`
    const hint = 'give the destination a stand-in address and port that can be listened on'
    return { issue: { severity: 'error', code: 'origins.not_bound', message, hint, path: ['destinations'] } }
  }
}

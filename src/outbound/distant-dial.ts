// Simulates distance: an established connection is handed over one round trip late, by the distance its decision
// implies. Nothing waits before the decision, and a client that disconnects ends the wait.

import { GatewayError } from '../errors/gateway-error.ts'
import type { Decision } from '../policy/decision.ts'
import type { Flow } from '../policy/flow.ts'
import { distanceKm, type Place } from '../policy/place.ts'
import type { Ports } from '../proxy/pipeline-ports.ts'
import type { Distance, TcpUpstream } from '../proxy/stage-values.ts'
import type { Cancellation } from '../transport/cancellation.ts'
import type { Clock } from '../transport/timer-wheel.ts'

export interface DistantDialSettings {
  /** ms of one round trip per 1,000 km of great circle */
  readonly msPer1000Km: number
  readonly clock: Pick<Clock, 'after'>
}

/** A dialler that adds the latency of distance to `dial`. Rejects as `dial` does, and with GatewayError `dial.reset`
 *  when the origin closes the connection meanwhile. */
export function delayByDistance(dial: Ports['dial'], settings: DistantDialSettings): Ports['dial'] {
  return async (attempts, options) => {
    const upstream = await dial(attempts, options)
    const distance = distanceOf(upstream, settings.msPer1000Km)
    if (distance.addedMs > 0) await wait(upstream, distance.addedMs, settings.clock, options.signal)
    return { ...upstream, distance }
  }
}

function distanceOf({ attempt: { flow, decision } }: TcpUpstream, msPer1000Km: number): Distance {
  const travel = travelOf(flow, decision)
  return { km: Math.round(totalKm(travel)), addedMs: Math.round(roundTripMs(travel, msPer1000Km) * 10) / 10 }
}

function wait(
  { channel }: TcpUpstream,
  delayMs: number,
  clock: Pick<Clock, 'after'>,
  signal: Cancellation,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error: GatewayError) => {
      deadline.cancel()
      signal.removeEventListener('abort', gone)
      channel.offClose(closed)
      reject(error)
    }
    const closed = () => fail(new GatewayError('dial.reset', 'the destination closed the connection immediately'))
    const gone = () => {
      const { reason } = signal
      fail(
        reason instanceof GatewayError
          ? reason
          : new GatewayError('relay.client_reset', 'the client disconnected before the connection was established', {
              cause: reason,
            }),
      )
      channel.reset()
    }
    const deadline = clock.after(delayMs, () => {
      signal.removeEventListener('abort', gone)
      channel.offClose(closed)
      resolve()
    })
    signal.addEventListener('abort', gone)
    channel.onceClosed(closed)
    if (signal.aborted) gone()
  })
}

// The distance a connection travels, and the time light in fibre takes for it: from the user to the ingress data
// center, to the egress data center, to the destination.

/** Great-circle kilometres of each leg; a leg with an unknown end counts as 0. */
export interface Travel {
  readonly toIngressKm: number
  readonly toEgressKm: number
  readonly toOriginKm: number
}

/** The legs of a connection decided so. */
export function travelOf(
  { userPlace, sourcePlace, destinationPlace }: Pick<Flow, 'userPlace' | 'sourcePlace' | 'destinationPlace'>,
  { ingressColo, physicalColo }: Pick<Decision, 'ingressColo' | 'physicalColo'>,
): Travel {
  const egress = physicalColo ?? ingressColo
  return {
    toIngressKm: legKm(userPlace ?? sourcePlace, ingressColo),
    toEgressKm: legKm(ingressColo, egress),
    toOriginKm: legKm(egress, destinationPlace),
  }
}

/** The sum of the legs, in kilometres. */
export function totalKm({ toIngressKm, toEgressKm, toOriginKm }: Travel): number {
  return toIngressKm + toEgressKm + toOriginKm
}

/** Milliseconds of one round trip. Light in fibre takes 5 µs per kilometre, so 10 ms there and back for 1,000 km;
 *  cables are typically half as long again as the great circle, so 15 ms is close to what is measured. */
export function roundTripMs(travel: Travel, msPer1000Km: number): number {
  return (totalKm(travel) / 1000) * msPer1000Km
}

function legKm(from: Place | undefined, to: Place | undefined): number {
  return from === undefined || to === undefined ? 0 : distanceKm(from, to)
}

// Makes distance felt: a connection that is established is handed over one round trip later than it was, by the way its decision
// says it travels. Nothing waits before the decision, and a client that goes away ends the wait.

import { GatewayError } from '../errors/gateway-error.ts'
import { roundTripMs, totalKm, travelOf } from '../policy/travel.ts'
import type { Distance, Ports, Upstream } from '../proxy/stage-values.ts'
import type { Cancellation } from '../transport/cancellation.ts'
import type { Clock } from '../transport/timer-wheel.ts'

export interface DistantDialSettings {
  /** one round trip over 1,000 km of great circle */
  readonly msPer1000Km: number
  readonly clock: Pick<Clock, 'after'>
}

/** This dialler with the time that distance takes added. Rejects as it does, and with `dial.reset` for an origin that closed the
 *  connection meanwhile. */
export function delayByDistance(dial: Ports['dial'], settings: DistantDialSettings): Ports['dial'] {
  return async (attempts, options) => {
    const upstream = await dial(attempts, options)
    const distance = distanceOf(upstream, settings.msPer1000Km)
    if (distance.addedMs > 0) await wait(upstream, distance.addedMs, settings.clock, options.signal)
    return { ...upstream, distance }
  }
}

function distanceOf({ attempt: { flow, decision } }: Upstream, msPer1000Km: number): Distance {
  const travel = travelOf(flow, decision)
  return { km: Math.round(totalKm(travel)), addedMs: Math.round(roundTripMs(travel, msPer1000Km) * 10) / 10 }
}

function wait(
  { carrier }: Upstream,
  delayMs: number,
  clock: Pick<Clock, 'after'>,
  signal: Cancellation,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const leave = (error: GatewayError) => {
      deadline.cancel()
      signal.removeEventListener('abort', gone)
      carrier.offClose(closed)
      reject(error)
    }
    const closed = () => leave(new GatewayError('dial.reset', 'the destination closed the connection at once'))
    const gone = () => {
      const { reason } = signal
      leave(
        reason instanceof GatewayError
          ? reason
          : new GatewayError('relay.client_reset', 'the client went away while connecting', { cause: reason }),
      )
      carrier.reset()
    }
    const deadline = clock.after(delayMs, () => {
      signal.removeEventListener('abort', gone)
      carrier.offClose(closed)
      resolve()
    })
    signal.addEventListener('abort', gone)
    carrier.onceClosed(closed)
    if (signal.aborted) gone()
  })
}

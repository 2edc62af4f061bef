// The health of egress addresses in the running lab: an outage is a line in the lab's own log when it begins and when it ends.

import { GatewayError } from '../errors/gateway-error.ts'
import type { EventLog } from '../log/event-log.ts'
import { EgressHealth } from '../proxy/egress-health.ts'
import type { RememberedSession } from '../proxy/session-memory.ts'

/** Hears of outages beside the log; `error` absent: the address works again. */
export type OnOutage = (egress: string, error: { readonly code: string; readonly message: string } | undefined) => void

export function watchEgressHealth(
  now: () => number,
  events: Pick<EventLog, 'warn' | 'info'>,
  onOutage: OnOutage = () => undefined,
): EgressHealth {
  return new EgressHealth({
    now,
    onBegin: ({ egress, code, message }) => {
      events.warn(`outage: connections from ${egress} fail [${code}]: ${message}`)
      onOutage(egress, { code, message })
    },
    onEnd: ({ egress, since }) => {
      events.info(`${egress} works again, ${Math.max(0, Math.round((now() - since) / 1000))} s after it failed`)
      onOutage(egress, undefined)
    },
  })
}

/** Of connections that are carried in other threads, what their sessions say once they are over. */
export function learnFrom(session: RememberedSession, health: EgressHealth): void {
  const { decided } = session
  const egress = decided?.decision.egress ?? null
  if (egress === null) return
  const { Protocol: protocol, Lab } = session.record
  const { bind, error } = Lab
  // that an exit does not carry UDP says nothing of the exit
  if (protocol === 'UDP' && error?.code === 'egress.exit_failed') return
  if (bind !== undefined) health.attempted(egress)
  else if (error !== undefined) health.attempted(egress, new GatewayError(error.code, error.message))
}

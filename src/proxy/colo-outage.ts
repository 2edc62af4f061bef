// What the outage of a data center means for connections that are open already: which of them depend on it, and what
// cutting them says. New connections are the policy's matter: they are decided on the data centers that are up ([B4], [E1]).

import { GatewayError } from '../errors/gateway-error.ts'
import type { Decision } from '../policy/decision.ts'
import type { LiveSession, LiveSessions } from './live-sessions.ts'

/** The open sessions an outage concerns, as they were; `reset` says whether they were cut. */
export interface ConcernedSessions {
  readonly reset: boolean
  readonly sessions: readonly LiveSession[]
}

/** Does a connection depend on this data center: come in there, leave there, or leave by an IPv4 address that is there? An IPv6
 *  range works from every data center ([E4]). */
export function dependsOn({ ingressColo, physicalColo, egress }: Decision, code: string): boolean {
  if (ingressColo.code === code || physicalColo?.code === code) return true
  return egress?.family === 4 && egress.dedicated?.colo === code
}

/** Leaves the sessions that depend on a data center alone, or cuts them with a reset on both sides (TU-07); each then ends
 *  with `relay.colo_down`. */
export function settleOpenSessions(
  open: Pick<LiveSessions, 'decided' | 'cut'>,
  code: string,
  reset: boolean,
): ConcernedSessions {
  const sessions = open
    .decided()
    .filter(({ decided }) => decided !== undefined && dependsOn(decided.decision, code))
    .map(({ session }) => session)
  if (reset) for (const { id, egress } of sessions) open.cut(id, coloWentDown(code, egress))
  return { reset, sessions }
}

function coloWentDown(code: string, egress: string): GatewayError {
  return new GatewayError('relay.colo_down', `data center ${code} went down, and the connection from ${egress} with it`)
}

// Many failed attempts as one error: the one that says most about the destination, with the rest as its cause.

import type { ConnectionErrorCode } from '../errors/catalogue.ts'
import { GatewayError } from '../errors/gateway-error.ts'

/** A destination that answered, even with a refusal, tells more than one that kept silent, and both more than what was wrong
 *  on our side of another attempt. */
const TELLING: readonly ConnectionErrorCode[] = [
  'egress.not_bound',
  'dial.refused',
  'dial.reset',
  'dial.timeout',
  'dial.unreachable',
  'egress.tunnel_leads_nowhere',
  'egress.exit_refused',
  'egress.exit_failed',
  'egress.ports_exhausted',
  'egress.address_missing',
  'egress.unroutable',
  'egress.no_matching_family',
]

/** The most telling error first; several become one with the others as an AggregateError for its cause. */
export function bestOf(errors: readonly GatewayError[]): GatewayError {
  const [best, ...others] = errors.toSorted((a, b) => rank(a) - rank(b))
  if (best === undefined) return new GatewayError('egress.unroutable', 'there is no address to connect to')
  if (others.length === 0) return best
  const also = others.map((other) => other.message).join('; ')
  return new GatewayError(best.code, `${best.message} (and: ${also})`, {
    cause: new AggregateError([best, ...others], 'every attempt failed'),
    details: best.details,
  })
}

function rank({ code }: GatewayError): number {
  const at = TELLING.indexOf(code)
  return at < 0 ? TELLING.length : at
}

// Before anything is resolved: an address that Gateway DNS gave out for a name is that name again, with the address it had when it
// was resolved (gateway-egress section 9). Everything else stays as it is.

import type { Target } from '../net/endpoint.ts'
import type { Placeholder, Ports } from './ports.ts'

/** `target` is what facts are made of and what gets resolved. */
export interface SettledTarget {
  readonly target: Target
  readonly placeholder: Placeholder | undefined
}

/** Throws GatewayError `name.unknown_placeholder`. */
export async function settleTarget(
  { placeholderAt }: Pick<Ports, 'placeholderAt'>,
  target: Target,
): Promise<SettledTarget> {
  const placeholder = await placeholderAt?.(target)
  if (placeholder === undefined) return { target, placeholder }
  return { target: { kind: 'name', name: placeholder.name, port: target.port }, placeholder }
}

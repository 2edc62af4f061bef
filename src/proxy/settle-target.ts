// Before anything is resolved: an address that Gateway DNS gave out for a name is that name again, with the address it had when it
// was resolved (gateway-egress section 9). Everything else stays as it is.

import type { Target } from '../net/endpoint.ts'
import type { Placeholder, Ports } from './ports.ts'

/** `target` is what facts are made of and what gets resolved. */
export interface SettledTarget {
  readonly target: Target
  readonly placeholder: Placeholder | undefined
}

/** Answers at once unless it has to be asked elsewhere. Throws or rejects with GatewayError `name.unknown_placeholder`. */
export function settleTarget(
  { placeholderAt }: Pick<Ports, 'placeholderAt'>,
  target: Target,
): SettledTarget | Promise<SettledTarget> {
  const placeholder = placeholderAt?.(target)
  if (placeholder instanceof Promise) return placeholder.then((found) => settledBy(found, target))
  return settledBy(placeholder, target)
}

function settledBy(placeholder: Placeholder | undefined, target: Target): SettledTarget {
  if (placeholder === undefined) return { target, placeholder }
  return { target: { kind: 'name', name: placeholder.name, port: target.port }, placeholder }
}

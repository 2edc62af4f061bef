// The allowlists of the configured test services.

import type { LabConfig } from '../config/lab-config.ts'
import { type Allowlists, createAllowlists } from '../policy/allowlist.ts'

/** The test services of a configuration that have an allowlist. */
export function allowlistsOf({ origins, destinations }: LabConfig): Allowlists {
  const services = origins.filter(({ kind }) => kind === 'saas')
  return createAllowlists(
    services.map(({ name, allow }) => {
      const own = destinations.filter((destination) => destination.name === name)
      return { name, allow, addresses: own.flatMap(({ addresses }) => addresses.map((address) => address.public)) }
    }),
  )
}

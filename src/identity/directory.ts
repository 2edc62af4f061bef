// People, devices and sources as the configuration has them, arranged for looking up. A reload makes a new directory and swaps
// it in whole; nothing here changes.

import type { ConfiguredDevice, ConfiguredSource, ConfiguredUser, LabConfig } from '../config/lab-config.ts'
import { containsIp } from '../net/cidr.ts'
import type { Ip } from '../net/ip.ts'

/** The part of the configuration that says who is who. */
export type People = Pick<LabConfig, 'users' | 'devices' | 'sources'>

export interface Directory {
  readonly users: readonly ConfiguredUser[]
  /** by email, letter case aside */
  userOf(email: string): ConfiguredUser | undefined
  /** by name or id, letter case aside */
  deviceOf(nameOrId: string): ConfiguredDevice | undefined
  readonly devices: readonly ConfiguredDevice[]
  /** the narrowest source network that holds an address */
  sourceOf(peer: Ip): ConfiguredSource | undefined
}

export function createDirectory({ users, devices, sources }: People): Directory {
  const byEmail = new Map(users.map((user) => [user.identity.email.toLowerCase(), user]))
  const byName = new Map(
    devices.flatMap((entry) => [
      [entry.device.name.toLowerCase(), entry] as const,
      [entry.device.id.toLowerCase(), entry] as const,
    ]),
  )
  return {
    users,
    userOf: (email) => byEmail.get(email.toLowerCase()),
    deviceOf: (nameOrId) => byName.get(nameOrId.toLowerCase()),
    devices,
    sourceOf: (peer) => sources.find(({ network }) => containsIp(network, peer)),
  }
}

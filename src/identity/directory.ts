// Who may be behind a connection, as the configuration says: users, devices, groups and source networks, looked up by what
// a client shows. A reload makes a new directory.

import type { ConfiguredDevice, ConfiguredSource, ConfiguredUser, LabConfig } from '../config/lab-config.ts'
import { containsIp } from '../net/cidr.ts'
import type { Ip } from '../net/ip.ts'
import { canonicalEmail } from '../policy/canonical-email.ts'
import type { UserGroup } from '../policy/flow.ts'

/** The sections of the configuration that identify clients. */
export type People = Pick<LabConfig, 'users' | 'groups' | 'identityProviders' | 'devices' | 'sources'>

export interface Directory {
  readonly users: readonly ConfiguredUser[]
  /** by canonical email */
  userOf(email: string): ConfiguredUser | undefined
  /** by name or id, ignoring letter case */
  deviceOf(nameOrId: string): ConfiguredDevice | undefined
  readonly devices: readonly ConfiguredDevice[]
  /** a group that is declared or that some user has, by name, ignoring letter case */
  groupOf(name: string): UserGroup | undefined
  /** the narrowest source network that contains an address */
  sourceOf(peer: Ip): ConfiguredSource | undefined
}

/** Prepares the users, devices and sources of a configuration. */
export function createDirectory({ users, groups, devices, sources }: People): Directory {
  const byEmail = new Map(users.map((user) => [user.identity.email, user]))
  const allGroups = [...users.flatMap(({ identity }) => identity.groups), ...groups]
  const byGroup = new Map(allGroups.map((group) => [group.name.toLowerCase(), group]))
  const byName = new Map(
    devices.flatMap((entry) => [
      [entry.device.name.toLowerCase(), entry] as const,
      [entry.device.id.toLowerCase(), entry] as const,
    ]),
  )
  return {
    users,
    userOf: (email) => byEmail.get(canonicalEmail(email)),
    deviceOf: (nameOrId) => byName.get(nameOrId.toLowerCase()),
    devices,
    groupOf: (name) => byGroup.get(name.toLowerCase()),
    sourceOf: (peer) => sources.find(({ network }) => containsIp(network, peer)),
  }
}

// Section fleet: what this lab is in a fleet, and what of the file all members must have alike.

import { createHash } from 'node:crypto'
import { hostname } from 'node:os'
import { resolve } from 'node:path'
import { type Cidr, cidr, containsIp } from '../net/cidr.ts'
import { parseIp } from '../net/ip.ts'
import type { RawRule } from './account-schema.ts'
import { FORMATS } from './formats.ts'
import { type FleetSettings, type LabConfig, Secret } from './lab-config.ts'
import type { RawConfig } from './lab-schema.ts'
import { endpointOf, type ReadingContext, readColo } from './reading.ts'

/** What decides about connections, and so has to be the same wherever one enters. */
const SHARED_SECTIONS = [
  'account',
  'settings',
  'colos_down',
  'dedicated_ips',
  'shared_egress',
  'virtual_networks',
  'tunnels',
  'private_routes',
  'hostname_routes',
  'lists',
  'policy',
  'groups',
  'users',
  'identity_providers',
  'posture_checks',
  'devices',
  'sources',
  'destinations',
  'categories',
] as const satisfies (keyof RawConfig)[]

/** Keys below those that say how one machine does its part, and passwords: a fingerprint of one could be guessed at. */
const OWN_KEYS = new Set(['stand_in', 'stand_ins', 'exit', 'bind', 'upstream', 'ports', 'password', 'password_hash'])

const LOOPBACK: readonly Cidr[] = [cidr('127.0.0.0/8'), cidr('::1')]

/** The fleet; nothing if the section is absent. `folder`: the base of relative paths; `rules`: those of all files. Problems are
 *  recorded. */
export function readFleet(
  { raw, problems }: ReadingContext,
  { folder, rules }: { readonly folder: string; readonly rules: readonly RawRule[] },
): Pick<LabConfig, 'fleet'> {
  const { fleet } = raw
  if (fleet === undefined) return {}
  const member = fleet.member ?? (hostname().split('.')[0] ?? '').toLowerCase()
  if (FORMATS['dns-label']?.test(member) !== true) {
    const message = `the name of this machine, \`${member}\`, cannot be the name of a member`
    problems.add(['fleet'], 'config.missing_key', message, { hint: 'give the member a name with `member`' })
  }
  readColo(fleet.colo, ['fleet', 'colo'], problems)
  if (raw.workers > 1) {
    const message = 'a member of a fleet carries its connections in one thread'
    problems.add(['workers'], 'config.conflict', message, { hint: 'leave `workers` out' })
  }
  if (fleet.login !== undefined && fleet.credentials !== undefined) {
    const message = 'a member logs in with a password or with a file of credentials, not with both'
    problems.add(['fleet', 'credentials'], 'config.conflict', message)
  }
  const open = fleet.servers.findIndex((url) => !url.startsWith('tls://') && !isHere(url))
  if (fleet.login !== undefined && fleet.server_ca === undefined && open >= 0) {
    const message = `the password may cross the network in the clear to \`${fleet.servers[open]}\``
    const hint = 'write `tls://`, or name the authority of the servers with `server_ca`'
    problems.add(['fleet', 'servers', open], 'config.insecure', message, { severity: 'warning', hint })
  }
  const advertise = endpointOf(fleet.advertise)
  const path = (file: string) => resolve(folder, file)
  const settings: FleetSettings = {
    name: fleet.name,
    member,
    colo: fleet.colo,
    servers: fleet.servers,
    ...(fleet.login === undefined
      ? {}
      : { login: { user: fleet.login.user, password: new Secret(fleet.login.password) } }),
    ...(fleet.credentials === undefined ? {} : { credentialsFile: path(fleet.credentials) }),
    ...(fleet.server_ca === undefined ? {} : { serverAuthorityFile: path(fleet.server_ca) }),
    advertise,
    listen: fleet.listen === undefined ? advertise : endpointOf(fleet.listen),
    authorityFile: path(fleet.ca),
    files: { certificate: path(fleet.certificate), key: path(fleet.key) },
    onPartition: fleet.on_partition,
    share: shareOf(raw, rules),
  }
  return { fleet: Object.freeze(settings) }
}

function isHere(url: string): boolean {
  const host = new URL(url).hostname.replace(/^\[|\]$/g, '')
  const address = parseIp(host)
  return host === 'localhost' || (address !== undefined && LOOPBACK.some((network) => containsIp(network, address)))
}

function shareOf(raw: RawConfig, rules: readonly RawRule[]): FleetSettings['share'] {
  const sections = SHARED_SECTIONS.map((section) => [section, fingerprintOf(raw[section])])
  return Object.freeze(Object.fromEntries([...sections, ['rules', fingerprintOf(rules)]]))
}

/** The order of keys does not matter. */
function fingerprintOf(value: unknown): string {
  const text = JSON.stringify(value, (key, part: unknown) => {
    if (OWN_KEYS.has(key)) return undefined
    if (typeof part !== 'object' || part === null || Array.isArray(part)) return part
    return Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
  })
  return createHash('sha256')
    .update(text ?? '')
    .digest('base64url')
    .slice(0, 16)
}

/** The sections in which two shares differ. */
export function differingSections(one: FleetSettings['share'], other: FleetSettings['share']): string[] {
  return [...new Set([...Object.keys(one), ...Object.keys(other)])].filter((key) => one[key] !== other[key])
}

// Sections groups, users, posture_checks, devices, sources and identity_providers. A file of keys is checked at once, so that
// an invalid one is reported before anything listens; no URL is requested.

import { resolve } from 'node:path'
import { cidr } from '../net/cidr.ts'
import { ip } from '../net/ip.ts'
import { canonicalEmail } from '../policy/canonical-email.ts'
import type { Device, Identity, UserGroup } from '../policy/flow.ts'
import { readWholeFile } from './files.ts'
import { parseDurationMs } from './formats.ts'
import {
  type ConfiguredDevice,
  type ConfiguredPassword,
  type ConfiguredSource,
  type ConfiguredUser,
  type IdentityProvider,
  Secret,
} from './lab-config.ts'
import { configuredId } from './names.ts'
import type { RawDevice, RawIdentityProvider, RawUser } from './people-schema.ts'
import { isInTheClear } from './read-api.ts'
import { checkNamed } from './read-networks.ts'
import { checkUnique, type ReadingContext, readPlace } from './reading.ts'
import type { DocumentPath } from './source-document.ts'

/** Users with canonical emails, each email once (docs/configuration.md). Problems are recorded. */
export function readUsers(reading: ReadingContext): readonly ConfiguredUser[] {
  const { raw } = reading
  checkUnique(reading, raw.users, {
    path: (at) => ['users', at, 'email'],
    noun: 'mail address',
    key: ({ email }) => email,
  })
  checkUnique(reading, raw.users, { path: (at) => ['users', at, 'id'], noun: 'id', key: ({ id }) => id })
  return raw.users.map((user, at) => readUser(reading, user, at))
}

/** Declared groups, for `identity.groups` ([F3]). */
export function readGroups(reading: ReadingContext): readonly UserGroup[] {
  const { groups = [] } = reading.raw
  checkNamed(reading, 'groups', 'group', groups)
  return groups.map(({ id, name, email }) =>
    Object.freeze({ id: configuredId('groups', { id, name }), name, email: canonicalEmail(email) }),
  )
}

function readUser(reading: ReadingContext, user: RawUser, at: number): ConfiguredUser {
  const { names, problems } = reading
  const path = ['users', at]
  if (user.password !== undefined && user.password_hash !== undefined) {
    const message = 'a user has a `password` or a `password_hash`, not both'
    problems.add([...path, 'password_hash'], 'config.conflict', message, { at: 'key' })
  }
  const place = readPlace(user.place, [...path, 'place'], problems)
  const device = deviceOf(reading, user, at)
  const chosen = user.virtual_network
  const virtualNetwork =
    chosen === undefined ? undefined : names.idOf('virtual_networks', chosen, [...path, 'virtual_network'], problems)
  const password = passwordOf(user)
  return Object.freeze({
    identity: identityOf(reading, user, at),
    ...(password === undefined ? {} : { password }),
    ...(place === undefined ? {} : { place }),
    ...(device === undefined ? {} : { defaultDevice: device }),
    ...(virtualNetwork === undefined ? {} : { virtualNetwork }),
  })
}

function identityOf(reading: ReadingContext, user: RawUser, at: number): Identity {
  const valuesOf = (named: RawUser['saml_attributes']) =>
    new Map(Object.entries(named).map(([name, values]) => [name, [values].flat()]))
  const email = canonicalEmail(user.email)
  return Object.freeze({
    id: configuredId('users', { id: user.id, name: email }),
    email,
    name: user.name ?? user.email.slice(0, user.email.indexOf('@')),
    groups: user.groups.map((name, index) => groupOf(reading, name, ['users', at, 'groups', index])),
    samlAttributes: valuesOf(user.saml_attributes),
    oidcClaims: valuesOf(user.oidc_claims),
  })
}

function groupOf({ raw, names, problems }: ReadingContext, name: string, path: (string | number)[]): UserGroup {
  if (raw.groups !== undefined) names.idOf('groups', name, path, problems)
  const declared = raw.groups?.find((group) => group.name.toLowerCase() === name.toLowerCase())
  return Object.freeze({
    id: configuredId('groups', { id: declared?.id, name }),
    name: declared?.name ?? name,
    email: canonicalEmail(declared?.email ?? ''),
  })
}

function passwordOf({ password, password_hash }: RawUser): ConfiguredPassword | undefined {
  if (password_hash !== undefined) return Object.freeze({ kind: 'hash', hash: password_hash })
  return password === undefined ? undefined : Object.freeze({ kind: 'plain', text: new Secret(password) })
}

/** The named device, which must not belong to another user; else the user's first one. */
function deviceOf({ raw, names, problems }: ReadingContext, user: RawUser, at: number): string | undefined {
  const path = ['users', at, 'device']
  if (user.device === undefined) {
    const own = raw.devices.find((device) => canonicalEmail(device.user ?? '') === canonicalEmail(user.email))
    return own === undefined ? undefined : configuredId('devices', own)
  }
  const id = names.idOf('devices', user.device, path, problems)
  const owner = raw.devices.find((device) => configuredId('devices', device) === id)?.user
  if (owner !== undefined && canonicalEmail(owner) !== canonicalEmail(user.email)) {
    problems.add(path, 'config.conflict', `the device \`${user.device}\` belongs to \`${owner}\``)
  }
  return id
}

/** Devices with owner, addresses and posture, for `net.src.ip` and `device_posture.checks` ([F3]). Problems are recorded. */
export function readDevices(reading: ReadingContext): readonly ConfiguredDevice[] {
  const { raw, names, problems } = reading
  checkNamed(reading, 'posture_checks', 'posture check', raw.posture_checks)
  checkNamed(reading, 'devices', 'device', raw.devices)
  return raw.devices.map((device, at) => {
    if (device.user !== undefined) names.idOf('users', device.user, ['devices', at, 'user'], problems)
    const place = readPlace(device.place, ['devices', at, 'place'], problems)
    return Object.freeze({
      device: readDevice(reading, device, at),
      ...(device.user === undefined ? {} : { user: canonicalEmail(device.user) }),
      ...(place === undefined ? {} : { place }),
    })
  })
}

function readDevice(reading: ReadingContext, device: RawDevice, at: number): Device {
  const { problems } = reading
  const passed = postureOf(reading, device.posture.passed, ['devices', at, 'posture', 'passed'])
  const failed = postureOf(reading, device.posture.failed, ['devices', at, 'posture', 'failed'])
  for (const [index, id] of failed.entries()) {
    if (!passed.includes(id)) continue
    const message = `the check \`${device.posture.failed[index]}\` is listed as both passed and failed`
    problems.add(['devices', at, 'posture', 'failed', index], 'config.conflict', message)
  }
  const { source_ip, internal_source_ip } = device
  return Object.freeze({
    id: configuredId('devices', device),
    name: device.name,
    ...(source_ip === undefined ? {} : { sourceIp: ip(source_ip) }),
    ...(internal_source_ip === undefined ? {} : { internalSourceIp: ip(internal_source_ip) }),
    posture: Object.freeze({ passed, failed }),
  })
}

/** Ids of checks. An undeclared UUID is accepted unchanged, as by the product's API. */
function postureOf(
  { names, problems }: ReadingContext,
  checks: readonly string[],
  path: (string | number)[],
): string[] {
  return checks.flatMap((check, at) => {
    if (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(check)) return check.toLowerCase()
    return names.idOf('posture_checks', check, [...path, at], problems) ?? []
  })
}

/** Sources, narrowest network first, so that the first match counts. */
export function readSources(reading: ReadingContext): readonly ConfiguredSource[] {
  const { raw, names, problems } = reading
  checkUnique(reading, raw.sources, {
    path: (at) => ['sources', at, 'network'],
    noun: 'network',
    key: ({ network }) => cidr(network).text,
  })
  const sources = raw.sources.map((source, at): ConfiguredSource => {
    const reference = (kind: 'users' | 'devices' | 'virtual_networks', key: 'user' | 'device' | 'virtual_network') => {
      const name = source[key]
      return name === undefined ? undefined : names.idOf(kind, name, ['sources', at, key], problems)
    }
    const user = reference('users', 'user') === undefined ? undefined : source.user
    const device = reference('devices', 'device')
    const virtualNetwork = reference('virtual_networks', 'virtual_network')
    return Object.freeze({
      network: cidr(source.network),
      ...(user === undefined ? {} : { user: canonicalEmail(user) }),
      ...(device === undefined ? {} : { device }),
      ...(virtualNetwork === undefined ? {} : { virtualNetwork }),
    })
  })
  return sources.toSorted((a, b) => b.network.length - a.network.length)
}

/** The issuers of tokens (RFC 7519) with their keys (RFC 7517). Problems are recorded. `folder`: the base of relative
 *  file paths. */
export function readIdentityProviders(reading: ReadingContext, folder: string): readonly IdentityProvider[] {
  const { identity_providers: providers } = reading.raw
  checkNamed(reading, 'identity_providers', 'identity provider', providers)
  return providers.flatMap((provider, at) =>
    readProvider(reading, provider, { path: ['identity_providers', at], folder }),
  )
}

interface ProviderPath {
  readonly path: DocumentPath
  readonly folder: string
}

function readProvider(reading: ReadingContext, provider: RawIdentityProvider, spot: ProviderPath): IdentityProvider[] {
  const keys = readKeys(reading, provider, spot)
  if (keys === undefined) return []
  const { name, issuer, audience, algorithms, clock_skew, claims } = provider
  return [
    Object.freeze({
      name,
      issuer,
      audiences: [audience].flat(),
      keys,
      algorithms,
      clockSkewMs: parseDurationMs(clock_skew) ?? 0,
      claims: {
        email: [claims.email].flat(),
        id: [claims.id].flat(),
        name: [claims.name].flat(),
        groups: [claims.groups].flat(),
        samlAttributes: [claims.saml_attributes].flat(),
        oidcClaims: [claims.oidc_claims].flat(),
      },
    }),
  ]
}

function readKeys(
  { problems }: Pick<ReadingContext, 'problems'>,
  { name, jwks_url: url, jwks_file: file }: RawIdentityProvider,
  { path, folder }: ProviderPath,
): IdentityProvider['keys'] | undefined {
  if ((url === undefined) === (file === undefined)) {
    problems.add(path, 'config.conflict', `\`${name}\` needs either \`jwks_url\` or \`jwks_file\``)
    return undefined
  }
  if (file !== undefined) {
    const found = resolve(folder, file)
    const wrong = whatIsWrongWith(found)
    if (wrong !== undefined) problems.add([...path, 'jwks_file'], 'config.unreadable', `\`${file}\` ${wrong}`)
    return { kind: 'file', path: found }
  }
  if (url !== undefined && isInTheClear(url)) {
    const message = `keys from \`${URL.parse(url)?.host}\` over plain http can be replaced on the way`
    const hint = 'fetch keys over https, or from this machine'
    problems.add([...path, 'jwks_url'], 'config.insecure', message, { severity: 'warning', hint })
  }
  return { kind: 'url', url: url ?? '' }
}

function whatIsWrongWith(file: string): string | undefined {
  try {
    const { keys } = Object(JSON.parse(readWholeFile(file).toString('utf8')))
    return Array.isArray(keys) && keys.length > 0 ? undefined : 'is not a JWK Set: it has no `keys`'
  } catch (thrown) {
    if (thrown instanceof SyntaxError) return 'is not JSON'
    return `cannot be read (${thrown instanceof Error && 'code' in thrown ? String(thrown.code) : String(thrown)})`
  }
}

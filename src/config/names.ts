// The names that a configuration defines, collected before anything is read, so that a reference can be checked even if
// the section it points into has errors of its own; and ids for things without one: the same name gives the same id at
// every start, on every machine.

import { createHash } from 'node:crypto'
import { didYouMean } from '../errors/did-you-mean.ts'
import type { Problems } from './problems.ts'
import type { DocumentPath } from './source-document.ts'

/** The kinds of things that references name. `words` completes "there is no … `x`". */
const KINDS = {
  users: { words: 'user', key: 'email', kind: 'user' },
  devices: { words: 'device', key: 'name', kind: 'device' },
  virtual_networks: { words: 'virtual network', key: 'name', kind: 'virtual-network' },
  tunnels: { words: 'tunnel', key: 'name', kind: 'tunnel' },
  lists: { words: 'list', key: 'name', kind: 'list' },
  groups: { words: 'group', key: 'name', kind: 'group' },
  posture_checks: { words: 'posture check', key: 'name', kind: 'posture-check' },
  listeners: { words: 'proxy endpoint', key: 'name', kind: 'proxy-endpoint' },
} as const

export type ReferenceKind = keyof typeof KINDS

export interface Names {
  /** The id of a thing by its name or id; records a problem and returns `undefined` if there is none. */
  idOf(kind: ReferenceKind, nameOrId: string, path: DocumentPath, problems: Problems): string | undefined
  find(kind: ReferenceKind, nameOrId: string): string | undefined
  /** What there is of a kind, for a hint. */
  advise(kind: ReferenceKind, typed: string): string
  /** names by id */
  readonly byId: ReadonlyMap<string, string>
}

/** The id of a thing in a configuration file: its own in lower case, else a UUID derived from its name (RFC 9562). */
export function configuredId(
  kind: ReferenceKind,
  { id, name }: { readonly id?: string | undefined; readonly name: string },
): string {
  return id?.toLowerCase() ?? stableUuid(KINDS[kind].kind, name.toLowerCase())
}

/** The host name of a proxy endpoint; `subdomain` by default derived from its name. */
export function endpointHost(name: string, subdomain: string = stableLabel('proxy-endpoint', name)): string {
  return `${subdomain}.proxy.cloudflare-gateway.com`
}

/** Collects names from data that may not have the right shape. Names are compared ignoring letter case. */
export function gatherNames(data: unknown): Names {
  const byId = new Map<string, string>()
  const tables = new Map<ReferenceKind, ReadonlyMap<string, { readonly id: string; readonly shown: string }>>()
  for (const section of Object.keys(KINDS) as ReferenceKind[]) {
    const things = thingsIn(section, data)
    for (const { id, shown } of things) byId.set(id, shown)
    tables.set(
      section,
      new Map(things.flatMap((thing) => [thing.id, thing.shown.toLowerCase()].map((key) => [key, thing] as const))),
    )
  }
  const find: Names['find'] = (kind, nameOrId) => tables.get(kind)?.get(nameOrId.toLowerCase())?.id
  const advise: Names['advise'] = (kind, typed) => {
    const shown = [...new Set(tables.get(kind)?.values())].map((thing) => thing.shown)
    return didYouMean(typed, shown, 'there are') ?? `the section \`${kind}\` has none`
  }
  return {
    byId,
    find,
    advise,
    idOf(kind, nameOrId, path, problems) {
      const id = find(kind, nameOrId)
      if (id !== undefined) return id
      problems.add(path, 'config.unknown_name', noSuch(kind, nameOrId), { hint: advise(kind, nameOrId) })
      return undefined
    },
  }
}

/** "there is no user `x`". */
export function noSuch(kind: ReferenceKind, name: string): string {
  return `there is no ${KINDS[kind].words} \`${name}\``
}

function thingsIn(section: ReferenceKind, data: unknown): { readonly id: string; readonly shown: string }[] {
  const written: unknown = Object(data)[section]
  const items: unknown[] = Array.isArray(written) ? written : []
  const things = items.flatMap((item) => {
    const { id, endpoint, [KINDS[section].key]: shown } = Object(item)
    if (section === 'listeners') return endpoint === undefined ? [] : endpointNamed(endpoint, shown)
    if (typeof shown !== 'string') return []
    return [{ id: configuredId(section, { name: shown, id: typeof id === 'string' ? id : undefined }), shown }]
  })
  const isDefault = (item: unknown) => Object(item).default === true || Object(item).name === 'default'
  if (section !== 'virtual_networks' || items.some(isDefault)) return things
  return [...things, { id: configuredId(section, { name: 'default' }), shown: 'default' }]
}

function endpointNamed(endpoint: unknown, listener: unknown): { readonly id: string; readonly shown: string }[] {
  const { name = listener, subdomain } = Object(endpoint)
  if (typeof name !== 'string') return []
  return [{ id: endpointHost(name, typeof subdomain === 'string' ? subdomain : undefined), shown: name }]
}

const NAMESPACE = Buffer.from('5d0f6f1c8f5b4f0f9a3d0c6a4be2e6f1', 'hex')

/** UUID version 5 (RFC 9562 section 5.5) of a kind and a name. */
export function stableUuid(kind: string, name: string): string {
  const bytes = createHash('sha1').update(NAMESPACE).update(`${kind}:${name}`).digest().subarray(0, 16)
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x50, 6)
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8)
  const hex = bytes.toString('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}

/** 32 hex digits, the form of Cloudflare's account ids; joined, so that it is a flat string. */
export function stableAccountId(name: string): string {
  return stableUuid('account', name).split('-').join('')
}

/** A short host label like those of Cloudflare's proxy endpoints: ten lower-case letters and digits. */
export function stableLabel(kind: string, name: string): string {
  return BigInt(`0x${stableUuid(kind, name).replaceAll('-', '')}`)
    .toString(36)
    .padStart(10, '0')
    .slice(-10)
}

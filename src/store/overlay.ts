// The documents that the configuration file declares, and the runtime changes laid over them. The rule: a document that was
// changed at run time belongs to that change until it is reverted; all else follows the file. Nothing is dropped silently.
// Pure: the same file gives the same documents and fingerprints.

import { createHash } from 'node:crypto'
import type { LabConfig } from '../config/lab-config.ts'
import {
  type Documents,
  type Json,
  KINDS,
  type Kind,
  type LabState,
  type Override,
  type RuleDocument,
  type Stored,
} from '../config/lab-state.ts'
import { stableUuid } from '../config/names.ts'
import type { AccountSettings } from '../policy/account.ts'
import type { Rule } from '../policy/rule.ts'
import type { JournalRow, RowChange } from './journal.ts'

export interface Overlaid {
  readonly state: LabState
  /** rows that the next commit must write so that disk and state agree */
  readonly changes: readonly RowChange[]
}

/** One state from the file's documents and the stored rows. `fileOnly` kinds follow the file alone; their API
 *  changes stay on disk, set aside. `now`: lab time, epoch ms. */
export function overlay(seeds: Seeds, rows: readonly JournalRow[], now: number, fileOnly: ReadonlySet<Kind>): Overlaid {
  const changes: RowChange[] = []
  const mergeKind = <K extends Kind>(kind: K): ReadonlyMap<string, Stored<K>> => {
    const mine = rows.filter((row) => row.kind === kind)
    const kept = fileOnly.has(kind) ? mine.filter((row) => row.source === 'file') : mine
    const setAside = new Set(fileOnly.has(kind) ? mine.filter((row) => row.source === 'api').map(({ id }) => id) : [])
    const merged = merge(kind, seeds[kind], kept, now)
    for (const change of merged.changes) {
      const id = 'write' in change ? change.write.id : change.erase.id
      if (!setAside.has(id)) changes.push(change)
    }
    return merged.documents
  }
  const state = Object.fromEntries(KINDS.map((kind) => [kind, mergeKind(kind)])) as unknown as LabState
  return { state: Object.freeze(state), changes }
}

/** What a state begins with that others are to share: the documents of the file, and these changes over them. `now`: epoch ms. */
export function firstRows(config: LabConfig, rows: readonly JournalRow[], now: number): readonly JournalRow[] {
  const fileOnly = new Set<Kind>(config.policySource === 'file' ? ['rule'] : [])
  const { state } = overlay(seedsOf(config), rows, now, fileOnly)
  return KINDS.flatMap((kind) =>
    [...(state[kind] as ReadonlyMap<string, Stored>).values()].map((it) => toRow(kind, it)),
  )
}

function merge<K extends Kind>(kind: K, seeds: Seeds[K], rows: readonly JournalRow[], now: number) {
  const documents = new Map<string, Stored<K>>()
  const changes: RowChange[] = []
  const byId = new Map(rows.map((row) => [row.id, row]))
  for (const [id, value] of seeds as ReadonlyMap<string, Documents[K]>) {
    const row = byId.get(id)
    byId.delete(id)
    const stored = row?.source === 'api' ? fromRow<K>(row) : followFile(value, row, now)
    documents.set(id, stored)
    if (row?.source !== 'api' && row?.seed !== stored.seed) changes.push({ write: toRow(kind, stored) })
  }
  for (const row of byId.values()) {
    const gone = row.source === 'file' || (row.deletedAt !== null && row.seed !== null && !KEEPS_DELETED.has(kind))
    if (gone) changes.push({ erase: { kind, id: row.id } })
    else documents.set(row.id, fromRow<K>(row))
  }
  return { documents: documents as ReadonlyMap<string, Stored<K>>, changes }
}

/** Kinds whose deleted documents can still be listed (`is_deleted`), as Cloudflare keeps them. */
export const KEEPS_DELETED: ReadonlySet<Kind> = new Set<Kind>([
  'virtualNetwork',
  'privateRoute',
  'hostnameRoute',
  'tunnel',
])

function followFile<K extends Kind>(value: Documents[K], row: JournalRow | undefined, now: number): Stored<K> {
  const seed = fingerprint(value)
  const history =
    row === undefined
      ? { version: 1, createdAt: now, updatedAt: now }
      : row.seed === seed
        ? { version: row.version, createdAt: row.createdAt, updatedAt: row.updatedAt }
        : { version: row.version + 1, createdAt: row.createdAt, updatedAt: now }
  return Object.freeze({ value: deepFreeze(value), ...history, deletedAt: null, source: 'file' as const, seed })
}

/** Parses a row of the journal. Throws SyntaxError for a body that is not JSON. */
export function fromRow<K extends Kind>(row: JournalRow): Stored<K> {
  const { version, createdAt, updatedAt, deletedAt, source, seed } = row
  const value = deepFreeze(JSON.parse(row.body) as Documents[K])
  return Object.freeze({ value, version, createdAt, updatedAt, deletedAt, source, seed })
}

/** The row of the journal for a document. */
export function toRow<K extends Kind>(kind: K, stored: Stored<K>): JournalRow {
  const { value, version, createdAt, updatedAt, deletedAt, source, seed } = stored
  return { kind, id: value.id, body: JSON.stringify(value), version, createdAt, updatedAt, deletedAt, source, seed }
}

/** The documents that differ from the file because they were changed at run time. */
export function overridesOf(state: LabState, seeds: Seeds): readonly Override[] {
  const found: Override[] = []
  for (const kind of KINDS) {
    for (const [id, stored] of state[kind] as ReadonlyMap<string, Stored>) {
      const declared = seeds[kind].get(id)
      if (stored.source === 'file' || (stored.deletedAt !== null && declared === undefined)) continue
      const change = declared === undefined ? 'added' : stored.deletedAt === null ? 'changed' : 'deleted'
      const fileMovedOn = declared === undefined ? stored.seed !== null : fingerprint(declared) !== stored.seed
      found.push({ kind, id, change, fileMovedOn })
    }
  }
  return found
}

/** The value itself, deeply frozen. */
export function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    for (const member of Object.values(value)) deepFreeze(member)
  }
  return value
}

export type Seeds = { readonly [K in Kind]: ReadonlyMap<string, Documents[K]> }

/** Placeholder ranges of a fresh account ([D1]). */
const PLACEHOLDERS = [
  { id: 'v4', name: 'initial-resolved-ipv4', network: '100.80.0.0/16' },
  { id: 'v6', name: 'initial-resolved-ipv6', network: '2606:4700:0cf1:4000::/64' },
] as const

/** Every document the file declares, by kind and id, in the file's order. */
export function seedsOf(config: LabConfig): Seeds {
  return {
    rule: byId(config.rules.map(ruleDocument)),
    list: byId(
      config.lists.map(({ id, name, type, items }) => ({
        id,
        name,
        type,
        description: '',
        items: items.map((value) => ({ value, description: null, createdAt: 0 })),
      })),
    ),
    virtualNetwork: byId(config.virtualNetworks),
    tunnel: byId(config.tunnels.map(({ id, name }) => ({ id, name, configSource: 'cloudflare' as const }))),
    privateRoute: byId(
      config.privateRoutes.map(({ id, network, virtualNetworkId, tunnelId, comment }) => ({
        id,
        network: network.text,
        virtualNetworkId,
        tunnelId,
        comment,
      })),
    ),
    hostnameRoute: byId(config.hostnameRoutes),
    proxyEndpoint: byId(config.listeners.flatMap(proxyEndpointDocument)),
    pacFile: new Map(),
    logpushJob: new Map(),
    placeholderSubnet: byId(
      PLACEHOLDERS.map((subnet) => ({ ...subnet, uuid: stableUuid('placeholder subnet', subnet.id), comment: '' })),
    ),
    setting: byId(settingDocuments(config.settings)),
    keptSettings: new Map(),
    keptResource: new Map(),
    colo: byId(config.colosDown.map((id) => ({ id, down: true }))),
    choice: byId(
      config.users.flatMap(({ identity, virtualNetwork }) =>
        virtualNetwork === undefined ? [] : [{ id: identity.email, virtualNetworkId: virtualNetwork }],
      ),
    ),
    clock: new Map(),
  }
}

/** A short fingerprint of a document, to detect a change of the file's version. */
export function fingerprint(document: unknown): string {
  return createHash('sha256').update(JSON.stringify(document)).digest('base64url').slice(0, 22)
}

function byId<T extends { readonly id: string }>(documents: readonly T[]): ReadonlyMap<string, T> {
  return new Map(documents.map((document) => [document.id, document]))
}

function ruleDocument(rule: Rule): RuleDocument {
  const { id, name, description, enabled, precedence, action, filters, traffic, identity, devicePosture, egress } = rule
  const known = {
    id,
    name,
    description,
    enabled,
    precedence,
    action,
    filters,
    traffic,
    identity,
    devicePosture,
    egress,
  }
  return { ...known, rest: {} }
}

function settingDocuments(settings: AccountSettings): Documents['setting'][] {
  const ids = Object.keys(settings) as (keyof AccountSettings)[]
  return ids.map((id) => ({ id, value: settings[id] satisfies Json }))
}

function proxyEndpointDocument({ endpoint }: LabConfig['listeners'][number]): Documents['proxyEndpoint'][] {
  if (endpoint === undefined) return []
  const { kind, name, host, networks } = endpoint
  const subdomain = host.split('.')[0] ?? host
  return [{ id: stableUuid('proxy endpoint', host), kind, name, subdomain, networks: networks.map(({ text }) => text) }]
}

// The documents that the configuration file declares. Pure: the same file gives the same documents and fingerprints.

import { createHash } from 'node:crypto'
import type { LabConfig } from '../config/lab-config.ts'
import type { Documents, Json, Kind, RuleDocument } from '../config/lab-state.ts'
import { stableUuid } from '../config/names.ts'
import type { AccountSettings } from '../policy/account.ts'
import type { Rule } from '../policy/rule.ts'

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
    placeholderSubnet: byId(
      PLACEHOLDERS.map((subnet) => ({ ...subnet, uuid: stableUuid('placeholder subnet', subnet.id), comment: '' })),
    ),
    setting: byId(settingDocuments(config.settings)),
    keptSettings: new Map(),
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

// The state of the lab at run time: the documents the store keeps and the API shows. Plain JSON values under our own
// names, written to disk as they are; addresses keep their author's spelling. No I/O here.

import type { RecordedDataSet } from '../analysis/replay-summary.ts'
import type { AccountSettings, HostnameRoute, VirtualNetwork } from '../policy/account.ts'
import type { ColoCode, ListId, NetworkId, TunnelId } from '../policy/ids.ts'
import type { Rule } from '../policy/rule.ts'
import type { Snapshot } from '../policy/ruleset.ts'

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json }
export type JsonObject = { readonly [key: string]: Json }

/** A rule with the members that the policy does not read: settings of other rule types, schedule, expiration, whether a
 *  description was given. `rest` is returned unchanged ([R9]). */
export interface RuleDocument extends Rule {
  readonly rest: JsonObject
}

export interface ListDocument {
  readonly id: ListId
  readonly name: string
  readonly type: string
  readonly description: string
  readonly items: readonly ListItem[]
  /** it was made without items, which declarative clients distinguish from none */
  readonly isWithoutItems?: true
}

/** `description` is null if its author sent none, which declarative clients distinguish from an empty one;
 *  `createdAt` in epoch ms, 0: as old as its list. */
export interface ListItem {
  readonly value: string
  readonly description: string | null
  readonly createdAt: number
}

export interface TunnelDocument {
  readonly id: TunnelId
  readonly name: string
  readonly configSource: 'local' | 'cloudflare'
  /** absent: `cfd_tunnel` */
  readonly type?: 'cfd_tunnel' | 'warp_connector'
  readonly ha?: boolean
}

export interface PrivateRouteDocument {
  readonly id: string
  /** prefix in canonical spelling */
  readonly network: string
  readonly virtualNetworkId: NetworkId
  readonly tunnelId: TunnelId
  readonly comment: string
}

export interface ProxyEndpointDocument {
  readonly id: string
  readonly kind: 'ip' | 'identity'
  readonly name: string
  readonly subdomain: string
  readonly networks: readonly string[]
  /** it was made without networks, which declarative clients distinguish from none */
  readonly isWithoutNetworks?: true
  /** where it listens, on loopback; absent: where the configuration file says */
  readonly port?: number
}

export interface PacFileDocument {
  readonly id: string
  readonly name: string
  readonly slug: string
  /** absent: none was given */
  readonly description?: string
  readonly contents: string
}

/** The range of initial resolved IPs, one per family ([D1]). */
export interface PlaceholderSubnetDocument {
  readonly id: 'v4' | 'v6'
  readonly uuid: string
  readonly name: string
  readonly comment: string
  readonly network: string
}

/** A job that pushes finished sessions somewhere. `options` holds how, under Cloudflare's names. */
export interface LogpushJobDocument {
  /** a number as text */
  readonly id: string
  readonly name: string | null
  readonly dataset: RecordedDataSet
  /** may hold secrets, in `header_…` parameters */
  readonly destination: string
  readonly enabled: boolean
  readonly options: JsonObject
}

/** One setting of the account; each is a document of its own, so that the file and the API may own different ones. */
export interface SettingDocument {
  readonly id: keyof AccountSettings
  readonly value: Json
}

/** Cloudflare's Gateway configuration, logging and device settings as they were sent, also where the lab does not act
 *  on them. */
export interface KeptSettingsDocument {
  readonly id: 'configuration' | 'logging' | 'devices'
  readonly value: JsonObject
}

/** A resource of Cloudflare's that the lab stores and returns but does not act on: a DNS location, a device profile … */
export interface KeptResourceDocument {
  readonly id: string
  /** the collection's path below the account */
  readonly collection: string
  readonly value: JsonObject
}

export interface ColoDocument {
  readonly id: ColoCode
  readonly down: boolean
}

/** A user's current choice of virtual network; null is the account's default. */
export interface ChoiceDocument {
  /** canonical email */
  readonly id: string
  readonly virtualNetworkId: NetworkId | null
}

/** Lab time is machine time plus this (ms). */
export interface ClockDocument {
  readonly id: 'lab'
  readonly offsetMs: number
}

/** Every kind of document by its name. */
export interface Documents {
  readonly rule: RuleDocument
  readonly list: ListDocument
  readonly virtualNetwork: VirtualNetwork
  readonly tunnel: TunnelDocument
  readonly privateRoute: PrivateRouteDocument
  readonly hostnameRoute: HostnameRoute
  readonly proxyEndpoint: ProxyEndpointDocument
  readonly pacFile: PacFileDocument
  readonly logpushJob: LogpushJobDocument
  readonly placeholderSubnet: PlaceholderSubnetDocument
  readonly setting: SettingDocument
  readonly keptSettings: KeptSettingsDocument
  readonly keptResource: KeptResourceDocument
  readonly colo: ColoDocument
  readonly choice: ChoiceDocument
  readonly clock: ClockDocument
}

export type Kind = keyof Documents

export const KINDS = [
  'rule',
  'list',
  'virtualNetwork',
  'tunnel',
  'privateRoute',
  'hostnameRoute',
  'proxyEndpoint',
  'pacFile',
  'logpushJob',
  'placeholderSubnet',
  'setting',
  'keptSettings',
  'keptResource',
  'colo',
  'choice',
  'clock',
] as const satisfies readonly Kind[]

/** A document with its history. Times are epoch ms of the lab's clock. */
export interface Stored<K extends Kind = Kind> {
  readonly value: Documents[K]
  /** 1 at first, one more with every change */
  readonly version: number
  readonly createdAt: number
  readonly updatedAt: number
  /** when it was deleted; it stays in listings of deleted objects, and the file does not bring it back */
  readonly deletedAt: number | null
  /** where its current version comes from: the configuration file, or a change made at run time */
  readonly source: 'file' | 'api'
  /** fingerprint of the file's version that this one is or was made from; null if the file never had one */
  readonly seed: string | null
}

export type LabState = { readonly [K in Kind]: ReadonlyMap<string, Stored<K>> }

/** A policy snapshot with the documents it was made from. */
export interface LabSnapshot extends Snapshot {
  readonly state: LabState
}

/** The object a change works on: reads see its own writes; nothing takes effect unless the whole change is accepted. */
export interface Draft {
  /** lab time, epoch ms */
  readonly now: number
  /** The live document, or undefined. */
  get<K extends Kind>(kind: K, id: string): Documents[K] | undefined
  /** All live documents of a kind in the order of creation. */
  all<K extends Kind>(kind: K): Documents[K][]
  /** Creates or replaces a document. */
  put<K extends Kind>(kind: K, value: Documents[K]): void
  /** Removes a document; false if there is none. */
  remove(kind: Kind, id: string): boolean
}

/** One document that a change touched. */
export interface Touched {
  readonly kind: Kind
  readonly id: string
  readonly action: 'created' | 'updated' | 'deleted'
}

/** A document that differs from the configuration file because it was changed at run time. */
export interface Override {
  readonly kind: Kind
  readonly id: string
  readonly change: 'added' | 'changed' | 'deleted'
  /** whether the file's version has changed since */
  readonly fileMovedOn: boolean
}

/** What a named token may do; each role may do what those before it may. */
export const ROLES = ['viewer', 'operator', 'admin'] as const
export type Role = (typeof ROLES)[number]

// From a flow to the values its expressions ask for (gateway-egress section 2). Computes only the fields some rule uses; a
// field without a value for this flow is missing ([F1]).

import { bytesOf, type FieldValues, type Value } from '../expression/value.ts'
import type { Ip } from '../net/ip.ts'
import { type FieldName, GATEWAY_SCHEME, HOST_SELECTORS } from './fields.ts'
import type { Flow, Group, Identity } from './flow.ts'

/** Computes the values of a fixed set of fields, by slot. */
export interface FlowReader {
  read(flow: Flow): FieldValues
  /** Like `read`, into values that are used again for every flow: whoever calls must be done with them before the next call. */
  readAgain(flow: Flow): FieldValues
}

/** A reader of the named fields. While `hostSelector` is off the four host-selector fields stay missing ([F2]). */
export function createFlowReader(used: ReadonlySet<string>, hostSelector: boolean): FlowReader {
  const wanted = [...GATEWAY_SCHEME.fields.values()].filter(
    (field) => used.has(field.name) && (hostSelector || !HOST_SELECTORS.has(field.name)),
  )
  const slots = wanted.map((field) => field.slot)
  const readers = wanted.map((field) => READERS[field.name as FieldName])
  const blank = () => new Array<Value | undefined>(GATEWAY_SCHEME.fields.size).fill(undefined)
  const readInto = (values: (Value | undefined)[], flow: Flow) => {
    for (let at = 0; at < readers.length; at++) values[slots[at] ?? 0] = readers[at]?.(flow)
    return values
  }
  const again = blank()
  return { read: (flow) => readInto(blank(), flow), readAgain: (flow) => readInto(again, flow) }
}

/** All values of a flow, by field name, in the order of the scheme; missing ones left out. */
export function namedFlowValues(flow: Flow, hostSelector: boolean): ReadonlyMap<string, Value> {
  const all = createFlowReader(new Set(GATEWAY_SCHEME.fields.keys()), hostSelector).read(flow)
  const named = new Map<string, Value>()
  for (const { name, slot } of GATEWAY_SCHEME.fields.values()) {
    const value = all[slot]
    if (value !== undefined) named.set(name, value)
  }
  return named
}

const READERS: Readonly<Record<FieldName, (flow: Flow) => Value | undefined>> = {
  'net.dst.ip': (flow) => flow.destination.ip,
  'net.dst.port': (flow) => flow.destination.port,
  'net.dst.geo.country': (flow) => flow.destinationPlace?.country,
  'net.dst.geo.continent': (flow) => flow.destinationPlace?.continent,
  'net.src.ip': (flow) => flow.source.ip,
  'net.src.port': (flow) => flow.source.port,
  'net.src.geo.country': (flow) => flow.sourcePlace?.country,
  'net.src.geo.continent': (flow) => flow.sourcePlace?.continent,
  'net.src.internal_src_ip': (flow): Ip | undefined => flow.internalSource,
  'net.protocol': (flow) => flow.transport,
  'net.vnet_id': (flow) => flow.virtualNetworkId,
  'net.fqdn.host': (flow) => flow.host,
  'net.fqdn.domains': (flow) => (flow.host === undefined ? undefined : domainsOf(flow.host)),
  'net.fqdn.content_category': (flow) => present(flow.contentCategories),
  'app.ids': (flow) => present(flow.applications),
  'proxy.endpoint': (flow) => flow.proxyEndpoint,
  'identity.email': (flow) => identityValues(flow.identity)?.email,
  'identity.name': (flow) => identityValues(flow.identity)?.name,
  'identity.groups.id': (flow) => identityValues(flow.identity)?.groupIds,
  'identity.groups.name': (flow) => identityValues(flow.identity)?.groupNames,
  'identity.groups.email': (flow) => identityValues(flow.identity)?.groupEmails,
  'identity.saml_attributes': (flow) => identityValues(flow.identity)?.samlAttributes,
  'device_posture.checks.passed': (flow) => bytesOfAll(flow.device?.posture.passed),
  'device_posture.checks.failed': (flow) => bytesOfAll(flow.device?.posture.failed),
}

/** A name and every parent domain: `a.b.test` → `a.b.test`, `b.test`, `test`. */
export function withParents(host: string): readonly string[] {
  const domains = [host]
  for (let dot = host.indexOf('.'); dot >= 0; dot = host.indexOf('.', dot + 1)) domains.push(host.slice(dot + 1))
  return domains
}

/** The same hosts are asked for again and again: their parents are cut out once, and the index over rules may remember what
 *  an array led to. Bounded, since hosts come from outside. */
const MOST_KNOWN_HOSTS = 20_000
const knownHosts = new Map<string, readonly string[]>()

function domainsOf(host: string): readonly string[] {
  const known = knownHosts.get(host)
  if (known !== undefined) return known
  if (knownHosts.size >= MOST_KNOWN_HOSTS) knownHosts.clear()
  const domains = withParents(host)
  knownHosts.set(host, domains)
  return domains
}

function present<T extends Value>(items: readonly T[] | undefined): readonly T[] | undefined {
  return items === undefined || items.length === 0 ? undefined : items
}

/** Devices are few too: their check ids are turned into bytes once. */
const knownBytes = new WeakMap<readonly string[], readonly string[]>()

function bytesOfAll(items: readonly string[] | undefined): readonly string[] | undefined {
  if (items === undefined || items.length === 0) return undefined
  const known = knownBytes.get(items)
  if (known !== undefined) return known
  const bytes = items.map(bytesOf)
  knownBytes.set(items, bytes)
  return bytes
}

interface IdentityValues {
  readonly email: string
  readonly name: string
  readonly groupIds: readonly string[] | undefined
  readonly groupNames: readonly string[] | undefined
  readonly groupEmails: readonly string[] | undefined
  readonly samlAttributes: ReadonlyMap<string, readonly string[]> | undefined
}

/** People are few and connections many, so what an identity turns into is kept as long as the identity itself. */
const knownIdentities = new WeakMap<Identity, IdentityValues>()
/** the latest one, since several fields of one flow ask in a row */
let latest: { readonly identity: Identity; readonly values: IdentityValues } | undefined

function identityValues(identity: Identity | undefined): IdentityValues | undefined {
  if (identity === undefined) return undefined
  if (latest?.identity === identity) return latest.values
  let values = knownIdentities.get(identity)
  if (values === undefined) {
    values = valuesOf(identity)
    knownIdentities.set(identity, values)
  }
  latest = { identity, values }
  return values
}

function valuesOf(identity: Identity): IdentityValues {
  const groups = (member: keyof Group) => present(identity.groups.map((group) => bytesOf(group[member])))
  const attributes = [...identity.samlAttributes].map(([key, items]) => [bytesOf(key), items.map(bytesOf)] as const)
  attributes.sort(([a], [b]) => (a < b ? -1 : 1))
  return {
    email: bytesOf(identity.email),
    name: bytesOf(identity.name),
    groupIds: groups('id'),
    groupNames: groups('name'),
    groupEmails: groups('email'),
    samlAttributes: attributes.length === 0 ? undefined : new Map(attributes),
  }
}

// Computes the values of a flow that expressions use ([F3]): only fields that some rule uses. A
// field without a value for this flow is missing ([F1]).

import { bytesOf, type FieldValues, type Value } from '../expression/value.ts'
import type { Ip } from '../net/ip.ts'
import { type FieldName, GATEWAY_SCHEME, HOST_SELECTORS } from './fields.ts'
import type { Flow, Identity, UserGroup } from './flow.ts'
import { type LazyFlow, type RememberedUser, unknownUser } from './matcher/rule-matcher.ts'

/** Computes the values of a fixed set of fields, by slot. Caches values per user for the index, so each index has
 *  its own reader. */
export interface FlowReader {
  read(flow: Flow): FieldValues
  /** Like `read`, but into one object that is reused for every flow: its result is valid until the next call. */
  readAgain(flow: Flow): FlowValues
}

/** The values of the connection itself; those of user and host after a call of {@link LazyFlow.complete}. */
export interface FlowValues extends LazyFlow {
  readonly values: FieldValues
  /** of the user, unique within the reader; 0 without a user */
  readonly number: number
}

/** Creates a reader of the named fields. While `hostSelector` is off the four host-selector fields stay missing
 *  ([F2]). */
export function createFlowReader(used: ReadonlySet<string>, hostSelector: boolean): FlowReader {
  const isWanted = (name: string) => used.has(name) && (hostSelector || !HOST_SELECTORS.has(name))
  return new Reader(
    fieldReaders(FROM_FLOW, isWanted),
    fieldReaders(FROM_IDENTITY, isWanted),
    fieldReaders(FROM_HOST, isWanted),
  )
}

/** All values of a flow by field name, in the order of the scheme; missing ones are omitted. */
export function namedFlowValues(flow: Flow, hostSelector: boolean): ReadonlyMap<string, Value> {
  const all = createFlowReader(new Set(GATEWAY_SCHEME.fields.keys()), hostSelector).read(flow)
  const named = new Map<string, Value>()
  for (const { name, slot } of GATEWAY_SCHEME.fields.values()) {
    const value = all[slot]
    if (value !== undefined) named.set(name, value)
  }
  return named
}

type Read<Source> = (source: Source) => Value | undefined

interface FieldReader<Source> {
  readonly slot: number
  readonly read: Read<Source>
}

interface ReaderUser extends RememberedUser {
  /** counted from 1 */
  readonly number: number
  /** in the order of the readers */
  readonly values: readonly (Value | undefined)[]
}

class Reader implements FlowReader {
  readonly #fromFlow: readonly FieldReader<Flow>[]
  readonly #fromIdentity: readonly FieldReader<Identity>[]
  readonly #fromHost: readonly FieldReader<string>[]
  readonly #users = new WeakMap<Identity, ReaderUser>()
  readonly #reused: FlowReading
  #count = 0

  constructor(
    fromFlow: readonly FieldReader<Flow>[],
    fromIdentity: readonly FieldReader<Identity>[],
    fromHost: readonly FieldReader<string>[],
  ) {
    this.#fromFlow = fromFlow
    this.#fromIdentity = fromIdentity
    this.#fromHost = fromHost
    this.#reused = this.#createReading()
  }

  read(flow: Flow): FieldValues {
    const reading = this.#readInto(this.#createReading(), flow)
    reading.complete()
    return reading.values
  }

  readAgain(flow: Flow): FlowValues {
    return this.#readInto(this.#reused, flow)
  }

  #createReading(): FlowReading {
    return new FlowReading(
      this.#fromIdentity.map(({ slot }) => slot),
      this.#fromHost,
    )
  }

  #readInto(reading: FlowReading, flow: Flow): FlowReading {
    const { values } = reading
    const fromFlow = this.#fromFlow
    for (let at = 0; at < fromFlow.length; at++) {
      const field = fromFlow[at]
      if (field !== undefined) values[field.slot] = field.read(flow)
    }
    reading.begin(this.#userOf(flow.identity), this.#fromHost.length === 0 ? undefined : flow.host)
    return reading
  }

  #userOf(identity: Identity | undefined): ReaderUser | undefined {
    if (identity === undefined || this.#fromIdentity.length === 0) return undefined
    const known = this.#users.get(identity)
    if (known !== undefined) return known
    const values = this.#fromIdentity.map(({ read }) => read(identity))
    const user = { ...unknownUser(), number: ++this.#count, values }
    this.#users.set(identity, user)
    return user
  }
}

class FlowReading implements FlowValues {
  readonly values = new Array<Value | undefined>(GATEWAY_SCHEME.fields.size).fill(undefined)
  user: ReaderUser | undefined
  host: string | undefined
  #isComplete = false
  readonly #userSlots: readonly number[]
  readonly #fromHost: readonly FieldReader<string>[]

  constructor(userSlots: readonly number[], fromHost: readonly FieldReader<string>[]) {
    this.#userSlots = userSlots
    this.#fromHost = fromHost
  }

  get number(): number {
    return this.user === undefined ? 0 : this.user.number
  }

  begin(user: ReaderUser | undefined, host: string | undefined): void {
    this.user = user
    this.host = host
    this.#isComplete = false
  }

  complete(): void {
    if (this.#isComplete) return
    this.#isComplete = true
    const { user, host, values } = this
    const slots = this.#userSlots
    for (let at = 0; at < slots.length; at++) values[slots[at] ?? 0] = user?.values[at]
    for (const { slot, read } of this.#fromHost) values[slot] = host === undefined ? undefined : read(host)
  }
}

function fieldReaders<Source>(
  readers: Partial<Readonly<Record<FieldName, Read<Source>>>>,
  isWanted: (name: string) => boolean,
): FieldReader<Source>[] {
  return [...GATEWAY_SCHEME.fields.values()].flatMap(({ name, slot }) => {
    const read = readers[name as FieldName]
    return read !== undefined && isWanted(name) ? [{ slot, read }] : []
  })
}

const FROM_FLOW = {
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
  'net.fqdn.content_category': (flow) => present(flow.contentCategories),
  'app.ids': (flow) => present(flow.applications),
  'proxy.endpoint': (flow) => flow.proxyEndpoint,
  'device_posture.checks.passed': (flow) => bytesOfAll(flow.device?.posture.passed),
  'device_posture.checks.failed': (flow) => bytesOfAll(flow.device?.posture.failed),
} as const satisfies Partial<Record<FieldName, Read<Flow>>>

const FROM_HOST = {
  'net.fqdn.host': (host) => host,
  'net.fqdn.domains': (host) => withParents(host),
} as const satisfies Partial<Record<FieldName, Read<string>>>

const FROM_IDENTITY = {
  'identity.email': ({ email }) => bytesOf(email),
  'identity.name': ({ name }) => bytesOf(name),
  'identity.groups.id': ({ groups }) => membersOf(groups, 'id'),
  'identity.groups.name': ({ groups }) => membersOf(groups, 'name'),
  'identity.groups.email': ({ groups }) => membersOf(groups, 'email'),
  'identity.saml_attributes': ({ samlAttributes }) => attributesOf(samlAttributes),
  'identity.oidc_claims': ({ oidcClaims }) => present(claimTexts(oidcClaims)),
} as const satisfies Partial<Record<FieldName, Read<Identity>>>

/** A name and each of its parent domains: `a.b.test` → `a.b.test`, `b.test`, `test`. */
export function withParents(host: string): readonly string[] {
  const domains = [host]
  for (let dot = host.indexOf('.'); dot >= 0; dot = host.indexOf('.', dot + 1)) domains.push(host.slice(dot + 1))
  return domains
}

function present<T extends Value>(items: readonly T[] | undefined): readonly T[] | undefined {
  return items === undefined || items.length === 0 ? undefined : items
}

/** Devices are few: their check ids are converted to bytes once. */
const knownBytes = new WeakMap<readonly string[], readonly string[]>()

function bytesOfAll(items: readonly string[] | undefined): readonly string[] | undefined {
  if (items === undefined || items.length === 0) return undefined
  const known = knownBytes.get(items)
  if (known !== undefined) return known
  const bytes = items.map(bytesOf)
  knownBytes.set(items, bytes)
  return bytes
}

function membersOf(groups: Identity['groups'], member: keyof UserGroup): readonly string[] | undefined {
  return present(groups.map((group) => bytesOf(group[member])))
}

/** `name=value`, one for each value. */
function claimTexts(claims: Identity['oidcClaims']): readonly string[] {
  return [...claims].flatMap(([name, values]) => values.map((value) => bytesOf(`${name}=${value}`)))
}

/** Keys in byte order, in which the language iterates maps. */
function attributesOf(given: Identity['samlAttributes']): ReadonlyMap<string, readonly string[]> | undefined {
  if (given.size === 0) return undefined
  const attributes = [...given].map(([key, items]) => [bytesOf(key), items.map(bytesOf)] as const)
  return new Map(attributes.sort(([a], [b]) => (a < b ? -1 : 1)))
}

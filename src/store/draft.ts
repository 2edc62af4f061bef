// One change in progress: copies only the kinds it touches, and records what it did. The store checks the result:
// what must hold of every state, whoever changed it ([R1] to [R14], [A2]), so that no order of edits can slip past; the
// first violation refuses the change.

import type { LabConfig } from '../config/lab-config.ts'
import type { Documents, Draft, Kind, LabState, RuleDocument, Stored, Touched } from '../config/lab-state.ts'
import { ChangeError } from '../errors/change-error.ts'
import { type Cidr, maskIp, parseCidr } from '../net/cidr.ts'
import { equalIp, parseIp } from '../net/ip.ts'
import type { DedicatedEgressIp } from '../policy/account.ts'
import type { RowChange } from './journal.ts'
import { deepFreeze, KEEPS_DELETED, toRow } from './overlay.ts'

export interface WorkingDraft extends Draft {
  /** Restores the file's document, or removes the document if the file has none. */
  restore<K extends Kind>(kind: K, id: string, declared: { value: Documents[K]; seed: string } | undefined): void
  result(): { readonly state: LabState; readonly touched: readonly Touched[]; readonly changes: readonly RowChange[] }
}

type Maps = { [K in Kind]: ReadonlyMap<string, Stored<K>> }

/** A draft based on a state, which is never altered. `now`: lab time, epoch ms. */
export function createDraft(before: LabState, now: number): WorkingDraft {
  const after: Maps = { ...before }
  const touched = new Map<string, { kind: Kind; id: string }>()

  const mapOf = <K extends Kind>(kind: K): ReadonlyMap<string, Stored<K>> => after[kind]
  const write = <K extends Kind>(kind: K, id: string, stored: Stored<K> | undefined) => {
    const copy = new Map(mapOf(kind))
    if (stored === undefined) copy.delete(id)
    else copy.set(id, Object.freeze({ ...stored, value: deepFreeze(stored.value) }))
    after[kind] = copy as Maps[K]
    touched.set(`${kind} ${id}`, { kind, id })
  }
  const live = <K extends Kind>(kind: K, id: string): Stored<K> | undefined => {
    const stored = mapOf(kind).get(id)
    return stored === undefined || stored.deletedAt !== null ? undefined : stored
  }

  return {
    now,
    get: (kind, id) => live(kind, id)?.value,
    all: (kind) => [...mapOf(kind).values()].filter(({ deletedAt }) => deletedAt === null).map(({ value }) => value),
    put(kind, value) {
      const old = mapOf(kind).get(value.id)
      const isNew = old === undefined || old.deletedAt !== null
      write(kind, value.id, {
        value,
        version: isNew ? 1 : old.version + 1,
        createdAt: isNew ? now : old.createdAt,
        updatedAt: now,
        deletedAt: null,
        source: 'api',
        seed: old?.seed ?? null,
      })
    },
    remove(kind, id) {
      const old = live(kind, id)
      if (old === undefined) return false
      const keep = old.seed !== null || KEEPS_DELETED.has(kind)
      write(kind, id, keep ? { ...old, updatedAt: now, deletedAt: now, source: 'api' } : undefined)
      return true
    },
    restore(kind, id, declared) {
      const old = mapOf(kind).get(id)
      if (declared === undefined) return write(kind, id, undefined)
      const history = old === undefined ? { version: 1, createdAt: now } : { ...old, version: old.version + 1 }
      write(kind, id, { ...history, ...declared, updatedAt: now, deletedAt: null, source: 'file' })
    },
    result: () => finish(before, after, [...touched.values()]),
  }
}

function finish(before: LabState, after: LabState, marks: readonly { kind: Kind; id: string }[]) {
  const touched: Touched[] = []
  const changes: RowChange[] = []
  for (const { kind, id } of marks) {
    const old = before[kind].get(id) as Stored | undefined
    const stored = after[kind].get(id) as Stored | undefined
    if (old === stored) continue
    changes.push(stored === undefined ? { erase: { kind, id } } : { write: toRow(kind, stored) })
    const was = old !== undefined && old.deletedAt === null
    const is = stored !== undefined && stored.deletedAt === null
    if (was || is) touched.push({ kind, id, action: was ? (is ? 'updated' : 'deleted') : 'created' })
  }
  return { state: Object.freeze(after), touched, changes }
}

type Owned = LabConfig['dedicatedIps']

/** Throws ChangeError for the first violation. `before`: a state that was checked with the same addresses; rules that
 *  are in it are only compared with the others. */
export function checkState(state: LabState, owned: Owned, before?: LabState): void {
  const live = <K extends Kind>(kind: K): Documents[K][] => {
    const all = [...(state[kind] as LabState[K]).values()]
    return all.filter(({ deletedAt }) => deletedAt === null).map(({ value }) => value as Documents[K])
  }
  checkRules(state.rule, owned, before?.rule)
  checkVirtualNetworks(live('virtualNetwork'))
  const networks = new Map(live('virtualNetwork').map((network) => [network.id, network]))
  const tunnels = new Map(live('tunnel').map((tunnel) => [tunnel.id, tunnel]))
  unique(
    live('tunnel'),
    ({ name }) => name,
    'change.name_taken',
    (name) => `a tunnel named \`${name}\` exists already`,
  )
  checkPrivateRoutes(live('privateRoute'), networks, tunnels)
  checkHostnameRoutes(live('hostnameRoute'), tunnels)
  checkProxyEndpoints(live('proxyEndpoint'))
  unique(
    live('pacFile'),
    ({ slug }) => slug,
    'change.name_taken',
    (slug) => `the slug \`${slug}\` is taken`,
  )
  for (const { id, network } of live('placeholderSubnet')) {
    const family = parseCidr(network)?.family
    if (family !== (id === 'v4' ? 4 : 6)) throw invalid(`\`${network}\` is not an IP${id} prefix`)
  }
}

type RuleDocuments = LabState['rule']

/** Those of `before` are only looked at for a precedence that a new one wants as well. */
function checkRules(rules: RuleDocuments, owned: Owned, before?: RuleDocuments): void {
  const { fresh, known } = separate(rules, before)
  const byPrecedence = new Map<number, RuleDocument>()
  for (const rule of fresh) {
    const { name, precedence } = rule
    if (!Number.isSafeInteger(precedence) || precedence < 0) {
      throw invalid(`precedence of rule \`${name}\` must be a whole number from 0 up`)
    }
    const other = byPrecedence.get(precedence)
    if (other !== undefined) throw precedenceTaken(rule, other)
    byPrecedence.set(precedence, rule)
    checkAction(rule)
    checkEgress(rule, owned)
  }
  for (const rule of known) {
    const other = byPrecedence.get(rule.precedence)
    if (other !== undefined) throw precedenceTaken(other, rule)
  }
}

function precedenceTaken({ precedence, name }: RuleDocument, by: RuleDocument): ChangeError {
  const message = `precedence ${precedence} of rule \`${name}\` is taken by rule \`${by.name}\` (${by.id})`
  return new ChangeError('change.precedence_taken', message, { details: { precedence, rule: by.id } })
}

/** The live rules, those that are the same in `before` apart. Both maps are mostly in one order, so few are looked up. */
function separate(rules: RuleDocuments, before: RuleDocuments = new Map()) {
  const fresh: RuleDocument[] = []
  const known: RuleDocument[] = []
  const old = before.values()
  for (const [id, stored] of rules) {
    const isSame = old.next().value === stored || before.get(id) === stored
    if (stored.deletedAt === null) (isSame ? known : fresh).push(stored.value)
  }
  return { fresh, known }
}

function checkAction({ action, filters }: RuleDocument): void {
  if ((action === 'egress') === filters.includes('egress')) return
  throw new ChangeError('change.invalid_action', `invalid action "${action}"`, { details: { action, filters } })
}

function checkEgress({ name, egress }: RuleDocument, owned: Owned): void {
  if (egress === null) return
  const has = (text: string) => {
    const address = parseIp(text)
    if (address?.family !== 4) throw invalid(`\`${text}\` of rule \`${name}\` is not an IPv4 address`)
    return owned.some(({ ipv4 }) => ipv4 !== undefined && equalIp(ipv4.address, address))
  }
  if (!has(egress.ipv4)) throw notOwned('primary IPv4', 'ipv4', egress.ipv4, owned)
  const { ipv4Fallback: fallback } = egress
  if (fallback !== null && fallback !== '0.0.0.0' && !has(fallback)) {
    throw notOwned('fallback IPv4', 'ipv4_fallback', fallback, owned)
  }
  const range = parseCidr(egress.ipv6)
  if (range?.family !== 6) throw invalid(`\`${egress.ipv6}\` of rule \`${name}\` is not an IPv6 prefix`)
  if (!owned.some(({ ipv6 }) => ipv6 !== undefined && samePrefix(ipv6.range, range))) {
    throw notOwned('IPv6 range', 'ipv6', egress.ipv6, owned)
  }
}

function notOwned(what: string, member: string, text: string, owned: Owned): ChangeError {
  const known = owned.flatMap((ip: DedicatedEgressIp) =>
    member === 'ipv6' ? (ip.ipv6?.range.text ?? []) : (ip.ipv4?.address.text ?? []),
  )
  const details = { address: text, owned: known, field: `rule_settings.egress.${member}` }
  return new ChangeError('change.address_not_owned', `Account doesn't own dedicated ${what}`, { details })
}

function checkVirtualNetworks(networks: readonly Documents['virtualNetwork'][]): void {
  unique(
    networks,
    ({ name }) => name,
    'change.name_taken',
    (name) => `a virtual network named \`${name}\` exists already`,
  )
  const defaults = networks.filter(({ isDefault }) => isDefault)
  if (defaults.length !== 1) throw invalid(`exactly one virtual network must be the default, found ${defaults.length}`)
}

type Named = ReadonlyMap<string, { readonly name: string }>

function checkPrivateRoutes(routes: readonly Documents['privateRoute'][], networks: Named, tunnels: Named): void {
  for (const { network, virtualNetworkId, tunnelId } of routes) {
    if (parseCidr(network) === undefined) throw invalid(`\`${network}\` is not a network in CIDR notation`)
    if (!networks.has(virtualNetworkId)) throw missing('virtual network', virtualNetworkId, `route \`${network}\``)
    if (!tunnels.has(tunnelId)) throw missing('tunnel', tunnelId, `route \`${network}\``)
  }
  unique(
    routes,
    ({ network, virtualNetworkId }) => `${network} ${virtualNetworkId}`,
    'change.route_exists',
    (_key, { network }) => `a route for \`${network}\` exists already in this virtual network`,
  )
}

function checkHostnameRoutes(routes: readonly Documents['hostnameRoute'][], tunnels: Named): void {
  for (const { hostname, tunnelId } of routes) {
    if (!tunnels.has(tunnelId)) throw missing('tunnel', tunnelId, `hostname route \`${hostname}\``)
  }
  const message = (hostname: string) => `a route for \`${hostname}\` exists already`
  unique(routes, ({ hostname }) => hostname.toLowerCase(), 'change.route_exists', message)
}

/** Source networks of an endpoint are at most /8 or /32 wide ([T7]). */
function checkProxyEndpoints(endpoints: readonly Documents['proxyEndpoint'][]): void {
  for (const { name, networks } of endpoints) {
    for (const text of networks) {
      const network = parseCidr(text)
      if (network === undefined) throw invalid(`\`${text}\` of proxy endpoint \`${name}\` is not a network`)
      const widest = network.family === 4 ? 8 : 32
      if (network.length < widest) throw invalid(`\`${text}\` of proxy endpoint \`${name}\` is wider than /${widest}`)
    }
  }
}

function unique<T>(
  values: readonly T[],
  keyOf: (value: T) => string,
  code: 'change.name_taken' | 'change.route_exists',
  message: (key: string, value: T) => string,
): void {
  const seen = new Set<string>()
  for (const value of values) {
    const key = keyOf(value)
    if (seen.has(key)) throw new ChangeError(code, message(key, value))
    seen.add(key)
  }
}

function samePrefix(a: Cidr, b: Cidr): boolean {
  return a.length === b.length && equalIp(maskIp(a.base, a.length), maskIp(b.base, b.length))
}

function invalid(message: string): ChangeError {
  return new ChangeError('change.invalid', message)
}

function missing(what: string, id: string, user: string): ChangeError {
  return new ChangeError('change.invalid', `${user} needs ${what} \`${id}\`, which does not exist`)
}

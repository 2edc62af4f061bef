// Explaining a hypothetical connection: one explanation per address of its destination, in the order they would be tried.

import { proveReach } from '../analysis/unreachable.ts'
import type { LabConfig } from '../config/lab-config.ts'
import { closest, didYouMean } from '../errors/did-you-mean.ts'
import { GatewayError } from '../errors/gateway-error.ts'
import { InputError, type Issue, inputError } from '../errors/issue.ts'
import { rangeText } from '../net/cidr.ts'
import { formatEndpoint, type Target } from '../net/endpoint.ts'
import { parseAuthority } from '../net/host.ts'
import { type Ip, ip, parseIp } from '../net/ip.ts'
import { letsIn } from '../policy/allowlist.ts'
import { canonicalEmail } from '../policy/canonical-email.ts'
import { type Explanation, explain } from '../policy/explain.ts'
import { createSnapshot, type Ruleset, type Snapshot } from '../policy/ruleset.ts'
import type { Arrival, Listener } from '../proxy/arrival.ts'
import type { Decider, HypotheticalFlow } from './decider.ts'

/** One address of the destination and what is decided for it. */
export interface Explained extends HypotheticalFlow {
  readonly explanation: Explanation
  /** by name */
  readonly virtualNetwork: string
  /** names by id, of what rules compare by id */
  readonly names: ReadonlyMap<string, string>
  /** the listener that would ask for a login before it decided; absent where a user is named, or none is needed */
  readonly refusedBy?: string
}

export interface ExplainOptions extends FlowOptions {
  /** codes of data centers to take as down beside those that are */
  readonly coloDown: readonly string[]
}

/** At least one. Throws an InputError for what cannot be asked, a GatewayError for a connection that fails before a
 *  decision. */
export async function explainConnection(
  decider: Decider,
  destination: string,
  options: ExplainOptions,
): Promise<readonly [Explained, ...Explained[]]> {
  const [snapshot, arrival] = allOf(
    () => withColosDown(decider.snapshot, options.coloDown),
    () => hypotheticalArrival(decider.config, destination, options),
    softIssues(decider, options),
  )
  const names = namesOf(decider.config, snapshot)
  const asked = decider.config.listeners.find(({ name }) => name === arrival.listener.name)
  const isRefused = options.user === undefined && asked?.authentication === 'required' && asked.fixedUser === undefined
  const flows = await decider.flowsOf(arrival).catch((thrown: unknown) => {
    throw withGuess(thrown, arrival.target, decider.config)
  })
  const [first, ...others] = flows.map((one): Explained => {
    const { virtualNetworkId } = one.flow
    const network = snapshot.account.virtualNetworks.find(({ id }) => id === virtualNetworkId)
    return {
      ...one,
      explanation: nearestOnly(explain(snapshot, one.flow), snapshot),
      virtualNetwork: network?.name ?? virtualNetworkId,
      names,
      ...(isRefused ? { refusedBy: asked.name } : {}),
    }
  })
  if (first === undefined) throw new GatewayError('name.not_found', 'the destination has no address')
  return [first, ...others]
}

/** For a destination that does not exist, the failure with the configured one that was probably meant; else the failure itself. */
export function withGuess(thrown: unknown, target: Target, { destinations }: LabConfig): unknown {
  if (!(thrown instanceof GatewayError) || thrown.code !== 'name.not_found' || target.kind !== 'name') return thrown
  const guess = closest(
    target.name,
    destinations.flatMap(({ name }) => name ?? []),
  )
  if (guess === undefined) return thrown
  return new GatewayError(thrown.code, `${thrown.message}; did you mean \`${guess}\`?`, { cause: thrown })
}

/** Names and addresses that a connection would be refused for, in the order they are looked up. One of them alone is left to
 *  the connection: that it fails so is an answer. */
function softIssues({ config, snapshot }: Decider, { vnet, device, sourceIp }: FlowOptions): readonly Issue[] {
  const networks = snapshot.account.virtualNetworks
  const isNetwork = networks.some(({ id, name }) => isSame(id, vnet) || isSame(name, vnet))
  const isDevice = config.devices.some((entry) => isSame(entry.device.name, device) || isSame(entry.device.id, device))
  const issues: Issue[] = []
  if (device !== undefined && !isDevice) {
    const names = config.devices.map((entry) => entry.device.name)
    issues.push(...bad('explain.unknown_device', `unknown device \`${device}\``, didYouMean(device, names)).issues)
  }
  if (sourceIp !== undefined && parseIp(sourceIp) === undefined) {
    const hint = 'write an IPv4 or IPv6 address'
    issues.push(...bad('explain.bad_source', `\`${sourceIp}\` is not an IP address`, hint).issues)
  }
  if (vnet !== undefined && !isNetwork) {
    const names = networks.map(({ name }) => name)
    const hint = didYouMean(vnet, names, 'there are')
    issues.push(...bad('explain.unknown_network', `there is no virtual network \`${vnet}\``, hint).issues)
  }
  return issues.length > 1 ? issues : issues.map((issue) => ({ ...issue, severity: 'advice' as const }))
}

function isSame(name: string, written: string | undefined): boolean {
  return name.toLowerCase() === written?.toLowerCase()
}

/** Near misses told: more are a list nobody reads. */
const MOST_NEAR = 3
const OF_DESTINATION = /^(net\.dst\.|net\.fqdn\.|app\.|net\.protocol)/
const reaches = new WeakMap<Ruleset, ReadonlySet<string>>()

/** With the near misses that help: one condition is missing, it is not where the connection goes, and the rule can match at all. */
export function nearestOnly(explanation: Explanation, { ruleset, account }: Snapshot): Explanation {
  const near = explanation.near_misses.filter(
    ({ parts: [only, ...others] }) =>
      only !== undefined && others.length === 0 && !OF_DESTINATION.test(only.field ?? ''),
  )
  if (near.length === 0) return { ...explanation, near_misses: [] }
  const dead = reaches.get(ruleset) ?? new Set(proveReach({ ruleset, account }).unreachable.map(({ rule }) => rule.id))
  reaches.set(ruleset, dead)
  return { ...explanation, near_misses: near.filter(({ id }) => !dead.has(id)).slice(0, MOST_NEAR) }
}

function namesOf({ names = new Map() }: LabConfig, { account }: Snapshot): ReadonlyMap<string, string> {
  const current = [...account.virtualNetworks, ...account.lists].map(({ id, name }) => [id, name] as const)
  return new Map([...names, ...current])
}

/** The documented JSON: the address tried first stands for the connection, further ones follow. */
export function explanationJson([first, ...others]: readonly [Explained, ...Explained[]]): unknown {
  const further = others.map(({ explanation }) => explanation)
  const allowlist = allowlistJson(first)
  const tunnel = tunnelJson(first)
  return { ...first.explanation, allowlist, ...tunnel, ...(further.length === 0 ? {} : { further_addresses: further }) }
}

/** The destination's allowlist, and what it makes of the egress address; null where it has none. */
export function allowlistJson({ candidate: { allowlist }, explanation: { decision } }: Explained) {
  if (allowlist === undefined) return null
  const egress = decision.egress?.ipv4 ?? decision.egress?.ipv6
  const let_in = letsIn(allowlist, egress === undefined ? undefined : parseIp(egress))
  return { service: allowlist.name, allow: allowlist.allow.map(rangeText), let_in }
}

/** The tunnel it is behind, and where bytes really go: null where that is not known here. */
function tunnelJson({ candidate: { tunnel, dial } }: Explained): object {
  if (tunnel === undefined) return {}
  return { tunnel: { ...tunnel, dial: tunnel.by === 'stand-in' ? formatEndpoint(dial) : null } }
}

/** The state with further data centers down. Throws an InputError with every unknown code. */
export function withColosDown(snapshot: Snapshot, codes: readonly string[]): Snapshot {
  if (codes.length === 0) return snapshot
  const { colos, colosDown } = snapshot.account
  const wanted = codes.map((code) => code.toUpperCase())
  const unknown = wanted.filter((code) => !colos.has(code))
  if (unknown.length > 0) throw new InputError(unknown.map((code) => unknownColo(code, [...colos.keys()])))
  const account = { ...snapshot.account, colosDown: new Set([...colosDown, ...wanted]) }
  return createSnapshot(snapshot.revision, account, snapshot.ruleset)
}

function unknownColo(code: string, known: readonly string[]) {
  const guess = closest(code, known)
  const hint = guess === undefined ? 'run `egresslab colo list --all` to list them' : `did you mean \`${guess}\`?`
  return {
    severity: 'error',
    code: 'explain.unknown_colo',
    message: `unknown data center \`${code}\``,
    hint,
  } as const
}

/** As given on the command line. */
export interface FlowOptions {
  readonly user?: string
  readonly vnet?: string
  readonly sourceIp?: string
  readonly device?: string
  readonly protocol: 'tcp' | 'udp'
  readonly endpoint?: string
  readonly family?: '4' | '6'
}

const DEFAULT_PORTS: Readonly<Record<string, number>> = { http: 80, https: 443, ws: 80, wss: 443, ftp: 21, ssh: 22 }
const LOOPBACK = ip('127.0.0.1')

/** The arrival; its user is taken at their word. Throws an InputError for a user, endpoint or destination that cannot be. */
export function hypotheticalArrival(config: LabConfig, destination: string, options: FlowOptions): Arrival {
  const [target, listener] = allOf(
    () => parseDestination(destination),
    () => listenerFor(config, options),
    userIssues(config, options),
  )
  return {
    protocol: options.protocol === 'udp' ? 'socks5-udp' : 'http-connect',
    transport: options.protocol,
    listener,
    peer: { ip: peerFor(listener, options), port: 50_000 },
    target,
    credentials: { username: userName(options), password: '' },
    acceptedAt: 0,
  }
}

/** A URL, or a host or address with or without a port; without either, port 443 is meant. Throws an InputError. */
export function parseDestination(text: string): Target {
  const [, scheme, rest = ''] = /^([a-z][a-z0-9+.-]*):\/\/([^/?#]*)/i.exec(text) ?? []
  const authority = scheme === undefined ? text : rest
  const target = parseAuthority(authority, scheme === undefined ? 443 : DEFAULT_PORTS[scheme.toLowerCase()])
  if (target !== undefined) return target
  const hint = 'write a URL, `host`, `host:port`, `ip:port` or `[ipv6]:port`'
  throw bad('explain.bad_destination', `invalid destination \`${text}\``, hint)
}

/** What both give. Throws an InputError with the problems of either and these; advice alone is none. */
function allOf<A, B>(first: () => A, second: () => B, further: readonly Issue[]): readonly [A, B] {
  const issues: Issue[] = []
  const attempt = <T>(read: () => T): T | undefined => {
    try {
      return read()
    } catch (thrown) {
      if (!(thrown instanceof InputError)) throw thrown
      issues.push(...thrown.issues)
      return undefined
    }
  }
  const [a, b] = [attempt(first), attempt(second)]
  issues.push(...further)
  const isBad = issues.some(({ severity }) => severity === 'error')
  if (a !== undefined && b !== undefined && !isBad) return [a, b]
  throw new InputError(issues.map((issue) => ({ ...issue, severity: 'error' as const })))
}

function userIssues({ users }: LabConfig, { user }: FlowOptions): readonly Issue[] {
  if (user === undefined || users.some(({ identity }) => identity.email === canonicalEmail(user))) return []
  const emails = users.map(({ identity }) => identity.email)
  return bad('explain.unknown_user', `unknown user \`${user}\``, didYouMean(user, emails)).issues
}

/** The listener they would come through, opened for this person without a password. */
function listenerFor(config: LabConfig, { endpoint, user }: FlowOptions): Listener {
  const listener = endpoint === undefined ? config.listeners[0] : listenerNamed(config, endpoint)
  if (listener === undefined) throw bad('explain.no_listener', 'the configuration has no listener')
  if (user === undefined)
    return listener.fixedUser === undefined ? { ...listener, authentication: 'anonymous' } : listener
  return { ...listener, fixedUser: canonicalEmail(user) }
}

function listenerNamed({ listeners }: LabConfig, name: string): Listener {
  const names = ({ name: own, endpoint }: Listener) =>
    [own, endpoint?.name, endpoint?.host].filter((each) => each !== undefined)
  const found = listeners.find((listener) => names(listener).includes(name))
  if (found !== undefined) return found
  const hint = didYouMean(name, listeners.flatMap(names))
  throw bad('explain.unknown_endpoint', `unknown proxy endpoint or listener \`${name}\``, hint)
}

/** Proxy endpoints of kind `ip` identify a connection by the network it comes from. */
function peerFor({ endpoint }: Listener, { sourceIp }: FlowOptions): Ip {
  const given = sourceIp === undefined ? undefined : parseIp(sourceIp)
  if (endpoint?.kind !== 'ip') return LOOPBACK
  return given ?? endpoint.networks[0]?.base ?? LOOPBACK
}

function userName({ user = '', vnet, sourceIp, device, family }: FlowOptions): string {
  const parameters = { vnet, src: sourceIp, device, family }
  const given = Object.entries(parameters).filter(([, value]) => value !== undefined)
  return [user, ...given.map(([key, value]) => `${key}=${value}`)].join(';')
}

function bad(code: string, message: string, hint?: string): InputError {
  return inputError(code, message, { hint })
}

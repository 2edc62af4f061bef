// Explaining a hypothetical connection: one explanation per address of its destination, in the order they would be tried.

import type { LabConfig } from '../config/lab-config.ts'
import { didYouMean } from '../errors/did-you-mean.ts'
import { GatewayError } from '../errors/gateway-error.ts'
import { InputError, inputError } from '../errors/issue.ts'
import { formatEndpoint, type Target } from '../net/endpoint.ts'
import { parseAuthority } from '../net/host.ts'
import { type Ip, ip, parseIp } from '../net/ip.ts'
import { canonicalEmail } from '../policy/canonical-email.ts'
import { type Explanation, explain } from '../policy/explain.ts'
import { createSnapshot, type Snapshot } from '../policy/ruleset.ts'
import type { Arrival, Listener } from '../proxy/arrival.ts'
import type { Decider, HypotheticalFlow } from './decider.ts'

/** One address of the destination and what is decided for it. */
export interface Explained extends HypotheticalFlow {
  readonly explanation: Explanation
  /** by name */
  readonly virtualNetwork: string
  /** names by id, of what rules compare by id */
  readonly names: ReadonlyMap<string, string>
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
  const snapshot = withColosDown(decider.snapshot, options.coloDown)
  const names = namesOf(decider.config, snapshot)
  const flows = await decider.flowsOf(hypotheticalArrival(decider.config, destination, options))
  const [first, ...others] = flows.map((one): Explained => {
    const { virtualNetworkId } = one.flow
    const network = snapshot.account.virtualNetworks.find(({ id }) => id === virtualNetworkId)
    return {
      ...one,
      explanation: explain(snapshot, one.flow),
      virtualNetwork: network?.name ?? virtualNetworkId,
      names,
    }
  })
  if (first === undefined) throw new GatewayError('name.not_found', 'the destination has no address')
  return [first, ...others]
}

function namesOf({ names = new Map() }: LabConfig, { account }: Snapshot): ReadonlyMap<string, string> {
  const current = [...account.virtualNetworks, ...account.lists].map(({ id, name }) => [id, name] as const)
  return new Map([...names, ...current])
}

/** The documented JSON: the address tried first stands for the connection, further ones follow. */
export function explanationJson([first, ...others]: readonly [Explained, ...Explained[]]): unknown {
  const further = others.map(({ explanation }) => explanation)
  const tunnel = tunnelJson(first)
  return { ...first.explanation, ...tunnel, ...(further.length === 0 ? {} : { further_addresses: further }) }
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
  const hint = didYouMean(code, known) ?? 'run `egresslab colo list --all` to list them'
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
  const target = parseDestination(destination)
  const listener = listenerFor(config, options)
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

/** The listener they would come through, opened for this person without a password. */
function listenerFor(config: LabConfig, { endpoint, user }: FlowOptions): Listener {
  const listener = endpoint === undefined ? config.listeners[0] : listenerNamed(config, endpoint)
  if (listener === undefined) throw bad('explain.no_listener', 'the configuration has no listener')
  if (user === undefined)
    return listener.fixedUser === undefined ? { ...listener, authentication: 'anonymous' } : listener
  const known = config.users.map(({ identity }) => identity.email)
  const email = canonicalEmail(user)
  if (!known.includes(email)) throw bad('explain.unknown_user', `unknown user \`${user}\``, didYouMean(user, known))
  return { ...listener, fixedUser: email }
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

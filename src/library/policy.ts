// Egress policies without a lab: compiles the rules of an account once, then decides and explains connections that are given as
// data. Pure: no socket, no file, no clock, nothing of Node, so that it runs in a browser too.

import { closest } from '../errors/did-you-mean.ts'
import { InputError, type Issue } from '../errors/issue.ts'
import { cidr, parseCidr } from '../net/cidr.ts'
import type { Endpoint } from '../net/endpoint.ts'
import { parseAuthority, parseHost } from '../net/host.ts'
import { type Ip, parseIp } from '../net/ip.ts'
import {
  type Account,
  DEFAULT_SETTINGS,
  type DedicatedEgressIp,
  type PrivateRoute,
  type SharedEgress,
} from '../policy/account.ts'
import { canonicalEmail } from '../policy/canonical-email.ts'
import { decide } from '../policy/decide.ts'
import { type ExplainedDecision, type Explanation, explain, explainDecision } from '../policy/explain.ts'
import type { Device, Flow, Identity, UserGroup } from '../policy/flow.ts'
import { COLOS, type Place } from '../policy/place.ts'
import type { Rule } from '../policy/rule.ts'
import { checkRule } from '../policy/rule-check.ts'
import { compileRuleset, createSnapshot, type Snapshot } from '../policy/ruleset.ts'

export type { ExplainedDecision, Explanation, Issue, Place }
export { InputError }

/** An account and its rules, in the words of a configuration file; members that a policy does not need may stand beside these. */
export interface PolicySource {
  /** `colo`: code of a data center */
  readonly dedicated_ips?: readonly {
    readonly colo: string
    readonly ipv4?: string
    readonly ipv6?: string
    readonly geolocation?: Place
  }[]
  readonly rules: readonly PolicyRule[]
  readonly virtual_networks?: readonly { readonly name: string; readonly id?: string; readonly default?: boolean }[]
  /** for `in $<id>` */
  readonly lists?: readonly {
    readonly id: string
    readonly name?: string
    readonly type: string
    readonly items: readonly string[]
  }[]
  /** connections to these networks are exempt */
  readonly private_routes?: readonly {
    readonly network: string
    readonly virtual_network?: string
    readonly tunnel: string
  }[]
  readonly settings?: {
    readonly tcp_proxying?: boolean
    readonly udp_proxying?: boolean
    readonly host_selector?: boolean
    readonly no_rule_matched?: 'balanced' | 'default'
    readonly expressions?: 'default' | 'lenient'
  }
  readonly account?: { readonly home_country?: string; readonly home_colo?: string }
  readonly colos_down?: readonly string[]
}

/** A rule as a configuration file has it, or with `rule_settings` as Cloudflare's API does. */
export interface PolicyRule {
  readonly name: string
  readonly id?: string
  readonly description?: string
  /** default: `true` */
  readonly enabled?: boolean
  /** default: the largest so far plus 1000 */
  readonly precedence?: number
  readonly action?: string
  readonly filters?: readonly string[] | null
  readonly traffic?: string
  readonly identity?: string
  readonly device_posture?: string
  /** absent or null: shared egress. `ipv6` defaults to the range of the same dedicated IP */
  readonly egress?: PolicyEgress | null
  readonly rule_settings?: { readonly egress?: PolicyEgress | null } | null
}

/** The addresses of dedicated egress. */
export interface PolicyEgress {
  readonly ipv4?: string
  readonly ipv4_fallback?: string
  readonly ipv6?: string
}

/** A connection to decide. Nothing is resolved or looked up: what is not given is not known. */
export interface PolicyConnection {
  /** the public address with the port: `198.51.100.20:443`, `[2001:db8::1]:443` */
  readonly destination: string
  /** the name that was asked for */
  readonly host?: string
  /** who connects: an email, or everything known of the user; groups may be given by name */
  readonly user?:
    | string
    | {
        readonly email: string
        readonly id?: string
        readonly name?: string
        readonly groups?: readonly (string | UserGroup)[]
        readonly saml_attributes?: Readonly<Record<string, readonly string[]>>
        readonly oidc_claims?: Readonly<Record<string, readonly string[]>>
      }
  /** name or id; absent: the default */
  readonly virtualNetwork?: string
  readonly protocol?: 'tcp' | 'udp'
  /** the device's public address; default `192.0.2.1` */
  readonly sourceIp?: string
  readonly sourcePort?: number
  /** where the user is: decides the ingress data center and the balancing */
  readonly userPlace?: Place
  /** where geolocation databases place source and destination */
  readonly sourcePlace?: Place
  readonly destinationPlace?: Place
  /** ids of posture checks */
  readonly posture?: { readonly passed?: readonly string[]; readonly failed?: readonly string[] }
  readonly proxiedByCloudflare?: boolean
  readonly contentCategories?: readonly number[]
  readonly applications?: readonly number[]
  /** host name of the proxy endpoint it came by */
  readonly proxyEndpoint?: string
}

/** A compiled policy; never changes. */
export interface Policy {
  /** warnings about the rules */
  readonly issues: readonly Issue[]
  /** Which rule, which address, and why: `decision` of `egresslab explain --json`. Throws an InputError for a connection that cannot be. */
  decide(connection: PolicyConnection): ExplainedDecision
  /** The same with every rule and every part of its expressions, as `egresslab explain --json` has it. Throws as `decide` does. */
  explain(connection: PolicyConnection): Explanation
}

/** Compiles a policy. Throws an InputError with every error of every rule, each with its path. */
export function compilePolicy(source: PolicySource): Policy {
  const issues: Issue[] = []
  const account = readPolicyAccount(source, issues)
  const ranges = new Map(
    account.dedicatedIps.flatMap(({ ipv4, ipv6 }) =>
      ipv4 === undefined || ipv6 === undefined ? [] : [[ipv4.address.text, ipv6.range.text] as const],
    ),
  )
  const rules = readPolicyRules(source.rules, ranges)
  for (const [at, rule] of rules.entries()) {
    const found = checkRule(rule, account, rules.slice(0, at))
    issues.push(
      ...found.map(({ rule: _rule, ...issue }) => ({ ...issue, path: ['rules', at, ...(issue.path ?? []).slice(2)] })),
    )
  }
  if (issues.some(({ severity }) => severity === 'error')) throw new InputError(issues)
  const { ruleset } = compileRuleset(rules, account.lists, account.settings)
  const snapshot = createSnapshot(1, account, ruleset)
  return {
    issues,
    decide: (connection) => explainDecision(decide(snapshot, flowOf(connection, snapshot))),
    explain: (connection) => explain(snapshot, flowOf(connection, snapshot)),
  }
}

const DEFAULT_NETWORK = { id: '00000000-0000-4000-8000-000000000000', name: 'default', comment: '', isDefault: true }

function readPolicyAccount(source: PolicySource, issues: Issue[]): Account {
  const { lists = [], settings = {}, account = {}, colos_down: down = [] } = source
  const networks = (source.virtual_networks ?? []).map(({ name, id = name, default: isDefault = false }) => {
    return { id: id.toLowerCase(), name, comment: '', isDefault }
  })
  const virtualNetworks = networks.some(({ isDefault }) => isDefault) ? networks : [...networks, DEFAULT_NETWORK]
  const fallback = virtualNetworks.find(({ isDefault }) => isDefault) ?? DEFAULT_NETWORK
  const colo = (code: string, path: NonNullable<Issue['path']>) => {
    if (COLOS.has(code.toUpperCase())) return code.toUpperCase()
    const guess = closest(code, COLOS.keys(), 2)
    issues.push(
      problem(
        path,
        `there is no data center \`${code}\``,
        guess === undefined ? undefined : `did you mean \`${guess}\`?`,
      ),
    )
    return code
  }
  const dedicatedIps = (source.dedicated_ips ?? []).map((one, at): DedicatedEgressIp => {
    const code = colo(one.colo, ['dedicated_ips', at, 'colo'])
    const ipv4 = one.ipv4 === undefined ? undefined : parseIp(one.ipv4)
    const ipv6 = one.ipv6 === undefined ? undefined : parseCidr(one.ipv6)
    if (one.ipv4 !== undefined && ipv4?.family !== 4) {
      issues.push(problem(['dedicated_ips', at, 'ipv4'], `\`${one.ipv4}\` is not an IPv4 address`))
    }
    if (one.ipv6 !== undefined && ipv6?.family !== 6) {
      issues.push(problem(['dedicated_ips', at, 'ipv6'], `\`${one.ipv6}\` is not an IPv6 range`))
    }
    return {
      colo: code,
      ...(ipv4 === undefined ? {} : { ipv4: { address: ipv4, standIns: [] } }),
      ...(ipv6 === undefined ? {} : { ipv6: { range: ipv6, standIns: [] } }),
      geolocation: one.geolocation ?? COLOS.get(code) ?? { latitude: 0, longitude: 0 },
    }
  })
  const privateRoutes = (source.private_routes ?? []).flatMap((route, at): PrivateRoute[] => {
    const network = parseCidr(route.network)
    const on = route.virtual_network === undefined ? fallback : networkOf(route.virtual_network, virtualNetworks)
    if (network === undefined)
      issues.push(problem(['private_routes', at, 'network'], `\`${route.network}\` is not a network`))
    if (on === undefined) {
      const message = `there is no virtual network \`${route.virtual_network}\``
      issues.push(problem(['private_routes', at, 'virtual_network'], message))
    }
    if (network === undefined || on === undefined) return []
    return [{ id: `private-route-${at + 1}`, network, virtualNetworkId: on.id, tunnelId: route.tunnel, comment: '' }]
  })
  return {
    id: '0'.repeat(32),
    name: 'policy',
    colos: COLOS,
    colosDown: new Set(down.map((code, at) => colo(code, ['colos_down', at]))),
    dedicatedIps,
    sharedEgress: SHARED_EGRESS,
    virtualNetworks,
    privateRoutes,
    hostnameRoutes: [],
    lists: lists.map(({ id, name = id, type, items }) => ({ id: id.toLowerCase(), name, type, items })),
    settings: {
      ...DEFAULT_SETTINGS,
      tcpProxying: settings.tcp_proxying ?? true,
      udpProxying: settings.udp_proxying ?? true,
      hostSelector: settings.host_selector ?? true,
      noRuleMatched: settings.no_rule_matched ?? 'balanced',
      expressions: settings.expressions ?? 'default',
      homeCountry: account.home_country ?? DEFAULT_SETTINGS.homeCountry,
      homeColo:
        account.home_colo === undefined ? DEFAULT_SETTINGS.homeColo : colo(account.home_colo, ['account', 'home_colo']),
    },
  }
}

/** As in config/lab.schema.json; nothing is bound. */
const SHARED_EGRESS: SharedEgress = {
  ipv4: { range: cidr('198.18.0.0/16'), standIns: cidr('198.18.0.0/16') },
  ipv6: { range: cidr('2001:db8:5a::/64'), standIns: cidr('2001:db8:5a::/64') },
}

function networkOf(text: string, networks: Account['virtualNetworks']) {
  return networks.find(({ id, name }) => name === text || id === text.toLowerCase())
}

function readPolicyRules(rules: readonly PolicyRule[], ranges: ReadonlyMap<string, string>): Rule[] {
  let largest = 0
  return rules.map((rule, at) => {
    const { precedence = largest + 1000, action = 'egress', rule_settings: settings } = rule
    largest = Math.max(largest, precedence)
    const egress = rule.egress ?? settings?.egress ?? null
    const range = egress === null ? undefined : (egress.ipv6 ?? ranges.get(parseIp(egress.ipv4 ?? '')?.text ?? ''))
    return {
      id: rule.id ?? `rule-${at + 1}`,
      name: rule.name,
      description: rule.description ?? '',
      enabled: rule.enabled ?? true,
      precedence,
      action,
      filters: rule.filters ?? (action === 'egress' ? ['egress'] : []),
      traffic: rule.traffic ?? '',
      identity: rule.identity ?? '',
      devicePosture: rule.device_posture ?? '',
      egress:
        egress === null
          ? null
          : { ipv4: egress.ipv4 ?? '', ipv4Fallback: egress.ipv4_fallback ?? null, ipv6: range ?? '' },
    }
  })
}

function flowOf(connection: PolicyConnection, { account }: Snapshot): Flow {
  const { user, posture, protocol = 'tcp', host, sourceIp = '192.0.2.1', sourcePort = 50_000 } = connection
  const source = parseIp(sourceIp)
  if (source === undefined) throw wrong('sourceIp', `\`${sourceIp}\` is not an IP address`)
  const name = host === undefined ? undefined : parseHost(host)
  if (host !== undefined && name?.kind !== 'name') throw wrong('host', `\`${host}\` is not a host name`)
  const network =
    connection.virtualNetwork === undefined
      ? account.virtualNetworks.find(({ isDefault }) => isDefault)
      : networkOf(connection.virtualNetwork, account.virtualNetworks)
  if (network === undefined)
    throw wrong('virtualNetwork', `there is no virtual network \`${connection.virtualNetwork}\``)
  return {
    transport: protocol,
    source: { ip: source, port: sourcePort },
    virtualNetworkId: network.id,
    host: name?.kind === 'name' ? name.name : undefined,
    destination: destinationOf(connection.destination),
    identity: user === undefined ? undefined : identityOf(user),
    device: posture === undefined ? undefined : deviceOf(posture, source),
    userPlace: connection.userPlace,
    sourcePlace: connection.sourcePlace,
    destinationPlace: connection.destinationPlace,
    proxiedByCloudflare: connection.proxiedByCloudflare ?? false,
    contentCategories: connection.contentCategories ?? [],
    applications: connection.applications ?? [],
    proxyEndpoint: connection.proxyEndpoint,
  }
}

function destinationOf(text: string): Endpoint {
  const target = parseAuthority(text)
  if (target?.kind === 'ip') return { ip: target.ip, port: target.port }
  throw wrong('destination', `\`${text}\` is not \`ip:port\` or \`[ipv6]:port\`; names are not resolved here`)
}

function identityOf(user: NonNullable<PolicyConnection['user']>): Identity {
  const known = typeof user === 'string' ? { email: user } : user
  const { id = known.email, name = '', groups = [], saml_attributes: attributes = {}, oidc_claims: claims = {} } = known
  return {
    id,
    email: canonicalEmail(known.email),
    name,
    groups: groups.map((group) => (typeof group === 'string' ? { id: '', name: group, email: '' } : group)),
    samlAttributes: new Map(Object.entries(attributes)),
    oidcClaims: new Map(Object.entries(claims)),
  }
}

function deviceOf({ passed = [], failed = [] }: NonNullable<PolicyConnection['posture']>, sourceIp: Ip): Device {
  return { id: '', name: '', sourceIp, posture: { passed, failed } }
}

function wrong(name: string, message: string): InputError {
  return new InputError([problem([name], message)])
}

function problem(path: NonNullable<Issue['path']>, message: string, hint?: string): Issue {
  return { severity: 'error', code: 'policy.invalid', message, path, ...(hint === undefined ? {} : { hint }) }
}

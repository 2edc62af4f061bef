// Small builders for policy tests: an account like the shipped lab's, rules and flows with everything not said left plain.

import { InputError } from '../../src/errors/issue.ts'
import { cidr } from '../../src/net/cidr.ts'
import { ip } from '../../src/net/ip.ts'
import {
  type Account,
  type AccountSettings,
  DEFAULT_SETTINGS,
  type DedicatedEgressIp,
} from '../../src/policy/account.ts'
import type { Flow, Identity, UserGroup } from '../../src/policy/flow.ts'
import { COLOS, type Colo, type Place } from '../../src/policy/place.ts'
import type { EgressSettings, Rule } from '../../src/policy/rule.ts'
import { compileRuleset, createSnapshot, type Snapshot } from '../../src/policy/ruleset.ts'

export const PLACES = {
  netherlands: { city: 'Utrecht', country: 'NL', continent: 'EU', latitude: 52.09, longitude: 5.12 },
  england: { city: 'Oxford', country: 'GB', continent: 'EU', latitude: 51.75, longitude: -1.26 },
  lasVegas: { city: 'Las Vegas', country: 'US', continent: 'NA', latitude: 36.17, longitude: -115.14 },
  seattle: { city: 'Seattle', country: 'US', continent: 'NA', latitude: 47.61, longitude: -122.33 },
  mexico: { city: 'Mexico City', country: 'MX', continent: 'NA', latitude: 19.43, longitude: -99.13 },
  montreal: { city: 'Montréal', country: 'CA', continent: 'NA', latitude: 45.5, longitude: -73.57 },
  india: { city: 'Mumbai', country: 'IN', continent: 'AS', latitude: 19.08, longitude: 72.88 },
  tokyo: { city: 'Tokyo', country: 'JP', continent: 'AS', latitude: 35.68, longitude: 139.69 },
} as const satisfies Record<string, Place>

export const VNETS = {
  default: '11111111-1111-4111-8111-111111111111',
  amer: '22222222-2222-4222-8222-222222222222',
  emea: '33333333-3333-4333-8333-333333333333',
} as const

const SETTINGS: AccountSettings = { ...DEFAULT_SETTINGS, homeColo: 'SFO' }

export function settings(changes: Partial<AccountSettings> = {}): AccountSettings {
  return { ...SETTINGS, ...changes }
}

export function colo(code: string): Colo {
  const found = COLOS.get(code)
  if (found === undefined) throw new RangeError(`no colo ${code}`)
  return found
}

/** The lab's dedicated IP at a colo: 203.0.113.<octet> and 2001:db8:<octet>::/64 with stand-ins. */
export function dedicated(code: string, octet: number): DedicatedEgressIp {
  return {
    colo: code,
    ipv4: { address: ip(`203.0.113.${octet}`), standIns: [ip(`127.0.10.${octet}`)] },
    ipv6: { range: cidr(`2001:db8:${octet}::/64`), standIns: [ip(`127.0.16.${octet}`)] },
    geolocation: colo(code),
  }
}

export const AMS = dedicated('AMS', 10)
export const LHR = dedicated('LHR', 20)
export const IAD = dedicated('IAD', 30)
export const LAX = dedicated('LAX', 40)
export const EWR = dedicated('EWR', 50)

/** An account with the lab's five dedicated IPs, unless told otherwise. */
export function account(
  changes: Partial<Omit<Account, 'settings'>> & { settings?: Partial<AccountSettings> } = {},
): Account {
  return {
    id: 'f174e90afafe4643bbbc4a0ed4fc8415',
    name: 'Test account',
    colos: COLOS,
    colosDown: new Set(),
    dedicatedIps: [AMS, LHR, IAD, LAX, EWR],
    sharedEgress: {
      ipv4: { range: cidr('198.18.0.0/16'), standIns: cidr('127.18.0.0/16') },
      ipv6: { range: cidr('2001:db8:5a::/64'), standIns: cidr('127.19.0.0/16') },
    },
    virtualNetworks: Object.entries(VNETS).map(([name, id]) => ({
      id,
      name,
      comment: '',
      isDefault: name === 'default',
    })),
    privateRoutes: [],
    hostnameRoutes: [],
    lists: [],
    ...changes,
    settings: settings(changes.settings),
  }
}

let rulesMade = 0

/** An enabled egress rule that matches everything and asks for shared egress, unless told otherwise. */
export function rule(changes: Partial<Rule> = {}): Rule {
  rulesMade++
  const tail = String(rulesMade).padStart(12, '0')
  return {
    id: `00000000-0000-4000-8000-${tail}`,
    name: `rule ${rulesMade}`,
    description: '',
    enabled: true,
    precedence: rulesMade * 1000,
    action: 'egress',
    filters: ['egress'],
    traffic: '',
    identity: '',
    devicePosture: '',
    egress: null,
    ...changes,
  }
}

/** Egress settings of the lab's dedicated IP with this last octet. */
export function via(octet: number, fallback: number | '0.0.0.0' | null = null): EgressSettings {
  return {
    ipv4: `203.0.113.${octet}`,
    ipv4Fallback: typeof fallback === 'number' ? `203.0.113.${fallback}` : fallback,
    ipv6: `2001:db8:${octet}::/64`,
  }
}

export function group(name: string): UserGroup {
  return { id: `id-${name.toLowerCase()}`, name, email: `${name.toLowerCase()}@example.com` }
}

/** A person named before the `@`, in these groups. */
export function identity(
  email: string,
  groups: readonly string[] = [],
  saml: Record<string, string[]> = {},
  oidc: Record<string, string[]> = {},
): Identity {
  return {
    id: `user-${email}`,
    email,
    name: email.slice(0, email.indexOf('@')),
    groups: groups.map(group),
    samlAttributes: new Map(Object.entries(saml)),
    oidcClaims: new Map(Object.entries(oidc)),
  }
}

interface FlowChanges extends Partial<Omit<Flow, 'destination' | 'source'>> {
  /** `198.51.100.7:443`, `[2001:db8:f00::7]:443` */
  to?: string
  from?: string
}

/** A TCP flow from 192.0.2.9 to 198.51.100.7:443 on the default virtual network, unless told otherwise. */
export function flow({ to = '198.51.100.7:443', from = '192.0.2.9:50000', ...changes }: FlowChanges = {}): Flow {
  return {
    transport: 'tcp',
    source: endpoint(from),
    virtualNetworkId: VNETS.default,
    destination: endpoint(to),
    proxiedByCloudflare: false,
    contentCategories: [],
    applications: [],
    ...changes,
  }
}

function endpoint(text: string) {
  const colon = text.lastIndexOf(':')
  return { ip: ip(text.slice(0, colon).replace(/^\[|\]$/g, '')), port: Number(text.slice(colon + 1)) }
}

/** A snapshot of an account and rules; throws where a rule has a problem, so that no test passes by an invalid rule. */
export function snapshot(given: Account, rules: readonly Rule[]): Snapshot {
  const { ruleset, problems } = compileRuleset(rules, given.lists, given.settings)
  const errors = problems.filter(({ severity }) => severity === 'error')
  if (errors.length > 0) throw new InputError(errors)
  return createSnapshot(1, given, ruleset)
}

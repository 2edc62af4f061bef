// A small lab configuration for tests of the store and the API, as the loader would hand it over.

import type { ConfiguredRule, LabConfig } from '../../src/config/lab-config.ts'
import type { Issue } from '../../src/errors/issue.ts'
import { cidr } from '../../src/net/cidr.ts'
import { ip } from '../../src/net/ip.ts'
import type { DedicatedEgressIp } from '../../src/policy/account.ts'
import type { Rule } from '../../src/policy/rule.ts'
import { settings } from '../policy/build.ts'

export const ACCOUNT_ID = '699d98642c564d2e855e9661899b7252'
export const DEFAULT_VNET = '00000000-0000-4000-8000-000000000001'
export const EMEA_VNET = '00000000-0000-4000-8000-000000000002'
export const AMER_VNET = '00000000-0000-4000-8000-000000000003'
export const TUNNEL = '00000000-0000-4000-8000-00000000000a'
export const EMEA_RULE = '00000000-0000-4000-8000-0000000000e1'
export const CATCH_ALL_RULE = '00000000-0000-4000-8000-0000000000e2'

/** The lab's five dedicated egress IPs by colo and last octet. */
function dedicated(colo: string, octet: number, latitude: number, longitude: number): DedicatedEgressIp {
  return {
    colo,
    ipv4: { address: ip(`203.0.113.${octet}`), standIns: [ip(`127.0.10.${octet}`)] },
    ipv6: { range: cidr(`2001:db8:${octet}::/64`), standIns: [ip(`127.0.16.${octet}`)] },
    geolocation: { latitude, longitude },
  }
}

export function configuredRule(rule: Partial<Rule> & Pick<Rule, 'id' | 'name' | 'precedence'>): ConfiguredRule {
  return {
    description: '',
    enabled: true,
    action: 'egress',
    filters: ['egress'],
    traffic: '',
    identity: '',
    devicePosture: '',
    egress: null,
    ...rule,
    position: { line: 1, column: 1 },
    expressionPositions: {},
  }
}

/** The configuration with `changes` laid over it. */
export function labConfig(changes: Partial<LabConfig> = {}): LabConfig {
  return {
    file: 'lab.yaml',
    account: { id: ACCOUNT_ID, name: 'lab' },
    settings: settings({ homeColo: 'IAD' }),
    colosDown: [],
    identityProviders: [],
    groups: [],
    dedicatedIps: [
      dedicated('AMS', 10, 52.31, 4.77),
      dedicated('LHR', 20, 51.47, -0.45),
      dedicated('IAD', 30, 38.94, -77.46),
      dedicated('LAX', 40, 33.94, -118.41),
    ],
    sharedEgress: {
      ipv4: { range: cidr('198.18.0.0/15'), standIns: cidr('127.18.0.0/16') },
      ipv6: { range: cidr('2001:db8:5a::/64'), standIns: cidr('127.19.0.0/16') },
    },
    virtualNetworks: [
      { id: DEFAULT_VNET, name: 'default', comment: '', isDefault: true },
      { id: EMEA_VNET, name: 'vnet-EMEA', comment: '', isDefault: false },
      { id: AMER_VNET, name: 'vnet-AMER', comment: '', isDefault: false },
    ],
    privateRoutes: [],
    hostnameRoutes: [],
    tunnels: [{ id: TUNNEL, name: 'office', networks: [], hosts: [] }],
    lists: [],
    exits: [],
    rules: [
      configuredRule({
        id: EMEA_RULE,
        name: 'EMEA from London',
        precedence: 1000,
        traffic: `net.vnet_id == "${EMEA_VNET}"`,
        egress: { ipv4: '203.0.113.20', ipv4Fallback: '203.0.113.30', ipv6: '2001:db8:20::/64' },
      }),
      configuredRule({
        id: CATCH_ALL_RULE,
        name: 'everything else',
        precedence: 9000,
        traffic: 'net.protocol in {"tcp" "udp"}',
      }),
    ],
    users: [],
    devices: [],
    sources: [],
    listeners: [],
    destinations: [],
    origins: [],
    categories: [],
    geo: { databases: [], proxiedByCloudflare: [] },
    guard: { profile: 'lab', allow: [], deny: [] },
    timeouts: { connectMs: 1000, idleMs: 1000, handshakeMs: 1000, drainMs: 1000 },
    udp: { enabled: true, idleMs: 300_000, maxDestinations: 1_000, packetsPerSecond: 50_000, bytesPerSecond: 2 ** 26 },
    limits: { maxClients: 100, maxHeadBytes: 65_536 },
    api: { host: '127.0.0.1', port: 0 },
    log: { maxBytes: 1_000_000, keep: 1, auditKeepMs: 86_400_000 },
    ...changes,
  }
}

/** For what has nothing to tell: a notice fails the test. */
export function onNotice({ message }: Issue): never {
  throw new Error(`an unexpected notice: ${message}`)
}

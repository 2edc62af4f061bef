// A recording to replay: a configuration of a mid-sized company and sessions of its people as the lab would have recorded
// them, a few people and places causing most of the traffic, as in life. The same count and seed give the same files.

import { once } from 'node:events'
import { createWriteStream, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { finished } from 'node:stream/promises'
import { createRandom, type Random } from '../../src/load-test/random.ts'
import { decide } from '../../src/policy/decide.ts'
import type { Decision } from '../../src/policy/decision.ts'
import type { Flow } from '../../src/policy/flow.ts'
import { COLOS } from '../../src/policy/place.ts'
import { loadReplaySide } from '../../src/replay/load-policy.ts'
import { type RecordedSession, sessionOf } from '../../src/replay/recorded-session.ts'
import { valuesOfJson } from '../../src/replay/session-reader.ts'

export interface Recording {
  readonly config: string
  /** the same with some rules changed, for a comparison */
  readonly changedConfig: string
  readonly sessions: string
}

const USERS = 2_000
const GROUPS = 40
const DOMAINS = 600
const HOSTS = 6_000
const RULES = 300
const COLO_CODES = ['AMS', 'LHR', 'IAD', 'LAX', 'EWR'] as const
const PLACES = [...COLOS.keys()]

/** Writes configuration and recording into a folder. */
export async function generateRecording(folder: string, count: number, seed = 1): Promise<Recording> {
  const recording = {
    config: join(folder, 'company.yaml'),
    changedConfig: join(folder, 'company-changed.yaml'),
    sessions: join(folder, 'sessions.ndjson'),
  }
  writeFileSync(recording.config, JSON.stringify(companyConfig(createRandom(seed), false)))
  writeFileSync(recording.changedConfig, JSON.stringify(companyConfig(createRandom(seed), true)))
  await writeSessions(recording, count, createRandom(seed + 1))
  return recording
}

/** JSON is YAML, too. */
function companyConfig(random: Random, changed: boolean): unknown {
  const octet = (at: number) => 10 * (at + 1)
  return {
    account: { name: 'company' },
    settings: { host_selector: true },
    dedicated_ips: COLO_CODES.map((colo, at) => {
      return { colo, ipv4: `203.0.113.${octet(at)}`, ipv6: `2001:db8:${octet(at)}::/64` }
    }),
    virtual_networks: [0, 1, 2, 3].map((at) => ({ name: `vnet-${at}`, id: uuid(0xa0, at), default: at === 0 })),
    groups: Array.from({ length: GROUPS }, (_, at) => ({ name: `group-${at}`, id: uuid(0xb0, at) })),
    users: Array.from({ length: USERS }, (_, at) => ({
      email: `user-${at}@example.com`,
      groups: random.sample([...Array(GROUPS).keys()], 3).map((group) => `group-${group}`),
      place: random.pick(PLACES),
    })),
    rules: Array.from({ length: RULES }, (_, at) => rule(random, at, changed && at % 50 === 0)),
    destinations: [
      { name: 'www.site-1.test', addresses: ['198.51.100.20'], origin: { kind: 'saas', allow: ['203.0.113.20'] } },
    ],
  }
}

function rule(random: Random, at: number, moved: boolean): unknown {
  const primary = random.below(5)
  const address = (which: number) => `203.0.113.${10 * ((which % 5) + 1)}`
  const wanted = moved ? primary + 2 : primary
  const domains = random.sample([...Array(DOMAINS).keys()], 2).map((domain) => `"site-${domain}.test"`)
  return {
    name: `rule ${at}`,
    id: uuid(0xc0, at),
    traffic:
      at % 10 === 9
        ? `net.vnet_id == "${uuid(0xa0, 1 + (at % 3))}" and net.dst.port == 22`
        : `any(net.fqdn.domains[*] in {${domains.join(' ')}})`,
    identity: at % 3 === 0 ? '' : `any(identity.groups.name[*] == "group-${random.below(GROUPS)}")`,
    egress: { ipv4: address(wanted), ipv4_fallback: address(wanted + 1) },
  }
}

async function writeSessions({ config, sessions }: Recording, count: number, random: Random): Promise<void> {
  const side = loadReplaySide({ configFile: config })
  const out = createWriteStream(sessions)
  let lines: string[] = []
  for (let at = 0; at < count; at++) {
    const record = sketch(random, at)
    const session = sessionOf(valuesOfJson(record) ?? []) as RecordedSession
    const found = side.flowOf(session)
    if (typeof found === 'string') throw new RangeError(`session ${at} cannot be decided: ${found}`)
    lines.push(JSON.stringify({ ...record, ...verdict(record, decide(side.snapshot, found.flow), found.flow) }))
    if (lines.length === 1000 || at === count - 1) {
      if (!out.write(`${lines.join('\n')}\n`)) await once(out, 'drain')
      lines = []
    }
  }
  await finished(out.end())
}

/** Few take most: the square of an even choice. */
function skewed(random: Random, below: number): number {
  return Math.floor(random.next() ** 3 * below)
}

/** Everything the lab records, in its order. */
function sketch(random: Random, at: number) {
  const user = skewed(random, USERS)
  const host = skewed(random, HOSTS)
  const colo = COLOS.get(PLACES[(user * 7) % PLACES.length] ?? 'AMS')
  const started = 1_790_000_000_000 + at * 37
  const port = random.pick([443, 443, 443, 443, 80, 22])
  const name = `${random.pick(['www', 'api'])}.site-${host % DOMAINS}.test`
  const network = random.pick([0, 0, 0, 1, 2, 3])
  return {
    AccountID: '023e105f4ecef8ad9ca31a8372d0c353',
    BytesReceived: random.below(1_000_000),
    BytesSent: random.below(50_000),
    ClientTCPHandshakeDurationMs: 0,
    ClientTLSCipher: '',
    ClientTLSHandshakeDurationMs: 0,
    ClientTLSVersion: '',
    ConnectionCloseReason: 'CLIENT_CLOSED',
    ConnectionReuse: false,
    DestinationReplicaID: '',
    DestinationTunnelID: '',
    DetectedProtocol: '',
    DeviceID: '',
    DeviceName: '',
    EgressColoName: '',
    EgressIP: '',
    EgressPort: 20_000 + random.below(40_000),
    EgressRuleID: '',
    EgressRuleName: '',
    Email: `user-${user}@example.com`,
    IngressColoName: colo?.code ?? '',
    InitialOriginIP: '',
    Offramp: 'INTERNET',
    OnrampType: 'CF1_CLIENT',
    OriginIP: `198.51.${100 + (host % 8)}.${host % 251}`,
    OriginPort: port,
    OriginTLSCertificateIssuer: '',
    OriginTLSCertificateValidationResult: '',
    OriginTLSCipher: '',
    OriginTLSHandshakeDurationMs: 0,
    OriginTLSVersion: '',
    Protocol: 'TCP',
    RegistrationID: '',
    ResolvedFQDN: name,
    RuleEvaluationDurationMs: random.next() / 50,
    SNI: '',
    SessionEndTime: `${new Date(started + 4_000).toISOString().slice(0, -1)}000000Z`,
    SessionID: uuid(0xd0, at),
    SessionStartTime: `${new Date(started).toISOString().slice(0, -1)}000000Z`,
    SourceID: '',
    SourceIP: `86.80.${user >> 8}.${user & 255}`,
    SourceInternalIP: '',
    SourceName: '',
    SourcePort: 1_024 + random.below(60_000),
    TenantID: '',
    UserID: uuid(0xe0, user),
    VirtualNetworkID: uuid(0xa0, network),
    Lab: {
      inbound: 'http-connect',
      listener: 'main',
      reason: '',
      policyRevision: 1,
      virtualNetworkName: `vnet-${network}`,
      target: `${name}:${port}`,
      durationMs: random.next() * 5_000,
      userPlace: { latitude: colo?.latitude, longitude: colo?.longitude, city: colo?.city, country: colo?.country },
    },
  }
}

function verdict({ Lab }: ReturnType<typeof sketch>, decision: Decision, flow: Flow) {
  const { outcome, rule, egress, physicalColo, logical, reason } = decision
  const address = egress?.standIns[0]?.text ?? egress?.address.text ?? ''
  return {
    EgressColoName: physicalColo?.code ?? '',
    EgressIP: egress?.address.text ?? '',
    EgressRuleID: rule?.id ?? '',
    EgressRuleName: rule?.name ?? '',
    Lab: {
      ...Lab,
      reason,
      outcome,
      ...(rule === null ? {} : { rulePrecedence: rule.precedence }),
      ...(logical === null ? {} : { logical: { colo: logical.colo.code, ...logical.place } }),
      bind: `${address}:20000`,
      dial: `${flow.destination.ip.text}:${flow.destination.port}`,
    },
  }
}

function uuid(kind: number, at: number): string {
  return `6f0f3c1a-2c68-4a55-9a${kind.toString(16)}-${at.toString(16).padStart(12, '0')}`
}

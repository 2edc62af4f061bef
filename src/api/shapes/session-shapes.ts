// Sessions as the API tells them: a record of a finished one, an open one, a short row of either, and what they add up to.

import { Type } from 'typebox'
import type { CloseReason, ConnectionErrorCode } from '../../errors/catalogue.ts'
import { ALLOWLIST_VERDICTS } from '../../policy/allowlist.ts'
import type { InboundProtocol } from '../../proxy/arrival.ts'
import { ADDRESS_EXPLANATION, OUTCOME } from './explanations.ts'
import {
  ANY_OBJECT,
  COUNT,
  EPOCH_MS,
  FLAG,
  NOTHING_OR_TEXT,
  nullable,
  object,
  pair,
  type Shape,
  TEXT,
  TIME,
} from './shape.ts'

const POSITION = pair('longitude and latitude, the order of GeoJSON')
/** '' where it failed before a decision */
const OUTCOME_OR_NONE = Type.Union([OUTCOME, Type.Enum([''])])
const PROTOCOL = Type.Unsafe<InboundProtocol>({ type: 'string' })
const DURATION_MS = Type.Number({ minimum: 0, description: 'milliseconds' })

export const SESSION_ROW = object(
  {
    id: TEXT,
    open: FLAG,
    at: EPOCH_MS,
    member: Type.String({ description: "the member of the fleet it entered at; '' where the lab is alone" }),
    user: TEXT,
    vnet: TEXT,
    listener: TEXT,
    protocol: TEXT,
    target: Type.String({ description: 'as asked for, `host:port`' }),
    origin: Type.String({ description: "the public destination address; '' where none was found" }),
    egress: Type.String({ description: "the public egress address; '' where there is none" }),
    outcome: OUTCOME_OR_NONE,
    rule: TEXT,
    rule_id: TEXT,
    reason: TEXT,
    let_in: nullable(Type.Boolean({ description: 'null: the destination has no allowlist' })),
    ingress: TEXT,
    physical: TEXT,
    logical: Type.String({ description: 'where geolocation databases place the egress address' }),
    logical_at: nullable(POSITION),
    user_place: TEXT,
    user_at: nullable(POSITION),
    destination_at: nullable(POSITION),
    received: COUNT,
    sent: COUNT,
    ms: Type.Number(),
    close: TEXT,
    error: nullable(object({ code: TEXT, message: TEXT })),
  },
  'SessionRow',
)

export const LOAD = object({ open: COUNT, by_colo: Type.Record(TEXT, COUNT) }, 'Load')

export const NOW = object(
  { time: EPOCH_MS, open: Type.Array(SESSION_ROW), finished: Type.Array(SESSION_ROW), load: LOAD },
  'TrafficNow',
)

export const BEAT = object(
  { time: EPOCH_MS, opened: Type.Array(SESSION_ROW), finished: Type.Array(SESSION_ROW), skipped: COUNT },
  'TrafficBeat',
)

export const LIVE_SESSION = object(
  {
    id: TEXT,
    protocol: PROTOCOL,
    listener: TEXT,
    email: TEXT,
    source: TEXT,
    target: TEXT,
    egress: TEXT,
    outcome: TEXT,
    rule: TEXT,
    started_at: TIME,
    ended_at: nullable(Type.String({ format: 'date-time', description: 'null while it is open' })),
    bytes_received: COUNT,
    bytes_sent: COUNT,
    policy_revision: COUNT,
  },
  'LiveSession',
)

const LAB_RECORD = object(
  {
    inbound: PROTOCOL,
    listener: TEXT,
    outcome: Type.Optional(OUTCOME),
    reason: TEXT,
    error: Type.Optional(object({ code: Type.Unsafe<ConnectionErrorCode>({ type: 'string' }), message: TEXT })),
    rulePrecedence: Type.Optional(Type.Integer()),
    allowlist: Type.Optional(Type.Enum(ALLOWLIST_VERDICTS)),
    policyRevision: COUNT,
    logical: Type.Optional(
      object({ colo: TEXT, city: TEXT, country: TEXT, latitude: Type.Number(), longitude: Type.Number() }),
    ),
    virtualNetworkName: TEXT,
    proxyEndpoint: Type.Optional(TEXT),
    userPlace: Type.Optional(
      object({
        city: Type.Optional(TEXT),
        country: Type.Optional(TEXT),
        latitude: Type.Number(),
        longitude: Type.Number(),
      }),
    ),
    target: TEXT,
    bind: Type.Optional(TEXT),
    dial: Type.Optional(TEXT),
    tcp: Type.Optional(object({ rttMs: Type.Number(), minRttMs: Type.Number(), retransmits: COUNT })),
    exit: Type.Optional(TEXT),
    fleet: Type.Optional(object({ member: TEXT, cutOff: Type.Boolean() })),
    distance: Type.Optional(object({ km: Type.Number(), addedMs: Type.Number() })),
    durationMs: DURATION_MS,
    requests: Type.Optional(COUNT),
    exchanges: Type.Optional(
      Type.Array(
        object(
          {
            at: TIME,
            method: TEXT,
            path: TEXT,
            status: COUNT,
            durationMs: DURATION_MS,
            traceparent: Type.Optional(TEXT),
          },
          'HttpExchange',
        ),
      ),
    ),
    traceparent: Type.Optional(TEXT),
  },
  'LabRecord',
)

/** Cloudflare's names for its Zero Trust network sessions, and the lab's own facts under `Lab`. */
export const SESSION_RECORD = object(
  {
    AccountID: TEXT,
    BytesReceived: COUNT,
    BytesSent: COUNT,
    ClientTCPHandshakeDurationMs: DURATION_MS,
    ClientTLSCipher: TEXT,
    ClientTLSHandshakeDurationMs: DURATION_MS,
    ClientTLSVersion: TEXT,
    ConnectionCloseReason: Type.Unsafe<CloseReason>({ type: 'string' }),
    ConnectionReuse: FLAG,
    DestinationReplicaID: TEXT,
    DestinationTunnelID: TEXT,
    DetectedProtocol: TEXT,
    DeviceID: TEXT,
    DeviceName: TEXT,
    EgressColoName: TEXT,
    EgressIP: TEXT,
    EgressPort: COUNT,
    EgressRuleID: TEXT,
    EgressRuleName: TEXT,
    Email: TEXT,
    IngressColoName: TEXT,
    InitialOriginIP: TEXT,
    Offramp: Type.Enum(['INTERNET', 'MAGIC', 'CFD_TUNNEL', 'DEVICE_CLIENT', 'WARP', 'MESH']),
    OnrampType: Type.Enum(['OTHER', 'CF1_CLIENT', 'MESH', 'WORKERS_VPC', 'MAGIC']),
    OriginIP: TEXT,
    OriginPort: COUNT,
    OriginTLSCertificateIssuer: TEXT,
    OriginTLSCertificateValidationResult: TEXT,
    OriginTLSCipher: TEXT,
    OriginTLSHandshakeDurationMs: DURATION_MS,
    OriginTLSVersion: TEXT,
    Protocol: Type.Enum(['TCP', 'UDP', 'ICMP', 'ICMPV6']),
    RegistrationID: TEXT,
    ResolvedFQDN: TEXT,
    RuleEvaluationDurationMs: DURATION_MS,
    SNI: TEXT,
    SessionEndTime: TIME,
    SessionID: TEXT,
    SessionStartTime: TIME,
    SourceID: TEXT,
    SourceIP: TEXT,
    SourceInternalIP: TEXT,
    SourceName: TEXT,
    SourcePort: COUNT,
    TenantID: TEXT,
    UserID: TEXT,
    VirtualNetworkID: TEXT,
    Lab: LAB_RECORD,
  },
  'SessionRecord',
)

export const FORGOTTEN = object({ forgotten: COUNT }, 'ForgottenSessions')

export const RULE_COUNT = object(
  { rule: TEXT, name: TEXT, precedence: Type.Integer(), sessions: COUNT, last_used: nullable(TIME), since: TIME },
  'RuleCount',
)

export const SESSION_DETAIL = object(
  {
    row: SESSION_ROW,
    record: nullable(SESSION_RECORD),
    policy: nullable(object({ revision: COUNT, current: FLAG })),
    explanation: nullable(ADDRESS_EXPLANATION),
    policy_test: nullable(ANY_OBJECT),
  },
  'SessionDetail',
)

const TOUCHED = object({ kind: TEXT, id: TEXT, action: Type.Enum(['created', 'updated', 'deleted']) }, 'Touched')
const REVISION = { revision: COUNT }

/** the last one, where the token's end ended the stream */
const ENDED = object({ reason: TEXT })

/** Events of `/lab/v1/events`. */
export const SESSION_EVENTS = {
  hello: object({ ...REVISION, resumed: Type.Boolean() }),
  session: SESSION_RECORD,
  change: object({ ...REVISION, at: TIME, touched: Type.Array(TOUCHED) }),
  ended: ENDED,
}

export const FLEET = object(
  {
    name: TEXT,
    member: TEXT,
    standing: Type.Enum(['following', 'cut_off', 'stopped']),
    code: nullable(TEXT),
    why: nullable(TEXT),
    since: nullable(TIME),
    on_partition: Type.Enum(['go_on', 'refuse']),
    revision: COUNT,
    carried_for_others: COUNT,
    sessions_sent: COUNT,
    members: Type.Array(
      object(
        {
          name: TEXT,
          colo: TEXT,
          advertise: TEXT,
          version: TEXT,
          is_self: Type.Boolean(),
          state: Type.Enum(['up', 'cut_off', 'drained', 'lost']),
          why: nullable(TEXT),
          link: Type.Enum(['self', 'connecting', 'up', 'down']),
          revision: COUNT,
          behind: COUNT,
          sessions: COUNT,
          trouble: TEXT,
          silent_seconds: nullable(Type.Number()),
        },
        'FleetMember',
      ),
    ),
  },
  'Fleet',
)

/** Events of `/lab/v1/fleet/events`. */
export const FLEET_EVENTS = { hello: object(REVISION), session: SESSION_RECORD, ended: ENDED }

/** Events of `/lab/v1/traffic`. */
export const TRAFFIC_EVENTS = {
  hello: object({ ...REVISION, time: EPOCH_MS }),
  beat: BEAT,
  load: LOAD,
  fleet: FLEET,
  change: object({ ...REVISION, touched: Type.Array(TOUCHED) }),
  ended: ENDED,
}

export const REPLAY_OUTCOME = object(
  { outcome: OUTCOME, egress: NOTHING_OR_TEXT, rule: NOTHING_OR_TEXT, physical: NOTHING_OR_TEXT },
  'ReplayOutcome',
)

export type FleetShape = Shape<typeof FLEET>
export type Position = Shape<typeof POSITION>
export type SessionRow = Shape<typeof SESSION_ROW>
export type Load = Shape<typeof LOAD>
export type TrafficNow = Shape<typeof NOW>
export type TrafficBeat = Shape<typeof BEAT>
export type LiveSessionShape = Shape<typeof LIVE_SESSION>
export type RuleCount = Shape<typeof RULE_COUNT>
export type SessionDetail = Shape<typeof SESSION_DETAIL>
export type PreviewOutcomeShape = Shape<typeof REPLAY_OUTCOME>

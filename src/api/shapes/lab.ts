// The lab's own resources: data centers, the clock, people, origins, health, and rules before they are saved.

import { Type } from 'typebox'
import { KINDS, ROLES } from '../../config/lab-state.ts'
import { RULE } from './cloudflare.ts'
import { OUTCOME, SPAN } from './explanations.ts'
import { REPLAY_OUTCOME } from './session-shapes.ts'
import { ANY_JSON, COUNT, FAMILY, FLAG, NOTHING_OR_TEXT, nullable, object, type Shape, TEXT, TIME } from './shape.ts'

const LATITUDE = Type.Number({ minimum: -90, maximum: 90 })
const LONGITUDE = Type.Number({ minimum: -180, maximum: 180 })
/** the rest of a data center where it stands for a place */
const PLACE = object(
  {
    city: Type.Optional(TEXT),
    country: Type.Optional(TEXT),
    continent: Type.Optional(TEXT),
    latitude: LATITUDE,
    longitude: LONGITUDE,
  },
  'Place',
)
const ADDRESSES = { ipv4: NOTHING_OR_TEXT, ipv6: NOTHING_OR_TEXT }
const CITY = object({ city: NOTHING_OR_TEXT, country: NOTHING_OR_TEXT })

const COLO_MEMBERS = {
  code: TEXT,
  city: TEXT,
  country: TEXT,
  latitude: LATITUDE,
  longitude: LONGITUDE,
  up: FLAG,
  dedicated_ips: Type.Array(object(ADDRESSES)),
}

export const COLO = object(COLO_MEMBERS, 'Colo')
/** with what became of open connections, where it was taken out */
export const CHANGED_COLO = object(
  { ...COLO_MEMBERS, connections: Type.Optional(object({ kept: COUNT, reset: COUNT })) },
  'ChangedColo',
)

export const CLOCK = object({ time: TIME, offset_seconds: Type.Number() }, 'Clock')

export const LAB_ACCOUNT = object(
  {
    id: TEXT,
    name: TEXT,
    colos_down: Type.Array(TEXT),
    dedicated_ips: Type.Array(
      object({ colo: TEXT, ...ADDRESSES, geolocation: PLACE, geolocation_updated_at: nullable(TIME) }),
    ),
    settings: object({
      tcp_proxying: FLAG,
      udp_proxying: FLAG,
      host_selector: FLAG,
      no_rule_matched: Type.Enum(['balanced', 'default']),
      expressions: Type.Enum(['default', 'lenient']),
      max_connections_per_destination: COUNT,
      home_country: TEXT,
      home_colo: TEXT,
    }),
  },
  'LabAccount',
)

/** `chosen`: somebody chose it, it is not the default's doing */
export const ATTACHED_NETWORK = object({ id: TEXT, name: TEXT, chosen: FLAG }, 'AttachedNetwork')
const OFFERED_NETWORK = object({ id: TEXT, name: TEXT, comment: TEXT, is_default: FLAG }, 'OfferedNetwork')

export const PERSON = object(
  {
    email: TEXT,
    name: TEXT,
    groups: Type.Array(TEXT),
    place: Type.Optional(PLACE),
    virtual_network: ATTACHED_NETWORK,
  },
  'Person',
)

export const ME = object(
  {
    email: TEXT,
    name: TEXT,
    place: nullable(PLACE),
    virtual_network: ATTACHED_NETWORK,
    virtual_networks: Type.Array(OFFERED_NETWORK),
  },
  'Me',
)

export const HEALTH = object(
  {
    healthy: FLAG,
    engine: Type.Enum(['linux', 'node']),
    troubles: Type.Array(TEXT),
    geo_databases: Type.Array(TEXT, { description: 'their types; none: places come from the configuration alone' }),
    version: TEXT,
    revision: COUNT,
    time: TIME,
    started_at: TIME,
    rules_from: Type.Enum(['file', 'api']),
    dns: Type.Array(object({ host: TEXT, port: COUNT }), { description: 'where Gateway DNS really listens' }),
    access: object({
      tokens: COUNT,
      people: COUNT,
      streams: COUNT,
      refused: object({ credentials: COUNT, role: COUNT, rate: COUNT, streams: COUNT, sign_in: COUNT }),
    }),
  },
  'Health',
)

/** where clients connect, as the lab really listens */
export const LISTENER = object(
  {
    name: TEXT,
    host: TEXT,
    port: COUNT,
    authentication: Type.Enum(['required', 'optional', 'anonymous']),
    fixed_user: NOTHING_OR_TEXT,
    virtual_network: NOTHING_OR_TEXT,
    tls: Type.Enum(['required', 'optional', 'refused']),
    /** people sign in on a page: it is made for browsers */
    sign_in_page: FLAG,
  },
  'ListedListener',
)

const AUDITED_CHANGE = object(
  { kind: TEXT, id: TEXT, action: Type.Enum(['created', 'updated', 'deleted']), before: ANY_JSON, after: ANY_JSON },
  'AuditedChange',
)
export const AUDIT_ENTRY = object(
  {
    id: COUNT,
    at: TIME,
    who: object({ kind: Type.Enum(['token', 'person', 'user', 'lab']), id: TEXT, name: TEXT, role: NOTHING_OR_TEXT }),
    from: TEXT,
    action: TEXT,
    target: TEXT,
    revision_before: COUNT,
    revision: COUNT,
    changes: Type.Array(AUDITED_CHANGE),
    changes_left_out: COUNT,
  },
  'AuditEntry',
)

const POLICY_CHANGE = object({ what: Type.Enum(['added', 'changed', 'removed']), id: TEXT, name: TEXT }, 'PolicyChange')
export const REVISION_ROW = object(
  { revision: COUNT, at: TIME, current: FLAG, rules: COUNT, lists: COUNT, changes: Type.Array(POLICY_CHANGE) },
  'RevisionRow',
)
export const POLICY_REVISION = object(
  {
    revision: COUNT,
    at: TIME,
    rules: Type.Array(RULE),
    lists: Type.Array(object({ id: TEXT, name: TEXT, type: TEXT, items: Type.Array(TEXT) })),
  },
  'PolicyRevision',
)
export const RESTORED = object({ restored: COUNT, revision: COUNT, changed: FLAG })

export const OVERRIDE = object(
  { kind: Type.Enum(KINDS), id: TEXT, change: Type.Enum(['added', 'changed', 'deleted']), file_moved_on: FLAG },
  'Override',
)
export const REVERTED_ONE = object({ kind: Type.Enum(KINDS), id: TEXT })
export const REVERTED = object({ reverted: COUNT })
export const LIVE = object({ live: FLAG })
export const READY = object({ ready: FLAG })
export const TOKEN = object({ token: TEXT })
const NAMED_TOKEN_MEMBERS = {
  id: TEXT,
  name: TEXT,
  role: Type.Enum(ROLES),
  created_at: TIME,
  expires_at: nullable(TIME),
  last_used_at: nullable(TIME),
}
export const NAMED_TOKEN = object(NAMED_TOKEN_MEMBERS, 'NamedToken')
export const MADE_TOKEN = object({ ...NAMED_TOKEN_MEMBERS, token: TEXT }, 'MadeToken')
export const OWN_TOKEN = object(
  { kind: Type.Enum(['token', 'person']), name: TEXT, role: Type.Enum(ROLES), expires_at: nullable(TIME) },
  'OwnToken',
)
export const LOGGED_IN = object({ logged_in: FLAG })
export const WAYS_IN = object({ provider: NOTHING_OR_TEXT }, 'WaysIn')
export type WaysIn = Shape<typeof WAYS_IN>
export type OwnToken = Shape<typeof OWN_TOKEN>
export type RevisionRow = Shape<typeof REVISION_ROW>
export type AuditRow = Shape<typeof AUDIT_ENTRY>
export const RATE_LIMIT = nullable(object({ requests: COUNT, seconds: COUNT }, 'RateLimit'))

const PROBLEM_MEMBERS = {
  severity: Type.Enum(['error', 'warning', 'advice']),
  code: TEXT,
  message: TEXT,
  hint: NOTHING_OR_TEXT,
  field: nullable(Type.String({ description: "Cloudflare's name of the expression" })),
  span: nullable(SPAN),
}

export const PROBLEM = object(PROBLEM_MEMBERS, 'RuleProblem')
export const CHECK = object({ ...PROBLEM_MEMBERS, rule: NOTHING_OR_TEXT, why: NOTHING_OR_TEXT }, 'Check')

export const PREVIEW = object(
  {
    problems: Type.Array(PROBLEM),
    replay: nullable(
      object({
        sessions: COUNT,
        changed: COUNT,
        changes: Type.Array(
          object({ id: TEXT, user: TEXT, target: TEXT, before: REPLAY_OUTCOME, after: REPLAY_OUTCOME }),
        ),
      }),
    ),
  },
  'RulePreview',
)

const REGION_SIDE = object({
  rule: nullable(object({ id: TEXT, name: TEXT, precedence: Type.Number() })),
  egress: TEXT,
})

export const RULE_DIFFERENCE = object(
  {
    problems: Type.Array(PROBLEM),
    difference: nullable(
      object({
        same: nullable(FLAG),
        reason: TEXT,
        ms: Type.Number(),
        regions: Type.Array(
          object({
            before: REGION_SIDE,
            after: REGION_SIDE,
            condition: NOTHING_OR_TEXT,
            while_down: Type.Array(TEXT),
            while_up: Type.Array(TEXT),
            witness: Type.Object(
              {},
              { description: 'a connection with both decisions, as `prove --same --json` prints it' },
            ),
          }),
        ),
      }),
    ),
  },
  'RuleDifference',
)

export const VERIFICATION = object(
  {
    user: TEXT,
    dedicated: FLAG,
    answers: Type.Array(
      object({
        family: FAMILY,
        asked: TEXT,
        seen: TEXT,
        dedicated: FLAG,
        colo: NOTHING_OR_TEXT,
        problem: NOTHING_OR_TEXT,
      }),
    ),
  },
  'Verification',
)

export const ORIGIN = object(
  {
    name: TEXT,
    kind: TEXT,
    title: TEXT,
    addresses: Type.Array(TEXT),
    proxied_by_cloudflare: FLAG,
    place: Type.Optional(PLACE),
    allow: nullable(Type.Array(TEXT)),
    visitors: Type.Array(
      object({
        user: TEXT,
        vnet: TEXT,
        outcome: Type.Union([OUTCOME, Type.Enum([''])]),
        rule: NOTHING_OR_TEXT,
        egress: NOTHING_OR_TEXT,
        let_in: FLAG,
        reason: TEXT,
      }),
    ),
  },
  'Origin',
)

export const GEOLOCATION = object(
  { colo: TEXT, ...ADDRESSES, place: CITY, seen: CITY, caught_up: FLAG, updated_at: nullable(TIME) },
  'Geolocation',
)

const PLACEHOLDER = object(
  { placeholder: TEXT, name: TEXT, address: TEXT, connections: COUNT, unused_seconds: Type.Number({ minimum: 0 }) },
  'Placeholder',
)

export const PLACEHOLDERS = Type.Array(PLACEHOLDER)

export type PlaceShape = Shape<typeof PLACE>
export type ColoShape = Shape<typeof COLO>
export type ClockShape = Shape<typeof CLOCK>
export type LabAccount = Shape<typeof LAB_ACCOUNT>
export type ListedListener = Shape<typeof LISTENER>
export type AttachedNetwork = Shape<typeof ATTACHED_NETWORK>
export type OfferedNetwork = Shape<typeof OFFERED_NETWORK>
export type Person = Shape<typeof PERSON>
export type Me = Shape<typeof ME>
export type Health = Shape<typeof HEALTH>
export type RuleProblem = Shape<typeof PROBLEM>
export type Check = Shape<typeof CHECK>
export type RulePreview = Shape<typeof PREVIEW>
export type RuleDifference = Shape<typeof RULE_DIFFERENCE>
export type Verification = Shape<typeof VERIFICATION>
export type Origin = Shape<typeof ORIGIN>
export type Geolocation = Shape<typeof GEOLOCATION>

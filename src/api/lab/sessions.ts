// Live sessions, waiting for one, and their closing, the last finished ones, what they add up to per rule, and the stream of events.

import { ALLOWLIST_VERDICTS } from '../../policy/allowlist.ts'
import type { OpenSession } from '../../proxy/live-sessions.ts'
import { FILTER_OUTCOMES, type FilteredSession, sessionFilter } from '../../proxy/session-filter.ts'
import type { SessionRecord } from '../../proxy/session-record.ts'
import { notFound } from '../api-error.ts'
import { type ApiResponse, listOf, ok } from '../response.ts'
import type { QueryParameter, Route, RouteCall } from '../router.ts'
import { instantOf, integerOf, textOf, uuidOf, wordOf } from '../select.ts'
import { DELETED } from '../shapes/cloudflare.ts'
import {
  FORGOTTEN,
  LIVE_SESSION,
  type LiveSessionShape,
  RULE_COUNT,
  SESSION_EVENTS,
  SESSION_RECORD,
} from '../shapes/session-shapes.ts'

const PATH = '/lab/v1/sessions'
const MOST_RECENT = 1000
const STANDARD_RECENT = 100
const TEXT = { type: 'string' } as const

/** The API ends a connection on which nothing moves for a minute. */
const LONGEST_WAIT_S = 50

const FILTERS: readonly QueryParameter[] = [
  { name: 'user', schema: TEXT, description: 'only sessions of this user' },
  { name: 'vnet', schema: TEXT, description: 'only sessions on this virtual network (name or id)' },
  { name: 'rule', schema: TEXT, description: 'only sessions this rule decided (name or id)' },
  {
    name: 'egress_ip',
    schema: { type: 'string', format: 'cidr' },
    description: 'only sessions with this egress IP or network',
  },
  { name: 'outcome', schema: { enum: FILTER_OUTCOMES }, description: 'only sessions with this outcome, or `failed`' },
  {
    name: 'allowlist',
    schema: { enum: ALLOWLIST_VERDICTS },
    description: 'only sessions that an allowlist let in, or refused',
  },
]

const RECENT: readonly QueryParameter[] = [
  { name: 'limit', schema: { type: 'integer', minimum: 1, maximum: MOST_RECENT }, description: 'maximum number' },
  ...FILTERS,
]

const LIVE: readonly QueryParameter[] = [
  ...FILTERS,
  { name: 'id', schema: { type: 'string', format: 'uuid' }, description: 'only the session with this id' },
  {
    name: 'since',
    schema: { type: 'string', format: 'date-time' },
    description: 'only sessions that began at this lab time or later',
  },
  {
    name: 'wait',
    schema: { type: 'integer', minimum: 1, maximum: LONGEST_WAIT_S },
    description:
      'seconds: finished sessions count too, and where none fits, the answer waits for the first that opens or finishes; an empty list when the time is over',
  },
]

export const SESSION_ROUTES: readonly Route[] = [
  {
    method: 'GET',
    path: PATH,
    summary: 'sessions open now, oldest first; with `wait`, finished ones too, as soon as there is one',
    access: 'token',
    answers: { kind: 'list', schema: LIVE_SESSION },
    looksAtTraffic: true,
    query: LIVE,
    handle: live,
  },
  {
    method: 'DELETE',
    path: `${PATH}/{id}`,
    summary: 'closes a session with a reset on both sides',
    access: 'token',
    role: 'operator',
    answers: { kind: 'result', schema: DELETED },
    looksAtTraffic: true,
    handle: (call) => {
      const id = call.params.id ?? ''
      if (!call.ports.sessions.close(id)) throw notFound(`session \`${id}\` is not open`)
      return ok({ id })
    },
  },
  {
    method: 'GET',
    path: `${PATH}/recent`,
    summary: 'the last finished sessions as session records, oldest first',
    access: 'token',
    answers: { kind: 'list', schema: SESSION_RECORD },
    looksAtTraffic: true,
    query: RECENT,
    handle: recent,
  },
  {
    method: 'DELETE',
    path: `${PATH}/recent`,
    summary: 'empties the list of finished sessions; the session log keeps them',
    access: 'token',
    role: 'operator',
    answers: { kind: 'result', schema: FORGOTTEN },
    looksAtTraffic: true,
    handle: ({ ports }) => {
      const forgotten = ports.sessions.recent().length
      ports.sessions.forget()
      return ok({ forgotten })
    },
  },
  {
    method: 'GET',
    path: '/lab/v1/counters',
    summary:
      'finished sessions per rule, since when they are counted, and the last one; the session log is read back at the start',
    access: 'token',
    answers: { kind: 'list', schema: RULE_COUNT },
    looksAtTraffic: true,
    handle: counters,
  },
  {
    method: 'GET',
    path: '/lab/v1/events',
    summary: 'event stream (SSE): `session` per finished session, `change` per change of the state',
    access: 'token',
    answers: { kind: 'events', events: SESSION_EVENTS },
    handle: events,
  },
]

/** The last of those that fit, oldest first. */
function recent({ query, ports }: RouteCall): ApiResponse {
  return listOf(
    ports.sessions
      .recent()
      .filter(filterOf(query))
      .slice(-(integerOf(query, 'limit', 1, MOST_RECENT) ?? STANDARD_RECENT)),
  )
}

function filterOf(query: URLSearchParams): (session: FilteredSession) => boolean {
  const text = (name: string) => textOf(query, name)
  const [user, vnet, rule, egressIp] = [text('user'), text('vnet'), text('rule'), text('egress_ip')]
  return sessionFilter({
    ...(user === undefined ? {} : { user }),
    ...(vnet === undefined ? {} : { vnet }),
    ...(rule === undefined ? {} : { rule }),
    ...(egressIp === undefined ? {} : { egressIp }),
    ...wordIn(query, 'outcome', FILTER_OUTCOMES),
    ...wordIn(query, 'allowlist', ALLOWLIST_VERDICTS),
  })
}

function wordIn(query: URLSearchParams, name: 'outcome' | 'allowlist', words: readonly string[]) {
  const word = wordOf(query, name, words)
  return word === undefined ? {} : { [name]: word }
}

async function live({ query, ports }: RouteCall): Promise<ApiResponse> {
  const { diagnostics } = ports
  const fits = filterOf(query)
  const [id, since] = [uuidOf(query, 'id'), instantOf(query, 'since')]
  const wanted = ({ row, facts }: Seen) =>
    (id === undefined || row.id === id) && (since === undefined || Date.parse(row.started_at) >= since) && fits(facts)
  const open = diagnostics.open().map(seenOpen).filter(wanted)
  const seconds = integerOf(query, 'wait', 1, LONGEST_WAIT_S)
  if (seconds === undefined) return listOf(open.map(({ row }) => row))
  const finished = ports.sessions.recent().map(seenFinished).filter(wanted)
  if (open.length + finished.length > 0) return listOf([...finished, ...open].map(({ row }) => row))
  const { promise, resolve } = Promise.withResolvers<readonly LiveSessionShape[]>()
  const look = (seen: Seen) => {
    if (wanted(seen)) resolve([seen.row])
  }
  const stops = [
    diagnostics.onOpen((session) => look(seenOpen(session))),
    ports.sessions.subscribe((record) => look(seenFinished(record))),
  ]
  const late = setTimeout(() => resolve([]), seconds * 1000).unref()
  try {
    return listOf(await promise)
  } finally {
    clearTimeout(late)
    for (const stop of stops) stop()
  }
}

/** A session as the list shows it, and as filters see it. */
interface Seen {
  readonly row: LiveSessionShape
  readonly facts: FilteredSession
}

function seenOpen({ session, decided }: OpenSession): Seen {
  const { startedAt, bytesReceived, bytesSent, policyRevision, ...rest } = session
  const numbers = { bytes_received: bytesReceived, bytes_sent: bytesSent, policy_revision: policyRevision }
  const network = decided?.snapshot.account.virtualNetworks.find(({ id }) => id === decided.flow.virtualNetworkId)
  return {
    row: { ...rest, started_at: startedAt, ended_at: null, ...numbers },
    facts: {
      Email: session.email,
      VirtualNetworkID: network?.id ?? '',
      EgressRuleID: decided?.decision.rule?.id ?? '',
      EgressRuleName: session.rule,
      EgressIP: decided?.decision.egress?.address.text ?? '',
      Lab: {
        virtualNetworkName: network?.name ?? '',
        outcome: decided?.decision.outcome,
        error: undefined,
        ...(decided?.letIn === undefined ? {} : { allowlist: decided.letIn ? 'let-in' : 'refused' }),
      },
    },
  }
}

function seenFinished(record: SessionRecord): Seen {
  const { Lab } = record
  const row = {
    id: record.SessionID,
    protocol: Lab.inbound,
    listener: Lab.listener,
    email: record.Email,
    source: endpointText(record.SourceIP, record.SourcePort),
    target: Lab.target,
    egress: endpointText(record.EgressIP, record.EgressPort),
    outcome: Lab.outcome ?? '',
    rule: record.EgressRuleName,
    started_at: record.SessionStartTime,
    ended_at: record.SessionEndTime,
    bytes_received: record.BytesReceived,
    bytes_sent: record.BytesSent,
    policy_revision: Lab.policyRevision,
  }
  return { row, facts: record }
}

/** '' where there is no address. */
function endpointText(address: string, port: number): string {
  return address === '' ? '' : `${address.includes(':') ? `[${address}]` : address}:${port}`
}

async function counters({ ports }: RouteCall): Promise<ApiResponse> {
  const { since, rules: uses } = await ports.ruleUses.counted()
  const { ruleset, state } = ports.plane.current()
  const rules = [...ruleset.active, ...ruleset.skipped].map(({ rule }) => rule)
  return listOf(
    rules
      .sort((a, b) => a.precedence - b.precedence)
      .map(({ id, name, precedence }) => {
        const use = uses.get(id)
        const counts = { sessions: use?.sessions ?? 0, last_used: use === undefined ? null : timeText(use.lastUsed) }
        return {
          rule: id,
          name,
          precedence,
          ...counts,
          since: timeText(Math.max(since, state.rule.get(id)?.createdAt ?? 0)),
        }
      }),
  )
}

function timeText(ms: number): string {
  return new Date(ms).toISOString()
}

/** Whoever comes back after a break gets the sessions that finished in between, as far as they are remembered. */
function events({ ports, lastEventId }: RouteCall): ApiResponse {
  return {
    kind: 'stream',
    start: (send) => {
      const recent = ports.sessions.recent()
      const at = lastEventId === '' ? -1 : recent.findLastIndex(({ SessionID }) => SessionID === lastEventId)
      send('hello', { revision: ports.plane.current().revision, resumed: at >= 0 })
      const tell = (record: SessionRecord) => void send('session', record, record.SessionID)
      if (at >= 0) for (const record of recent.slice(at + 1)) tell(record)
      const stops = [
        ports.sessions.subscribe(tell),
        ports.plane.subscribe((_snapshot, { revision, at, touched }) => {
          send('change', { revision, at: new Date(at).toISOString(), touched })
        }),
      ]
      return () => {
        for (const stop of stops) stop()
      }
    },
  }
}

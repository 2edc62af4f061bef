// Live sessions and their closing, the last finished ones, what they add up to per rule, and the stream of events.

import { ALLOWLIST_VERDICTS } from '../../policy/allowlist.ts'
import { canonicalEmail } from '../../policy/canonical-email.ts'
import type { LiveSession } from '../../proxy/live-sessions.ts'
import { FILTER_OUTCOMES, sessionFilter } from '../../proxy/session-filter.ts'
import { notFound } from '../api-error.ts'
import { type ApiResponse, listOf, ok } from '../response.ts'
import type { QueryParameter, Route, RouteCall } from '../router.ts'
import { integerOf, textOf, wordOf } from '../select.ts'
import { DELETED } from '../shapes/cloudflare.ts'
import { LIVE_SESSION, RULE_COUNT, SESSION_EVENTS, SESSION_RECORD } from '../shapes/session-shapes.ts'

const PATH = '/lab/v1/sessions'
const MOST_RECENT = 1000
const STANDARD_RECENT = 100
const TEXT = { type: 'string' } as const

const RECENT: readonly QueryParameter[] = [
  { name: 'limit', schema: { type: 'integer', minimum: 1, maximum: MOST_RECENT }, description: 'maximum number' },
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

export const SESSION_ROUTES: readonly Route[] = [
  {
    method: 'GET',
    path: PATH,
    summary: 'sessions open now, oldest first',
    access: 'token',
    answers: { kind: 'list', schema: LIVE_SESSION },
    looksAtTraffic: true,
    query: [{ name: 'user', schema: { type: 'string' }, description: 'only sessions of this user' }],
    handle: (call) => {
      const asked = textOf(call.query, 'user')
      const user = asked === undefined ? undefined : canonicalEmail(asked)
      return listOf(
        call.ports.sessions
          .live()
          .filter(({ email }) => user === undefined || email.toLowerCase() === user)
          .map(present),
      )
    },
  },
  {
    method: 'DELETE',
    path: `${PATH}/{id}`,
    summary: 'closes a session with a reset on both sides',
    access: 'token',
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
    method: 'GET',
    path: '/lab/v1/counters',
    summary: 'finished sessions per rule since the start, including rules with 0',
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
  const text = (name: string) => textOf(query, name)
  const [user, vnet, rule, egressIp] = [text('user'), text('vnet'), text('rule'), text('egress_ip')]
  const fits = sessionFilter({
    ...(user === undefined ? {} : { user }),
    ...(vnet === undefined ? {} : { vnet }),
    ...(rule === undefined ? {} : { rule }),
    ...(egressIp === undefined ? {} : { egressIp }),
    ...wordIn(query, 'outcome', FILTER_OUTCOMES),
    ...wordIn(query, 'allowlist', ALLOWLIST_VERDICTS),
  })
  return listOf(
    ports.sessions
      .recent()
      .filter(fits)
      .slice(-(integerOf(query, 'limit', 1, MOST_RECENT) ?? STANDARD_RECENT)),
  )
}

function wordIn(query: URLSearchParams, name: 'outcome' | 'allowlist', words: readonly string[]) {
  const word = wordOf(query, name, words)
  return word === undefined ? {} : { [name]: word }
}

function present(session: LiveSession) {
  const { startedAt, bytesReceived, bytesSent, policyRevision, ...rest } = session
  const numbers = { bytes_received: bytesReceived, bytes_sent: bytesSent, policy_revision: policyRevision }
  return { ...rest, started_at: startedAt, ...numbers }
}

function counters({ ports, tally }: RouteCall) {
  const counted = new Map(tally.rules().map((count) => [count.rule, count]))
  const { active, skipped } = ports.plane.current().ruleset
  const rules = [...active, ...skipped].map(({ rule }) => rule).sort((a, b) => a.precedence - b.precedence)
  return listOf(
    rules.map(({ id, name, precedence }) => {
      const count = counted.get(id)
      return { rule: id, name, precedence, sessions: count?.sessions ?? 0, last_used: count?.lastUsed ?? null }
    }),
  )
}

function events({ ports }: RouteCall): ApiResponse {
  return {
    kind: 'stream',
    start: (send) => {
      send('hello', { revision: ports.plane.current().revision })
      const stops = [
        ports.sessions.subscribe((record) => void send('session', record)),
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

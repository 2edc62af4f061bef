// The lab's own API: what operators and users do with a running lab.

import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ROUTES } from '../../src/api/routes.ts'
import type { LiveSession } from '../../src/proxy/live-sessions.ts'
import type { SessionRecord } from '../../src/proxy/session-record.ts'
import { AMER_VNET, CATCH_ALL_RULE, DEFAULT_VNET, EMEA_RULE, EMEA_VNET } from '../store/lab.ts'
import { BOB, type RunningApi, runApi, TOKEN } from './running-api.ts'

let api: RunningApi
beforeEach(async () => {
  api = await runApi()
})
afterEach(() => api.close())

const get = (path: string) => api.ask('GET', path)
const result = async (path: string) => (await get(path)).body.result

/** A finished session, as far as the API looks into it. */
function record(changes: Partial<SessionRecord> = {}, lab: Partial<SessionRecord['Lab']> = {}): SessionRecord {
  const known = {
    BytesReceived: 100,
    BytesSent: 20,
    EgressIP: '203.0.113.20',
    EgressRuleID: EMEA_RULE,
    EgressRuleName: 'EMEA from London',
    RuleEvaluationDurationMs: 0.02,
    SessionID: 's1',
    SessionStartTime: '2026-01-01T00:00:00.000000000Z',
    Lab: { outcome: 'dedicated', ...lab },
  }
  return { ...known, ...changes } as SessionRecord
}

const LIVE: LiveSession = {
  id: 'live-1',
  protocol: 'http-connect',
  listener: 'main',
  email: BOB.email,
  source: '127.0.0.1:5000',
  target: 'example.com:443',
  egress: '203.0.113.20:40000',
  outcome: 'dedicated',
  rule: 'EMEA from London',
  startedAt: '2026-01-01T00:00:00Z',
  bytesReceived: 1,
  bytesSent: 2,
  policyRevision: 3,
}

describe('data centers', () => {
  test('go down and come back', async () => {
    const down = await api.ask('PUT', '/lab/v1/colos/lhr', { up: false })
    expect(down.body.result).toMatchObject({ code: 'LHR', country: 'GB', up: false })
    expect(api.store.current().account.colosDown.has('LHR')).toBe(true)
    await api.ask('PUT', '/lab/v1/colos/LHR', { up: true })
    expect((await result('/lab/v1/colos/LHR')).up).toBe(true)
  })

  test('are listed where they matter, or all of them', async () => {
    await api.ask('PUT', '/lab/v1/colos/SYD', { up: false })
    const codes = (await result('/lab/v1/colos')).map(({ code }: { code: string }) => code)
    expect(codes.sort()).toEqual(['AMS', 'IAD', 'LAX', 'LHR', 'SYD'])
    expect((await result('/lab/v1/colos?all=true')).length).toBeGreaterThan(300)
  })

  test('that do not exist are 404', async () => {
    expect((await api.ask('PUT', '/lab/v1/colos/XXX', { up: false })).status).toBe(404)
  })
})

describe('the clock', () => {
  test('is set, advanced and reset', async () => {
    const set = await api.ask('PUT', '/lab/v1/clock', { time: '2030-06-01T00:00:00Z' })
    expect(set.body.result.time).toMatch(/^2030-06-01T00:00:0/)
    const advanced = await api.ask('POST', '/lab/v1/clock/advance', { seconds: 86_400 })
    expect(advanced.body.result.time).toMatch(/^2030-06-02T00:00:0/)
    expect((await api.ask('DELETE', '/lab/v1/clock')).body.result.offset_seconds).toBe(0)
  })

  test.each([{ time: 'tomorrow' }, { time: '9999-01-01T00:00:00Z' }, {}])('refuses %j', async (body) => {
    expect((await api.ask('PUT', '/lab/v1/clock', body)).status).toBe(400)
  })
})

describe('sessions', () => {
  test('that are open are listed, by user too, and closed', async () => {
    api.live.push(LIVE, { ...LIVE, id: 'live-2', email: 'alice@example.com' })
    expect(await result('/lab/v1/sessions')).toHaveLength(2)
    const [mine] = await result(`/lab/v1/sessions?user=${BOB.email}`)
    expect(mine).toMatchObject({ id: 'live-1', started_at: LIVE.startedAt, bytes_sent: 2, policy_revision: 3 })
    expect((await api.ask('DELETE', '/lab/v1/sessions/live-1')).status).toBe(200)
    expect(api.closed).toEqual(['live-1'])
    expect((await api.ask('DELETE', '/lab/v1/sessions/live-1')).status).toBe(404)
  })

  test('that are finished are kept, the last ones, oldest first', async () => {
    for (const id of ['a', 'b', 'c']) api.finish(record({ SessionID: id }))
    const ids = (await result('/lab/v1/sessions/recent?limit=2')).map(({ SessionID }: SessionRecord) => SessionID)
    expect(ids).toEqual(['b', 'c'])
    expect((await api.ask('DELETE', '/lab/v1/sessions/recent')).body.result).toEqual({ forgotten: 3 })
    expect(await result('/lab/v1/sessions/recent')).toEqual([])
  })

  test('are counted per rule, with when they last did and since when that is known; so are rules that decided none', async () => {
    api.finish(record())
    api.finish(record({ SessionStartTime: '2026-11-21T13:00:00.000000000Z' }))
    expect(await result('/lab/v1/counters')).toMatchObject([
      { rule: EMEA_RULE, sessions: 2, last_used: '2026-11-21T13:00:00.000Z' },
      { rule: CATCH_ALL_RULE, sessions: 0, last_used: null },
    ])
  })

  test('are counted since the session log begins, but for no rule longer than there is one', async () => {
    const counting = async (since: number) => {
      const ports = { ruleUses: { counted: async () => ({ since, rules: new Map() }) } }
      const other = await runApi({ ports })
      const [first] = (await other.ask('GET', '/lab/v1/counters')).body.result
      const made = other.store.current().state.rule.get(EMEA_RULE)?.createdAt
      await other.close()
      return { since: Date.parse(first.since), made }
    }
    const old = await counting(0)
    expect(old.since).toBe(old.made)
    expect((await counting(Date.parse('2999-01-01'))).since).toBe(Date.parse('2999-01-01'))
  })
})

test('explain hands the question on in the lab’s names, and the answer back', async () => {
  const asked = { destination: 'espn.com:443', user: BOB.email, source_ip: '192.0.2.1', family: 4, colos_down: ['LHR'] }
  expect((await api.ask('POST', '/lab/v1/explain', asked)).body.result).toEqual({ asked: 'espn.com:443' })
  const { source_ip: sourceIp, colos_down: colosDown, ...rest } = asked
  expect(api.questions).toEqual([{ ...rest, sourceIp, colosDown }])
  expect((await api.ask('POST', '/lab/v1/explain', { user: BOB.email })).status).toBe(400)
})

describe('virtual networks of people', () => {
  const path = `/lab/v1/users/${BOB.email}/virtual-network`

  test('are set by name or id and taken back by the operator', async () => {
    expect((await api.ask('PUT', path, { virtual_network: 'vnet-EMEA' })).body.result).toEqual({
      id: EMEA_VNET,
      name: 'vnet-EMEA',
      chosen: true,
    })
    expect(api.store.chosenVirtualNetwork(BOB.email)).toBe(EMEA_VNET)
    await api.ask('PUT', path, { virtual_network: AMER_VNET })
    expect((await result('/lab/v1/users'))[0].virtual_network.name).toBe('vnet-AMER')
    expect((await api.ask('DELETE', path)).body.result).toEqual({ id: DEFAULT_VNET, name: 'default', chosen: false })
  })

  test('that do not exist are named with those that do; people who do not exist are 404', async () => {
    const wrong = await api.ask('PUT', path, { virtual_network: 'vnet-MARS' })
    expect(wrong.status).toBe(400)
    expect(wrong.body.errors[0]?.message).toContain('`vnet-AMER`')
    expect(
      (await api.ask('PUT', '/lab/v1/users/eve@example.com/virtual-network', { virtual_network: 'default' })).status,
    ).toBe(404)
  })

  test('are chosen by people themselves with their proxy credentials', async () => {
    const own = { authorization: `Basic ${btoa(`${BOB.email};family=4:${BOB.password}`)}` }
    const me = await api.ask('GET', '/lab/v1/me', undefined, own)
    expect(me.body.result).toMatchObject({ email: BOB.email, virtual_network: { name: 'default', chosen: false } })
    expect(me.body.result.virtual_networks.map(({ name }: { name: string }) => name)).toEqual([
      'default',
      'vnet-EMEA',
      'vnet-AMER',
    ])
    const chosen = await api.ask('PUT', '/lab/v1/me/virtual-network', { virtual_network: 'vnet-AMER' }, own)
    expect(chosen.body.result.virtual_network).toEqual({ id: AMER_VNET, name: 'vnet-AMER', chosen: true })
    expect(api.store.chosenVirtualNetwork(BOB.email)).toBe(AMER_VNET)
  })
})

describe('health', () => {
  test('liveness needs no token and tells nothing else', async () => {
    const live = await fetch(`${api.url}/lab/v1/health/live`)
    expect([live.status, ((await live.json()) as { result: unknown }).result]).toEqual([200, { live: true }])
  })

  test('readiness is 503 with its reasons while connections are not accepted', async () => {
    expect((await get('/lab/v1/health/ready')).status).toBe(200)
    const status = {
      version: '1',
      engine: 'node' as const,
      geoDatabases: () => ['city ipv4'],
      startedAt: 0,
      counts: () => ({ active: 0, opened: 0, closed: 0, refused: {}, bytesReceived: 0, bytesSent: 0 }),
      troubles: async () => ['stale'],
      unready: async () => ['not accepting connections'],
      portUse: () => [],
      egressHealth: () => ({ outages: [], faults: [] }),
      portLimit: () => ({ refused: 2, pressure: { 80: 3, 95: 0, 100: 0 } }),
      datagrams: () => ({ associations: 1, sent: 5, received: 4, dropped: { stranger: 6 } }),
    }
    const draining = await runApi({ ports: { status } })
    const answer = await draining.ask('GET', '/lab/v1/health/ready')
    expect([answer.status, answer.body.errors[0]?.message]).toEqual([503, 'not accepting connections'])
    expect((await draining.ask('GET', '/lab/v1/health')).body.result).toMatchObject({
      healthy: false,
      troubles: ['stale'],
      engine: 'node',
    })
    await draining.close()
  })

  test('says version, revision and who owns the rules', async () => {
    expect(await result('/lab/v1/health')).toMatchObject({
      healthy: true,
      version: '1.2.3',
      revision: 1,
      rules_from: 'api',
    })
  })
})

test('overrides are listed and taken back, one or all', async () => {
  await api.ask('PUT', '/lab/v1/colos/LHR', { up: false })
  await api.cloudflare('DELETE', `/gateway/rules/${EMEA_RULE}`)
  expect(await result('/lab/v1/overrides')).toEqual([
    { kind: 'rule', id: EMEA_RULE, change: 'deleted', file_moved_on: false },
    { kind: 'colo', id: 'LHR', change: 'added', file_moved_on: false },
  ])
  expect((await api.ask('DELETE', `/lab/v1/overrides/rule/${EMEA_RULE}`)).status).toBe(200)
  expect((await api.cloudflare('GET', `/gateway/rules/${EMEA_RULE}`)).status).toBe(200)
  expect((await api.ask('DELETE', '/lab/v1/overrides')).body.result).toEqual({ reverted: 1 })
  expect(api.store.current().account.colosDown.size).toBe(0)
  expect((await api.ask('DELETE', `/lab/v1/overrides/rule/${EMEA_RULE}`)).status).toBe(404)
  expect((await api.ask('DELETE', '/lab/v1/overrides/planet/mars')).status).toBe(400)
})

test('the account shows its dedicated egress IPs and settings', async () => {
  const account = await result('/lab/v1/account')
  expect(account.dedicated_ips[0]).toMatchObject({ colo: 'AMS', ipv4: '203.0.113.10', ipv6: '2001:db8:10::/64' })
  expect(account.settings).toMatchObject({ tcp_proxying: true, host_selector: true, no_rule_matched: 'balanced' })
})

test('proxying is switched off and on as Cloudflare’s device settings do', async () => {
  const off = await api.cloudflare('PATCH', '/devices/settings', { gateway_udp_proxy_enabled: false })
  expect(off.body.result).toMatchObject({ gateway_proxy_enabled: true, gateway_udp_proxy_enabled: false })
  expect(api.store.current().account.settings).toMatchObject({ tcpProxying: true, udpProxying: false })
})

test('LG-03: no metric tells one person from another: an address of their own in a range is counted as the range', async () => {
  const own = await runApi()
  for (const at of [1, 2, 3]) {
    own.finish(
      record({ EgressIP: `2001:db8:10::${at}:af10:59c7:ea78`, EgressRuleID: EMEA_RULE, EgressRuleName: 'old' }),
    )
  }
  for (const gone of ['2001:db8:ffff::1', '198.51.100.77']) own.finish(record({ EgressIP: gone }))
  own.finish(record({ EgressIP: '203.0.113.20' }))
  const response = await fetch(`${own.url}/metrics`, { headers: { authorization: `Bearer ${TOKEN}` } })
  const text = await response.text()
  await own.close()
  const labels = `outcome="dedicated",rule="${EMEA_RULE}",rule_name="EMEA from London"`
  expect(text.split('\n').filter((line) => line.startsWith('egresslab_sessions_total{'))).toEqual([
    `egresslab_sessions_total{${labels},egress="2001:db8:10::/64"} 3`,
    `egresslab_sessions_total{${labels},egress="other"} 2`,
    `egresslab_sessions_total{${labels},egress="203.0.113.20"} 1`,
  ])
  expect(text).not.toContain('ea78')
})

test('metrics are Prometheus text: sessions, bytes, errors, decision times, ports', async () => {
  api.live.push(LIVE)
  api.finish(record())
  api.finish(
    record(
      { EgressIP: '', EgressRuleID: '' },
      { outcome: 'unroutable', error: { code: 'egress.unroutable', message: '' } },
    ),
  )
  const response = await fetch(`${api.url}/metrics`, { headers: { authorization: `Bearer ${TOKEN}` } })
  expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8')
  const text = await response.text()
  for (const line of [
    'egresslab_info{version="1.2.3"} 1',
    `egresslab_sessions_total{outcome="dedicated",rule="${EMEA_RULE}",rule_name="EMEA from London",egress="203.0.113.20"} 1`,
    'egresslab_sessions_open 1',
    'egresslab_connections_refused_total{code="dial.refused"} 4',
    'egresslab_errors_total{code="egress.unroutable"} 1',
    'egresslab_bytes_total{direction="received"} 200',
    'egresslab_ports_in_use{egress="203.0.113.10"} 7',
    'egresslab_port_leases_refused_total 2',
    'egresslab_port_pressure_total{percent="80"} 3',
    'egresslab_udp_associations 1',
    'egresslab_udp_datagrams_total{direction="sent"} 5',
    'egresslab_udp_datagrams_dropped_total{reason="stranger"} 6',
    'egresslab_decision_seconds_bucket{le="0.00001"} 0',
    'egresslab_decision_seconds_bucket{le="0.00005"} 2',
    'egresslab_decision_seconds_count 2',
  ]) {
    expect(text.split('\n')).toContain(line)
  }
  for (const line of text.trimEnd().split('\n'))
    expect(line).toMatch(/^(# (HELP|TYPE) \S+ .+|[a-z_]+(\{[^}]*\})? \S+)$/)
})

test('the event stream tells of changes and sessions as they happen', async () => {
  const stop = new AbortController()
  const response = await fetch(`${api.url}/lab/v1/events`, {
    headers: { authorization: `Bearer ${TOKEN}` },
    signal: stop.signal,
  })
  expect(response.headers.get('content-type')).toBe('text/event-stream')
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
  let seen = ''
  const until = async (wanted: string) => {
    while (!seen.includes(wanted)) {
      const { value, done } = (await reader?.read()) ?? { value: '', done: true }
      if (done) throw new Error(`the stream ended without ${wanted}`)
      seen += value
    }
  }
  await until('event: hello')
  await api.ask('PUT', '/lab/v1/colos/LHR', { up: false })
  await until('"touched":[{"kind":"colo","id":"LHR","action":"created"}]')
  api.finish(record({ SessionID: 'told' }))
  await until('"SessionID":"told"')
  expect(seen).toMatch(/event: change\ndata: \{"revision":2,/)
  stop.abort()
})

describe('the OpenAPI document', () => {
  test('describes every route with its access and its parameters', async () => {
    const response = await fetch(`${api.url}/lab/v1/openapi.json`, { headers: { authorization: `Bearer ${TOKEN}` } })
    const document = (await response.json()) as {
      openapi: string
      paths: Record<string, Record<string, { parameters: { name: string }[] }>>
    }
    expect(document.openapi).toBe('3.1.0')
    const described = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    )
    expect(described.sort()).toEqual(ROUTES.map(({ method, path }) => `${method} ${path}`).sort())
    for (const [path, methods] of Object.entries(document.paths)) {
      for (const { parameters } of Object.values(methods)) {
        const names = parameters.map(({ name }) => name)
        for (const [, name] of path.matchAll(/\{(\w+)\}/g)) expect(names).toContain(name)
      }
    }
  })
})

test('an unexpected failure says nothing of itself to the client and everything to the operator', async () => {
  const broken = await runApi({
    ports: {
      users: () => {
        throw new Error('secret detail')
      },
    },
  })
  const { status, body } = await broken.ask('GET', '/lab/v1/users')
  expect(status).toBe(500)
  expect(JSON.stringify(body)).not.toContain('secret detail')
  expect(broken.notices[0]).toContain('secret detail')
  await broken.close()
})

test('HEAD answers as GET does, without a body', async () => {
  const response = await fetch(`${api.url}/lab/v1/health/live`, { method: 'HEAD' })
  expect([response.status, await response.text()]).toEqual([200, ''])
})

test('a wrong method is 405 with those there are', async () => {
  const { status, headers, body } = await api.ask('PATCH', '/lab/v1/clock', {})
  expect([status, headers.get('allow'), body.errors[0]?.code]).toEqual([405, 'GET, PUT, DELETE', 7001])
})

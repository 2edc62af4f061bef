// Query strings over real HTTP: what nobody knows is refused, what is documented really filters, and Cloudflare's own routes take what
// Cloudflare takes.

import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ROUTES } from '../../src/api/routes.ts'
import type { SessionRecord } from '../../src/proxy/session-record.ts'
import { sampleRecord as record } from '../log/sample-record.ts'
import { ACCOUNT_ID, EMEA_RULE, EMEA_VNET } from '../store/lab.ts'
import { PATIENCE_MS } from '../support/patience.ts'
import { BOB, type RunningApi, runApi, TOKEN } from './running-api.ts'

let api: RunningApi
beforeEach(async () => {
  api = await runApi()
})
afterEach(() => api.close())

async function statusAndWords(method: string, path: string, authorization = `Bearer ${TOKEN}`): Promise<string> {
  const answer = await fetch(api.url + path, {
    method,
    headers: { authorization, 'content-type': 'application/json' },
    signal: AbortSignal.timeout(PATIENCE_MS),
  })
  if (answer.headers.get('content-type') === 'text/event-stream') {
    await answer.body?.cancel()
    return `${answer.status}`
  }
  const text = await answer.text()
  return `${answer.status} ${answer.status === 400 ? JSON.parse(text).errors[0].message : ''}`
}

const concrete = (path: string) =>
  path
    .replace('{account_id}', ACCOUNT_ID)
    .replace('{ip}', '192.0.2.1')
    .replace(/\{\w+\}/g, 'x')
const OPEN_TO_STRANGERS = new Set(['/dns-query', '/pac/{slug}'])
const ours = ROUTES.filter(({ path }) => !path.startsWith('/client/v4/') && !OPEN_TO_STRANGERS.has(path))

test.each(ours.map((route) => [`${route.method} ${route.path}`, route] as const))(
  '%s refuses a parameter nobody knows, and names it',
  async (_name, { method, path, access }) => {
    const basic = `Basic ${btoa(`${BOB.email}:${BOB.password}`)}`
    const told = await statusAndWords(method, `${concrete(path)}?colour=red`, access === 'user' ? basic : undefined)
    expect(told).toMatch(/^400 unknown parameter `colour`/)
  },
)

test('the nearest known name is offered', async () => {
  expect(await statusAndWords('GET', '/lab/v1/sessions/recent?usr=a')).toBe(
    '400 unknown parameter `usr`; did you mean `user`?',
  )
})

test.each([
  ['/lab/v1/sessions?user=', '`user` is empty'],
  ['/lab/v1/sessions/recent?limit=2&limit=3', '`limit` is given 2 times'],
  ['/lab/v1/sessions/recent?limit=0', '`limit` must be a whole number from 1 to 1000'],
  ['/lab/v1/sessions/recent?outcome=lost', '`outcome` must be one of'],
  ['/lab/v1/sessions/recent?egress_ip=here', '`here` is not a network'],
  ['/lab/v1/colos?all=yes', '`all` must be `true` or `false`'],
  ['/proxy.pac?listner=main', 'did you mean `listener`?'],
])('%s is 400: %s', async (path, words) => {
  expect(await statusAndWords('GET', path)).toContain(`400 `)
  expect(await statusAndWords('GET', path)).toContain(words)
})

test('a parameter that may be repeated is taken more than once', async () => {
  expect(await statusAndWords('GET', '/proxy.pac?direct=a.test&direct=b.test')).not.toContain('direct')
})

test('every parameter at fault is named at once', async () => {
  const { body } = await api.ask('GET', '/lab/v1/sessions/recent?colour=red&limit=no')
  expect(body.errors.map(({ source }) => source?.pointer)).toEqual(['colour', 'limit'])
})

describe('finished sessions', () => {
  const idsFor = async (query: string) =>
    (await api.ask('GET', `/lab/v1/sessions/recent?${query}`)).body.result.map(
      ({ SessionID }: SessionRecord) => SessionID,
    )

  test.each([
    ['user=nobody@nowhere.example', []],
    ['user=ALICE@example.com', ['a', 'c']],
    ['user=alice@example.com&limit=1', ['c']],
    ['rule=to%20the%20bank', ['a']],
    ['vnet=vnet-EMEA', ['b']],
    ['egress_ip=203.0.113.0/28', ['a']],
    ['outcome=exempt', ['b']],
    ['outcome=failed', ['c']],
    ['', ['a', 'b', 'c']],
  ])('?%s', async (query, expected) => {
    api.finish(
      record(
        { SessionID: 'a', Email: 'alice@example.com', EgressRuleName: 'to the bank', EgressIP: '203.0.113.10' },
        { virtualNetworkName: 'default', outcome: 'dedicated' },
      ),
    )
    api.finish(
      record(
        { SessionID: 'b', Email: BOB.email, EgressRuleName: '', EgressIP: '198.51.100.1' },
        { virtualNetworkName: 'vnet-EMEA', outcome: 'exempt' },
      ),
    )
    api.finish(
      record(
        { SessionID: 'c', Email: 'alice@example.com', EgressRuleName: '', EgressIP: '' },
        { virtualNetworkName: 'default', outcome: 'default', error: { code: 'dial.refused', message: 'refused' } },
      ),
    )
    expect(await idsFor(query)).toEqual(expected)
  })
})

describe('Cloudflare’s routes', () => {
  const LISTS = ROUTES.filter(({ method, path }) => method === 'GET' && path.startsWith('/client/v4/'))

  test.each(LISTS.map(({ path }) => [path]))('%s ignores a parameter Cloudflare does not know', async (path) => {
    expect(await statusAndWords('GET', `${concrete(path)}?colour=red`)).not.toMatch(/^400/)
  })

  test.each([
    ['/teamnet/routes?tunnel_id=x', '`x` is not a UUID'],
    ['/teamnet/routes?route_id=x', '`x` is not a UUID'],
    ['/teamnet/routes?network_subset=x', '`x` is not a network'],
    ['/teamnet/routes?existed_at=1', '`1` is not a time in RFC 3339'],
    ['/teamnet/routes?tun_types=cfd_tunnel,pigeon', '`tun_types` must be one of'],
    ['/teamnet/routes?page=0', '`page` must be a whole number'],
    ['/teamnet/virtual_networks?id=x', '`x` is not a UUID'],
    ['/teamnet/virtual_networks?is_deleted=maybe', '`is_deleted` must be'],
    ['/zerotrust/routes/hostname?tunnel_id=x', '`x` is not a UUID'],
    ['/cfd_tunnel?status=asleep', '`status` must be one of'],
    ['/cfd_tunnel?uuid=x', '`x` is not a UUID'],
    ['/gateway/lists?type=COLOUR', '`type` must be one of'],
    ['/gateway/lists?filter=item_count:many', '`many` is not a `item_count`'],
    ['/gateway/rules?filter=enabled:maybe', '`enabled` must be one of'],
    ['/gateway/rules?filter=filters:egres', '`filters` must be one of'],
    ['/gateway/proxy_endpoints?filter=kind:door', '`kind` must be one of'],
    ['/gateway/rules?order_by=colour', '`order_by` must be one of'],
  ])('%s is 400: %s', async (path, words) => {
    const told = await statusAndWords('GET', `/client/v4/accounts/${ACCOUNT_ID}${path}`)
    expect(told).toMatch(/^400 /)
    expect(told).toContain(words)
  })

  test('ids are found in either spelling', async () => {
    const shouted = EMEA_VNET.replaceAll('-', '').toUpperCase()
    const { body } = await api.cloudflare('GET', `/teamnet/virtual_networks?id=${shouted}`)
    expect(body.result.map(({ id }: { id: string }) => id)).toEqual([EMEA_VNET])
    const rules = await api.cloudflare('GET', `/gateway/rules?filter=id:${EMEA_RULE.replaceAll('-', '')}`)
    expect(rules.body.result).toHaveLength(1)
  })
})

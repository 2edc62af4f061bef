// Whatever is sent to whatever route: an answer in the envelope, never a failure of the lab's own, and a state that still
// compiles and still starts.

import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Route, RouteSchema } from '../../src/api/router.ts'
import { ROUTES } from '../../src/api/routes.ts'
import { ACCOUNT_ID, AMER_VNET, EMEA_RULE, TUNNEL } from '../store/lab.ts'
import { type RunningApi, runApi } from './running-api.ts'

let api: RunningApi
beforeAll(async () => {
  api = await runApi()
})
afterAll(() => api.close())

/** Values that mean something somewhere, beside any JSON there is. */
const MEANINGFUL = [
  EMEA_RULE,
  AMER_VNET,
  TUNNEL,
  '203.0.113.20',
  '0.0.0.0',
  '2001:db8:20::/64',
  '10.0.0.0/8',
  'net.dst.port == 443',
  'not (',
  'egress',
  ['egress'],
  ['dns'],
  { egress: { ipv4: '203.0.113.20', ipv6: '2001:db8:20::/64' } },
  'IP',
  [{ value: '192.0.2.1' }],
  'v4',
  'function FindProxyForURL() {}',
  '',
  null,
  -1,
  1e300,
  true,
]
const anyValue = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...MEANINGFUL) },
  { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 3 }) },
)

/** Bodies of the route's own fields, holding anything; now and then one it does not know. */
function bodies({ body }: Route): fc.Arbitrary<unknown> {
  const known = Object.keys((body as { properties?: RouteSchema } | undefined)?.properties ?? {})
  const field = fc.oneof(
    { weight: 8, arbitrary: fc.constantFrom(...known, 'name') },
    { weight: 1, arbitrary: fc.string() },
  )
  return fc.dictionary(field, anyValue, { maxKeys: 8 })
}

const anySegment = fc.oneof(
  fc.constantFrom(EMEA_RULE, AMER_VNET, TUNNEL, 'LHR', 'v4', 'rule', '10.0.0.1', 'bob@example.com'),
  fc.string({ minLength: 1 }),
)
const anyQuery = fc.dictionary(
  fc.constantFrom(
    'page',
    'per_page',
    'filter',
    'order_by',
    'direction',
    'search',
    'is_deleted',
    'network_subset',
    'existed_at',
    'limit',
    'id',
  ),
  fc.oneof(
    fc.constantFrom('1', '0', '-1', 'true', 'name:a', 'name', 'asc', '10.0.0.0/8', '2026-01-01T00:00:00Z'),
    fc.string(),
  ),
)

const NO_JSON = ['/lab/v1/events', '/lab/v1/traffic', '/metrics']
const routes = ROUTES.filter(({ path, access }) => access === 'token' && !NO_JSON.includes(path))

describe('any input gets an answer', () => {
  test.each(routes.map((route) => [`${route.method} ${route.path}`, route] as const))('%s', async (_name, route) => {
    const input = fc.record({ body: bodies(route), segment: anySegment, query: anyQuery })
    await fc.assert(
      fc.asyncProperty(input, async ({ body, segment, query }) => {
        const path = route.path.replace('{account_id}', ACCOUNT_ID).replace(/\{\w+\}/g, encodeURIComponent(segment))
        const takesBody = route.method !== 'GET' && route.method !== 'DELETE'
        const { status, body: answer } = await api.ask(
          route.method,
          `${path}?${new URLSearchParams(query)}`,
          takesBody ? body : undefined,
        )
        expect(status, JSON.stringify({ path, query, body, answer, notices: api.notices.slice(-1) })).toBeLessThan(500)
        if (route.path.endsWith('openapi.json')) return
        expect(answer.success).toBe(status < 400)
        expect(answer.errors.length > 0).toBe(status >= 400)
      }),
      { numRuns: 25 },
    )
    // a rate limit that was played must not hide the routes that follow
    await api.ask('DELETE', '/lab/v1/rate-limit')
  })
})

test('after all of it the file’s version of everything can be taken back', async () => {
  expect((await api.ask('DELETE', '/lab/v1/overrides')).status).toBe(200)
  expect((await api.ask('GET', '/lab/v1/overrides')).body.result).toEqual([])
})

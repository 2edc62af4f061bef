// AP-01 … AP-08: nobody else drives the lab. Requests that `fetch` would not send go over a raw socket.

import { once } from 'node:events'
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openApiToken } from '../../src/store/api-token.ts'
import { EMEA_RULE } from '../store/lab.ts'
import { type RunningApi, runApi, TOKEN } from './running-api.ts'

let api: RunningApi
beforeAll(async () => {
  api = await runApi()
})
afterAll(() => api.close())

interface RawAnswer {
  readonly status: number
  readonly head: string
  readonly body: string
}

/** Sends these very header lines and reads the answer to its end. */
async function raw(method: string, path: string, lines: readonly string[], body = ''): Promise<RawAnswer> {
  const socket = connect(Number(new URL(api.url).port), '127.0.0.1')
  await once(socket, 'connect')
  const length = body === '' ? [] : [`Content-Length: ${Buffer.byteLength(body)}`]
  socket.end([`${method} ${path} HTTP/1.1`, ...lines, ...length, 'Connection: close', '', body].join('\r\n'))
  const chunks: Buffer[] = []
  for await (const chunk of socket) chunks.push(chunk as Buffer)
  const text = Buffer.concat(chunks).toString()
  const [head = '', ...rest] = text.split('\r\n\r\n')
  return { status: Number(head.split(' ')[1]), head, body: rest.join('\r\n\r\n') }
}

const own = () => `Host: ${new URL(api.url).host}`
const auth = `Authorization: Bearer ${TOKEN}`
const RULES = '/client/v4/accounts'

describe('AP-01 AP-02 the host a request names', () => {
  test.each([
    ['its own, then another’s', () => [own(), 'Host: evil.example']],
    ['another’s, then its own', () => ['Host: evil.example', own()]],
    ['its own twice', () => [own(), own()]],
  ])('%s is refused, with the token or without', async (_, hosts) => {
    for (const fields of [[], [auth]]) {
      for (const path of [RULES, '/lab/v1/health/live', '/me']) {
        expect((await raw('GET', path, [...hosts(), ...fields])).status).toBe(400)
      }
    }
  })

  test.each([
    ['authorization', [auth, 'Authorization: Bearer other']],
    ['origin', [auth, 'Origin: http://127.0.0.1', 'Origin: http://127.0.0.1']],
    ['sec-fetch-site', [auth, 'Sec-Fetch-Site: same-origin', 'Sec-Fetch-Site: cross-site']],
    ['content-type', [auth, 'Content-Type: application/json', 'Content-Type: text/plain']],
    ['x-auth-key', ['X-Auth-Email: a@b.test', `X-Auth-Key: ${TOKEN}`, 'X-Auth-Key: other']],
  ])('so is a second `%s`', async (name, fields) => {
    const { status, body } = await raw('GET', RULES, [own(), ...fields])
    expect([status, JSON.parse(body).errors[0].message]).toEqual([400, `the field \`${name}\` is given twice`])
  })

  test.each(['localhost', '127.0.0.1', '127.9.9.9', '[::1]', 'LOCALHOST'])('%s is served', async (host) => {
    const port = new URL(api.url).port
    expect((await raw('GET', RULES, [`Host: ${host}:${port}`, auth])).status).toBe(200)
    expect((await raw('GET', RULES, [`Host: ${host}`, auth])).status).toBe(200)
  })

  test.each([
    'evil.example',
    'localhost.evil.example',
    '127.0.0.1.evil.example',
    '0.0.0.0',
    '192.0.2.1',
    '[::]',
    '2130706433',
    '',
  ])('`%s` is refused before anything else, with the token or without', async (host) => {
    expect((await raw('GET', RULES, [`Host: ${host}`, auth])).status).toBe(421)
    expect((await raw('GET', '/lab/v1/health/live', [`Host: ${host}`])).status).toBe(421)
    expect((await raw('GET', '/me', [`Host: ${host}`])).status).toBe(421)
  })
})

describe('AP-01 requests of other sites', () => {
  test.each([
    ['an Origin of another site', 'Origin: http://evil.example'],
    ['an Origin of another port', 'Origin: http://127.0.0.1:1'],
    ['an opaque Origin', 'Origin: null'],
    ['Sec-Fetch-Site: cross-site', 'Sec-Fetch-Site: cross-site'],
    ['Sec-Fetch-Site: same-site, another port of this host', 'Sec-Fetch-Site: same-site'],
  ])('with %s are 403, with the token or without', async (_name, line) => {
    expect((await raw('GET', RULES, [own(), auth, line])).status).toBe(403)
    expect((await raw('GET', '/lab/v1/health/live', [own(), line])).status).toBe(403)
  })

  test('a navigation may read and never change', async () => {
    expect((await raw('GET', '/me', [own(), 'Sec-Fetch-Site: none'])).status).toBe(200)
    const change = await raw('POST', '/lab/v1/token/rotate', [
      own(),
      auth,
      'Sec-Fetch-Site: none',
      'Content-Type: application/json',
    ])
    expect(change.status).toBe(403)
  })

  test('the lab’s own pages pass', async () => {
    expect((await raw('GET', RULES, [own(), auth, `Origin: ${api.url}`, 'Sec-Fetch-Site: same-origin'])).status).toBe(
      200,
    )
  })

  test('no answer ever carries a CORS header, and preflights are refused', async () => {
    const preflight = await raw('OPTIONS', RULES, [own(), `Origin: ${api.url}`, 'Access-Control-Request-Method: POST'])
    expect(preflight.status).toBeGreaterThanOrEqual(400)
    const plain = await raw('GET', RULES, [own(), auth])
    for (const { head } of [preflight, plain]) expect(head.toLowerCase()).not.toContain('access-control-')
  })

  test.each(['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data', 'application/jsonp', ''])(
    'a change with content type `%s` is 415',
    async (type) => {
      const lines = [own(), auth, ...(type === '' ? [] : [`Content-Type: ${type}`])]
      expect((await raw('PUT', '/lab/v1/colos/LHR', lines, '{"up":false}')).status).toBe(415)
      expect(api.store.current().account.colosDown.has('LHR')).toBe(false)
    },
  )
})

describe('AP-03 without the right credentials', () => {
  const attempts: [string, readonly string[]][] = [
    ['nothing', []],
    ['a wrong token', ['Authorization: Bearer wrong']],
    ['the token one letter short', [`Authorization: Bearer ${TOKEN.slice(0, -1)}`]],
    ['an empty token', ['Authorization: Bearer ']],
    ['a wrong key', ['X-Auth-Email: a@example.com', 'X-Auth-Key: wrong']],
    ['the key without an email', [`X-Auth-Key: ${TOKEN}`]],
    ['Basic credentials', [`Authorization: Basic ${btoa(`bob@example.com:lab-bob`)}`]],
    ['the token as a cookie', [`Cookie: egresslab_session_PORT=${TOKEN}`]],
  ]
  test.each(attempts)('%s: one and the same 401, for what exists and what does not', async (_name, lines) => {
    const { port } = new URL(api.url)
    const named = lines.map((line) => line.replace('PORT', port))
    const answers = await Promise.all(
      [`${RULES}`, '/lab/v1/no/such/thing', '/metrics', '/client/v4/nothing', '/lab/v1/openapi.json'].map((path) =>
        raw('GET', path, [own(), ...named]),
      ),
    )
    const withoutDate = answers.map(({ head, body }) => head.replace(/\r\nDate: [^\r]*/i, '') + body)
    expect(new Set(withoutDate).size).toBe(1)
    expect(answers[0]?.status).toBe(401)
    expect(answers[0]?.head.toLowerCase()).not.toContain('www-authenticate')
  })

  test('wrong proxy credentials get the same 401 as a wrong token', async () => {
    const me = await raw('GET', '/lab/v1/me', [own(), `Authorization: Basic ${btoa('bob@example.com:wrong')}`])
    const nobody = await raw('GET', '/lab/v1/me', [own(), `Authorization: Basic ${btoa('nobody@example.com:wrong')}`])
    const token = await raw('GET', RULES, [own(), 'Authorization: Bearer wrong'])
    expect(new Set([me.body, nobody.body, token.body]).size).toBe(1)
  })

  test('the token is no pass for what belongs to users, nor the other way round', async () => {
    expect((await raw('GET', '/lab/v1/me', [own(), auth])).status).toBe(401)
  })
})

describe('AP-04 bodies', () => {
  const put = (body: string, extra: readonly string[] = []) =>
    raw(
      'PUT',
      `/client/v4/accounts/${'699d98642c564d2e855e9661899b7252'}/gateway/rules/${EMEA_RULE}`,
      [own(), auth, 'Content-Type: application/json', ...extra],
      body,
    )

  test.each([
    ['over 1 MB', JSON.stringify({ name: 'x'.repeat(1024 * 1024) }), 413],
    ['no JSON', '{"name": ', 400],
    ['an array', '[]', 400],
    ['a string', '"x"', 400],
    ['null', 'null', 400],
    ['a key `__proto__`', '{"name":"x","action":"egress","__proto__":{"enabled":true}}', 400],
    ['a deep key `__proto__`', '{"name":"x","action":"egress","rule_settings":{"a":{"__proto__":{}}}}', 400],
    [
      'nested too deeply',
      `{"name":"x","action":"egress","rule_settings":${'{"a":'.repeat(40)}1${'}'.repeat(40)}}`,
      400,
    ],
    ['a wrong type', '{"name":1,"action":"egress"}', 400],
    ['an unknown field', '{"name":"x","action":"egress","presedence":5}', 400],
    ['a fractional precedence', '{"name":"x","action":"egress","precedence":1.5}', 400],
    ['two filters', '{"name":"x","action":"egress","filters":["egress","dns"]}', 400],
    ['an unknown filter', '{"name":"x","action":"egress","filters":["udp"]}', 400],
    ['nothing required', '{}', 400],
    ['no bytes at all', '', 400],
  ])('%s: %#', async (_name, body, status) => {
    const { revision } = api.store.current()
    expect((await put(body)).status).toBe(status)
    expect(api.store.current().revision).toBe(revision)
  })

  test('a compressed body is 415', async () => {
    expect((await put('{}', ['Content-Encoding: gzip'])).status).toBe(415)
  })

  test('a body that claims to be larger than 1 MB is refused without being read', async () => {
    const { status } = await raw('PUT', '/lab/v1/colos/LHR', [
      own(),
      auth,
      'Content-Type: application/json',
      'Content-Length: 99999999',
    ])
    expect(status).toBe(413)
  })

  test('names of prototypes are nothing but names', async () => {
    expect((await raw('GET', '/lab/v1/colos/constructor', [own(), auth])).status).toBe(404)
    expect((await raw('GET', '/lab/v1/users/__proto__/virtual-network', [own(), auth])).status).toBe(404)
    expect(
      (await raw('GET', `${RULES}/699d98642c564d2e855e9661899b7252/gateway/rules/__proto__`, [own(), auth])).status,
    ).toBe(404)
    expect(
      (await raw('GET', `${RULES}/699d98642c564d2e855e9661899b7252/gateway/rules?filter=constructor:x`, [own(), auth]))
        .status,
    ).toBe(400)
    expect(Object.hasOwn(Object.prototype, 'enabled')).toBe(false)
  })

  test('an unknown field is named with the nearest known one', async () => {
    const { body } = await api.cloudflare('POST', '/gateway/rules', { name: 'x', action: 'egress', presedence: 1 })
    expect(body.errors[0]).toMatchObject({
      message: 'unknown field `presedence`; did you mean `precedence`?',
      source: { pointer: '/presedence' },
    })
  })
})

describe('AP-05 paths', () => {
  test.each([
    '/pac/../lab.db',
    '/pac/%2e%2e%2fapi-token',
    '/pac/%00',
    '/me/../metrics',
    '/%',
    '/lab/v1//health/live',
    '/lab/v1/health/live/',
    '//',
    '/client/v4/accounts/',
  ])('%s leads nowhere', async (path) => {
    const { status } = await raw('GET', path, [own()])
    expect([400, 401, 404]).toContain(status)
  })
})

describe('AP-07 the token', () => {
  test('can be rotated: the old one and its cookies are refused from then on', async () => {
    const token = openApiToken({})
    const lab = await runApi({ ports: { token } })
    const login = await lab.ask('POST', '/lab/v1/login', { token: token.current() })
    const cookie = login.headers.get('set-cookie')?.split(';')[0] ?? ''
    const byCookie = () => fetch(`${lab.url}/lab/v1/health`, { headers: { cookie } })
    expect((await byCookie()).status).toBe(200)
    const old = token.current()
    const rotated = await lab.ask('POST', '/lab/v1/token/rotate', {}, { authorization: `Bearer ${old}` })
    expect(rotated.body.result.token).toBe(token.current())
    expect((await lab.ask('GET', '/lab/v1/health', undefined, { authorization: `Bearer ${old}` })).status).toBe(401)
    expect(
      (await lab.ask('GET', '/lab/v1/health', undefined, { authorization: `Bearer ${token.current()}` })).status,
    ).toBe(200)
    expect((await byCookie()).status).toBe(401)
    await lab.close()
  })

  test('is traded for a cookie that scripts and other sites cannot use', async () => {
    const { status, headers } = await api.ask('POST', '/lab/v1/login', { token: TOKEN })
    expect(status).toBe(200)
    expect(headers.get('set-cookie')).toMatch(/^egresslab_session_\d+=[\w-]+; HttpOnly; SameSite=Strict; Path=\/$/)
    expect(headers.get('set-cookie')).not.toContain(TOKEN)
    expect((await api.ask('POST', '/lab/v1/login', { token: 'wrong' })).status).toBe(401)
  })

  test('and labs on one host do not sign each other’s browsers out', async () => {
    const other = await runApi()
    const cookies = await Promise.all(
      [api, other].map(async (lab) => {
        const { headers } = await lab.ask('POST', '/lab/v1/login', { token: TOKEN })
        return headers.get('set-cookie')?.split(';')[0] ?? ''
      }),
    )
    const both = { cookie: cookies.join('; ') }
    for (const lab of [api, other])
      expect((await fetch(`${lab.url}/lab/v1/health`, { headers: both })).status).toBe(200)
    expect(new Set(cookies.map((cookie) => cookie.split('=')[0])).size).toBe(2)
    await other.close()
  })

  test('AP-08 and what is secret never comes back: a tunnel’s secret is not kept', async () => {
    const secret = Buffer.alloc(32, 7).toString('base64')
    const { body } = await api.cloudflare('POST', '/cfd_tunnel', { name: 'secretive', tunnel_secret: secret })
    expect(JSON.stringify(body)).not.toContain(secret)
    expect(JSON.stringify([...api.store.current().state.tunnel.values()])).not.toContain(secret)
  })
})

test('every answer forbids caching, sniffing and framing', async () => {
  for (const path of [RULES, '/lab/v1/health/live', '/nothing']) {
    const { head } = await raw('GET', path, [own(), auth])
    expect(head.toLowerCase()).toContain('cache-control: no-store')
    expect(head.toLowerCase()).toContain('x-content-type-options: nosniff')
    expect(head.toLowerCase()).toContain('x-frame-options: deny')
  }
})

test('the rate limit of Cloudflare’s API counts a route however its path is written', async () => {
  await api.ask('PUT', '/lab/v1/rate-limit', { requests: 1, seconds: 300 })
  expect((await raw('GET', RULES, [own(), auth])).status).toBe(200)
  for (const path of [RULES, '/%63lient/v4/accounts', '*/client/v4/accounts', '/client/v4/%61ccounts']) {
    expect([path, (await raw('GET', path, [own(), auth])).status]).toEqual([path, 429])
  }
  await api.ask('DELETE', '/lab/v1/rate-limit')
})

// Who may do what at the API, the console and the event streams: every route × every role as docs/team.md has it, and the ways
// around it that people try.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { consoleSessionOf } from '../../src/api/index.ts'
import { ROUTES, roleRows } from '../../src/api/routes.ts'
import { ROLES, type Role } from '../../src/config/lab-state.ts'
import { openAccessTokens } from '../../src/store/access-tokens.ts'
import { openApiToken } from '../../src/store/api-token.ts'
import { memoryJournal } from '../../src/store/journal.ts'
import { ACCOUNT_ID, EMEA_RULE } from '../store/lab.ts'
import { PATIENT } from '../support/patience.ts'
import { type RunningApi, runApi, TOKEN } from './running-api.ts'

const JSON_TYPE = { 'content-type': 'application/json' }
const tokens = openAccessTokens(memoryJournal().table('token'), consoleSessionOf)
const textOf = Object.fromEntries(
  ROLES.map((role) => [role, tokens.create({ name: role, role, expiresAt: null }).text]),
) as Record<Role, string>

let api: RunningApi
beforeAll(async () => {
  api = await runApi({ ports: { tokens } })
})
afterAll(() => api.close())

/** The status alone; what an event stream has to say is not waited for. */
async function statusOf(method: string, path: string, headers: Record<string, string>, url = api.url) {
  const body = method === 'GET' || method === 'DELETE' ? {} : { body: '{}' }
  const abort = new AbortController()
  const answer = await fetch(url + path, {
    method,
    headers: { ...JSON_TYPE, ...headers },
    ...body,
    signal: abort.signal,
  })
  const text = answer.headers.get('content-type') === 'text/event-stream' ? '' : await answer.text()
  abort.abort()
  return { status: answer.status, text }
}

const as = (text: string) => ({ authorization: `Bearer ${text}` })

describe('every route × every role', () => {
  const table = readFileSync(join(import.meta.dirname, '../../docs/team.md'), 'utf8')
    .split('\n')
    .filter((line) => /^\| (GET|POST|PUT|PATCH|DELETE) \|/.test(line))
  const rows = table.map((line) => line.split('|').map((cell) => cell.trim()))

  test('the table of docs/team.md has every route that needs a token', () => {
    expect(table).toEqual(roleRows())
    expect(table.length).toBe(ROUTES.filter(({ access }) => access === 'token').length)
  })

  test.each(ROLES.map((role, at) => [role, at] as const))('is as the table says: %s', async (role, at) => {
    for (const [, method = '', quoted = '', ...allowed] of rows) {
      const path = quoted
        .replaceAll('`', '')
        .replace('{account_id}', ACCOUNT_ID)
        .replace(/\{\w+\}/g, EMEA_RULE)
      const { status, text } = await statusOf(method, path, as(textOf[role]))
      const refused = status === 403 && text.includes('"code":9109')
      expect([method, path, status === 401, refused]).toEqual([method, path, false, allowed[at] !== 'yes'])
    }
  })

  test('without a token none of them answers', async () => {
    for (const { method, path, access } of ROUTES) {
      if (access !== 'token') continue
      const { status } = await statusOf(
        method,
        path.replace('{account_id}', ACCOUNT_ID).replace(/\{\w+\}/g, EMEA_RULE),
        {},
      )
      expect([method, path, status]).toEqual([method, path, 401])
    }
  })
})

describe('a role is the token’s and nothing else’s', () => {
  test.each([
    ['a query parameter', '/lab/v1/tokens?role=admin', {}],
    ['a header', '/lab/v1/tokens', { 'x-role': 'admin', 'x-egresslab-role': 'admin' }],
    ['the path of another method', '/lab/v1/tokens', { 'x-http-method-override': 'GET' }],
    ['an admin’s email', '/lab/v1/tokens', { 'x-auth-email': 'admin@example.com' }],
  ])('%s raises nobody', async (_, path, headers) => {
    for (const method of ['GET', 'POST']) {
      expect((await statusOf(method, path, { ...as(textOf.operator), ...headers })).status).toBe(403)
    }
  })

  test('a role in the body of a sign-in is refused, and the cookie has the role of its token', async () => {
    const raised = await api.ask('POST', '/lab/v1/login', { token: textOf.viewer, role: 'admin' })
    expect(raised.status).toBe(400)
    const { headers } = await api.ask('POST', '/lab/v1/login', { token: textOf.viewer })
    const cookie = headers.get('set-cookie')?.split(';')[0] ?? ''
    expect((await statusOf('GET', '/lab/v1/health', { cookie })).status).toBe(200)
    expect((await statusOf('GET', '/lab/v1/tokens', { cookie })).status).toBe(403)
    expect((await statusOf('PUT', '/lab/v1/clock', { cookie })).status).toBe(403)
  })

  test('a cookie that is no cookie of the lab raises nobody: a wrong one, a token’s text, a role', async () => {
    const name = `egresslab_session_${new URL(api.url).port}`
    for (const value of [consoleSessionOf('wrong'), textOf.admin, TOKEN, 'role=admin']) {
      expect(
        (await statusOf('GET', '/lab/v1/tokens', { ...as(textOf.viewer), cookie: `${name}=${value}` })).status,
      ).toBe(403)
    }
  })

  test('the refusal names the token, its role and the role it would take, and never the token’s text', async () => {
    const { text } = await statusOf('PUT', '/lab/v1/rules', as(textOf.viewer))
    expect(JSON.parse(text).errors[0].message).toBe('the token `viewer` has the role viewer, and this needs admin')
    expect(text).not.toContain(textOf.viewer)
  })
})

describe('a token’s text', () => {
  test('is shown once, where it is made; lists, errors, health, metrics and notices are without it', async () => {
    const made = await api.ask('POST', '/lab/v1/tokens', { name: 'ci', role: 'viewer' })
    const { token, expires_at: end } = made.body.result
    expect(token).toMatch(/^egl_[\w-]{43}$/)
    expect(Date.parse(end) - Date.now()).toBeGreaterThan(89 * 86_400_000)
    const seen: string[] = [...api.notices]
    for (const path of [
      '/lab/v1/tokens',
      '/lab/v1/health',
      '/metrics',
      '/lab/v1/token',
      '/lab/v1/openapi.json',
      `/lab/v1/x?token=${token}`,
    ]) {
      seen.push((await statusOf('GET', path, as(TOKEN))).text.replaceAll(`/lab/v1/x?token=${token}`, ''))
    }
    expect(seen.join('\n')).not.toContain(token)
    expect((await api.ask('POST', '/lab/v1/tokens', { name: 'ci', role: 'admin' })).status).toBe(409)
  })

  test('in a URL opens nothing', async () => {
    for (const path of [
      `/lab/v1/health?token=${TOKEN}`,
      `/lab/v1/events?access_token=${TOKEN}`,
      `/lab/v1/health?authorization=Bearer%20${TOKEN}`,
    ]) {
      expect((await statusOf('GET', path, {})).status).toBe(401)
    }
  })

  test('is not on disk: what the table holds opens nothing', async () => {
    const table = memoryJournal().table('token')
    const { text } = openAccessTokens(table, consoleSessionOf).create({ name: 'a', role: 'admin', expiresAt: null })
    const kept = table
      .all()
      .map(({ body }) => body)
      .join()
    expect(kept).not.toContain(text)
    expect(kept).not.toContain(consoleSessionOf(text))
    const again = openAccessTokens(table, consoleSessionOf)
    for (const stolen of Object.values(JSON.parse(kept)).filter((value) => typeof value === 'string')) {
      expect(again.find({ text: stolen }) ?? again.find({ cookie: stolen })).toBeUndefined()
    }
    expect(again.find({ text })?.name).toBe('a')
    expect(again.list()[0]?.lastUsedAt).not.toBeNull()
  })

  test.each([
    [{ name: 'api-token', role: 'viewer' }, '`api-token` is the name of the lab’s own token'],
    [{ name: 'x\u001b[31m', role: 'viewer' }, ''],
    [{ name: 'x', role: 'owner' }, ''],
    [{ name: 'x', role: 'viewer', expires: '90' }, '`90` is not a duration such as `90d`, at most 3660 days'],
    [{ name: 'x', role: 'viewer', expires: '99999999w' }, 'is not a duration'],
    [{ name: 'x', role: 'viewer', id: 'api-token' }, ''],
  ])('%j makes none', async (body, message) => {
    const answer = await api.ask('POST', '/lab/v1/tokens', body)
    expect(answer.status).toBe(400)
    expect(answer.body.errors[0]?.message).toContain(message.replace('’', "'"))
  })
})

describe('the end of a token', () => {
  /** An open stream: its text until it ends. */
  async function openStream(lab: RunningApi, text: string) {
    const answer = await fetch(`${lab.url}/lab/v1/events`, { headers: as(text) })
    expect(answer.status).toBe(200)
    return answer
  }

  test('revoked: its requests, its cookie and its open stream end at once, and others’ go on', async () => {
    const [one, other] = ['one', 'other'].map((name) => tokens.create({ name, role: 'viewer', expiresAt: null }))
    if (one === undefined || other === undefined) throw new RangeError('two were made')
    const [stream, untouched] = [await openStream(api, one.text), await openStream(api, other.text)]
    const login = await api.ask('POST', '/lab/v1/login', { token: one.text })
    const cookie = login.headers.get('set-cookie')?.split(';')[0] ?? ''
    expect((await api.ask('DELETE', '/lab/v1/tokens/one')).body.result.name).toBe('one')
    expect(await stream.text()).toMatch(/event: ended\ndata: \{"reason":"the token was revoked"\}\n\n$/)
    expect((await statusOf('GET', '/lab/v1/health', as(one.text))).status).toBe(401)
    expect((await statusOf('GET', '/lab/v1/health', { cookie })).status).toBe(401)
    expect((await statusOf('GET', '/lab/v1/health', as(other.text))).status).toBe(200)
    const reader = untouched.body?.getReader()
    api.store.setColoDown('LHR', true)
    let heard = ''
    while (!heard.includes('event: change')) heard += new TextDecoder().decode((await reader?.read())?.value)
    await reader?.cancel()
    expect((await api.ask('DELETE', '/lab/v1/tokens/one')).status).toBe(404)
  })

  test('expired: by the machine’s clock, wherever the lab’s clock was set, and its stream ends', async () => {
    const soon = tokens.create({ name: 'soon', role: 'operator', expiresAt: Date.now() + 4000 })
    const stream = await openStream(api, soon.text)
    api.store.setClockOffset(-86_400_000)
    expect(await stream.text()).toContain('"reason":"the token has expired"')
    expect((await statusOf('GET', '/lab/v1/health', as(soon.text))).status).toBe(401)
    expect(tokens.list().map(({ name }) => name)).not.toContain('soon')
    api.store.setClockOffset(0)
  })

  test('rotated: a stream of the lab’s own token ends too', async () => {
    const token = openApiToken({})
    const lab = await runApi({ ports: { token } })
    const stream = await openStream(lab, token.current())
    token.rotate()
    expect(await stream.text()).toContain('event: ended')
    await lab.close()
  })
})

describe('limits', () => {
  test('requests of one token beyond its rate are 429, and others are not concerned', async () => {
    const lab = await runApi({ ports: { tokens }, address: { requestsPerMinute: 3 } })
    const mine = async (role: Role) => (await statusOf('GET', '/lab/v1/account', as(textOf[role]), lab.url)).status
    expect([await mine('viewer'), await mine('viewer'), await mine('viewer'), await mine('viewer')]).toEqual([
      200, 200, 200, 429,
    ])
    expect(await mine('operator')).toBe(200)
    for (let at = 0; at < 5; at++) expect((await lab.ask('GET', '/lab/v1/account')).status).toBe(200)
    const { access } = (await lab.ask('GET', '/lab/v1/health')).body.result
    expect(access.refused).toMatchObject({ rate: 1, role: 0 })
    const metrics = await statusOf('GET', '/metrics', as(TOKEN), lab.url)
    expect(metrics.text).toContain('egresslab_api_refused_total{reason="rate"} 1\n')
    await lab.close()
  })

  test('a person whose id at the provider is that of the lab’s own token is limited as everybody is', async () => {
    const person = {
      session: 's',
      id: 'api-token',
      name: 'eve',
      role: 'viewer',
      expiresAt: Date.now() + 60_000,
    } as const
    const provider = {
      ...{ provider: 'id.test', isLive: () => true, leave: () => undefined, onChanged: () => undefined },
      ...{ count: () => 1, close: () => undefined, begin: Promise.reject, finish: Promise.reject },
      find: (cookie: string) => (cookie === 'eves' ? person : undefined),
    }
    const lab = await runApi({ ports: { provider }, address: { requestsPerMinute: 1 } })
    const cookie = `egresslab_session_${new URL(lab.url).port}=eves`
    const mine = async () => (await statusOf('GET', '/lab/v1/account', { cookie }, lab.url)).status
    expect([await mine(), await mine()]).toEqual([200, 429])
    await lab.close()
  })

  test('event streams of one token are counted, refused beyond the limit, and free again when closed', async () => {
    const lab = await runApi({ ports: { tokens }, address: { streamsPerToken: 2 } })
    const open = () => fetch(`${lab.url}/lab/v1/traffic`, { headers: as(textOf.viewer) })
    const [first] = [await open(), await open()]
    const third = await open()
    expect([third.status, await third.text()]).toEqual([
      429,
      expect.stringContaining('the token `viewer` has 2 event streams open, and 2 are allowed'),
    ])
    const metrics = await statusOf('GET', '/metrics', as(TOKEN), lab.url)
    expect(metrics.text).toContain('egresslab_api_streams{token="viewer"} 2\n')
    await first.body?.cancel()
    await vi.waitUntil(async () => (await lab.ask('GET', '/lab/v1/health')).body.result.access.streams === 1, PATIENT)
    const again = await open()
    expect(again.status).toBe(200)
    await lab.close()
  })

  test('many wrong tokens in the sign-in form are throttled, the right one too; clients with a token are not', async () => {
    const lab = await runApi({ ports: { tokens } })
    const tries = []
    for (let at = 0; at < 11; at++)
      tries.push((await lab.ask('POST', '/lab/v1/login', { token: `wrong-${at}` })).status)
    expect(tries).toEqual([...Array(10).fill(401), 429])
    const right = await lab.ask('POST', '/lab/v1/login', { token: TOKEN })
    expect([right.status, right.headers.get('retry-after')]).toEqual([429, expect.stringMatching(/^\d+$/)])
    expect((await lab.ask('GET', '/lab/v1/health')).body.result.access.refused).toMatchObject({
      sign_in: 2,
      credentials: 10,
    })
    await lab.close()
  })
})

describe('what a browser could be led to', () => {
  test('CSRF: a cookie alone, from another site’s page, changes nothing and opens no stream', async () => {
    const { headers } = await api.ask('POST', '/lab/v1/login', { token: textOf.admin })
    const cookie = headers.get('set-cookie')?.split(';')[0] ?? ''
    const elsewhere = { cookie, origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' }
    expect((await statusOf('POST', '/lab/v1/tokens', elsewhere)).status).toBe(403)
    expect((await statusOf('GET', '/lab/v1/events', elsewhere)).status).toBe(403)
    const form = { cookie, 'content-type': 'application/x-www-form-urlencoded' }
    expect((await statusOf('POST', '/lab/v1/tokens', form)).status).toBe(415)
  })

  test('session fixation: signing in never takes over a cookie that was there', async () => {
    const name = `egresslab_session_${new URL(api.url).port}`
    const { headers } = await api.ask('POST', '/lab/v1/login', { token: textOf.viewer }, { cookie: `${name}=planted` })
    expect(headers.get('set-cookie')).toContain(`${name}=${consoleSessionOf(textOf.viewer)};`)
    expect((await statusOf('GET', '/lab/v1/health', { cookie: `${name}=planted` })).status).toBe(401)
  })

  test('clickjacking: no answer may be framed', async () => {
    for (const path of ['/me', '/lab/v1/health', '/lab/v1/nothing']) {
      const { headers } = await fetch(api.url + path, { headers: as(TOKEN) })
      expect(headers.get('content-security-policy')).toContain("frame-ancestors 'none'")
      expect(headers.get('x-frame-options')).toBe('DENY')
    }
  })
})

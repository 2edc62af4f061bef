// Signing in to the console by a real OpenID provider: who gets in with which role, for how long, and every way around it that people try.
// In a browser behind a front: test/lab/team.test.ts.

import { once } from 'node:events'
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { PROVIDER_RETURN_PATH } from '../../src/api/provider-pages.ts'
import { parsePublicUrl } from '../../src/config/formats.ts'
import type { OidcSettings } from '../../src/config/read-api.ts'
import { createProviderSignIn } from '../../src/identity/provider-sign-in.ts'
import { cidr } from '../../src/net/cidr.ts'
import { signInAt, startProvider, type TestProvider } from '../support/openid-provider.ts'
import { PATIENT } from '../support/patience.ts'
import { type RunningApi, runApi } from './running-api.ts'

const URL_ = 'https://tools.corp.example/egresslab'
const publicUrl = parsePublicUrl(URL_) ?? { origin: '', host: '', base: '' }
const REDIRECT = URL_ + PROVIDER_RETURN_PATH
const COOKIE = '__Host-egresslab_session_443_egresslab'

let provider: TestProvider
beforeAll(async () => {
  provider = await startProvider({ redirectUri: REDIRECT })
  provider.groups
    .set('dana', ['staff', 'egress-admins'])
    .set('otto', ['egress-operators'])
    .set('vera', ['staff'])
    .set('nora', ['other'])
})
afterAll(() => provider.stop())

interface Lab {
  readonly api: RunningApi
  readonly notices: string[]
}

async function lab(settings: Partial<OidcSettings> = {}): Promise<Lab> {
  const notices: string[] = []
  const signIn = createProviderSignIn({
    settings: {
      issuer: provider.issuer,
      clientId: 'egresslab',
      scopes: ['openid', 'email', 'profile', 'groups'],
      groupsClaim: 'groups',
      roles: { viewer: ['staff'], operator: ['egress-operators'], admin: ['egress-admins'] },
      sessionMs: 3_600_000,
      recheckMs: 300_000,
      ...settings,
    },
    redirectUri: REDIRECT,
    onNotice: (message) => notices.push(message),
  })
  onTestFinished(() => signIn.close())
  const api = await runApi({
    ports: { provider: signIn, page: (path) => (['/', '/rules'].includes(path) ? PAGE : undefined) },
    address: { publicUrl, trustedProxies: [cidr('127.0.0.1')] },
  })
  onTestFinished(() => api.close())
  return { api, notices }
}

const PAGE = { contentType: 'text/html', body: 'the console' }

interface Answer {
  readonly status: number
  readonly head: string
  readonly body: string
  readonly cookies: Readonly<Record<string, string>>
}

/** A request as the front passes it on. */
async function ask(
  { api }: Lab,
  path: string,
  lines: readonly string[] = [],
  method = 'GET',
  body = '',
): Promise<Answer> {
  const socket = connect(Number(new URL(api.url).port), '127.0.0.1')
  await once(socket, 'connect')
  const front = [
    'Host: tools.corp.example',
    'X-Forwarded-For: 192.0.2.7',
    'X-Forwarded-Proto: https',
    'Connection: close',
  ]
  const length = body === '' ? [] : ['Content-Type: application/json', `Content-Length: ${body.length}`]
  socket.write([`${method} ${path} HTTP/1.1`, ...front, ...lines, ...length, '', body].join('\r\n'))
  const chunks: Buffer[] = []
  for await (const chunk of socket) chunks.push(chunk as Buffer)
  const text = Buffer.concat(chunks).toString()
  const [head = '', ...rest] = text.split('\r\n\r\n')
  const cookies = Object.fromEntries(
    [...head.matchAll(/^set-cookie: ([^=]+)=([^;\r]*)/gim)].map(([, name = '', value = '']) => [name, value]),
  )
  return { status: Number(head.split(' ')[1]), head, body: rest.join('\r\n\r\n'), cookies }
}

const RETURN = ['Sec-Fetch-Site: cross-site', 'Sec-Fetch-Mode: navigate', 'Sec-Fetch-Dest: document']
const unescaped = (text: string) => text.replace(/&#(\d+);/g, (_, code) => String.fromCharCode(Number(code)))
const goesTo = ({ body }: Answer) => unescaped(/content="0;url=([^"]+)"/.exec(body)?.[1] ?? '')
const cookieLine = (cookies: Readonly<Record<string, string>>) =>
  `Cookie: ${Object.entries(cookies)
    .map(([name, value]) => `${name}=${value}`)
    .join('; ')}`
const says = ({ body }: Answer) => unescaped(/role="alert">([^<]*)/.exec(body)?.[1] ?? '')

async function setOut(one: Lab, to = '/') {
  const answer = await ask(one, `/lab/v1/sign-in?to=${encodeURIComponent(to)}`)
  return { answer, away: goesTo(answer), held: answer.cookies }
}

async function signIn(one: Lab, account: string, to = '/'): Promise<Answer> {
  const { away, held } = await setOut(one, to)
  const back = await signInAt(away, account)
  expect(back.origin + back.pathname).toBe(REDIRECT)
  return ask(one, PROVIDER_RETURN_PATH + back.search, [...RETURN, cookieLine(held)])
}

async function whoIs(one: Lab, cookies: Readonly<Record<string, string>>): Promise<unknown> {
  const { status, body } = await ask(one, '/lab/v1/token', [cookieLine(cookies)])
  return status === 200 ? JSON.parse(body).result : status
}

describe('whoever signs in', () => {
  test.each([
    ['dana', 'admin'],
    ['otto', 'operator'],
    ['vera', 'viewer'],
  ])('%s is %s by a group, in the page, the API and the audit', async (account, role) => {
    const one = await lab()
    const done = await signIn(one, account, '/rules?filter=a')
    expect([done.status, goesTo(done)]).toEqual([200, `${URL_}/rules?filter=a`])
    expect(done.head).toMatch(
      new RegExp(`set-cookie: ${COOKIE}=[\\w-]{43}; HttpOnly; SameSite=Strict; Path=/; Secure\r\n`),
    )
    expect(await whoIs(one, done.cookies)).toMatchObject({ kind: 'person', name: `${account}@corp.example`, role })
    const change = await ask(
      one,
      '/lab/v1/colos/LHR',
      [cookieLine(done.cookies), 'Origin: https://tools.corp.example'],
      'PUT',
      '{"up":false}',
    )
    expect(change.status).toBe(role === 'viewer' ? 403 : 200)
    if (role === 'viewer')
      expect(change.body).toContain('vera@corp.example has the role viewer, and this needs operator')
    else {
      const { body } = await one.api.ask('GET', '/lab/v1/audit?limit=1')
      expect(body.result[0]).toMatchObject({
        who: { kind: 'person', id: account, name: `${account}@corp.example`, role },
        from: '192.0.2.7',
      })
    }
  })

  test('nobody without a group that has a role; `*` is everybody, whose names move no cursor (log injection)', async () => {
    const refused = await signIn(await lab(), 'nora')
    expect([refused.status, says(refused)]).toEqual([
      403,
      `${new URL(provider.issuer).host} knows you as nora@corp.example, and none of your groups has a role in this lab`,
    ])
    expect(refused.cookies[COOKIE]).toBeUndefined()
    const open = await lab({ roles: { viewer: ['*'], operator: [], admin: [] } })
    const { cookies } = await signIn(open, 'nora\u001b[2J\u202e\u0085')
    expect(await whoIs(open, cookies)).toMatchObject({ name: 'nora\uFFFD[2J\uFFFD\uFFFD@corp.example', role: 'viewer' })
  })

  test('is signed out for good by signing out, and by the end of the session', async () => {
    const one = await lab()
    const { cookies } = await signIn(one, 'vera')
    const out = await ask(
      one,
      '/lab/v1/logout',
      [cookieLine(cookies), 'Origin: https://tools.corp.example'],
      'POST',
      '{}',
    )
    expect([out.status, await whoIs(one, cookies)]).toEqual([200, 401])
    const short = await lab({ sessionMs: 1000 })
    const again = await signIn(short, 'vera')
    await vi.waitFor(async () => expect(await whoIs(short, again.cookies)).toBe(401), PATIENT)
  })

  test('may be many at a time, and is one person in the counts', async () => {
    const one = await lab()
    await signIn(one, 'vera')
    await signIn(one, 'vera')
    const { body } = await one.api.ask('GET', '/lab/v1/health')
    expect(body.result.access.people).toBe(1)
  })
})

describe('attacks', () => {
  test.each([
    'https://evil.example/',
    '//evil.example/',
    '/\\evil.example/',
    '\\\\evil.example',
    '/%09/evil.example',
    'javascript:alert(1)',
    '/rules/../../evil',
    '/lab/v1/logout',
    '/lab/v1/sign-in',
    '',
  ])('open redirect: on to `%s` is on to the first page', async (to) => {
    const done = await signIn(await lab(), 'vera', to)
    expect(goesTo(done)).toBe(`${URL_}/`)
  })

  test('CSRF: a sign-in that another browser began is not ended by this one', async () => {
    const one = await lab()
    const { away } = await setOut(one)
    const back = await signInAt(away, 'dana')
    const mine = await setOut(one)
    for (const lines of [
      RETURN,
      [...RETURN, cookieLine(mine.held)],
      [...RETURN, 'Cookie: __Host-egresslab_away_443_egresslab=made-up'],
    ]) {
      const answer = await ask(one, PROVIDER_RETURN_PATH + back.search, lines)
      expect([answer.status, answer.cookies[COOKIE]]).toEqual([400, undefined])
      expect(says(answer)).toContain('was begun in another browser or tab')
    }
  })

  test('a code is good once, and a made-up one never', async () => {
    const one = await lab()
    const { away, held } = await setOut(one)
    const back = await signInAt(away, 'dana')
    const lines = [...RETURN, cookieLine(held)]
    expect((await ask(one, PROVIDER_RETURN_PATH + back.search, lines)).status).toBe(200)
    const twice = await ask(one, PROVIDER_RETURN_PATH + back.search, lines)
    expect([twice.status, says(twice)]).toEqual([403, expect.stringContaining('refused the sign-in (invalid_grant)')])
    back.searchParams.set('code', 'made-up')
    expect((await ask(one, PROVIDER_RETURN_PATH + back.search, lines)).status).toBe(403)
  })

  test('another issuer’s answer is refused (RFC 9207)', async () => {
    const one = await lab()
    const { away, held } = await setOut(one)
    const back = await signInAt(away, 'dana')
    back.searchParams.set('iss', 'https://evil.example')
    expect((await ask(one, PROVIDER_RETURN_PATH + back.search, [...RETURN, cookieLine(held)])).status).not.toBe(200)
  })

  test('session fixation: the session is a new one, and the one before is over', async () => {
    const one = await lab()
    const first = await signIn(one, 'vera')
    const { away, held } = await setOut(one)
    const back = await signInAt(away, 'otto')
    const second = await ask(one, PROVIDER_RETURN_PATH + back.search, [
      ...RETURN,
      cookieLine({ ...first.cookies, ...held }),
    ])
    expect(second.cookies[COOKIE]).not.toBe(first.cookies[COOKIE])
    expect(await whoIs(one, first.cookies)).toBe(401)
    expect(await whoIs(one, second.cookies)).toMatchObject({ role: 'operator' })
  })

  test('role escalation: nothing in the addresses raises anybody', async () => {
    const one = await lab()
    const { away, held } = await setOut(one, '/?role=admin')
    const back = await signInAt(away, 'vera')
    const done = await ask(one, `${PROVIDER_RETURN_PATH}${back.search}&role=admin&groups=egress-admins`, [
      ...RETURN,
      cookieLine(held),
    ])
    expect(await whoIs(one, done.cookies)).toMatchObject({ role: 'viewer' })
  })

  test('other sites neither frame, fetch nor post either path, and what a provider says is no HTML', async () => {
    const one = await lab()
    for (const path of ['/lab/v1/sign-in', PROVIDER_RETURN_PATH]) {
      expect(
        (await ask(one, path, ['Sec-Fetch-Site: cross-site', 'Sec-Fetch-Mode: no-cors', 'Sec-Fetch-Dest: image']))
          .status,
      ).toBe(403)
      expect(
        (await ask(one, path, ['Sec-Fetch-Site: cross-site', 'Sec-Fetch-Mode: navigate', 'Sec-Fetch-Dest: iframe']))
          .status,
      ).toBe(403)
      expect((await ask(one, path, ['Content-Length: 0'], 'POST')).status).toBe(405)
    }
    const { away, held } = await setOut(one)
    const state = new URL(away).searchParams.get('state')
    const error = `error=access_denied&error_description=${encodeURIComponent('<img src=x>')}&state=${state}`
    const answer = await ask(one, `${PROVIDER_RETURN_PATH}?${error}`, [...RETURN, cookieLine(held)])
    expect([answer.status, answer.body.includes('<img')]).toEqual([403, false])
    expect(answer.head).toMatch(/content-security-policy: default-src 'none'/i)
  })

  test('nothing secret is in the addresses the browser shows, in notices or in the audit', async () => {
    const one = await lab()
    const { away, held } = await setOut(one)
    const [secret = ''] = Object.values(held)
    const { cookies } = await signIn(one, 'dana')
    const { body } = await one.api.ask('GET', '/lab/v1/audit')
    const all = JSON.stringify([away, one.notices, one.api.notices, body])
    expect(all).not.toContain(secret)
    expect(all).not.toContain(cookies[COOKIE])
    expect(Object.keys(Object.fromEntries(new URL(away).searchParams)).sort()).toEqual([
      'client_id',
      'code_challenge',
      'code_challenge_method',
      'nonce',
      'redirect_uri',
      'response_type',
      'scope',
      'state',
    ])
  })
})

describe('what the provider says later', () => {
  test.each([
    ['by the access token', ['openid', 'email', 'groups']],
    ['by a refresh token', ['openid', 'email', 'groups', 'offline_access']],
  ])(
    'stale role: a group that was taken away or given counts after `recheck`, and open streams end (%s)',
    async (_, scopes) => {
      const account = `eve-${scopes.length}`
      provider.groups.set(account, ['egress-admins'])
      const one = await lab({ recheckMs: 1000, scopes })
      const { cookies } = await signIn(one, account)
      expect(await whoIs(one, cookies)).toMatchObject({ role: 'admin' })
      const stream = ask(one, '/lab/v1/events', [cookieLine(cookies)])
      provider.groups.set(account, ['staff'])
      await vi.waitFor(async () => expect(await whoIs(one, cookies)).toMatchObject({ role: 'viewer' }), PATIENT)
      expect((await stream).body).toContain('the sign-in has ended, or its role has changed')
      provider.groups.set(account, [])
      await vi.waitFor(async () => expect(await whoIs(one, cookies)).toBe(401), PATIENT)
      expect(one.notices).toEqual([
        `${account}@corp.example is viewer now, and was admin`,
        `${account}@corp.example is signed out: none of their groups has a role any more`,
      ])
    },
  )

  test('somebody the provider no longer knows is signed out; others stay', async () => {
    const one = await lab({ recheckMs: 1000 })
    const stays = await signIn(one, 'otto')
    const { cookies } = await signIn(one, 'vera')
    provider.gone.add('vera')
    onTestFinished(() => void provider.gone.clear())
    await vi.waitFor(async () => expect(await whoIs(one, cookies)).toBe(401), PATIENT)
    expect(await whoIs(one, stays.cookies)).toMatchObject({ role: 'operator' })
    expect(one.notices).toEqual(['vera@corp.example is signed out: the provider no longer vouches for them'])
  })
})

describe('a provider in trouble', () => {
  test('down: the page says so, tokens work, and once it is up so does sign-in', async () => {
    const one = await lab()
    await provider.stop()
    const { answer } = await setOut(one)
    expect([answer.status, says(answer)]).toEqual([
      502,
      expect.stringMatching(/cannot be used for signing in: .*ECONNREFUSED/),
    ])
    expect((await one.api.ask('GET', '/lab/v1/health')).status).toBe(200)
    await provider.resume()
    expect((await signIn(one, 'vera')).status).toBe(200)
  })

  test('down while somebody is in: they stay for a while, and then not', async () => {
    const one = await lab({ recheckMs: 1000 })
    const { cookies } = await signIn(one, 'vera')
    await provider.stop()
    expect(await whoIs(one, cookies)).toMatchObject({ role: 'viewer' })
    await vi.waitFor(async () => expect(await whoIs(one, cookies)).toBe(401), PATIENT)
    expect(one.notices.at(-1)).toContain('does not answer')
    await provider.resume()
  })

  test('with other keys: sign-in goes on', async () => {
    const one = await lab()
    expect((await signIn(one, 'vera')).status).toBe(200)
    provider.restart()
    const again = await signIn(one, 'vera')
    expect([again.status, says(again)]).toEqual([200, ''])
  })

  test('with a clock that is two hours behind: refused with the reason', async () => {
    const one = await lab()
    provider.restart({ clockOffS: -7200 })
    const answer = await signIn(one, 'vera')
    expect([answer.status, says(answer)]).toEqual([502, expect.stringContaining('compare the clocks')])
    provider.restart()
  })
})

test('sign-in is at the public address alone', async () => {
  const one = await lab()
  const answer = await fetch(`${one.api.url}/lab/v1/sign-in`)
  expect([answer.status, await answer.text()]).toEqual([
    400,
    expect.stringContaining(`sign-in works at ${URL_}/ alone`),
  ])
})

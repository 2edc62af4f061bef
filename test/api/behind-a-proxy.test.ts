// What the lab believes of a proxy in front of it (api.public_url, api.trusted_proxies), and of nobody else: request by request, over
// raw sockets. Real fronts are in test/lab/fronts.test.ts.

import { once } from 'node:events'
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parsePublicUrl } from '../../src/config/formats.ts'
import { cidr } from '../../src/net/cidr.ts'
import { type RunningApi, runApi, TOKEN } from './running-api.ts'

const ORIGIN = 'https://tools.corp.example'
const PUBLIC = parsePublicUrl(`${ORIGIN}/egresslab/`)
if (PUBLIC === undefined) throw new Error('that is an address')
const FRONT = ['Host: tools.corp.example', 'X-Forwarded-For: 192.0.2.7', 'X-Forwarded-Proto: https']
const AUTH = `Authorization: Bearer ${TOKEN}`
const JSON_BODY = 'Content-Type: application/json'

let api: RunningApi
beforeAll(async () => {
  api = await runApi({ address: { publicUrl: PUBLIC, trustedProxies: [cidr('127.0.0.1'), cidr('10.0.0.0/8')] } })
})
afterAll(() => api.close())

interface RawAnswer {
  readonly status: number
  readonly head: string
  readonly body: string
}

async function raw(
  method: string,
  path: string,
  lines: readonly string[],
  { body = '', at = api } = {},
): Promise<RawAnswer> {
  const socket = connect(Number(new URL(at.url).port), '127.0.0.1')
  await once(socket, 'connect')
  const length = body === '' ? [] : [`Content-Length: ${Buffer.byteLength(body)}`]
  socket.end([`${method} ${path} HTTP/1.1`, ...lines, ...length, 'Connection: close', '', body].join('\r\n'))
  const chunks: Buffer[] = []
  for await (const chunk of socket) chunks.push(chunk as Buffer)
  const text = Buffer.concat(chunks).toString()
  const [head = '', ...rest] = text.split('\r\n\r\n')
  return { status: Number(head.split(' ')[1]), head, body: rest.join('\r\n\r\n') }
}

const messageOf = ({ body }: RawAnswer): string => JSON.parse(body).errors[0]?.message ?? ''
const direct = () => `Host: ${new URL(api.url).host}`
const signIn = (lines: readonly string[]) =>
  raw('POST', '/egresslab/lab/v1/login', [...lines, JSON_BODY], { body: JSON.stringify({ token: TOKEN }) })
const cookieOf = ({ head }: RawAnswer) => /^set-cookie: ([^\r]*)/im.exec(head)?.[1] ?? ''

/** The client of the last change, as the audit has it. */
async function clientOf(lines: readonly string[]): Promise<unknown> {
  const { status } = await raw('PUT', '/lab/v1/colos/LHR', [...lines, AUTH, JSON_BODY], { body: '{"up":false}' })
  const { body } = await api.ask('GET', '/lab/v1/audit?limit=1')
  return status === 200 ? body.result[0].from : status
}

describe('a public address', () => {
  test('is served below its path and without it, as proxies leave it or take it away', async () => {
    for (const path of ['/egresslab/lab/v1/health', '/lab/v1/health']) {
      expect((await raw('GET', path, [...FRONT, AUTH])).status).toBe(200)
    }
    expect((await raw('GET', '/egresslabs/lab/v1/health', [...FRONT, AUTH])).status).toBe(404)
    expect((await raw('GET', '/egresslab/egresslab/lab/v1/health', [...FRONT, AUTH])).status).toBe(404)
  })

  test('is the site whose requests are its own, and the address behind it is another', async () => {
    expect((await signIn([...FRONT, `Origin: ${ORIGIN}`])).status).toBe(200)
    for (const origin of ['http://tools.corp.example', `${ORIGIN}:8443`, 'https://evil.example', api.url, 'null']) {
      expect((await signIn([...FRONT, `Origin: ${origin}`])).status).toBe(403)
    }
    expect((await signIn([direct(), `Origin: ${ORIGIN}`])).status).toBe(403)
    expect((await signIn([direct(), `Origin: ${api.url}`])).status).toBe(200)
  })

  test('gets a cookie that only it can have set, and that only TLS carries', async () => {
    expect(cookieOf(await signIn(FRONT))).toMatch(
      /^__Host-egresslab_session_443_egresslab=[\w-]+; HttpOnly; SameSite=Strict; Path=\/; Secure$/,
    )
    expect(cookieOf(await signIn([direct()]))).toMatch(
      /^egresslab_session_\d+_egresslab=[\w-]+; HttpOnly; SameSite=Strict; Path=\/$/,
    )
  })

  test('session fixation: a cookie that a neighbouring name could have set is not looked at', async () => {
    const [own = ''] = cookieOf(await signIn(FRONT)).split(';')
    const value = own.slice(own.indexOf('=') + 1)
    const health = (cookie: string) => raw('GET', '/lab/v1/health', [...FRONT, `Cookie: ${cookie}`])
    expect((await health(own)).status).toBe(200)
    for (const name of ['egresslab_session_443_egresslab', 'egresslab_session_443', 'egresslab_session_80']) {
      expect((await health(`${name}=${value}`)).status).toBe(401)
    }
  })

  test('is what links for others begin with', async () => {
    const { body } = await api.cloudflare('POST', '/gateway/pacfiles', {
      name: 'a',
      slug: 'a-file',
      contents: 'function FindProxyForURL(url, host) { return "DIRECT" }',
    })
    expect(body.result.url).toBe(`${ORIGIN}/egresslab/pac/a-file`)
  })
})

describe('the client behind a trusted proxy', () => {
  test.each([
    ['X-Forwarded-For', ['X-Forwarded-For: 192.0.2.7'], '192.0.2.7'],
    ['with a port', ['X-Forwarded-For: 192.0.2.7:4711'], '192.0.2.7'],
    ['IPv6 with a port', ['X-Forwarded-For: [2001:db8::7]:4711'], '2001:db8::7'],
    ['mapped', ['X-Forwarded-For: ::ffff:192.0.2.7'], '192.0.2.7'],
    ['the last that is no proxy of ours', ['X-Forwarded-For: 198.51.100.9, 192.0.2.7, 10.1.2.3'], '192.0.2.7'],
    [
      'in two fields, as HAProxy adds its own',
      ['X-Forwarded-For: 198.51.100.9', 'X-Forwarded-For: 192.0.2.7'],
      '192.0.2.7',
    ],
    ['not told', ['X-Forwarded-For: unknown'], '127.0.0.1'],
    ['hidden by the farther one', ['X-Forwarded-For: unknown, 10.1.2.3'], '10.1.2.3'],
    ['Forwarded', ['Forwarded: for=192.0.2.7;proto=https;host=tools.corp.example'], '192.0.2.7'],
    ['Forwarded, quoted', ['Forwarded: FOR="[2001:db8::7]:4711";host="tools.corp.example"'], '2001:db8::7'],
    ['Forwarded, several', ['Forwarded: for=198.51.100.9, for=192.0.2.7;by="10.0.0.1:80"'], '192.0.2.7'],
    ['Forwarded, obfuscated', ['Forwarded: for=_secret'], '127.0.0.1'],
    ['both, agreeing', ['Forwarded: for=192.0.2.7', 'X-Forwarded-For: 192.0.2.7'], '192.0.2.7'],
  ])('%s', async (_, lines, address) => {
    expect(await clientOf(['Host: tools.corp.example', ...lines])).toBe(address)
  })

  test.each([
    ['two Forwarded fields', ['Forwarded: for=192.0.2.7', 'Forwarded: for=192.0.2.8'], '`forwarded` twice'],
    ['two that contradict each other', ['Forwarded: for=192.0.2.8', 'X-Forwarded-For: 192.0.2.7'], 'different clients'],
    ['two schemes', ['X-Forwarded-Proto: https', 'X-Forwarded-Proto: http'], 'several values'],
    ['two hosts', ['X-Forwarded-Host: tools.corp.example, evil.example'], 'several values'],
    ['one that is no Forwarded', ['Forwarded: for 192.0.2.7'], 'not well-formed'],
    ['one that was asked by http', ['X-Forwarded-Proto: http'], 'asked by http'],
    ['one at another port', ['X-Forwarded-Host: tools.corp.example:8443'], 'asked for tools.corp.example:8443'],
    ['one below another path', ['X-Forwarded-Prefix: /lab2'], 'below /lab2'],
  ])('%s: refused with a name, and others are served', async (_, lines, why) => {
    const answer = await raw('GET', '/lab/v1/health', ['Host: tools.corp.example', ...lines, AUTH])
    expect([answer.status, JSON.parse(answer.body).errors[0].code]).toEqual([400, 20110])
    expect(messageOf(answer)).toContain(why)
    expect((await raw('GET', '/lab/v1/health', [...FRONT, AUTH])).status).toBe(200)
  })

  test('is told by nobody who is not trusted', async () => {
    const strict = await runApi({ address: { publicUrl: PUBLIC, trustedProxies: [cidr('10.0.0.0/8')] } })
    const lines = [...FRONT, 'Forwarded: for=1', 'Forwarded: for=2', AUTH, JSON_BODY]
    const { status } = await raw('PUT', '/lab/v1/colos/LHR', lines, { body: '{"up":false}', at: strict })
    const { body } = await strict.ask('GET', '/lab/v1/audit?limit=1')
    expect([status, body.result[0].from]).toEqual([200, '127.0.0.1'])
    await strict.close()
  })

  test('AP-02 a name that leads here by itself cannot say that it is another', async () => {
    const lines = ['Host: evil.example', 'X-Forwarded-Host: tools.corp.example', 'X-Forwarded-For: 192.0.2.7', AUTH]
    expect((await raw('GET', '/lab/v1/health', lines)).status).toBe(421)
    expect((await raw('GET', '/lab/v1/health', [direct(), 'X-Forwarded-Host: evil.example', AUTH])).status).toBe(421)
  })

  test('what needs no token on this machine needs one through a proxy, whichever field gives it away', async () => {
    expect((await raw('GET', '/lab/v1/health/ready', [direct()])).status).toBe(200)
    for (const line of [
      'X-Forwarded-For: 127.0.0.1',
      'Forwarded: for=127.0.0.1',
      'Via: 1.1 front',
      'X-Real-IP: 127.0.0.1',
    ]) {
      expect((await raw('GET', '/lab/v1/health/ready', [direct(), line])).status).toBe(401)
    }
    expect((await raw('GET', '/lab/v1/health/ready', ['Host: tools.corp.example'])).status).toBe(401)
  })

  test('wrong sign-ins are counted for the client, and for a whole IPv6 network of one', async () => {
    const wrong = async (client: string) => {
      const lines = ['Host: tools.corp.example', `X-Forwarded-For: ${client}`, JSON_BODY]
      return (await raw('POST', '/lab/v1/login', lines, { body: '{"token":"wrong"}' })).status
    }
    for (let turn = 0; turn < 10; turn++) expect(await wrong(`2001:db8:1:2::${turn}`)).toBe(401)
    expect(await wrong('2001:db8:1:2:ffff::1')).toBe(429)
    expect(await wrong('2001:db8:1:3::1')).toBe(401)
    expect(await wrong('192.0.2.99')).toBe(401)
  })
})

describe('a wrong address says what to set', () => {
  const NAVIGATION = [
    'Accept: text/html,*/*',
    'Sec-Fetch-Mode: navigate',
    'Sec-Fetch-Dest: document',
    'Sec-Fetch-Site: none',
  ]

  test('people get a page, programs JSON, and nothing in the name becomes HTML', async () => {
    const page = await raw('GET', '/', ['Host: <b>x</b>', ...NAVIGATION])
    expect(page.status).toBe(421)
    expect(page.head).toMatch(/content-type: text\/html/i)
    expect(page.body).toContain('api.public_url')
    expect(page.body).not.toContain('<b>')
    const json = await raw('GET', '/', ['Host: other.corp.example', AUTH])
    expect(messageOf(json)).toContain(`which is at ${ORIGIN}/egresslab/`)
  })

  test('a page from a proxy that was asked by http', async () => {
    const page = await raw('GET', '/egresslab/', ['Host: tools.corp.example', 'X-Forwarded-Proto: http', ...NAVIGATION])
    expect([page.status, page.body.includes('asked by http')]).toEqual([400, true])
  })

  test('a sign-in through a proxy that hides the name it was asked for', async () => {
    const lines = [direct(), `Origin: ${ORIGIN}`, 'Sec-Fetch-Site: same-origin']
    expect(messageOf(await signIn(lines))).toContain(`your browser is at ${ORIGIN}, but this lab believes it is at`)
  })
})

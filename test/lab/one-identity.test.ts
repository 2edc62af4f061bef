// One person, however their mail address is spelled and wherever it comes from, is one identity: the same rules match, the same egress IP is
// used, and the record has one spelling. And choices behind a user name are read, or refused, whatever protocol carries them.

import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { run } from '../cli/run.ts'
import { curl } from '../support/curl.ts'
import { type PrivateLab, startPrivateLab } from '../support/private-lab.ts'
import { RawClient } from '../support/raw-client.ts'
import { clientFile, testTls } from '../support/tls.ts'
import { makeKey, providerText, type TokenKey } from '../support/token-issuer.ts'

const ECHO = 'http://ipv4.icanhazip.com/'
const ERIN = 'erin@example.com'
const SHOUTED = 'ERIN@EXAMPLE.COM'
const LONDON = '203.0.113.20'
const ANGELES = '203.0.113.40'

let running: PrivateLab
let key: TokenKey
let configFile: string
let certificate: string[]
let proxies: string[]

beforeAll(async () => {
  const folder = mkdtempSync(join(tmpdir(), 'one-identity-'))
  const { authority } = await testTls()
  const authorityFile = join(folder, 'clients.pem')
  writeFileSync(authorityFile, authority.certificate)
  key = await makeKey('k1', 'EdDSA')
  const keys = join(folder, 'keys.json')
  writeFileSync(keys, JSON.stringify({ keys: [key.jwk] }))
  const pem = await clientFile(authority, SHOUTED)
  certificate = ['--proxy-insecure', '--proxy-cert', pem]
  configFile = join(folder, 'lab.yaml')
  writeFileSync(
    configFile,
    `
dedicated_ips:
  - { colo: AMS, ipv4: 203.0.113.10, ipv6: "2001:db8:10::/64" }
  - { colo: LHR, ipv4: ${LONDON}, ipv6: "2001:db8:20::/64" }
  - { colo: LAX, ipv4: ${ANGELES}, ipv6: "2001:db8:40::/64" }
virtual_networks: [{ name: default }, { name: amer, id: 2e0c7b5a-7d8f-4f43-9a86-0b8f0a2f5c02 }]
rules:
  - { name: amer, traffic: 'net.vnet_id == "2e0c7b5a-7d8f-4f43-9a86-0b8f0a2f5c02"', egress: { ipv4: ${ANGELES}, ipv4_fallback: 203.0.113.10 } }
  - { name: erin, identity: 'identity.email == "${ERIN}"', egress: { ipv4: ${LONDON}, ipv4_fallback: 203.0.113.10 } }
  - { name: rest, traffic: 'net.protocol == "tcp"', egress: { ipv4: 203.0.113.10, ipv4_fallback: ${LONDON} } }
users: [{ email: Erin@Example.Com, password: lab-erin }]
devices: [{ name: erins, user: ERIN@example.com, source_ip: 81.2.69.142 }]
sources: [{ network: 127.0.9.7/32, user: eRIN@EXAMPLE.com }]
listeners:
  - { name: main, port: 8080 }
  - { name: erin, port: 8081, user: ${SHOUTED} }
  - { name: secure, port: 8443, client_ca: ${authorityFile} }
  - { name: open, port: 8082, authentication: optional }
${providerText(`jwks_file: ${keys}, algorithms: [EdDSA]`)}`,
  )
  running = await startPrivateLab({ configFile })
  proxies = running.lab.listeners.map(({ port }) => `127.0.0.1:${port}`)
  return () => running.close()
})

const at = (door: number, scheme = 'http') => ['-x', `${scheme}://${proxies[door]}`]
const egressOf = async (...args: string[]) => (await curl(...args, ECHO)).body.trim()

describe('one person is one identity, whatever the letter case of their mail address', () => {
  const ways: [string, () => Promise<string>][] = [
    ['a password over HTTP', () => egressOf(...at(0), '-U', `${SHOUTED}:lab-erin`)],
    ['a password over CONNECT', () => egressOf('-p', ...at(0), '-U', `${SHOUTED}:lab-erin`)],
    ['a password over SOCKS5', () => egressOf(...at(0, 'socks5h'), '-U', `${SHOUTED}:lab-erin`)],
    ['the claim of a token', async () => egressOf(...at(0), '-U', `:${await key.sign({ email: SHOUTED })}`)],
    [
      'a token under a user name spelled otherwise',
      async () => egressOf(...at(0), '-U', `Erin@example.com:${await key.sign({ email: SHOUTED })}`),
    ],
    ['a client certificate', () => egressOf(...at(2, 'https'), ...certificate)],
    ['a source network', () => egressOf('--interface', '127.0.9.7', ...at(0))],
    ['a listener', () => egressOf(...at(1))],
  ]

  test.each(ways)('%s', async (_what, egress) => {
    expect(await egress()).toBe(LONDON)
    await expect.poll(() => running.lab.sessions.recent().at(-1)).toMatchObject({ Email: ERIN, DeviceName: 'erins' })
  })

  test('somebody the configuration does not know has one spelling and one IPv6 address, too', async () => {
    const tokens = [await key.sign({ email: 'Guest@Example.com' }), await key.sign({ email: 'guest@example.COM' })]
    const seen: string[] = []
    for (const token of tokens) {
      seen.push((await curl(...at(0), '-U', `;family=6:${token}`, 'http://ipv6.icanhazip.com/')).body.trim())
      await expect.poll(() => running.lab.sessions.recent().at(-1)).toMatchObject({ Email: 'guest@example.com' })
    }
    expect(seen[0]).toMatch(/^2001:db8:/)
    expect(seen[1]).toBe(seen[0])
  })

  test('the API: the choice of a network, the filter of sessions, explain, who is configured', async () => {
    const { api } = running.lab
    const token = running.lab.apiToken.made ?? ''
    const ask = async (method: string, path: string, body?: unknown) => {
      const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
      const url = `http://127.0.0.1:${api.port}${path}`
      const answer = await fetch(url, {
        method,
        headers,
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
      return (await answer.json()) as { result: never }
    }
    expect(await ask('GET', '/lab/v1/users')).toMatchObject({ result: [{ email: ERIN }] })
    await ask('PUT', `/lab/v1/users/${SHOUTED}/virtual-network`, { virtual_network: 'amer' })
    expect(await egressOf(...at(0), '-U', `:${await key.sign({ email: 'eRin@example.com' })}`)).toBe(ANGELES)
    await ask('DELETE', `/lab/v1/users/${SHOUTED}/virtual-network`)
    expect(await egressOf(...at(0), '-U', `${ERIN}:lab-erin`)).toBe(LONDON)
    const explained = await ask('POST', '/lab/v1/explain', { destination: ECHO, user: SHOUTED })
    expect(explained).toMatchObject({ result: { decision: { egress: { ipv4: LONDON } } } })
  })

  test('the command line: explain, policy tests, replay', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'one-identity-cli-'))
    const explained = await run([
      'explain',
      '--json',
      '-c',
      configFile,
      '--state',
      '/nonexistent/state',
      '--user',
      SHOUTED,
      ECHO,
    ])
    expect(JSON.parse(explained.stdout)).toMatchObject({ decision: { egress: { ipv4: LONDON } } })

    const tests = join(folder, 'one.test.yaml')
    writeFileSync(
      tests,
      `config: ${configFile}\ncases: [{ flow: { user: ${SHOUTED}, destination: "${ECHO}" }, expect: { rule: erin } }]\n`,
    )
    expect((await run(['test', tests])).code).toBe(0)

    await running.lab.pipeline.sessions.empty()
    const recorded = running.lab.sessions.recent().find(({ Email, EgressIP }) => Email === ERIN && EgressIP === LONDON)
    const sessions = join(folder, 'sessions.ndjson')
    writeFileSync(sessions, `${JSON.stringify({ ...recorded, Email: SHOUTED })}\n`)
    const replayed = await run(['replay', '--json', '-c', configFile, sessions])
    expect(JSON.parse(replayed.stdout)).toMatchObject({ sessions: 1, decided: 1, changed: 0 })
  })
})

describe('choices behind a user name count in every protocol that carries one, and what is no choice is refused in each', () => {
  const fixed = 1
  test.each([
    ['HTTP', 'http', []],
    ['CONNECT', 'http', ['-p']],
    ['SOCKS5', 'socks5h', []],
    ['SOCKS4a', 'socks4a', []],
    ['SOCKS4', 'socks4', []],
  ])('%s', async (_what, scheme, more) => {
    const ask = async (user: string) => {
      const resolve = scheme === 'socks4' ? ['--resolve', 'ipv4.icanhazip.com:80:198.51.100.4'] : []
      return (await curl(...at(fixed, scheme), ...resolve, ...more, '-U', user, ECHO)).body.trim()
    }
    expect(await ask(';vnet=amer:')).toBe(ANGELES)
    expect(await ask('whoever;vnet=amer:')).toBe(ANGELES)
    expect(await ask(':')).toBe(LONDON)
    for (const wrong of [';nonsense=1:', ';vnet=mars:', ';vnet=amer;vnet=amer:', ';family=5:', ';vnet:']) {
      expect(await ask(wrong)).not.toMatch(/^\d/)
      const [record] = running.lab.sessions.recent().slice(-1)
      expect(record?.Lab.error).toMatchObject({ code: 'request.malformed' })
      expect(record?.EgressIP).toBe('')
    }
  })

  test('the record of a SOCKS4 client says what was wrong with its choice', async () => {
    await curl(...at(fixed, 'socks4a'), '-U', ';nonsense=1:', ECHO)
    await expect
      .poll(() => running.lab.sessions.recent().at(-1)?.Lab.error?.message)
      .toContain('no user-name parameter `nonsense`')
  })

  test('a SOCKS4 user id proves nobody: it is refused where it names somebody, and counts for nothing where it is a word', async () => {
    const open = 3
    expect(await egressOf(...at(open, 'socks4a'), '-U', 'root:')).toBe('203.0.113.10')
    expect(await egressOf(...at(open, 'socks4a'), '-U', `${ERIN}:`)).toBe('')
    await expect
      .poll(() => running.lab.sessions.recent().at(-1)?.Lab.error)
      .toMatchObject({ code: 'identity.required' })
    expect(await egressOf('--interface', '127.0.9.7', ...at(open, 'socks4a'), '-U', `${SHOUTED}:`)).toBe(LONDON)
  })
})

describe('a user name that a client did not decode', () => {
  /** a client that sends these credentials as they are */
  const basic = (pair: string) => `Proxy-Authorization: Basic ${Buffer.from(pair).toString('base64')}`
  const sent = (pair: string) => curl('-x', `http://${proxies[0]}`, '--proxy-header', basic(pair), '-p', ECHO)

  test.each([
    ['with its choices', 'erin%40example.com;vnet=amer:lab-erin', ANGELES],
    ['alone', 'erin%40example.com:lab-erin', LONDON],
    ['wholly encoded, the password too', 'erin%40Example.com%3Bvnet%3Damer:lab%2Derin', ANGELES],
  ])('is decoded once, %s', async (_what, pair, egress) => {
    expect((await sent(pair)).body.trim()).toBe(egress)
  })

  test('SOCKS5 as well', async () => {
    const client = await RawClient.connect(Number(proxies[0]?.split(':')[1]))
    const text = (value: string) => `${String.fromCharCode(value.length)}${value}`
    await client.send('\x05\x01\x02').text('\x05\x02')
    await client.send(`\x01${text('erin%40example.com')}${text('lab-erin')}`).text('\x01\0')
    client.socket.destroy()
  })

  test('twice it is not, and a password beside a decoded name is taken as it is', async () => {
    expect((await sent('erin%2540example.com:lab-erin')).exit).not.toBe(0)
    expect((await sent(`${ERIN}:lab%2Derin`)).exit).not.toBe(0)
  })

  test('a user name that ends in the middle of an IPv6 address says how to write the colons', async () => {
    const { status, body } = await curl(
      '-x',
      `http://${proxies[0]}`,
      '-U',
      `${ERIN};src=2001%3Adb8%3A%3A7:lab-erin`,
      ECHO,
    )
    expect([status, body]).toEqual([407, expect.stringContaining('%253A')])
    expect(await egressOf('-x', `http://${proxies[0]}`, '-U', `${ERIN};src=2001%253Adb8%253A%253A7:lab-erin`)).toBe(
      LONDON,
    )
    await expect.poll(() => running.lab.sessions.recent().at(-1)).toMatchObject({ SourceIP: '2001:db8::7' })
    expect(await egressOf(...at(0, 'socks5h'), '-U', `${ERIN};src=2001%253Adb8%253A%253A7:lab-erin`)).toBe(LONDON)
    expect(await egressOf(...at(0, 'socks5h'), '-U', `${ERIN};src=2001%3Adb8%3A%3A7:lab-erin`)).toBe(LONDON)
    await expect.poll(() => running.lab.sessions.recent().at(-1)).toMatchObject({ SourceIP: '2001:db8::7' })
  })
})

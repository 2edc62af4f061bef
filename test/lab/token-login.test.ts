// Tokens through the whole lab with real curl: Basic, Bearer, CONNECT and SOCKS5; rules on their groups; nothing of them in the log.

import { expect, onTestFinished, test } from 'vitest'
import { curl } from '../support/curl.ts'
import { startPrivateLab } from '../support/private-lab.ts'
import { file } from '../support/tls.ts'
import { makeKey, providerText, publishKeys } from '../support/token-issuer.ts'

const ECHO = 'http://ipv4.icanhazip.com/'
const CONFIGURATION = `
dedicated_ips:
  - { colo: AMS, ipv4: 203.0.113.10, ipv6: "2001:db8:10::/64" }
  - { colo: LHR, ipv4: 203.0.113.20, ipv6: "2001:db8:20::/64" }
virtual_networks: [{ name: default }, { name: vnet-EMEA, id: 2e0c7b5a-7d8f-4f43-9a86-0b8f0a2f5c02 }]
rules:
  - { name: finance, identity: 'any(identity.groups.name[*] == "Finance")', egress: { ipv4: 203.0.113.20 } }
  - { name: emea, traffic: 'net.vnet_id == "2e0c7b5a-7d8f-4f43-9a86-0b8f0a2f5c02"', egress: { ipv4: 203.0.113.20 } }
  - { name: rest, traffic: 'net.protocol == "tcp"', egress: { ipv4: 203.0.113.10 } }
users: [{ email: alice@example.com, password: lab-alice }]
`

test('a token is a login in every protocol that can carry it, and in no log', async () => {
  const key = await makeKey('k1', 'EdDSA')
  const server = await publishKeys(key)
  const provider = providerText(`jwks_url: "${server.url}", algorithms: [EdDSA]`)
  const { lab, proxy, said, close } = await startPrivateLab({
    configFile: file('lab.yaml', CONFIGURATION + provider),
  })
  onTestFinished(close)
  const person = { email: 'e@example.com', sub: undefined, iat: undefined }
  const finance = await key.sign({ ...person, groups: ['Finance'] })
  const other = await key.sign(person)
  const ask = async (...args: string[]) => (await curl(...args)).body.trim()

  expect(await ask('-x', proxy, '-U', `e@example.com:${finance}`, ECHO)).toBe('203.0.113.20')
  expect(await ask('-x', proxy, '-U', `e@example.com:${other}`, ECHO)).toBe('203.0.113.10')
  expect(await ask('-x', proxy, '-U', `e@example.com;vnet=vnet-EMEA:${other}`, ECHO)).toBe('203.0.113.20')
  expect(await ask('-x', proxy, '--proxy-header', `Proxy-Authorization: Bearer ${finance}`, ECHO)).toBe('203.0.113.20')
  expect(await ask('-p', '-x', proxy, '-U', `e@example.com:${finance}`, ECHO)).toBe('203.0.113.20')
  expect(other.length).toBeLessThan(256)
  expect(await ask('-x', proxy.replace('http', 'socks5h'), '-U', `e@example.com:${other}`, ECHO)).toBe('203.0.113.10')
  expect(server.asked).toBe(1)

  const wrong = await curl('-x', proxy, '-U', 'alice@example.com:wrong', ECHO)
  const forged = await curl('-x', proxy, '-U', `e@example.com:${finance.slice(0, -4)}AAAA`, ECHO)
  const expired = await curl('-x', proxy, '-U', `e@example.com:${await key.sign({ ...person, exp: 1 })}`, ECHO)
  for (const refused of [forged, expired]) {
    expect([refused.status, refused.body, refused.headers.get('proxy-status')]).toEqual([
      407,
      wrong.body,
      wrong.headers.get('proxy-status'),
    ])
  }
  const huge = `eyJ${'a'.repeat(30_000)}.a.b`
  expect((await curl('-x', proxy, '-U', `e@example.com:${huge}`, ECHO)).status).toBe(407)
  expect((await curl('-x', proxy, '-U', 'alice@example.com:lab-alice', ECHO)).status).toBe(200)

  const reasons = lab.sessions.recent().flatMap(({ Lab }) => (Lab.error === undefined ? [] : [Lab.error.message]))
  expect(reasons).toEqual([
    'the user name or the password is wrong',
    'the token was refused: its signature does not verify',
    'the token was refused: it expired at 1970-01-01T00:00:01.000Z',
    'the token was refused: it is longer than 16384 characters',
  ])
  const log = JSON.stringify(lab.sessions.recent()) + said()
  for (const token of [finance, other]) {
    for (const part of token.split('.').slice(1)) expect(log).not.toContain(part.slice(0, 20))
  }
})

test('the lab’s clock lets a token expire, also one that was verified before', async () => {
  const key = await makeKey('k1')
  const server = await publishKeys(key)
  const text = CONFIGURATION + providerText(`jwks_url: "${server.url}"`)
  const { lab, proxy, close } = await startPrivateLab({ configFile: file('lab.yaml', text) })
  onTestFinished(close)
  const token = await key.sign({ email: 'e@example.com' })
  const status = async () => (await curl('-x', proxy, '-U', `e@example.com:${token}`, ECHO)).status
  expect(await status()).toBe(200)
  lab.store.setClockOffset(2 * 3_600_000)
  expect(await status()).toBe(407)
  lab.store.setClockOffset(0)
  expect(await status()).toBe(200)
})

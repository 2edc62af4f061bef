// Tokens as a login: real signatures, real keys over HTTP. A client hears one answer to all that is wrong; the log hears which.

import { createHmac, createSign } from 'node:crypto'
import { UnsecuredJWT } from 'jose'
import { describe, expect, test } from 'vitest'
import { checkConfigText } from '../../src/config/load.ts'
import { GatewayError } from '../../src/errors/gateway-error.ts'
import { createIdentifier } from '../../src/identity/identify.ts'
import { createKeySet } from '../../src/identity/key-set.ts'
import type { ClientContext } from '../../src/proxy/stage-values.ts'
import { AUDIENCE, ISSUER, makeKey, providerText, publishKeys } from '../support/token-issuer.ts'
import { clientAs, clientInfo, IMPATIENT, SNAPSHOT } from './world.ts'

const PEOPLE = `
dedicated_ips: [{ colo: AMS, ipv4: 203.0.113.10 }]
groups: [{ name: Finance, id: 7a4d3c0e-5b1f-4a54-8d67-2f9b6c1e0d11, email: finance@example.com }, { name: Sales }]
users: [{ email: alice@example.com, name: Alice of the file, password: lab-alice, groups: [Finance], place: LHR, oidc_claims: { site: LHR } }]
devices: [{ name: alice-laptop, user: alice@example.com, source_ip: 81.2.69.142 }]
`
const WRONG = 'the user name or the password is wrong'
const NOW = Date.parse('2026-11-01T12:00:00Z')

function door(providers: string, now = () => NOW) {
  const { config, issues } = checkConfigText('lab.yaml', PEOPLE + providers)
  if (config === undefined) throw new Error(issues.map(({ message }) => message).join())
  return createIdentifier({
    people: config,
    placeOf: () => undefined,
    chosenVirtualNetwork: () => undefined,
    patience: IMPATIENT,
    now,
  })
}

type Door = ReturnType<typeof door>

const login = async (at: Door, username: string, token: string): Promise<ClientContext> =>
  await at.identify(clientAs(username, token), SNAPSHOT)

async function refusal(at: Door, username: string, token: string): Promise<GatewayError> {
  try {
    await login(at, username, token)
  } catch (thrown) {
    if (thrown instanceof GatewayError) return thrown
    throw thrown
  }
  throw new Error('let in')
}

describe('whose token it is', () => {
  test('claims make the person: id, name, groups by name or as objects, attributes', async () => {
    const key = await makeKey('k1')
    const { url } = await publishKeys(key)
    const at = door(providerText(`jwks_url: "${url}", claims: { saml_attributes: custom.attributes }`))
    const token = await key.sign(
      {
        email: 'erin@example.com',
        sub: 'erin-id',
        name: 'Erin',
        groups: ['finance', { id: 'g2', name: 'Ops', email: 'ops@example.com' }, 'Unheard'],
        custom: { attributes: { department: ['IT', 'Ops'], level: 3 } },
      },
      NOW,
    )
    const { identity } = await login(at, 'erin@example.com', token)
    expect(identity).toMatchObject({ id: 'erin-id', email: 'erin@example.com', name: 'Erin' })
    expect(identity?.groups.map(({ name }) => name)).toEqual(['Finance', 'Ops', 'Unheard'])
    expect(identity?.groups[0]).toMatchObject({
      id: '7a4d3c0e-5b1f-4a54-8d67-2f9b6c1e0d11',
      email: 'finance@example.com',
    })
    expect(identity?.groups[1]).toEqual({ id: 'g2', name: 'Ops', email: 'ops@example.com' })
    expect([...(identity?.samlAttributes ?? [])]).toEqual([
      ['department', ['IT', 'Ops']],
      ['level', ['3']],
    ])
  })

  test('a configured user keeps place and device; name and groups are the file’s where the token has none', async () => {
    const key = await makeKey('k1')
    const { url } = await publishKeys(key)
    const at = door(providerText(`jwks_url: "${url}"`))
    const context = await login(at, 'Alice@Example.com;family=4', await key.sign({}, NOW))
    expect(context.identity).toMatchObject({ id: 'user-1', name: 'Alice of the file' })
    expect(context.identity?.groups.map(({ name }) => name)).toEqual(['Finance'])
    expect([context.device?.name, context.userPlace?.city, context.family]).toEqual(['alice-laptop', 'London', 4])
    const without = await login(at, 'alice@example.com', await key.sign({ groups: [] }, NOW))
    expect(without.identity?.groups).toEqual([])
  })

  test('OIDC claims are those of the object that Access sends, else the token’s own without those of the protocol', async () => {
    const key = await makeKey('k1')
    const at = door(providerText(`jwks_url: "${(await publishKeys(key)).url}"`))
    const claimsOf = async (claims: Record<string, unknown>) => {
      const { identity } = await login(at, 'alice@example.com', await key.sign(claims, NOW))
      return Object.fromEntries(identity?.oidcClaims ?? [])
    }
    // what the token does not have comes from the file
    expect(
      await claimsOf({ oidc_fields: { department: 'engineering', roles: ['dev', 'ops'], deep: { a: 1 } } }),
    ).toEqual({
      department: ['engineering'],
      roles: ['dev', 'ops'],
      site: ['LHR'],
    })
    const own = await claimsOf({ department: 'sales', level: 3, staff: true, nonce: 'n', address: { city: 'x' } })
    expect(own).toMatchObject({ department: ['sales'], level: ['3'], staff: ['true'], email: ['alice@example.com'] })
    for (const name of ['iss', 'aud', 'exp', 'iat', 'nonce', 'address']) expect(own).not.toHaveProperty(name)
  })

  test('a Bearer token says who it is without a user name', async () => {
    const key = await makeKey('k1')
    const at = door(providerText(`jwks_url: "${(await publishKeys(key)).url}"`))
    const credentials = { username: '', password: await key.sign({}, NOW), scheme: 'bearer' } as const
    expect((await at.identify(clientInfo({ credentials }), SNAPSHOT)).identity?.email).toBe('alice@example.com')
  })

  test('passwords go on working beside tokens', async () => {
    const key = await makeKey('k1')
    const server = await publishKeys(key)
    const at = door(providerText(`jwks_url: "${server.url}"`))
    expect((await login(at, 'alice@example.com', 'lab-alice')).identity?.name).toBe('Alice of the file')
    expect(server.asked).toBe(0)
  })

  test('of two providers with one issuer, the one whose audience the token names counts', async () => {
    const [one, two] = [await makeKey('one'), await makeKey('two')]
    const [first, second] = [await publishKeys(one), await publishKeys(two)]
    const at = door(`identity_providers:
  - { name: first, issuer: "${ISSUER}", audience: first, jwks_url: "${first.url}" }
  - { name: second, issuer: "${ISSUER}", audience: [second, third], jwks_url: "${second.url}" }
`)
    const context = await login(at, 'alice@example.com', await two.sign({ aud: ['third'] }, NOW))
    expect([context.identity?.email, first.asked, second.asked]).toEqual(['alice@example.com', 0, 1])
  })
})

describe('what is refused, with one answer to the client and the reason in the log', () => {
  const seconds = NOW / 1000
  test.each([
    ['expired', { exp: seconds - 61 }, /expired at 2026-11-01T11:58:59/],
    ['not yet valid', { nbf: seconds + 61 }, /not valid before 2026-11-01T12:01:01/],
    ['without an end', { exp: undefined }, /no claim `exp`/],
    ['for another audience', { aud: 'another' }, /audience, `another`, is not/],
    ['without an audience', { aud: undefined }, /no claim `aud`/],
    [
      'of another issuer',
      { iss: 'https://evil.test' },
      /issuer, `https:\/\/evil\.test`, is not a configured identity provider/,
    ],
    ['of an issuer spelt a little differently', { iss: `${ISSUER}/` }, /is not a configured identity provider/],
    ['without a mail address', { email: undefined }, /no email in `email`/],
    ['with a mail address that is none', { email: 'a;vnet=x@y' }, /no email/],
    ['of somebody else', { email: 'bob@example.com' }, /token of `bob@example\.com` and not of `alice@example\.com`/],
  ])('a token %s', async (_what, claims: Readonly<Record<string, unknown>>, reason) => {
    const key = await makeKey('k1')
    const at = door(providerText(`jwks_url: "${(await publishKeys(key)).url}"`))
    const { code, message, logged } = await refusal(at, 'alice@example.com', await key.sign(claims, NOW))
    expect([code, message]).toEqual(['identity.rejected', WRONG])
    expect(logged).toMatch(reason)
  })

  test('a token within the clock skew is taken', async () => {
    const key = await makeKey('k1')
    const at = door(providerText(`jwks_url: "${(await publishKeys(key)).url}"`))
    const token = await key.sign({ exp: seconds - 59, nbf: seconds + 59 }, NOW)
    expect((await login(at, 'alice@example.com', token)).identity?.id).toBe('user-1')
  })

  test('forged: another key under the same name, a changed claim, no signature', async () => {
    const [key, forger] = [await makeKey('k1'), await makeKey('k1')]
    const at = door(providerText(`jwks_url: "${(await publishKeys(key)).url}"`))
    const [head = '', , signature = ''] = (await key.sign({}, NOW)).split('.')
    const [, others = ''] = (await key.sign({ email: 'root@example.com' }, NOW)).split('.')
    for (const [user, token] of [
      ['alice@example.com', await forger.sign({}, NOW)],
      ['root@example.com', `${head}.${others}.${signature}`],
      ['alice@example.com', (await key.sign({}, NOW)).replace(/[^.]+$/, '')],
    ] as const) {
      expect((await refusal(at, user, token)).logged).toMatch(/signature does not verify|not a signed JWT/)
    }
  })

  test('an algorithm that is not allowed: none, a shared secret made of the public key, one that was not configured', async () => {
    const key = await makeKey('k1', 'RS256')
    const at = door(providerText(`jwks_url: "${(await publishKeys(key)).url}"`))
    const claims = { iss: ISSUER, aud: AUDIENCE, email: 'alice@example.com', exp: seconds + 3600 }
    const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
    const sham = (alg: string) => `${part({ alg, kid: 'k1' })}.${part(claims)}`
    const confused = sham('HS256')
    const secret = createHmac('sha256', JSON.stringify(key.jwk)).update(confused).digest('base64url')
    for (const [token, alg] of [
      [new UnsecuredJWT(claims).encode(), 'none'],
      [`${confused}.${secret}`, 'HS256'],
      [`${sham('RS512')}.${Buffer.alloc(256, 1).toString('base64url')}`, 'RS512'],
    ] as const) {
      expect((await refusal(at, 'alice@example.com', token)).logged).toContain(`algorithm, \`${alg}\`, is not allowed`)
    }
  })

  test('nonsense that looks like a token, and 60 KB of it', async () => {
    const key = await makeKey('k1')
    const server = await publishKeys(key)
    const at = door(providerText(`jwks_url: "${server.url}"`))
    expect((await refusal(at, 'alice@example.com', 'eyJ.a.b')).logged).toContain('not a signed JWT')
    expect((await refusal(at, 'alice@example.com', `eyJ${'a'.repeat(60_000)}.a.b`)).logged).toContain(
      'longer than 16384',
    )
    expect((await refusal(at, 'alice@example.com', `eyJhbGciOiJSUzI1NiJ9.${'a'.repeat(234)}`)).logged).toContain(
      'a SOCKS5 password holds 255 bytes',
    )
    expect(server.asked).toBe(0)
  })

  test('a weak key of the provider signs nobody in', async () => {
    const { publicKey, privateKey } = await weakKey()
    const key = await makeKey('k1')
    const weak = { ...key, jwk: { ...publicKey.export({ format: 'jwk' }), kid: 'weak', alg: 'RS256' } }
    const at = door(providerText(`jwks_url: "${(await publishKeys(weak)).url}"`))
    const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
    const text = `${part({ alg: 'RS256', kid: 'weak' })}.${part({ iss: ISSUER, aud: AUDIENCE, email: 'alice@example.com', exp: seconds + 60 })}`
    const token = `${text}.${createSign('sha256').update(text).sign(privateKey, 'base64url')}`
    expect((await refusal(at, 'alice@example.com', token)).logged).toContain('the key cannot be used')
  })

  test('a Bearer token where no provider is configured', async () => {
    const at = door('')
    const credentials = { username: '', password: 'eyJ.a.b', scheme: 'bearer' } as const
    const refused = async () => at.identify(clientInfo({ credentials }), SNAPSHOT)
    await expect(refused).rejects.toMatchObject({ code: 'identity.rejected', message: WRONG })
  })
})

async function weakKey() {
  const { generateKeyPairSync } = await import('node:crypto')
  return generateKeyPairSync('rsa', { modulusLength: 1024 })
}

describe('time and keys', () => {
  test('a verified token answers at once until it expires by the lab’s clock, and needs no key until then', async () => {
    let now = NOW
    const key = await makeKey('k1')
    const server = await publishKeys(key)
    const at = door(providerText(`jwks_url: "${server.url}"`), () => now)
    const token = await key.sign({}, NOW)
    await login(at, 'alice@example.com', token)
    server.answer = 500
    expect(at.identify(clientAs('alice@example.com', token), SNAPSHOT)).not.toBeInstanceOf(Promise)
    now += 3600_000 + 61_000
    expect((await refusal(at, 'alice@example.com', token)).logged).toContain('it expired')
    now = NOW
    expect((await login(at, 'alice@example.com', token)).identity?.email).toBe('alice@example.com')
    expect(server.asked).toBe(1)
  })

  test('a verified token of Alice’s is still nobody else’s', async () => {
    const key = await makeKey('k1')
    const at = door(providerText(`jwks_url: "${(await publishKeys(key)).url}"`))
    const token = await key.sign({}, NOW)
    await login(at, 'alice@example.com', token)
    expect((await refusal(at, 'bob@example.com', token)).logged).toContain('not of `bob@example.com`')
  })

  test('a key nobody knows is asked for, once per cool-down however many tokens name it', async () => {
    const [old, fresh] = [await makeKey('old'), await makeKey('fresh')]
    const server = await publishKeys(old)
    let tick = 0
    const load = async () => JSON.parse(await (await fetch(server.url)).text())
    const keys = createKeySet('access', load, () => tick)
    const find = (kid: string) => keys({ alg: 'ES256', kid }, { payload: '', signature: '' })
    await find('old')
    server.answer = [old, fresh]
    await expect(find('fresh')).rejects.toThrow(/no applicable key/)
    expect(server.asked).toBe(1)
    tick += 15_000
    await Promise.all([find('fresh'), find('fresh'), find('fresh')])
    expect(server.asked).toBe(2)
    for (let times = 0; times < 50; times++) await expect(find(`forged-${times}`)).rejects.toThrow()
    expect(server.asked).toBe(2)
  })

  test('keys stay in use for a day when their source is gone, and no longer', async () => {
    const key = await makeKey('k1')
    let tick = 0
    let isThere = true
    const load = async () => {
      if (!isThere) throw new Error('connect ECONNREFUSED')
      return { keys: [key.jwk] } as Awaited<ReturnType<Parameters<typeof createKeySet>[1]>>
    }
    const keys = createKeySet('access', load, () => tick)
    const find = async () => keys({ alg: 'ES256', kid: 'k1' }, { payload: '', signature: '' })
    await find()
    isThere = false
    tick = 23 * 3600_000
    await find()
    tick = 25 * 3600_000
    await expect(find()).rejects.toMatchObject({
      code: 'identity.keys_unavailable',
      logged: expect.stringContaining('connect ECONNREFUSED'),
    })
    isThere = true
    tick += 15_000
    await find()
  })

  test('without its keys a provider signs nobody in, and says so in its own words', async () => {
    const key = await makeKey('k1')
    const server = await publishKeys(key)
    server.answer = 503
    const at = door(providerText(`jwks_url: "${server.url}"`))
    const error = await refusal(at, 'alice@example.com', await key.sign({}, NOW))
    expect([error.code, error.message]).toEqual([
      'identity.keys_unavailable',
      'the keys for verifying tokens are unavailable at the moment',
    ])
    expect(error.logged).toContain('answers 503')
  })

  test.each([
    ['not JSON', '<html>', 'JSON'],
    ['no JWK Set', '{"key":[]}', 'not a JWK Set'],
    ['longer than a mebibyte', 'x'.repeat(1024 * 1024 + 1), 'more than 1048576 bytes'],
  ])('keys that are %s sign nobody in, and the process lives on', async (_what, body, reason) => {
    const key = await makeKey('k1')
    const server = await publishKeys(key)
    server.answer = body
    const error = await refusal(
      door(providerText(`jwks_url: "${server.url}"`)),
      'alice@example.com',
      await key.sign({}, NOW),
    )
    expect([error.code, error.logged]).toEqual(['identity.keys_unavailable', expect.stringContaining(reason)])
  })
})

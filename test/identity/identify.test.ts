// Who somebody is, by credentials, listener and source, and what comes with it.

import { describe, expect, test } from 'vitest'
import { cidr } from '../../src/net/cidr.ts'
import { ip } from '../../src/net/ip.ts'
import type { Listener } from '../../src/proxy/arrival.ts'
import { clientAs, clientInfo, contextOf, identifier, MAIN, network, refusal } from './world.ts'

const WRONG = 'identity.rejected: the user name or the password is wrong'

describe('credentials', () => {
  test.each([
    ['the right password', 'alice@example.com', 'lab-alice'],
    ['another letter case of the email', 'ALICE@Example.com', 'lab-alice'],
    ['a password with colons', 'bob@example.com', 'a:b:c'],
    ['UTF-8 in user name and password', 'zoë@example.com', 'påss wörd 😀'],
    ['the same text in another Unicode form', 'zoë@example.com', 'påss wörd 😀'.normalize('NFD')],
    ['parameters behind the email', 'alice@example.com;family=4', 'lab-alice'],
    ['a semicolon and nothing behind it', 'alice@example.com;', 'lab-alice'],
  ])('AU-03: %s is let in', async (_what, username, password) => {
    const context = await contextOf(identifier(), clientAs(username, password))
    expect(context.identity?.email.toLowerCase()).toBe(username.split(';')[0]?.toLowerCase())
  })

  test.each([
    ['a wrong password', 'alice@example.com', 'lab-bob'],
    ['an empty password', 'alice@example.com', ''],
    ['another letter case of the password', 'alice@example.com', 'Lab-alice'],
    ['an unknown user', 'nobody@example.com', 'lab-alice'],
    ['an empty user name', '', 'lab-alice'],
    ['nothing but a colon', '', ''],
    ['a user without a password', 'ghost@example.com', ''],
    ['a NUL that would join name and password', 'alice@example.com\0lab', '-alice'],
    ['64 KB of user name', 'a'.repeat(65_536), 'x'],
  ])('AU-01, AU-03: %s gets the one answer for wrong credentials', async (_what, username, password) => {
    expect(await refusal(identifier(), clientAs(username, password))).toBe(WRONG)
  })

  test('AU-01: choices of strangers are not looked at', async () => {
    expect(await refusal(identifier(), clientAs('alice@example.com;vnet=nowhere', 'wrong'))).toBe(WRONG)
  })

  test('no credentials at all are asked for', async () => {
    expect(await refusal(identifier(), clientInfo())).toBe(
      'identity.required: this listener requires a user name and a password',
    )
  })

  test('AU-05: two users on one connection are two people', async () => {
    const door = identifier()
    const first = await contextOf(door, clientAs('alice@example.com'))
    const second = await contextOf(door, clientAs('bob@example.com', 'a:b:c'))
    const third = await contextOf(door, clientAs('alice@example.com'))
    expect([first, second, third].map(({ identity }) => identity?.name)).toEqual(['alice', 'bob', 'alice'])
  })
})

describe('listeners', () => {
  const door = (changes: Partial<Listener>): Listener => ({ ...MAIN, authentication: 'anonymous', ...changes })

  test('an anonymous one takes everybody as nobody, and ignores credentials', async () => {
    const context = await contextOf(identifier(), clientAs('alice@example.com', 'wrong', { listener: door({}) }))
    expect(context.identity).toBeUndefined()
    expect(context.virtualNetworkId).toBe(network('home'))
  })

  test('one with a user takes everybody as that user, on that user’s device', async () => {
    const listener = door({ fixedUser: 'alice@example.com' })
    const context = await contextOf(identifier(), clientInfo({ listener }))
    expect(context).toMatchObject({ identity: { email: 'alice@example.com' }, device: { name: 'alice-laptop' } })
  })

  test('one where credentials are optional lets strangers in as nobody and refuses wrong ones', async () => {
    const listener = door({ authentication: 'optional' })
    expect((await contextOf(identifier(), clientInfo({ listener }))).identity).toBeUndefined()
    expect((await contextOf(identifier(), clientAs(';vnet=vnet-AMER', '', { listener }))).virtualNetworkId).toBe(
      network('vnet-AMER'),
    )
    const known = await contextOf(identifier(), clientAs('alice@example.com', 'lab-alice', { listener }))
    expect(known.identity?.email).toBe('alice@example.com')
    expect(await refusal(identifier(), clientAs('alice@example.com', 'wrong', { listener }))).toBe(WRONG)
  })

  test('an endpoint of kind ip lets in its networks without identity and nobody else', async () => {
    const endpoint = { kind: 'ip' as const, name: 'branch', host: 'x.test', networks: [cidr('127.0.5.0/24')] }
    const listener = door({ endpoint })
    const inside = await contextOf(
      identifier(),
      clientAs('alice@example.com', 'lab-alice', { listener, peerIp: '127.0.5.9' }),
    )
    expect(inside.identity).toBeUndefined()
    expect(await refusal(identifier(), clientInfo({ listener, peerIp: '127.0.6.9' }))).toBe(
      'identity.source_not_allowed: the proxy endpoint `branch` does not admit 127.0.6.9',
    )
  })

  test('an endpoint of kind ip knows an IPv4 client on a dual-stack socket', async () => {
    const endpoint = { kind: 'ip' as const, name: 'branch', host: 'x.test', networks: [cidr('127.0.5.0/24')] }
    const context = await contextOf(
      identifier(),
      clientInfo({ listener: door({ endpoint }), peerIp: '::ffff:127.0.5.9' }),
    )
    expect(context.source.ip.text).toBe('127.0.5.9')
  })

  test('an endpoint of kind identity wants credentials even from a source that is somebody', async () => {
    const endpoint = { kind: 'identity' as const, name: 'people', host: 'x.test', networks: [] }
    const listener = door({ authentication: 'required', endpoint })
    expect(await refusal(identifier(), clientInfo({ listener, peerIp: '127.0.9.1' }))).toMatch(/^identity.required/)
    const context = await contextOf(identifier(), clientAs('alice@example.com', 'lab-alice', { listener }))
    expect(context.identity?.email).toBe('alice@example.com')
  })
})

describe('sources', () => {
  test('a network that is somebody needs no credentials; the narrowest network counts', async () => {
    const context = await contextOf(identifier(), clientInfo({ peerIp: '127.0.9.1' }))
    expect(context).toMatchObject({ identity: { email: 'bob@example.com' }, device: { name: 'kiosk' } })
    expect(await refusal(identifier(), clientInfo({ peerIp: '127.0.9.2' }))).toMatch(/^identity.required/)
  })

  test('credentials count for more than the source', async () => {
    const context = await contextOf(identifier(), clientAs('alice@example.com', 'lab-alice', { peerIp: '127.0.9.1' }))
    expect(context.identity?.email).toBe('alice@example.com')
  })
})

describe('virtual network: connection, listener, source, current choice, default', () => {
  const chosen = { chosenVirtualNetwork: () => network('vnet-AMER') }

  test('nothing chosen: the default', async () => {
    expect((await contextOf(identifier(), clientAs('alice@example.com'))).virtualNetworkId).toBe(network('home'))
  })

  test('chosen in the configuration', async () => {
    expect((await contextOf(identifier(), clientAs('bob@example.com', 'a:b:c'))).virtualNetworkId).toBe(
      network('vnet-EMEA'),
    )
  })

  test('the current choice beats the configuration, also when it is the default', async () => {
    const bob = clientAs('bob@example.com', 'a:b:c')
    expect((await contextOf(identifier(chosen), bob)).virtualNetworkId).toBe(network('vnet-AMER'))
    const back = identifier({ chosenVirtualNetwork: () => null })
    expect((await contextOf(back, bob)).virtualNetworkId).toBe(network('home'))
  })

  test('the source beats the current choice, the listener the source, the connection the listener', async () => {
    const source = { peerIp: '127.0.9.7' }
    const listener = { ...MAIN, virtualNetwork: network('vnet-EMEA') }
    const emea = { chosenVirtualNetwork: () => network('vnet-EMEA') }
    const at = async (username: string, changes: Parameters<typeof clientInfo>[0]) =>
      (await contextOf(identifier(emea), clientAs(username, 'lab-alice', changes))).virtualNetworkId
    expect(await at('alice@example.com', source)).toBe(network('vnet-AMER'))
    expect(await at('alice@example.com', { ...source, listener })).toBe(network('vnet-EMEA'))
    expect(await at('alice@example.com;vnet=HOME', { ...source, listener })).toBe(network('home'))
    expect(await at(`alice@example.com;vnet=${network('vnet-AMER').toUpperCase()}`, {})).toBe(network('vnet-AMER'))
  })

  test('a choice whose network is gone counts as none', async () => {
    const gone = identifier({ chosenVirtualNetwork: () => '00000000-0000-4000-8000-000000000000' })
    expect((await contextOf(gone, clientAs('alice@example.com'))).virtualNetworkId).toBe(network('home'))
  })
})

describe('device, source address and place', () => {
  const amsterdam = { city: 'Amsterdam', latitude: 52.37, longitude: 4.9 }
  const door = identifier({ placeOf: ({ text }) => (text === '198.51.100.7' ? amsterdam : undefined) })

  test('the user’s own device gives the public address; the port is the peer’s', async () => {
    const { source, device } = await contextOf(door, clientAs('alice@example.com'))
    expect(source).toEqual({ ip: ip('81.2.69.142'), port: 50_000 })
    expect(device?.name).toBe('alice-laptop')
  })

  test('a device named with the connection brings its addresses and its place', async () => {
    const context = await contextOf(door, clientAs('alice@example.com;device=Alice-Phone'))
    expect(context.source.ip.text).toBe('81.2.69.143')
    expect(context.internalSource?.text).toBe('10.0.0.7')
    expect(context.userPlace?.city).toBe('Amsterdam')
  })

  test('anybody may use a device that is nobody’s', async () => {
    const context = await contextOf(door, clientAs('bob@example.com;device=kiosk', 'a:b:c'))
    expect(context.device?.name).toBe('kiosk')
  })

  test('a source address given with the connection decides where the user is', async () => {
    const context = await contextOf(door, clientAs('alice@example.com;src=198.51.100.7'))
    expect(context.source.ip.text).toBe('198.51.100.7')
    expect(context.userPlace).toEqual(amsterdam)
  })

  test('where the database does not know that address, the configured place stays', async () => {
    const context = await contextOf(door, clientAs('alice@example.com;src=2001%3Adb8%3A%3A7'))
    expect(context.source.ip.text).toBe('2001:db8::7')
    expect(context.userPlace?.city).toBe('London')
  })

  test('without a device or a place, the peer’s address is all there is', async () => {
    const context = await contextOf(door, clientAs('zoë@example.com', 'påss wörd 😀'))
    expect(context.source.ip.text).toBe('127.0.0.1')
    expect(context.userPlace).toBeUndefined()
    expect(context.device).toBeUndefined()
  })

  test('the connection’s family beats the listener’s', async () => {
    const listener = { ...MAIN, family: 6 as const }
    const at = async (name: string) => (await contextOf(door, clientAs(name, 'lab-alice', { listener }))).family
    expect(await at('alice@example.com')).toBe(6)
    expect(await at('alice@example.com;family=4')).toBe(4)
  })
})

test.each([
  ['vnet=vnet-EMAE', 'there is no virtual network `vnet-EMAE`; did you mean `vnet-EMEA`?'],
  ['vnet=quux', 'there is no virtual network `quux`; there are: `home`, `vnet-AMER`, `vnet-EMEA`'],
  ['device=alice-laptpo', 'there is no device `alice-laptpo` for this user; did you mean `alice-laptop`?'],
  ['net=vnet-EMEA', 'there is no user-name parameter `net`; did you mean `vnet`?'],
  ['colour=red', 'there is no user-name parameter `colour`; there are: `vnet`, `src`, `device`, `family`'],
  ['vnet', 'the user-name parameter `vnet` has no value'],
  ['vnet=', 'the user-name parameter `vnet` has no value'],
  ['vnet=home;vnet=home', 'the user-name parameter `vnet` is given twice'],
  [';vnet=home', 'there is no user-name parameter ``; there are: `vnet`, `src`, `device`, `family`'],
  ['src=198.51.100', 'the user-name parameter `src`, `198.51.100`, is not an IP address'],
  ['src=localhost', 'the user-name parameter `src`, `localhost`, is not an IP address'],
  ['family=5', 'the user-name parameter `family`, `5`, is neither 4 nor 6'],
  ['vnet=100%', 'the user-name parameter `vnet` has a percent sign that is not an escape; write it as `%25`'],
  ['vnet=%0d%0aX', 'there is no virtual network `\ufffd\ufffdX`; there are: `home`, `vnet-AMER`, `vnet-EMEA`'],
  [`vnet=${'x'.repeat(2000)}`, 'the parameters of the user name are too long'],
])('a choice that cannot be is refused with the reason: ;%s', async (parameters, message) => {
  expect(await refusal(identifier(), clientAs(`alice@example.com;${parameters}`))).toBe(`request.malformed: ${message}`)
})

test('somebody else’s device is as unknown as one that does not exist', async () => {
  const bob = (device: string) => refusal(identifier(), clientAs(`bob@example.com;device=${device}`, 'a:b:c'))
  expect(await bob('alice-phone')).toBe(
    'request.malformed: there is no device `alice-phone` for this user; there are: `kiosk`',
  )
  expect(await bob('alice-tv')).toBe(
    'request.malformed: there is no device `alice-tv` for this user; there are: `kiosk`',
  )
})

test('a percent escape stands for a semicolon', async () => {
  expect(await refusal(identifier(), clientAs('alice@example.com;vnet=a%3Bb'))).toContain('`a;b`')
})

import { describe, expect, it } from 'vitest'
import { type GuardedDestination, type GuardFacts, refusalOf } from '../../src/dns/destination-guard.ts'
import { cidr } from '../../src/net/cidr.ts'
import type { Endpoint } from '../../src/net/endpoint.ts'
import { parseAuthority } from '../../src/net/host.ts'
import { ip } from '../../src/net/ip.ts'

function at(text: string): Endpoint {
  const target = parseAuthority(text)
  if (target?.kind !== 'ip') throw new RangeError(`${text} is not an endpoint`)
  return target
}

const HERE = ip('127.0.0.1')
const ELSEWHERE = ip('192.0.2.44')

function facts(changes: Partial<GuardFacts['settings']> & Partial<Omit<GuardFacts, 'settings'>> = {}): GuardFacts {
  const { profile = 'lab', allow = [], deny = [], ...rest } = changes
  return {
    settings: { profile, allow, deny },
    ownSockets: { services: [at('127.0.0.1:8080'), at('127.0.0.1:8090')], origins: [at('127.0.20.1:18080')] },
    isLocal: (address) => address.text === '192.0.2.2',
    ...rest,
  }
}

function verdict(text: string, client = HERE, around = facts()): string | undefined {
  const dial = at(text)
  return refusalOf({ destination: dial, dial, configured: false }, client, around)?.code
}

describe('the lab itself is out of reach (SS-04)', () => {
  const spellings = [
    '127.0.0.1',
    '127.1',
    '2130706433',
    '0x7f000001',
    '[::1]',
    '[::ffff:127.0.0.1]',
    '0',
    '0.0.0.0',
    '[::]',
  ]
  const standIns = ['127.0.10.10', '127.0.20.7', '127.255.0.9', '192.0.2.2']

  it.each([...spellings, ...standIns])('%s with a port of the proxy or the API', (host) => {
    expect(verdict(`${host}:8080`)).toBe('guard.own_listener')
    expect(verdict(`${host}:8090`)).toBe('guard.own_listener')
  })

  it('also where `allow` would open everything', () => {
    expect(verdict('127.0.0.1:8080', HERE, facts({ allow: [cidr('0.0.0.0/0')] }))).toBe('guard.own_listener')
  })

  it('also through a configured destination that really leads to it', () => {
    const through = (dial: string, ownListeners: readonly Endpoint[]): string | undefined =>
      refusalOf(
        { destination: at('198.51.100.7:80'), dial: at(dial), configured: true },
        HERE,
        facts({ ownSockets: { services: ownListeners, origins: [] } }),
      )?.code
    expect(through('127.0.0.1:8080', [at('127.0.0.1:8080')])).toBe('guard.own_listener')
    expect(through('127.0.20.7:8080', [{ ip: ip('0.0.0.0'), port: 8080 }])).toBe('guard.own_listener')
    expect(through('127.0.20.7:8080', [{ ip: ip('::'), port: 8080 }])).toBe('guard.own_listener')
    expect(through('127.0.20.7:8080', [at('127.0.0.1:8080')])).toBeUndefined()
  })

  it('a test origin is reached by its name or public address, not where it really listens', () => {
    const origin = at('127.0.20.1:18080')
    const named = { destination: at('198.51.100.20:80'), dial: origin, configured: true }
    expect(verdict('127.0.20.1:18080')).toBe('guard.own_listener')
    expect(refusalOf(named, HERE, facts())).toBeUndefined()
    expect(verdict('127.0.20.1:18080', HERE, facts({ allow: [cidr('127.0.20.0/24')] }))).toBeUndefined()
    expect(verdict('127.0.20.2:18080')).toBeUndefined()
    expect(verdict('127.0.0.1:18080')).toBeUndefined()
  })

  it('while any other port of this machine can be reached, and that port elsewhere', () => {
    expect(verdict('127.0.0.1:9001')).toBeUndefined()
    expect(verdict('127.0.20.7:10080')).toBeUndefined()
    expect(verdict('203.0.113.77:8080')).toBeUndefined()
  })
})

describe('profile lab', () => {
  it.each(['127.0.0.1:9001', '10.0.0.1:80', '192.168.1.1:80', '[::1]:80', '[fd00::1]:80'])(
    'lets clients on this machine reach %s, and nobody else',
    (target) => {
      expect(verdict(target, HERE)).toBeUndefined()
      expect(verdict(target, ip('::1'))).toBeUndefined()
      expect(verdict(target, ip('::ffff:127.0.0.1'))).toBeUndefined()
      expect(verdict(target, ELSEWHERE)).toBe('guard.forbidden_destination')
    },
  )

  it.each([
    '169.254.169.254:80',
    '169.254.1.1:80',
    '[fe80::1]:80',
    '224.0.0.1:80',
    '255.255.255.255:80',
    '0.0.0.0:80',
    '[::]:80',
  ])('lets nobody reach %s (SS-05)', (target) => {
    expect(verdict(target, HERE)).toBe('guard.forbidden_destination')
  })

  it('lets everybody reach public addresses', () => {
    expect(verdict('93.184.216.34:443', ELSEWHERE)).toBeUndefined()
  })
})

describe('profile strict', () => {
  it('lets nobody reach local addresses', () => {
    for (const target of ['127.0.0.1:9001', '10.0.0.1:80', '[::1]:80']) {
      expect(verdict(target, HERE, facts({ profile: 'strict' }))).toBe('guard.forbidden_destination')
    }
    expect(verdict('93.184.216.34:443', HERE, facts({ profile: 'strict' }))).toBeUndefined()
  })

  it('leaves configured destinations alone', () => {
    const mapped: GuardedDestination = {
      destination: at('198.51.100.7:443'),
      dial: at('127.0.20.7:10443'),
      configured: true,
    }
    expect(refusalOf(mapped, ELSEWHERE, facts({ profile: 'strict' }))).toBeUndefined()
  })
})

describe('the lists of the operator', () => {
  it('`allow` opens what would be refused', () => {
    const open = facts({ profile: 'strict', allow: [cidr('10.1.0.0/16'), cidr('169.254.169.254/32')] })
    expect(verdict('10.1.2.3:80', ELSEWHERE, open)).toBeUndefined()
    expect(verdict('169.254.169.254:80', ELSEWHERE, open)).toBeUndefined()
    expect(verdict('10.2.0.1:80', ELSEWHERE, open)).toBe('guard.forbidden_destination')
  })

  it('`deny` wins over everything else, by public address, stand-in and embedded address', () => {
    const closed = facts({ allow: [cidr('0.0.0.0/0')], deny: [cidr('198.51.100.0/24'), cidr('127.0.26.0/24')] })
    expect(verdict('198.51.100.7:80', HERE, closed)).toBe('guard.forbidden_destination')
    expect(verdict('[64:ff9b::198.51.100.7]:80', HERE, closed)).toBe('guard.forbidden_destination')
    const mapped = { destination: at('[2001:db8:f00::1]:80'), dial: at('127.0.26.1:10080'), configured: true }
    expect(refusalOf(mapped, HERE, closed)?.message).toBe(
      '`[2001:db8:f00::1]:80` (really `127.0.26.1:10080`) is in `guard.deny`',
    )
  })
})

it('says what the address is and what can be done', () => {
  const dial = at('169.254.169.254:80')
  const refusal = refusalOf({ destination: dial, dial, configured: false }, HERE, facts())
  expect(refusal?.message).toBe(
    "`169.254.169.254:80` is the address of a cloud's metadata service; `guard.allow` can permit it",
  )
})

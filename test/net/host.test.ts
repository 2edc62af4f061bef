import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatTarget } from '../../src/net/endpoint.ts'
import { parseAuthority, parseHost, parsePort, parseTarget } from '../../src/net/host.ts'

function show(text: string): string | undefined {
  const host = parseHost(text)
  if (host === undefined) return undefined
  return host.kind === 'ip' ? `ip ${host.ip.text}` : `name ${host.name}`
}

describe('a host has one normal form (TU-02)', () => {
  it.each([
    ['example.com', 'name example.com'],
    ['EXAMPLE.Com', 'name example.com'],
    ['example.com.', 'name example.com'],
    ['localhost', 'name localhost'],
    ['3com.com', 'name 3com.com'],
    ['0x7f.example', 'name 0x7f.example'],
    ['_dmarc.example.com', 'name _dmarc.example.com'],
    ['a_b.example.com', 'name a_b.example.com'],
    ['xn--bcher-kva.example', 'name xn--bcher-kva.example'],
    ['XN--BCHER-KVA.example', 'name xn--bcher-kva.example'],
    ['bücher.example', 'name xn--bcher-kva.example'],
    ['BÜCHER.example', 'name xn--bcher-kva.example'],
    ['ｅｘａｍｐｌｅ.com', 'name example.com'],
    ['example。com', 'name example.com'],
    [`${'a'.repeat(63)}.example`, `name ${'a'.repeat(63)}.example`],
  ])('%s → %s', (text, expected) => {
    expect(show(text)).toBe(expected)
  })

  it('normalising twice changes nothing', () => {
    fc.assert(
      fc.property(fc.oneof(fc.domain(), fc.ipV4(), fc.ipV6(), fc.string({ unit: 'grapheme' })), (text) => {
        const once = parseHost(text)
        fc.pre(once !== undefined)
        expect(parseHost(once.kind === 'ip' ? once.ip.text : once.name)).toEqual(once)
      }),
    )
  })
})

describe('an address in disguise is the address (SS-01, SS-02)', () => {
  it.each([
    ['127.0.0.1', 'ip 127.0.0.1'],
    ['127.0.0.1.', 'ip 127.0.0.1'],
    ['2130706433', 'ip 127.0.0.1'],
    ['0x7f000001', 'ip 127.0.0.1'],
    ['0X7F.1', 'ip 127.0.0.1'],
    ['017700000001', 'ip 127.0.0.1'],
    ['127.1', 'ip 127.0.0.1'],
    ['127.0.1', 'ip 127.0.0.1'],
    ['0177.0.0.01', 'ip 127.0.0.1'],
    ['0', 'ip 0.0.0.0'],
    ['１２７.０.０.１', 'ip 127.0.0.1'],
    ['127。0。0。1', 'ip 127.0.0.1'],
    ['[::1]', 'ip ::1'],
    ['::1', 'ip ::1'],
    ['[2001:DB8:0:0:0:0:0:1]', 'ip 2001:db8::1'],
    ['[::ffff:127.0.0.1]', 'ip 127.0.0.1'],
    ['::FFFF:7f00:1', 'ip 127.0.0.1'],
  ])('%s → %s', (text, expected) => {
    expect(show(text)).toBe(expected)
  })
})

describe('what is not a host on its own is refused (TU-01)', () => {
  it.each([
    '',
    '.',
    '..',
    'a..b',
    'example.com..',
    '.example.com',
    'user@example.com',
    'example.com/path',
    'http://example.com',
    'exam ple.com',
    ' example.com',
    'example.com\t',
    'exam\nple.com',
    'example.com\0',
    'example.com\x7f',
    'example.com\r\nHost: other',
    '%31%32%37.0.0.1',
    'example%2ecom',
    'a?b',
    'a#b',
    'a\\b',
    'a*b.example',
    'a,b',
    '"a"',
    '1.2.3.4.5',
    '256.0.0.1',
    '4294967296',
    '1.2.3.08',
    'example.123',
    '[::1',
    '::1]',
    '[example.com]',
    '[127.0.0.1]',
    '[fe80::1%eth0]',
    'fe80::1%25eth0',
    '[v1.fe80::a+en1]',
    '[::1]x',
    '1:2:3',
    `${'a'.repeat(64)}.example`,
    `${'a.'.repeat(127)}abcd`,
    'a'.repeat(256),
    '\ud800.example',
    'a\u3000b.example',
  ])('%j', (text) => {
    expect(parseHost(text)).toBeUndefined()
  })
})

describe('an authority', () => {
  it.each([
    ['example.com:443', 'example.com:443'],
    ['EXAMPLE.com.:1', 'example.com:1'],
    ['127.1:65535', '127.0.0.1:65535'],
    ['[::1]:8080', '[::1]:8080'],
    ['[::ffff:10.0.0.1]:80', '10.0.0.1:80'],
  ])('%s is %s', (text, expected) => {
    const target = parseAuthority(text)
    expect(target && formatTarget(target)).toBe(expected)
  })

  it.each([
    'example.com',
    'example.com:',
    ':443',
    'example.com:0',
    'example.com:65536',
    'example.com:99999',
    'example.com:+80',
    'example.com:-1',
    'example.com:080',
    'example.com:80 ',
    'example.com: 80',
    'example.com:0x50',
    'example.com:8o',
    'example.com:80:90',
    '::1:443',
    '2001:db8::1:443',
    '[::1]',
    '[::1]443',
    '[::1]:',
    'user@example.com:443',
    'http://example.com:443',
    '/x',
    '',
  ])('%j is refused (TU-01)', (text) => {
    expect(parseAuthority(text)).toBeUndefined()
  })

  it('takes the default port only where none is written', () => {
    expect(parseAuthority('example.com', 80)).toEqual({ kind: 'name', name: 'example.com', port: 80 })
    expect(parseAuthority('[::1]', 80)).toMatchObject({ kind: 'ip', port: 80 })
    expect(parseAuthority('example.com:8080', 80)).toMatchObject({ port: 8080 })
    expect(parseAuthority('example.com:', 80)).toBeUndefined()
    expect(parseAuthority('::1', 80)).toBeUndefined()
  })
})

it('a port is a whole number from 1 to 65535', () => {
  for (const port of [1, 80, 65_535]) expect(parseTarget('a.example', port)?.port).toBe(port)
  for (const port of [0, -1, 65_536, 1.5, Number.NaN]) expect(parseTarget('a.example', port)).toBeUndefined()
  expect(parsePort('65535')).toBe(65_535)
  expect(parsePort('65536')).toBeUndefined()
  expect(parsePort('٣')).toBeUndefined()
})

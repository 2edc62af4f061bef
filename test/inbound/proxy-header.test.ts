// The PROXY protocol header, read strictly and at whatever cut (PP-01).

import { describe, expect, test } from 'vitest'
import { readProxyHeader } from '../../src/inbound/proxy-protocol/read-header.ts'

const SIGNATURE = '\r\n\r\n\0\r\nQUIT\n'
const IPV4 = [198, 51, 100, 7, 203, 0, 113, 1, 0x0f, 0xa0, 0, 80]

function v2(command: number, family: number, payload: readonly number[], length = payload.length): Buffer {
  const head = [...Buffer.from(SIGNATURE, 'latin1'), command, family, length >> 8, length & 255]
  return Buffer.from([...head, ...payload])
}

const GOOD: readonly (readonly [string, Buffer, string | undefined])[] = [
  ['version 1, IPv4', Buffer.from('PROXY TCP4 198.51.100.7 203.0.113.1 4000 80\r\n'), '198.51.100.7 4000'],
  ['version 1, IPv6', Buffer.from('PROXY TCP6 2001:db8::7 2001:db8::1 4000 80\r\n'), '2001:db8::7 4000'],
  ['version 1, mapped IPv6', Buffer.from('PROXY TCP6 ::ffff:198.51.100.7 ::1 4000 80\r\n'), '198.51.100.7 4000'],
  ['version 1, unknown', Buffer.from('PROXY UNKNOWN\r\n'), undefined],
  ['version 1, unknown with words', Buffer.from('PROXY UNKNOWN ffff:: ::1 1 2\r\n'), undefined],
  ['version 2, IPv4', v2(0x21, 0x11, IPV4), '198.51.100.7 4000'],
  [
    'version 2, IPv6',
    v2(0x21, 0x21, [0x20, 1, 0x0d, 0xb8, ...Array(11).fill(0), 7, ...Array(16).fill(0), 0x0f, 0xa0, 0, 80]),
    '2001:db8::7 4000',
  ],
  ['version 2, local', v2(0x20, 0x00, []), undefined],
  ['version 2, local with an address nobody is to use', v2(0x20, 0x11, IPV4), undefined],
  ['version 2, unspecified', v2(0x21, 0x00, [1, 2, 3, 4]), undefined],
  ['version 2, a local socket', v2(0x21, 0x31, Array(216).fill(0)), undefined],
  ['version 2, with extensions', v2(0x21, 0x11, [...IPV4, 0x04, 0, 2, 9, 9, 0xea, 0, 0]), '198.51.100.7 4000'],
]

describe.each(GOOD)('%s', (_what, bytes, source) => {
  test('is understood with anything behind it, and incomplete at every cut', () => {
    const header = readProxyHeader(Buffer.concat([bytes, Buffer.from('CONNECT ')]))
    expect(header?.length).toBe(bytes.length)
    expect(header?.source && `${header.source.ip.text} ${header.source.port}`).toBe(source)
    for (let cut = 0; cut < bytes.length; cut++) expect(readProxyHeader(bytes.subarray(0, cut))).toBeUndefined()
  })
})

test.each([
  ['HTTP', 'CONNECT o.test:443 HTTP/1.1\r\n'],
  ['SOCKS5', '\x05\x01\0'],
  ['TLS', '\x16\x03\x01'],
  ['small letters', 'proxy TCP4 198.51.100.7 203.0.113.1 4000 80\r\n'],
  ['two blanks', 'PROXY  TCP4 198.51.100.7 203.0.113.1 4000 80\r\n'],
  ['an IPv6 address as TCP4', 'PROXY TCP4 2001:db8::7 203.0.113.1 4000 80\r\n'],
  ['an address that is none', 'PROXY TCP4 198.51.100.256 203.0.113.1 4000 80\r\n'],
  ['an address in octal', 'PROXY TCP4 0306.51.100.7 203.0.113.1 4000 80\r\n'],
  ['a port with a zero in front', 'PROXY TCP4 198.51.100.7 203.0.113.1 04000 80\r\n'],
  ['a port beyond ports', 'PROXY TCP4 198.51.100.7 203.0.113.1 65536 80\r\n'],
  ['a missing port', 'PROXY TCP4 198.51.100.7 203.0.113.1 4000\r\n'],
  ['UDP', 'PROXY UDP4 198.51.100.7 203.0.113.1 4000 80\r\n'],
  ['a line without end', `PROXY UNKNOWN ${'x'.repeat(100)}`],
  ['LF alone', `PROXY TCP4 198.51.100.7 203.0.113.1 4000 80\n${'x'.repeat(80)}`],
])('version 1 refuses %s', (_what, text) => {
  expect(() => readProxyHeader(Buffer.from(text, 'latin1'))).toThrow(/PROXY protocol header is malformed/)
})

test.each([
  ['another version', v2(0x11, 0x11, IPV4)],
  ['another command', v2(0x22, 0x11, IPV4)],
  ['UDP', v2(0x21, 0x12, IPV4)],
  ['an unknown family', v2(0x21, 0x41, IPV4)],
  ['too few bytes for IPv4', v2(0x21, 0x11, IPV4.slice(0, 11))],
  ['too few bytes for IPv6', v2(0x21, 0x21, IPV4)],
  ['an extension that is cut off', v2(0x21, 0x11, [...IPV4, 4, 0])],
  ['an extension that reaches beyond the header', v2(0x21, 0x11, [...IPV4, 4, 0, 3, 1, 1])],
  ['a length beyond reason', v2(0x21, 0x11, [], 65_535)],
])('version 2 refuses %s', (_what, bytes) => {
  expect(() => readProxyHeader(bytes)).toThrow(/PROXY protocol header/)
})

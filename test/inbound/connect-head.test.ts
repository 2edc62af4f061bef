import fc from 'fast-check'
import { expect, test } from 'vitest'
import { GatewayError } from '../../src/errors/gateway-error.ts'
import { readConnectHead } from '../../src/inbound/http-connect/connect-tunnel.ts'

const HEAD = 'CONNECT Example.COM:443 HTTP/1.1\r\nHost: example.com:443\r\nProxy-Authorization: Basic YTpi \r\n\r\n'

function read(text: string) {
  return readConnectHead(Buffer.from(text, 'latin1'))
}

test('a head is understood once it is complete, and not a byte earlier (SK-01 for HTTP)', () => {
  for (let at = 0; at < HEAD.length; at++) expect(read(HEAD.slice(0, at))).toBeUndefined()
  expect(read(`${HEAD}early`)).toEqual({
    target: { kind: 'name', name: 'example.com', port: 443 },
    authorization: 'Basic YTpi',
    length: HEAD.length,
  })
})

test.each([
  ['an HTTP/1.0 client may leave Host out', 'CONNECT example.com:443 HTTP/1.0\r\n\r\n', 'example.com'],
  [
    'TU-02 digits first, underscores, trailing dot',
    'CONNECT 3com_x.test.:443 HTTP/1.1\r\nHost: o\r\n\r\n',
    '3com_x.test',
  ],
  [
    'TU-03 a length of zero says nothing',
    'CONNECT a.test:443 HTTP/1.1\r\nHost: o\r\nContent-Length: 0\r\n\r\n',
    'a.test',
  ],
  ['fields may be empty or hold Latin-1', 'CONNECT a.test:443 HTTP/1.1\r\nHost: o\r\nX:\r\nY: \xe9\r\n\r\n', 'a.test'],
])('%s', (_what, text, name) => {
  expect(read(text)?.target).toMatchObject({ name })
})

test('IPv6 in brackets, and IPv4-mapped as IPv4 (SS-02)', () => {
  expect(read('CONNECT [2001:DB8::1]:443 HTTP/1.1\r\nHost: o\r\n\r\n')?.target).toMatchObject({
    ip: { text: '2001:db8::1' },
  })
  expect(read('CONNECT [::ffff:1.2.3.4]:443 HTTP/1.1\r\nHost: o\r\n\r\n')?.target).toMatchObject({
    ip: { text: '1.2.3.4' },
  })
})

test('a request line without end is refused at its limit', () => {
  expect(() => read(`CONNECT ${'x'.repeat(9000)}`)).toThrow(GatewayError)
})

test('TU-08 any bytes at all: understood, incomplete, or a named error', () => {
  const pieces = fc.constantFrom(
    'CONNECT ',
    'a.test:443',
    ' HTTP/1.1',
    '\r\n',
    '\n',
    '\r',
    'Host: o',
    ':',
    ' ',
    '\t',
    '\0',
    '\xff',
    'X',
  )
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 20 }), (parts) => {
      try {
        const head = read(`CONNECT ${parts.join('')}`)
        if (head !== undefined) expect(head.target.port).toBe(443)
      } catch (thrown) {
        expect(thrown).toBeInstanceOf(GatewayError)
      }
    }),
    { numRuns: 2000 },
  )
})

// One name for each defect, on whichever side it is a defect.

import { describe, expect, test } from 'vitest'
import { defectOf, LIMITS, readByCodec } from './codec-reading.ts'

const GET = 'GET http://o.test/ HTTP/1.1\r\nHost: o\r\n'
const POST = 'POST http://o.test/ HTTP/1.1\r\nHost: o\r\n'
const OK = 'HTTP/1.1 200 OK\r\n'
const CHUNKED = 'Transfer-Encoding: chunked\r\n\r\n'

describe('requests', () => {
  test.each([
    ['no version', 'GET http://o.test/\r\n\r\n', 'version-missing'],
    ['HTTP/2.0', 'GET / HTTP/2.0\r\n\r\n', 'version'],
    ['HTTP/1.2', 'GET / HTTP/1.2\r\n\r\n', 'version'],
    ['a version in lower case', 'GET / http/1.1\r\n\r\n', 'request-line'],
    ['two blanks', 'GET  / HTTP/1.1\r\n\r\n', 'request-line'],
    ['a blank at the end', 'GET / HTTP/1.1 \r\n\r\n', 'request-line'],
    ['a method that is no token', 'G@T / HTTP/1.1\r\n\r\n', 'method'],
    ['UTF-8 in the target', 'GET /caf\xc3\xa9 HTTP/1.1\r\n\r\n', 'target-character'],
    ['LF alone behind the request line', 'GET / HTTP/1.1\nHost: o\n\n', 'bare-lf'],
    ['LF alone between fields', `${GET}X: 1\nY: 2\r\n\r\n`, 'bare-lf'],
    ['LF alone as the empty line', `${GET}\n`, 'bare-lf'],
    ['CR in a value', `${GET}X: a\rb\r\n\r\n`, 'bare-cr'],
    ['NUL in a value', `${GET}X: a\0b\r\n\r\n`, 'control-character'],
    ['NUL in a name', `${GET}X\0: b\r\n\r\n`, 'field-name'],
    ['no name', `${GET}: b\r\n\r\n`, 'field-name'],
    ['no colon', `${GET}nonsense\r\n\r\n`, 'no-colon'],
    ['a folded field', `${GET}X: a\r\n b\r\n\r\n`, 'folded-field'],
    ['a blank before the colon', `${GET}X : a\r\n\r\n`, 'blank-before-colon'],
    ['two different lengths', `${POST}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab`, 'lengths'],
    ['two equal lengths', `${POST}Content-Length: 1\r\nContent-Length: 1\r\n\r\nab`, 'lengths'],
    ['a list of equal lengths', `${POST}Content-Length: 1, 1\r\n\r\nab`, 'lengths'],
    ['a signed length', `${POST}Content-Length: +1\r\n\r\na`, 'length'],
    ['a length with a leading zero', `${POST}Content-Length: 01\r\n\r\na`, 'length'],
    ['an empty length', `${POST}Content-Length:\r\n\r\na`, 'length'],
    ['a length over 64 bits', `${POST}Content-Length: 18446744073709551617\r\n\r\na`, 'length-overflow'],
    ['length and chunked', `${POST}Content-Length: 1\r\n${CHUNKED}`, 'length-and-coding'],
    ['gzip, chunked', `${POST}Transfer-Encoding: gzip, chunked\r\n\r\n`, 'transfer-coding'],
    ['chunked twice', `${POST}Transfer-Encoding: chunked\r\n${CHUNKED}`, 'transfer-coding'],
    ['chunked and U+00A0', `${POST}Transfer-Encoding: chunked\xa0\r\n\r\n`, 'transfer-coding'],
    ['a vertical tab and chunked', `${POST}Transfer-Encoding: \x0bchunked\r\n\r\n`, 'control-character'],
    ['chunked in HTTP/1.0', `POST / HTTP/1.0\r\n${CHUNKED}`, 'coding-in-http-1.0'],
    ['no chunk size', `${POST}${CHUNKED}xyz\r\n`, 'chunk-size'],
    ['blanks behind a chunk size', `${POST}${CHUNKED}1 \r\na\r\n0\r\n\r\n`, 'chunk-size'],
    ['blanks ahead of an extension', `${POST}${CHUNKED}1 ;x\r\na\r\n0\r\n\r\n`, 'chunk-size'],
    ['LF behind a chunk size', `${POST}${CHUNKED}1\na\r\n0\r\n\r\n`, 'chunk-size'],
    ['a chunk size over 2^53', `${POST}${CHUNKED}20000000000000\r\n`, 'chunk-size-overflow'],
    ['a chunk size over 64 bits', `${POST}${CHUNKED}10000000000000001\r\n`, 'chunk-size-overflow'],
    ['a chunk longer than its size', `${POST}${CHUNKED}1\r\nab\r\n0\r\n\r\n`, 'chunk-end'],
    ['LF in an extension', `${POST}${CHUNKED}1;a\nb\r\na\r\n0\r\n\r\n`, 'chunk-extension'],
    ['an extension without end', `${POST}${CHUNKED}1;${'a'.repeat(2000)}`, 'chunk-extension-too-long'],
    ['extensions without end', `${POST}${CHUNKED}${'1;abcdefg\r\na\r\n'.repeat(200)}`, 'chunk-extension-too-long'],
    ['trailers without end', `${POST}${CHUNKED}0\r\n${'X: y\r\n'.repeat(2000)}`, 'trailers-too-long'],
    ['a folded trailer', `${POST}${CHUNKED}0\r\nX: a\r\n b\r\n\r\n`, 'folded-field'],
    ['a request line without end', `GET /${'x'.repeat(LIMITS.maxLineBytes)}`, 'start-line-too-long'],
    [
      'a whole request line that is too long',
      `GET /${'x'.repeat(LIMITS.maxHeadBytes)} HTTP/1.1\r\n\r\n`,
      'start-line-too-long',
    ],
    ['zeros without end ahead of a chunk size', `${POST}${CHUNKED}${'0'.repeat(65)}`, 'chunk-size-overflow'],
    ['a head without end', `${GET}${'X: y\r\n'.repeat(2000)}`, 'head-too-long'],
    ['empty lines without end', '\r\n'.repeat(LIMITS.maxHeadBytes), 'head-too-long'],
    ['too many fields', `${GET}${'X: y\r\n'.repeat(LIMITS.maxFields)}\r\n`, 'too-many-fields'],
  ])('%s', (_what, text, defect) => {
    expect(defectOf('request', text)).toBe(defect)
  })

  test.each([
    ['chunked and a tab', `${POST}Transfer-Encoding: chunked\t\r\n\r\n1\r\na\r\n0\r\n\r\n`, 'a'],
    ['zeros ahead of a chunk size', `${POST}${CHUNKED}0001\r\na\r\n00\r\n\r\n`, 'a'],
    ['more zeros than digits of a length', `${POST}${CHUNKED}${'0'.repeat(30)}1\r\na\r\n000\r\n\r\n`, 'a'],
    ['empty lines ahead', `\r\n\r\n${POST}Content-Length: 1\r\n\r\na`, 'a'],
    ['an empty value', `${GET}X:\r\n\r\n`, ''],
  ])('sound: %s', (_what, text, body) => {
    expect(readByCodec('request', [Buffer.from(text, 'latin1')])).toMatchObject({ kind: 'message', body, rest: 0 })
  })
})

describe('responses', () => {
  test.each([
    ['no HTTP', '220 mail ESMTP\r\n\r\n', 'status-line'],
    ['HTTP/2.0', 'HTTP/2.0 200 OK\r\n\r\n', 'version'],
    ['no status', 'HTTP/1.1\r\n\r\n', 'status-line'],
    ['status 99', 'HTTP/1.1 099 Low\r\n\r\n', 'status'],
    ['status 600', 'HTTP/1.1 600 High\r\n\r\n', 'status'],
    ['NUL in the reason', 'HTTP/1.1 200 O\0K\r\n\r\n', 'control-character'],
    ['different lengths', `${OK}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab`, 'lengths'],
    ['length and chunked', `${OK}Content-Length: 1\r\n${CHUNKED}`, 'length-and-coding'],
    ['an overflowing length', `${OK}Content-Length: 99999999999999999999\r\n\r\n`, 'length-overflow'],
    ['a length with a leading zero', `${OK}Content-Length: 010\r\n\r\n`, 'length'],
    ['chunked and U+00A0', `${OK}Transfer-Encoding: \xa0chunked\r\n\r\n`, 'transfer-coding'],
    ['a chunk size with a letter too many', `${OK}${CHUNKED}5Z\r\nhello\r\n0\r\n\r\n`, 'chunk-size'],
    ['a chunk longer than its size', `${OK}${CHUNKED}1\r\nab\r\n0\r\n\r\n`, 'chunk-end'],
    ['a folded field', `${OK}X: a\r\n b\r\n\r\n`, 'folded-field'],
    ['CR in a value', `${OK}X: a\rb\r\n\r\n`, 'bare-cr'],
  ])('%s', (_what, text, defect) => {
    expect(defectOf('response', text)).toBe(defect)
  })

  test.each([
    ['equal lengths', `${OK}Content-Length: 1\r\nContent-Length: 1, 1\r\n\r\na`, 'a'],
    ['LF alone', 'HTTP/1.1 200 OK\nContent-Length: 1\n\na', 'a'],
    ['blanks before the colon', `${OK}Content-Length \t: 1\r\n\r\na`, 'a'],
    ['chunked and a tab', `${OK}Transfer-Encoding:chunked\t\r\n\r\n1\r\na\r\n0\r\n\r\n`, 'a'],
    ['padding behind a chunk size', `${OK}${CHUNKED}1  \r\na\r\n0\r\n\r\n`, 'a'],
    ['an extension behind blanks', `${OK}${CHUNKED}1 \t;x="y"\r\na\r\n0\r\n\r\n`, 'a'],
    ['a length among the trailers', `${OK}${CHUNKED}1\r\na\r\n0\r\nContent-Length: 9\r\n\r\n`, 'a'],
    ['no reason', 'HTTP/1.1 200\r\nContent-Length: 1\r\n\r\na', 'a'],
    ['chunked in HTTP/1.0', `HTTP/1.0 200 OK\r\n${CHUNKED}1\r\na\r\n0\r\n\r\n`, 'a'],
    ['205 has no body', 'HTTP/1.1 205 Reset Content\r\n\r\n', ''],
    [
      'an interim response leaves unsound lines out',
      'HTTP/1.1 103 x\r\nBad name: x\r\n folded\r\nA: b\x01\r\n\r\n',
      '',
    ],
  ])('sound: %s', (_what, text, body) => {
    expect(readByCodec('response', [Buffer.from(text, 'latin1')])).toMatchObject({ kind: 'message', body, rest: 0 })
  })
})

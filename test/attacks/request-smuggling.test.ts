// Story: somebody sends requests whose end two readers could see in different places, hoping that the origin takes the rest
// for another request (FR-01, FR-02, FR-16, HH-08, TU-03). Whatever the cut of the bytes: refused, closed, and not one byte
// reaches the origin.

import { expect, test } from 'vitest'
import { byteLogOrigin } from '../support/byte-log-origin.ts'
import { RawClient } from '../support/raw-client.ts'
import { startGateway } from '../support/start-gateway.ts'

const SMUGGLED = 'GET http://origin.test:PORT/smuggled HTTP/1.1\r\nHost: origin.test:PORT\r\n\r\n'
const POST = 'POST http://origin.test:PORT/ HTTP/1.1\r\nHost: origin.test:PORT\r\n'
const GET = 'GET http://origin.test:PORT/ HTTP/1.1\r\nHost: origin.test:PORT\r\n'
const CONNECT = 'CONNECT origin.test:PORT HTTP/1.1\r\nHost: origin.test:PORT\r\n'

const PAYLOADS: Readonly<Record<string, string>> = {
  'length and chunked': `${POST}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`,
  'chunked and length': `${POST}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n${SMUGGLED}`,
  'two equal lengths': `${POST}Content-Length: 2\r\nContent-Length: 2\r\n\r\nab${SMUGGLED}`,
  'two different lengths': `${POST}Content-Length: 0\r\nContent-Length: 80\r\n\r\n${SMUGGLED}`,
  'a list of lengths': `${POST}Content-Length: 2, 2\r\n\r\nab${SMUGGLED}`,
  'a signed length': `${POST}Content-Length: +2\r\n\r\nab${SMUGGLED}`,
  'a negative length': `${POST}Content-Length: -2\r\n\r\nab${SMUGGLED}`,
  'a hexadecimal length': `${POST}Content-Length: 0x2\r\n\r\nab${SMUGGLED}`,
  'an empty length': `${POST}Content-Length:\r\n\r\nab${SMUGGLED}`,
  'a length with a blank inside': `${POST}Content-Length: 1 0\r\n\r\nab${SMUGGLED}`,
  'an overflowing length': `${POST}Content-Length: 18446744073709551618\r\n\r\nab${SMUGGLED}`,
  'a fractional length': `${POST}Content-Length: 2.0\r\n\r\nab${SMUGGLED}`,
  'gzip, chunked': `${POST}Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n${SMUGGLED}`,
  'chunked, gzip': `${POST}Transfer-Encoding: chunked, gzip\r\n\r\n2\r\nab\r\n0\r\n\r\n${SMUGGLED}`,
  'chunked twice in one field': `${POST}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`,
  'chunked in two fields': `${POST}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`,
  identity: `${POST}Transfer-Encoding: identity\r\n\r\n${SMUGGLED}`,
  'identity and length': `${POST}Transfer-Encoding: identity\r\nContent-Length: 2\r\n\r\nab${SMUGGLED}`,
  'an unknown coding': `${POST}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n${SMUGGLED}`,
  'a quoted coding': `${POST}Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n${SMUGGLED}`,
  'a coding with a parameter': `${POST}Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n${SMUGGLED}`,
  'an empty coding': `${POST}Transfer-Encoding:\r\n\r\n0\r\n\r\n${SMUGGLED}`,
  'a vertical tab before the coding': `${POST}Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n${SMUGGLED}`,
  'a blank before the colon': `${POST}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`,
  'a tab before the colon': `${POST}Content-Length\t: 2\r\n\r\nab${SMUGGLED}`,
  'a folded field': `${POST}Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`,
  'a folded first field': 'GET http://origin.test:PORT/ HTTP/1.1\r\n X: 1\r\nHost: origin.test:PORT\r\n\r\n',
  'a bare LF after the request line': `POST http://origin.test:PORT/ HTTP/1.1\nHost: origin.test:PORT\r\n\r\n`,
  'a bare LF between fields': `${POST}X: 1\nContent-Length: 2\r\n\r\nab`,
  'a bare LF before the body': `${POST}Content-Length: 2\r\n\nab${SMUGGLED}`,
  'a bare CR in a value': `${POST}X: a\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  'NUL in a value': `${GET}X: a\0b\r\n\r\n`,
  'NUL in a name': `${GET}X\0: b\r\n\r\n`,
  'a name without a colon': `${GET}Nonsense\r\n\r\n`,
  'an empty name': `${GET}: value\r\n\r\n`,
  'a name with a slash': `${GET}X/Y: value\r\n\r\n`,
  'a name in brackets': `${GET}Content-Length[]: 2\r\n\r\nab`,
  'no Host': `GET http://origin.test:PORT/ HTTP/1.1\r\n\r\n`,
  'two Hosts': `${GET}Host: other.test\r\n\r\n`,
  'an empty Host': 'GET http://origin.test:PORT/ HTTP/1.1\r\nHost:\r\n\r\n',
  'a Host with userinfo': 'GET http://origin.test:PORT/ HTTP/1.1\r\nHost: a@origin.test\r\n\r\n',
  'a Host with a path': 'GET http://origin.test:PORT/ HTTP/1.1\r\nHost: origin.test/x\r\n\r\n',
  'a list of Hosts': 'GET http://origin.test:PORT/ HTTP/1.1\r\nHost: origin.test, other.test\r\n\r\n',
  'userinfo in the target': 'GET http://user@origin.test:PORT/ HTTP/1.1\r\nHost: origin.test\r\n\r\n',
  'an https target': 'GET https://origin.test:PORT/ HTTP/1.1\r\nHost: origin.test\r\n\r\n',
  'an ftp target': 'GET ftp://origin.test:PORT/ HTTP/1.1\r\nHost: origin.test\r\n\r\n',
  'a target without slashes': 'GET http:origin.test:PORT/ HTTP/1.1\r\nHost: origin.test\r\n\r\n',
  'a target without host': 'GET http:///x HTTP/1.1\r\nHost: origin.test\r\n\r\n',
  'a backslash in the authority': 'GET http://origin.test:PORT\\@evil.test/ HTTP/1.1\r\nHost: origin.test\r\n\r\n',
  'origin form': 'GET / HTTP/1.1\r\nHost: origin.test:PORT\r\n\r\n',
  'authority form outside CONNECT': 'GET origin.test:PORT HTTP/1.1\r\nHost: origin.test:PORT\r\n\r\n',
  'a blank in the target': 'GET http://origin.test:PORT/a b HTTP/1.1\r\nHost: origin.test\r\n\r\n',
  'HTTP/0.9': 'GET http://origin.test:PORT/\r\n\r\n',
  'HTTP/2.0': 'GET http://origin.test:PORT/ HTTP/2.0\r\nHost: origin.test:PORT\r\n\r\n',
  'HTTP/1.9': 'GET http://origin.test:PORT/ HTTP/1.9\r\nHost: origin.test:PORT\r\n\r\n',
  'a version in lower case': 'GET http://origin.test:PORT/ http/1.1\r\nHost: origin.test:PORT\r\n\r\n',
  'the preface of HTTP/2': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  'a method in lower case': 'get http://origin.test:PORT/ HTTP/1.1\r\nHost: origin.test:PORT\r\n\r\n',
  'chunked in HTTP/1.0':
    'POST http://origin.test:PORT/ HTTP/1.0\r\nHost: origin.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  'a bad first chunk size': `${POST}Transfer-Encoding: chunked\r\n\r\nxyz\r\nab\r\n0\r\n\r\n${SMUGGLED}`,
  'a negative chunk size': `${POST}Transfer-Encoding: chunked\r\n\r\n-1\r\nab\r\n0\r\n\r\n${SMUGGLED}`,
  'a chunk size with 0x': `${POST}Transfer-Encoding: chunked\r\n\r\n0x2\r\nab\r\n0\r\n\r\n${SMUGGLED}`,
  'an overflowing chunk size': `${POST}Transfer-Encoding: chunked\r\n\r\nffffffffffffffff2\r\nab\r\n0\r\n\r\n`,
  'a chunk size ended by LF': `${POST}Transfer-Encoding: chunked\r\n\r\n2\nab\r\n0\r\n\r\n${SMUGGLED}`,
  'a blank before the chunk size': `${POST}Transfer-Encoding: chunked\r\n\r\n 2\r\nab\r\n0\r\n\r\n${SMUGGLED}`,
  'an LF in a chunk extension': `${POST}Transfer-Encoding: chunked\r\n\r\n2;a\nb\r\nab\r\n0\r\n\r\n${SMUGGLED}`,
  'an upgrade with a body': `${POST}Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nab`,
  'a second credential': `${GET}Proxy-Authorization: Basic YTpi\r\nProxy-Authorization: Basic Yzpk\r\n\r\n`,
  'CONNECT with a length': `${CONNECT}Content-Length: 5\r\n\r\nhello`,
  'CONNECT with two lengths of zero': `${CONNECT}Content-Length: 0\r\nContent-Length: 2\r\n\r\nab`,
  'CONNECT with chunked': `${CONNECT}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`,
  'CONNECT with two Hosts': `${CONNECT}Host: other.test\r\n\r\n`,
  'CONNECT with a folded field': `${CONNECT}X: a\r\n b\r\n\r\n`,
  'CONNECT with a bare LF': `CONNECT origin.test:PORT HTTP/1.1\nHost: origin.test:PORT\n\n`,
  'CONNECT with a late bare LF': `${CONNECT}X: 1\r\n\n`,
  'CONNECT with a bare CR': `${CONNECT}X: a\rb\r\n\r\n`,
  'CONNECT with NUL': `${CONNECT}X: a\0b\r\n\r\n`,
  'CONNECT with a blank before the colon': `${CONNECT}X : a\r\n\r\n`,
  'CONNECT with an empty name': `${CONNECT}: a\r\n\r\n`,
  'CONNECT in HTTP/2.0': 'CONNECT origin.test:PORT HTTP/2.0\r\nHost: origin.test:PORT\r\n\r\n',
  'CONNECT without a version': 'CONNECT origin.test:PORT\r\nHost: origin.test:PORT\r\n\r\n',
  'CONNECT with two blanks': 'CONNECT  origin.test:PORT HTTP/1.1\r\nHost: origin.test:PORT\r\n\r\n',
  'CONNECT with a tab': 'CONNECT origin.test:PORT\tHTTP/1.1\r\nHost: origin.test:PORT\r\n\r\n',
  'CONNECT without a port': 'CONNECT origin.test HTTP/1.1\r\nHost: origin.test\r\n\r\n',
  'CONNECT to port 0': 'CONNECT origin.test:0 HTTP/1.1\r\nHost: origin.test\r\n\r\n',
  'CONNECT to port 65536': 'CONNECT origin.test:65536 HTTP/1.1\r\nHost: origin.test\r\n\r\n',
  'CONNECT to a URL': 'CONNECT http://origin.test:PORT/ HTTP/1.1\r\nHost: origin.test\r\n\r\n',
  'CONNECT to a path': 'CONNECT /origin.test:PORT HTTP/1.1\r\nHost: origin.test\r\n\r\n',
  'CONNECT with userinfo': 'CONNECT a@origin.test:PORT HTTP/1.1\r\nHost: origin.test\r\n\r\n',
  'CONNECT to bare IPv6 without a port': 'CONNECT ::1 HTTP/1.1\r\nHost: origin.test\r\n\r\n',
  'CONNECT with a percent escape': 'CONNECT origin%2etest:PORT HTTP/1.1\r\nHost: origin.test\r\n\r\n',
  'CONNECT with an empty host': 'CONNECT :PORT HTTP/1.1\r\nHost: origin.test\r\n\r\n',
}

type Cut = (bytes: Buffer) => Buffer[]
const whole: Cut = (bytes) => [bytes]
const byteByByte: Cut = (bytes) => Array.from(bytes, (_, at) => bytes.subarray(at, at + 1))
const inTwo =
  (at: number): Cut =>
  (bytes) => [bytes.subarray(0, at), bytes.subarray(at)]

async function play(port: number, payload: string, cut: Cut): Promise<RawClient> {
  const client = await RawClient.connect(port)
  await client.sendInPieces(cut(Buffer.from(payload, 'latin1')))
  return client.end()
}

/** One answer, of a refusing kind, and the end of the connection. */
function expectRefused(client: RawClient): void {
  const answers = client.received.match(/HTTP\/1\.1 \d{3}/g) ?? []
  expect(answers).toHaveLength(1)
  expect(answers[0]).toMatch(/ (400|405|501|505)$/)
}

test.each(Object.entries(PAYLOADS))(
  'FR-01 %s: refused whole, byte by byte and in two, and no origin hears of it',
  async (_name, template) => {
    const origin = await byteLogOrigin()
    const gateway = await startGateway({ listener: { authentication: 'anonymous' } })
    const payload = template.replaceAll('PORT', String(origin.port))

    expectRefused(await play(gateway.port, payload, whole))
    expectRefused(await play(gateway.port, payload, byteByByte))
    for (let at = 1; at < payload.length; at += 11) expectRefused(await play(gateway.port, payload, inTwo(at)))

    expect(origin.received).toBe('')
    for (const record of gateway.records) expect(record.ConnectionCloseReason).toBe('CLIENT_ERROR')
  },
)

// The same bytes through this proxy and through a real Squid: where RFC 9110 and 9112 leave room, what the origin receives and
// what the client gets back is compared. Differences on purpose are in a table of their own, with both sides asserted.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { RIVALS, type RunningProxy } from '../../bench/proxy/rivals.ts'
import { byteLogOrigin, OK } from '../support/byte-log-origin.ts'
import { installed } from '../support/installed.ts'
import { RawClient } from '../support/raw-client.ts'
import { startGateway } from '../support/start-gateway.ts'

const squid = installed('squid', 'squid')

/** Fields that each proxy may write in its own way, and those that describe one hop. */
const THEIR_OWN =
  /^(via|x-forwarded-for|cache-control|x-cache|x-cache-lookup|cache-status|proxy-status|date|server|connection|keep-alive|proxy-connection|transfer-encoding|content-length)$/

interface Message {
  readonly line: string
  /** `name: value`, names in lower case, in order of name; values of one name in their own order */
  readonly fields: readonly string[]
  readonly body: string
}

/** One message of a byte log, its framing taken off. */
function parse(bytes: string): Message {
  const end = bytes.indexOf('\r\n\r\n')
  const [line = '', ...lines] = bytes.slice(0, end).split('\r\n')
  const all = lines.map((field) => field.replace(/^[^:]+/, (name) => name.toLowerCase()))
  const rest = bytes.slice(end + 4)
  const isChunked = all.some((field) => /^transfer-encoding:\s*chunked/.test(field))
  const fields = all.filter((field) => !THEIR_OWN.test(field.split(':')[0] ?? ''))
  return { line, fields: fields.toSorted(byName), body: isChunked ? unchunk(rest) : rest }
}

function byName(a: string, b: string): number {
  return (a.split(':')[0] ?? '').localeCompare(b.split(':')[0] ?? '')
}

function unchunk(bytes: string): string {
  const size = Number.parseInt(bytes, 16)
  const start = bytes.indexOf('\r\n') + 2
  return size > 0 ? bytes.slice(start, start + size) + unchunk(bytes.slice(start + size + 2)) : ''
}

/** What a client and an origin see when this request goes through a proxy. */
async function through(proxyPort: number, request: (origin: string) => string, answer: string) {
  const origin = await byteLogOrigin((socket, sofar) => {
    if (isWhole(sofar)) socket.end(Buffer.from(answer, 'latin1'))
  })
  const client = await RawClient.connect(proxyPort)
  client.send(request(`127.0.0.1:${origin.port}`))
  await client.until(({ received, ending }) => ending !== undefined || isAnswered(received, request('')))
  const received = origin.received.replaceAll(`127.0.0.1:${origin.port}`, 'ORIGIN')
  return { sent: received === '' ? undefined : parse(received), got: parse(client.received) }
}

function isWhole(sofar: string): boolean {
  const end = sofar.indexOf('\r\n\r\n')
  if (end === -1) return false
  if (/transfer-encoding: *chunked/i.test(sofar.slice(0, end))) return sofar.endsWith('0\r\n\r\n')
  const length = Number(/content-length: *(\d+)/i.exec(sofar.slice(0, end))?.[1] ?? 0)
  return sofar.length >= end + 4 + length
}

/** A final answer, whole by its own framing; one to HEAD has no body. */
function isAnswered(received: string, request: string): boolean {
  const final = received.replace(/^(HTTP\/1\.1 1\d\d.*?\r\n\r\n)+/s, '')
  if (!final.includes('\r\n\r\n')) return false
  if (request.startsWith('HEAD') || /^HTTP\/1\.1 (204|304)/.test(final)) return true
  return /\r\n(content-length|transfer-encoding):/i.test(final) && isWhole(final)
}

const absolute =
  (method: string, target = '/', fields = '', body = '') =>
  (origin: string) =>
    `${method} http://${origin}${target} HTTP/1.1\r\nHost: ${origin}\r\n${fields}\r\n${body}`

type Case = readonly [name: string, request: (origin: string) => string, answer?: string]

function cases(table: readonly Case[]) {
  return table.map(([name, request, answer = OK]) => ({ name, request, answer }))
}

const SAME = cases([
  ['a plain GET', absolute('GET')],
  ['a target with a query, escapes and dots, left as it is', absolute('GET', '/a/../b/%7e%2F?x=%20&y=//z')],
  ['a target without a path', (origin) => `GET http://${origin} HTTP/1.1\r\nHost: ${origin}\r\n\r\n`],
  ['a Host that is not the target', (origin) => `GET http://${origin}/ HTTP/1.1\r\nHost: other.test\r\n\r\n`],
  ['fields named by Connection', absolute('GET', '/', 'Connection: x-one, close\r\nX-One: 1\r\nX-Two: 2\r\n')],
  [
    'Keep-Alive and Proxy-Connection',
    absolute('GET', '/', 'Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\n'),
  ],
  ['fields given twice, in their order', absolute('GET', '/', 'X-A: 1\r\nX-B: 2\r\nX-A: 3\r\n')],
  ['an empty value and blanks around one', absolute('GET', '/', 'X-Empty:\r\nX-Blank: \t value \t \r\n')],
  ['cookies and credentials for the origin', absolute('GET', '/', 'Cookie: a=1; b=2\r\nAuthorization: Basic eDp5\r\n')],
  ['conditions and ranges', absolute('GET', '/', 'If-None-Match: "x"\r\nRange: bytes=0-4\r\n')],
  ['bytes above 127 in a value', absolute('GET', '/', 'X-Latin: caf\xe9\r\n')],
  ['a body with its length', absolute('POST', '/', 'Content-Length: 5\r\n', 'hello')],
  ['a body of no length', absolute('POST', '/', 'Content-Length: 0\r\n')],
  ['a chunked body', absolute('PUT', '/', 'Transfer-Encoding: chunked\r\n', '3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n')],
  ['chunk extensions, dropped', absolute('PUT', '/', 'Transfer-Encoding: chunked\r\n', '3;a=b\r\nabc\r\n0\r\n\r\n')],
  ['DELETE with a body', absolute('DELETE', '/', 'Content-Length: 2\r\n', 'ab')],
  ['PROPFIND', absolute('PROPFIND', '/dav', 'Depth: 1\r\nContent-Length: 0\r\n')],
  ['HEAD', absolute('HEAD'), 'HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nConnection: close\r\n\r\n'],
  ['204', absolute('GET'), 'HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n'],
  [
    '304',
    absolute('GET', '/', 'If-None-Match: "x"\r\n'),
    'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\nConnection: close\r\n\r\n',
  ],
  [
    'an answer that ends with the connection',
    absolute('GET'),
    'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end',
  ],
  ['an answer in HTTP/1.0', absolute('GET'), 'HTTP/1.0 200 OK\r\n\r\nold'],
  ['a chunked answer', absolute('GET'), 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n'],
  ['two cookies set', absolute('GET'), OK.replace('\r\n\r\n', '\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\n')],
  [
    'hop-by-hop fields of an answer',
    absolute('GET'),
    OK.replace('\r\n\r\n', '\r\nConnection: x-hop\r\nX-Hop: 1\r\n\r\n'),
  ],
  ['a redirect, not followed', absolute('GET'), 'HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n'],
  ['a status nobody knows', absolute('GET'), 'HTTP/1.1 299 Odd\r\nContent-Length: 2\r\n\r\nok'],
])

/** Refused here, forwarded or repaired by Squid: RFC 9112 allows both, and the strict reading leaves no two ways to read. */
const STRICTER = cases([
  ['a folded field (RFC 9112 section 5.2)', absolute('GET', '/', 'X-Folded: a\r\n b\r\n')],
  [
    'two equal lengths (RFC 9112 section 6.3)',
    absolute('POST', '/', 'Content-Length: 2\r\nContent-Length: 2\r\n', 'ab'),
  ],
  ['a bare LF between fields (RFC 9112 section 2.2)', absolute('GET', '/', 'X-One: 1\nX-Two: 2\r\n')],
])

describe.skipIf(squid === undefined)('beside Squid', () => {
  const folder = mkdtempSync(join(tmpdir(), 'egresslab-squid-'))
  // one of its own in every run of the tests and every worker
  const place = 10 * Number(process.env.EGRESSLAB_TEST_BLOCK ?? 0) + Number(process.env.VITEST_POOL_ID ?? 0)
  const squidPort = 18_310 + place
  let running: RunningProxy | undefined

  beforeAll(async () => {
    running = await RIVALS.find(({ name }) => name === 'Squid')?.start({
      port: squidPort,
      source: `127.0.98.${place + 1}`,
      folder,
    })
  })
  afterAll(async () => {
    await running?.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  const ourPort = async () => (await startGateway({ listener: { authentication: 'anonymous' } })).port

  test.each(SAME)('$name: origin and client see the same', async ({ request, answer }) => {
    const [ours, theirs] = [await through(await ourPort(), request, answer), await through(squidPort, request, answer)]
    expect(ours.sent).toEqual(theirs.sent)
    expect({ ...ours.got, line: statusOf(ours.got) }).toEqual({ ...theirs.got, line: statusOf(theirs.got) })
    expect(ours.sent).toBeDefined()
  })

  test.each(STRICTER)('$name: Squid forwards it, this proxy says 400', async ({ request, answer }) => {
    const ours = await through(await ourPort(), request, answer)
    const theirs = await through(squidPort, request, answer)
    expect({ sent: ours.sent, status: statusOf(ours.got) }).toEqual({ sent: undefined, status: '400' })
    expect(theirs.sent).toBeDefined()
  })
})

/** The reason phrase is anybody's. */
function statusOf({ line }: Message): string {
  return line.split(' ')[1] ?? ''
}

// DNS at the API's port: RFC 8484's two ways of asking, and what keeps web pages out.

import { request } from 'node:http'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { queryFor, readAnswer } from '../support/ask-dns.ts'
import { ownNetwork } from '../support/own-network.ts'
import { type PrivateLab, startPrivateLab } from '../support/private-lab.ts'

let own: PrivateLab
let url: string

beforeAll(async () => {
  own = await startPrivateLab()
  url = `http://127.0.0.1:${own.lab.api.port}/dns-query`
})
afterAll(() => own.close())

const QUERY = queryFor('bank.saas.test', 'A', { id: 0 })
const MEDIA_TYPE = { 'content-type': 'application/dns-message' }

function post(body: Uint8Array, headers: Record<string, string> = {}) {
  return fetch(url, { method: 'POST', headers: { ...MEDIA_TYPE, ...headers }, body: Uint8Array.from(body) })
}

async function answerOf(response: Response) {
  expect([response.status, response.headers.get('content-type')]).toEqual([200, 'application/dns-message'])
  return readAnswer(Buffer.from(await response.arrayBuffer()))
}

describe('a question', () => {
  test('is asked by GET, without a token, and may be kept as long as its records', async () => {
    const response = await fetch(`${url}?dns=${QUERY.toString('base64url')}`)
    expect(response.headers.get('cache-control')).toBe('max-age=30')
    expect(await answerOf(response)).toMatchObject({ id: 0, rcode: 'NOERROR', data: ['100.80.0.1'] })
  })

  test('is asked by POST', async () => {
    expect(await answerOf(await post(QUERY))).toMatchObject({ data: ['100.80.0.1'] })
  })

  test('that the resolver refuses is an answer all the same', async () => {
    const chaos = Buffer.from(QUERY)
    chaos.writeUInt16BE(3, chaos.length - 2)
    expect(await answerOf(await post(chaos))).toMatchObject({ rcode: 'REFUSED' })
  })
})

describe('refused', () => {
  test.each([
    ['a GET without a message', () => fetch(url), 400],
    ['a GET with something else', () => fetch(`${url}?dns=***`), 400],
    ['a POST of another kind', () => post(QUERY, { 'content-type': 'application/json' }), 415],
    ['a POST that is too large', () => post(new Uint8Array(5_000)), 413],
    ['a POST of an answer', () => post(Uint8Array.from(QUERY).with(2, 0x81)), 400],
    ['a POST of nothing', () => post(new Uint8Array(0)), 400],
    ['another site', () => post(QUERY, { origin: 'http://evil.test' }), 403],
    ['another site’s image', () => fetch(`${url}?dns=${QUERY.toString('base64url')}`, CROSS_SITE), 403],
  ])('%s', async (_, ask, status) => {
    expect((await ask()).status).toBe(status)
  })

  const CROSS_SITE = { headers: { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors' } }

  test('a name that some page has pointed at the lab (DNS rebinding, AP-02)', async () => {
    const { promise, resolve } = Promise.withResolvers<number | undefined>()
    const asked = request(
      `${url}?dns=${QUERY.toString('base64url')}`,
      { headers: { host: 'evil.test' } },
      (response) => {
        response.resume()
        resolve(response.statusCode)
      },
    )
    asked.end()
    expect(await promise).toBe(421)
  })
})

test('a lab without `dns` has no Gateway DNS here either, and says why', async () => {
  const other = await startPrivateLab({ configFile: 'config/examples/balanced.yaml', standInNetwork: ownNetwork(1) })
  try {
    expect(other.lab.dns).toEqual([])
    const response = await fetch(`http://127.0.0.1:${other.lab.api.port}/dns-query?dns=${QUERY.toString('base64url')}`)
    expect(response.status).toBe(404)
    expect(JSON.stringify(await response.json())).toContain('has no `dns`')
  } finally {
    await other.close()
  }
})

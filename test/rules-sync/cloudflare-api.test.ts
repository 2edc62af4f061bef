// The client of Cloudflare's API: what it sends to log in, how it reads pages and refusals, and when it tries again; and what it reads is
// what the official SDK reads.

import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import Cloudflare from 'cloudflare'
import { afterEach, expect, test } from 'vitest'
import { CloudflareApi } from '../../src/rules-sync/cloudflare-api.ts'
import { runApi, TOKEN } from '../api/running-api.ts'
import { ACCOUNT_ID } from '../store/lab.ts'

interface Scripted {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body: unknown
}

let stop: () => void = () => {}
afterEach(() => stop())

/** Answers each request with the next of these, the last one for ever; `seen` is what was asked. */
async function scripted(...answers: readonly Scripted[]) {
  const seen: string[] = []
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    const { authorization, 'x-auth-email': email, 'x-auth-key': key } = request.headers
    const { status = 200, headers = {}, body } = answers[Math.min(seen.length, answers.length - 1)] ?? { body: '' }
    seen.push(`${request.method} ${request.url} ${[authorization, email, key].filter(Boolean).join(' ')}`)
    response.writeHead(status, { 'content-type': 'application/json', ...headers })
    response.end(typeof body === 'string' ? body : JSON.stringify(body))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  stop = () => server.close()
  const { port } = server.address() as AddressInfo
  return {
    seen,
    url: `http://127.0.0.1:${port}/client/v4`,
    api: new CloudflareApi(`http://127.0.0.1:${port}/client/v4`, { token: 't' }),
  }
}

async function all(items: AsyncIterable<unknown>): Promise<unknown[]> {
  const found: unknown[] = []
  for await (const item of items) found.push(item)
  return found
}

test('logs in by token, or by email and key', async () => {
  const { seen, url, api } = await scripted({ body: { success: true, result: { id: 'x' } } })
  expect(await api.call('GET', '/user')).toEqual({ id: 'x' })
  await new CloudflareApi(url, { email: 'me@example.com', key: 'k' }).call('GET', '/user')
  expect(seen).toEqual(['GET /client/v4/user Bearer t', 'GET /client/v4/user me@example.com k'])
})

test('reads a list to its end, by pages or by counts, and takes one that says nothing for whole', async () => {
  const page = (result: number[], result_info: object) => ({ body: { success: true, result, result_info } })
  const pages = await scripted(page([1, 2], { page: 1, total_pages: 2 }), page([3], { page: 2, total_pages: 2 }))
  expect(await all(pages.api.list('/things?deleted=false'))).toEqual([1, 2, 3])
  expect(pages.seen.map((line) => line.split(' ')[1])).toEqual([
    '/client/v4/things?deleted=false',
    '/client/v4/things?deleted=false&page=2',
  ])
  stop()
  const counts = { per_page: 2, total_count: 3 }
  const counted = await scripted(page([1, 2], counts), page([3], counts))
  expect(await all(counted.api.list('/things'))).toEqual([1, 2, 3])
  stop()
  const plain = await scripted({ body: { success: true, result: [1] } })
  expect(await all(plain.api.list('/things'))).toEqual([1])
  expect(plain.seen).toHaveLength(1)
})

const good: Scripted = { body: { success: true, result: 'good' } }
const bad = (status: number, headers: Record<string, string> = {}): Scripted => ({
  status,
  headers: { 'retry-after': '0', ...headers },
  body: { success: false, errors: [{ code: 1000, message: 'not now' }] },
})

test.each([
  ['GET', 'after 429, as long as Retry-After says', [bad(429), bad(503), good], 3],
  ['DELETE', 'after 500', [bad(500), good], 2],
  ['POST', 'after 429', [bad(429), good], 2],
  ['PUT', 'where it is told to', [bad(400, { 'x-should-retry': 'true' }), good], 2],
] as const)('%s is tried again %s', async (method, _when, answers, times) => {
  const { seen, api } = await scripted(...answers)
  expect(await api.call(method, '/x', method === 'GET' ? undefined : {})).toBe('good')
  expect(seen).toHaveLength(times)
})

test.each([
  ['GET', 'it is told not to', [bad(500, { 'x-should-retry': 'false' })], 1],
  ['GET', 'it would have to wait for longer than a minute', [bad(429, { 'retry-after': '3600' })], 1],
  ['POST', 'it may have been carried out', [bad(500)], 1],
  ['GET', 'it was refused', [bad(403)], 1],
  ['GET', 'it was tried three times', [bad(429)], 3],
] as const)('%s is not tried again where %s', async (method, _why, answers, times) => {
  const { seen, api } = await scripted(...answers)
  const status = answers[0]?.status
  await expect(api.call(method, '/x')).rejects.toThrow(`${status}: not now (1000)`)
  expect(seen).toHaveLength(times)
})

test('what is no answer of the API says what it is', async () => {
  const page = await scripted({ body: '<html>hello</html>' })
  await expect(page.api.call('GET', '/x')).rejects.toThrow(
    "200: the answer is not JSON, so this is not Cloudflare's API",
  )
  stop()
  const gateway = await scripted({ status: 404, body: 'no such page\nat all' })
  await expect(gateway.api.call('GET', '/x')).rejects.toThrow(/^404: no such page$/)
  stop()
  const nobody = new CloudflareApi('http://127.0.0.1:9/client/v4', { token: 't' })
  await expect(nobody.call('GET', '/x')).rejects.toThrow(/^connection error: .*ECONNREFUSED/)
})

test('reads and changes what the official SDK reads and changes', async () => {
  const running = await runApi()
  stop = () => void running.close()
  const api = new CloudflareApi(`${running.url}/client/v4`, { token: TOKEN })
  const sdk = new Cloudflare({ apiToken: TOKEN, baseURL: `${running.url}/client/v4` })
  const account = { account_id: ACCOUNT_ID }
  const path = `/accounts/${ACCOUNT_ID}`
  const made = Object(
    await api.call('POST', `${path}/gateway/rules`, { name: 'new', action: 'egress', filters: ['egress'] }),
  )
  expect(await sdk.zeroTrust.gateway.rules.get(made.id, account)).toEqual(made)
  await api.call('PUT', `${path}/gateway/rules/${made.id}`, { name: 'renamed', action: 'egress' })
  expect(await all(api.list(`${path}/gateway/rules`))).toEqual(await all(sdk.zeroTrust.gateway.rules.list(account)))
  await api.call('DELETE', `${path}/gateway/rules/${made.id}`)
  expect(await all(api.list(`${path}/gateway/lists`))).toEqual(await all(sdk.zeroTrust.gateway.lists.list(account)))
  const networks = `${path}/teamnet/virtual_networks?is_deleted=false`
  expect(await all(api.list(networks))).toEqual(
    await all(sdk.zeroTrust.networks.virtualNetworks.list({ ...account, is_deleted: false })),
  )
  expect(await all(api.list('/accounts'))).toEqual(await all(sdk.accounts.list()))
})

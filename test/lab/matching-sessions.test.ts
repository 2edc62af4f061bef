// An answer is matched with its session: by fields of the answer, by the exchanges on the record of a kept connection, and by waiting
// for the session at the API.

import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { SessionRecord } from '../../src/proxy/session-record.ts'
import { type CurlAnswer, curl } from '../support/curl.ts'
import { ownNetwork } from '../support/own-network.ts'
import { PATIENCE_MS } from '../support/patience.ts'
import { type PrivateLab, startPrivateLab } from '../support/private-lab.ts'

const ALICE = 'alice@example.com:lab-alice'
const BOB = 'bob@example.com:lab-bob'
const BANK = 'bank.saas.test'

let running: PrivateLab
beforeAll(async () => {
  running = await startPrivateLab({ annotate: true })
})
afterAll(() => running.close())

const tlsProxy = () => [
  '--proxy-cacert',
  'certs/ca.pem',
  '--cacert',
  'certs/ca.pem',
  '-x',
  running.proxy.replace('http:', 'https:'),
]
const annotationOf = ({ headers }: CurlAnswer) =>
  ['session', 'egress', 'rule'].map((name) => headers.get(`egresslab-${name}`))

async function ask(path: string, method = 'GET') {
  const url = `http://127.0.0.1:${running.lab.api.port}/lab/v1/sessions${path}`
  const answer = await fetch(url, { method, headers: { authorization: `Bearer ${running.lab.token()}` } })
  return { status: answer.status, body: JSON.parse(await answer.text()) }
}

async function recordOf(id: string | undefined): Promise<SessionRecord> {
  const find = () => running.lab.sessions.recent().find(({ SessionID }) => SessionID === id)
  await expect.poll(find).toBeDefined()
  return find() ?? expect.unreachable()
}

describe('a listener that annotates', () => {
  test.each<[string, () => readonly string[]]>([
    ['a forwarded answer over HTTP/1.1', () => ['-x', running.proxy, '-U', ALICE, `http://${BANK}/`]],
    ['a forwarded answer over HTTP/2', () => [...tlsProxy(), '--proxy-http2', '-U', ALICE, `http://${BANK}/`]],
    [
      'a CONNECT reply over HTTP/1.1',
      () => ['-o', '/dev/null', '-p', '-x', running.proxy, '-U', ALICE, `http://${BANK}/`],
    ],
    ['a CONNECT reply over HTTP/2', () => [...tlsProxy(), '--proxy-http2', '-p', '-U', ALICE, `http://${BANK}/`]],
  ])('names session, egress and rule in %s', async (what, args) => {
    const isReply = what.includes('CONNECT')
    const answer = isReply ? undefined : await curl(...args())
    const fields = answer === undefined ? await connectReply(args()) : annotationOf(answer)
    const [session, egress, rule] = fields
    expect([egress, rule]).toEqual(['203.0.113.20', 'Finance to the bank'])
    expect((await recordOf(session)).Email).toBe('alice@example.com')
  })

  test('names no rule where none decided', async () => {
    const answer = await curl('-x', running.proxy, '-U', BOB, 'http://ipv4.icanhazip.com/')
    expect(annotationOf(answer)).toEqual([expect.any(String), '203.0.113.10', undefined])
  })

  test('names the session in refusals after the login', async () => {
    const answer = await curl('-x', running.proxy, '-U', BOB, 'http://nowhere.invalid/')
    expect(answer.status).toBe(502)
    const [session] = annotationOf(answer)
    expect((await recordOf(session)).Lab.error?.code).toBe('name.not_found')
  })

  test('lets no origin forge these fields', async () => {
    const origin = createServer((_request, response) => response.setHeader('EGRESSLAB-Rule', 'forged').end('x'))
    origin.listen(0, '127.0.0.1')
    await once(origin, 'listening')
    const { port } = origin.address() as AddressInfo
    const answer = await curl('-x', running.proxy, '-U', BOB, `http://127.0.0.1:${port}/`)
    origin.close()
    expect(annotationOf(answer)).toEqual([expect.stringMatching(/^[\da-f-]{36}$/), expect.any(String), undefined])
  })

  test('writes rule names as printable ASCII', async () => {
    running.lab.store.change((draft) => {
      const [rule] = draft.all('rule').filter(({ name }) => name === 'Finance to the bank')
      if (rule !== undefined) draft.put('rule', { ...rule, name: 'Finanças\r\nx: y' })
    })
    const answer = await curl('-x', running.proxy, '-U', ALICE, `http://${BANK}/`)
    running.lab.store.revert('all')
    expect(annotationOf(answer)[2]).toBe('Finan?as??x: y')
  })
})

test('without `annotate` no answer has such fields', async () => {
  const plain = await startPrivateLab({ standInNetwork: ownNetwork(1) })
  const answer = await curl('-x', plain.proxy, '-U', BOB, 'http://ipv4.icanhazip.com/')
  await plain.close()
  expect(annotationOf(answer)).toEqual([undefined, undefined, undefined])
})

test('the record of a kept connection lists its requests, without their queries', async () => {
  const url = `http://${BANK}`
  const answer = await curl(
    '-x',
    running.proxy,
    '-U',
    ALICE,
    `${url}/one?token=secret`,
    '-o',
    '/dev/null',
    `${url}/two`,
  )
  const record = await recordOf(annotationOf(answer)[0])
  expect(record.Lab.requests).toBe(2)
  expect(record.Lab.exchanges).toMatchObject([
    { method: 'GET', path: '/one', status: 200 },
    { method: 'GET', path: '/two', status: 200 },
  ])
  expect(JSON.stringify(record)).not.toContain('secret')
})

describe('GET /lab/v1/sessions?wait', () => {
  test('answers with a finished session at once, and with one to come when it comes', async () => {
    await ask('/recent', 'DELETE')
    const waiting = ask(`?wait=50&user=carol@example.com&egress_ip=203.0.113.40`)
    await curl('-x', running.proxy, '-U', BOB, 'http://ipv4.icanhazip.com/')
    await curl('-x', running.proxy, '-U', 'carol@example.com:lab-carol', 'http://ipv4.icanhazip.com/')
    const [found] = (await waiting).body.result
    expect(found).toMatchObject({ email: 'carol@example.com', outcome: 'balanced', target: 'ipv4.icanhazip.com:80' })
    await recordOf(found.id)
    const [again] = (await ask(`?wait=1&id=${found.id}`)).body.result
    expect(again).toMatchObject({ id: found.id, ended_at: expect.stringMatching(/Z$/) })
    expect(again.egress).toMatch(/^203\.0\.113\.40:\d+$/)
  })

  test('answers an empty list when the time is over', async () => {
    const { status, body } = await ask(`?wait=1&rule=nobody&since=2020-01-01T00:00:00Z`)
    expect([status, body.result]).toEqual([200, []])
  })

  test.each([
    ['wait=51', '`wait` must be a whole number from 1 to 50'],
    ['wait=soon', '`wait` must be a whole number from 1 to 50'],
    ['id=7', '`7` is not a UUID'],
    ['wate=1', 'unknown parameter `wate`; did you mean `wait`?'],
  ])('refuses ?%s', async (query, message) => {
    const { status, body } = await ask(`?${query}`)
    expect([status, body.errors[0].message]).toEqual([400, message])
  })
})

/** The fields of the reply to CONNECT: curl writes them before those of the answer. */
async function connectReply(args: readonly string[]): Promise<(string | undefined)[]> {
  const shown = await new Promise<string>((resolve) => {
    execFile('curl', ['-q', '-s', '-m', String(PATIENCE_MS / 1000), '-D', '-', ...args], (_error, stdout) =>
      resolve(stdout),
    )
  })
  const [head = ''] = shown.split('\r\n\r\n')
  return ['session', 'egress', 'rule'].map((name) =>
    new RegExp(`^egresslab-${name}: (.*)\r?$`, 'im').exec(`${head}\r`)?.[1]?.trimEnd(),
  )
}

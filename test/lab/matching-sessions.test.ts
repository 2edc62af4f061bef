// An answer is matched with its session: by fields of the answer, by the exchanges on the record of a kept connection, and by waiting
// for the session at the API.

import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { connect } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { SessionRecord } from '../../src/proxy/session-record.ts'
import { type CurlAnswer, curl } from '../support/curl.ts'
import { authorization, openStream } from '../support/h2-client.ts'
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

const NAMES = ['session', 'egress', 'rule']
const annotationOf = ({ headers }: CurlAnswer) => NAMES.map((name) => headers.get(`egresslab-${name}`))

async function isAnnotated([session, egress, rule]: readonly unknown[]): Promise<void> {
  expect([egress, rule]).toEqual(['203.0.113.20', 'Finance to the bank'])
  expect((await recordOf(String(session))).Email).toBe('alice@example.com')
}

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
  test('names session, egress and rule in an answer forwarded over HTTP/1.1', async () => {
    await isAnnotated(annotationOf(await curl('-x', running.proxy, '-U', ALICE, `http://${BANK}/`)))
  })

  test('names them in the reply to a CONNECT over HTTP/1.1', async () => {
    const args = ['-q', '-s', '-m', String(PATIENCE_MS / 1000), '-D', '-', '-p', '-x', running.proxy, '-U', ALICE]
    const shown = await new Promise<string>((resolve) => {
      execFile('curl', [...args, `http://${BANK}/`], (_error, stdout) => resolve(stdout))
    })
    const [reply = ''] = shown.split('\r\n\r\n')
    expect(reply).toMatch(/^HTTP\/1.1 200 Connection established\r\n/)
    await isAnnotated(NAMES.map((name) => new RegExp(`^egresslab-${name}: (.*)$`, 'im').exec(reply)?.[1]?.trimEnd()))
  })

  test.each([
    ['an answer forwarded over HTTP/2', { ':method': 'GET', ':scheme': 'http', ':path': '/', ':authority': BANK }],
    ['the reply to a CONNECT over HTTP/2', { ':method': 'CONNECT', ':authority': `${BANK}:80` }],
  ])('names them in %s', async (_what, head) => {
    const session = connect(running.proxy.replace('http:', 'https:'), { ca: readFileSync(running.lab.authorityFile) })
    const [email = '', password = ''] = ALICE.split(':')
    const isForwarded = ':path' in head
    const { headers, stream } = await openStream(
      session,
      { ...head, ...authorization({ email, password }) },
      isForwarded,
    )
    stream.close()
    session.destroy()
    await isAnnotated(NAMES.map((name) => headers[`egresslab-${name}`]))
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
    ['wai=1', 'unknown parameter `wai`; did you mean `wait`?'],
  ])('refuses ?%s', async (query, message) => {
    const { status, body } = await ask(`?${query}`)
    expect([status, body.errors[0].message]).toEqual([400, message])
  })
})

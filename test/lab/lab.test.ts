// The whole lab in this process: what it listens on, what it refuses, how it starts and stops.

import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { InputError } from '../../src/errors/issue.ts'
import { startLab } from '../../src/lab/start-lab.ts'
import { curl } from '../support/curl.ts'
import { loopback, ownNetwork } from '../support/own-network.ts'
import { type PrivateLab, STAND_INS, startPrivateLab } from '../support/private-lab.ts'
import { dialPlain } from '../support/tcp.ts'

let running: PrivateLab | undefined
const folders: string[] = []
afterEach(async () => {
  await running?.close()
  running = undefined
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'egresslab-main-'))
  folders.push(folder)
  return folder
}

/** The shipped configuration with changes, in a file of its own. */
function configFile(change: (text: string) => string): string {
  const file = join(temporaryFolder(), 'lab.yaml')
  writeFileSync(file, change(readFileSync('config/lab.yaml', 'utf8')))
  return file
}

const BOB = 'bob@example.com:lab-bob'
const ECHO = 'http://ipv4.icanhazip.com/'

async function issuesOf(starting: Promise<unknown>): Promise<InputError['issues']> {
  const error: unknown = await starting.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (error instanceof InputError) return error.issues
  throw new Error(`the lab did not refuse to start: ${String(error)}`)
}

test('HTTP, CONNECT, SOCKS4a and SOCKS5 on one port all show the decided address', async () => {
  running = await startPrivateLab()
  const { port } = running.lab.listeners[0] ?? {}
  for (const args of [
    ['-x', running.proxy, '-U', BOB, ECHO],
    ['-p', '-x', running.proxy, '-U', BOB, ECHO],
    ['-x', `socks5h://127.0.0.1:${port}`, '-U', BOB, ECHO],
    ['--cacert', 'certs/ca.pem', '-x', running.proxy, '-U', BOB, 'https://ipv4.icanhazip.com/'],
  ]) {
    expect(await curl(...args)).toMatchObject({ exit: 0, status: 200, body: '203.0.113.10\n' })
  }
})

test('a session is recorded with rule, address and reason, in memory and in the state folder', async () => {
  running = await startPrivateLab({ ephemeral: false })
  const { lab, folder } = running
  const recorded = new Promise((resolve) => lab.sessions.subscribe(resolve))
  await curl('-x', running.proxy, '-U', 'alice@example.com:lab-alice', 'http://bank.saas.test/')
  const record = await recorded
  expect(record).toMatchObject({
    Email: 'alice@example.com',
    EgressIP: '203.0.113.20',
    EgressRuleName: 'Finance to the bank',
    Lab: { outcome: 'dedicated', reason: expect.stringContaining('sends this to 203.0.113.20 at LHR') },
  })
  await lab.close()
  const lines = readFileSync(join(folder, 'sessions.ndjson'), 'utf8').trimEnd().split('\n')
  expect(lines.map((line) => JSON.parse(line))).toEqual([record])
  expect(lines.join()).not.toContain('lab-alice')
})

test('LG-04: a refused login is a session too', async () => {
  running = await startPrivateLab()
  const { lab } = running
  const recorded = new Promise((resolve) => lab.sessions.subscribe(resolve))
  expect(await curl('-x', running.proxy, '-U', 'bob@example.com:wrong', ECHO)).toMatchObject({ status: 407 })
  expect(await recorded).toMatchObject({ Lab: { error: { code: 'identity.rejected' } } })
})

test('SS-04: the API and the proxy cannot be reached through the proxy', async () => {
  running = await startPrivateLab()
  for (const port of [running.lab.api.port, running.lab.listeners[0]?.port]) {
    for (const host of ['127.0.0.1', 'localhost', '127.0.0.2', '0.0.0.0']) {
      const answer = await curl('-x', running.proxy, '-U', BOB, `http://${host}:${port}/`)
      expect(answer).toMatchObject({ status: 403 })
      expect(answer.headers.get('proxy-status')).toContain('code="guard.own_listener"')
    }
  }
})

test('a data center taken down at run time is out for the next connection', async () => {
  running = await startPrivateLab()
  const seen = () => curl('-x', running?.proxy ?? '', '-U', 'bob@example.com;vnet=vnet-AMER:lab-bob', ECHO)
  expect(await seen()).toMatchObject({ body: '203.0.113.40\n' })
  running.lab.store.setColoDown('LAX', true)
  expect(await seen()).toMatchObject({ body: '203.0.113.50\n' })
  running.lab.store.setColoDown('EWR', true)
  expect(await seen()).toMatchObject({ status: 503, body: expect.stringContaining('egress.unroutable') })
})

test('CF-01: a good new configuration takes effect as a whole, a bad one changes nothing and is told of', async () => {
  const file = configFile((text) => text)
  running = await startPrivateLab({ configFile: file })
  const { lab } = running
  const original = readFileSync(file, 'utf8')
  const changed = () => new Promise((resolve) => lab.store.subscribe(resolve))

  const taken = changed()
  writeFileSync(file, original.replace('password: lab-bob', 'password: changed'))
  await taken
  expect(await curl('-x', running.proxy, '-U', 'bob@example.com:changed', ECHO)).toMatchObject({ status: 200 })

  writeFileSync(file, original.replace('ipv4: 203.0.113.20, ipv4_fallback', 'ipv4: 203.0.113.99, ipv4_fallback'))
  await expect.poll(running.said).toContain('is not in force: line ')
  expect(await curl('-x', running.proxy, '-U', 'bob@example.com:changed', ECHO)).toMatchObject({ status: 200 })
})

test('LC-03: what is wrong is said all at once, and nothing listens', async () => {
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  const address = taken.address()
  const port = address !== null && typeof address === 'object' ? address.port : 0
  const file = configFile((text) =>
    text
      .replace('port: 8080', `port: ${port}`)
      .replace('port: 8090', 'port: 0')
      .replace('127.0.0.1:8053', `${loopback(53)}:53`)
      .replace('ipv4: 203.0.113.10,', 'ipv4: 203.0.113.10, stand_ins: { ipv4: 192.0.2.1 },'),
  )
  const issues = await issuesOf(
    startLab({ configFile: file, state: temporaryFolder(), ephemeral: true, standInNetwork: STAND_INS }),
  )
  taken.close()
  expect(issues.map(({ code, message }) => `${code} ${message}`)).toEqual([
    'address.not_bindable `192.0.2.1` is not an address of this machine',
    `listen.port_taken \`127.0.0.1:${port}\` is taken by another process`,
  ])
  await expect(dialPlain(10080, { host: STAND_INS.replace('0.0/16', '20.4') })).rejects.toThrow('ECONNREFUSED')
})

test('CF-03: rules that do not compile keep the lab from starting, drawn at their place in the file', async () => {
  const file = configFile((text) =>
    text.replace('identity: any(identity.groups.name', 'identity: any(identity.groups.nme'),
  )
  const [issue] = await issuesOf(startLab({ configFile: file, state: temporaryFolder(), ephemeral: true }))
  const line =
    readFileSync(file, 'utf8')
      .split('\n')
      .findIndex((text) => text.includes('groups.nme')) + 1
  expect(issue).toMatchObject({ severity: 'error', file, line, column: 19, drawing: expect.stringContaining('^') })
})

test('CF-06: a second lab on the same state is told of the first', async () => {
  running = await startPrivateLab({ ephemeral: false })
  const second = startLab({
    configFile: 'config/lab.yaml',
    state: running.folder,
    ephemeral: false,
    portsFromZero: true,
    standInNetwork: ownNetwork(1),
  })
  const [issue] = await issuesOf(second)
  expect(issue?.code).toMatch(/^state\./)
})

test('LC-01: closing lets go of every port, and a lab can start again on the same state', async () => {
  running = await startPrivateLab({ ephemeral: false })
  const { folder, lab } = running
  lab.store.setColoDown('AMS', true)
  const ports = [lab.listeners[0]?.port ?? 0, lab.api.port]
  await lab.close()
  for (const port of ports) await expect(dialPlain(port)).rejects.toThrow('ECONNREFUSED')
  const again = await startPrivateLab({ ephemeral: false, state: folder })
  expect(again.lab.snapshot().account.colosDown).toEqual(new Set(['AMS']))
  await again.close()
})

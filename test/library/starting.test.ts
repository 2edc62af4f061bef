// Labs of the library from their start to their end: what is refused, what stays on disk, and where they may run.

import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ROOT } from '../../scripts/source-files.ts'
import { startLab } from '../../src/library/index.ts'
import { PATIENCE_MS } from '../support/patience.ts'
import { issuesOf } from './issues-of.ts'

const ALICE = 'alice@example.com'
const BOB = 'bob@example.com'
const BANK = 'http://bank.saas.test/'
const ECHO = 'http://ipv4.icanhazip.com/'
const PATIENT = { timeoutMs: PATIENCE_MS }

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'egresslab-library-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

test.each<[string, object, object]>([
  ['an unknown option', { conifg: 'lab.yaml' }, { path: ['conifg'], hint: 'did you mean `config`?' }],
  ['a wrong type', { workers: 'two' }, { path: ['workers'] }],
  ['two configurations', { config: 'a.yaml', configFile: 'b.yaml' }, { path: ['configFile'] }],
  [
    'a mistake in a configuration given as an object',
    { config: { dedicated_ips: [], users: [{ email: 'x@example.com', pasword: 'y' }] } },
    { path: ['config', 'users', 0, 'pasword'], hint: 'did you mean `password`?' },
  ],
  [
    'a rule that does not compile',
    { config: { dedicated_ips: [], rules: [{ name: 'r', traffic: 'net.dst.prot == 1' }] } },
    { path: ['config', 'rules', 'r', 'traffic'] },
  ],
  ['a file that is missing', { config: '/nonexistent/lab.yaml' }, { code: 'config.unreadable' }],
])('%s is an InputError, and nothing is left behind', async (_what, options, expected) => {
  const { TMPDIR } = process.env
  process.env.TMPDIR = mkdtempSync(join(folder, 'tmp-'))
  try {
    expect((await issuesOf(() => startLab(options)))[0]).toMatchObject(expected)
    expect(readdirSync(process.env.TMPDIR)).toEqual([])
  } finally {
    process.env.TMPDIR = TMPDIR ?? '/tmp'
  }
})

test('a configuration given as an object runs, and needs no file', async () => {
  await using lab = await startLab({
    config: {
      dedicated_ips: [{ colo: 'LHR', ipv4: '203.0.113.20', ipv6: '2001:db8:20::/64' }],
      users: [{ email: 'eve@example.com', password: 'x' }],
    },
  })
  expect(await (await lab.fetch(ECHO, { user: 'eve@example.com' })).text()).toBe('203.0.113.20\n')
})

test('an ephemeral lab leaves nothing on disk, and its certificate goes with it', async () => {
  const lab = await startLab({ ephemeral: true })
  expect(readFileSync(lab.caFile, 'utf8')).toContain('BEGIN CERTIFICATE')
  await lab.close()
  expect(existsSync(lab.caFile)).toBe(false)
  await lab.close()
})

test('a lab that is closed says so, whatever it is asked to do', async () => {
  const lab = await startLab()
  const waiting = lab.sessions.waitFor({ user: BOB })
  const refused = expect(waiting).rejects.toThrow('the lab was closed')
  await lab.close()
  await refused
  for (const attempt of [
    () => lab.fetch(ECHO, { user: BOB }),
    () => lab.dispatcher({ user: BOB }),
    () => lab.origins.add({ host: 'erp.test' }),
    () => lab.rules.list(),
    () => lab.colos.down('LHR'),
    () => lab.reset(),
  ]) {
    expect(await issuesOf(attempt)).toMatchObject([{ code: 'library.closed', message: 'the lab was closed' }])
  }
  await expect(lab.sessions.waitFor({ user: BOB })).rejects.toThrow('the lab was closed')
})

test('a lab in a worker thread, and one that a test leaves by throwing', async () => {
  const library = new URL('../../src/library/index.ts', import.meta.url).href
  const program = `const { parentPort } = require('node:worker_threads')
      import('${library}').then(async ({ startLab }) => {
        await using lab = await startLab()
        const answer = await lab.fetch('${ECHO}', { user: '${BOB}' })
        parentPort.postMessage(await answer.text())
        throw new Error('a failed assertion')
      }).catch(({ message }) => parentPort.postMessage(message))`
  const worker = new Worker(program, { eval: true })
  const said: string[] = []
  worker.on('message', (text) => said.push(text))
  expect(await once(worker, 'exit')).toEqual([0])
  expect(said).toEqual(['203.0.113.10\n', 'a failed assertion'])
})

test('an origin of more addresses than there are stand-ins is refused, and nothing has changed', async () => {
  await using lab = await startLab()
  const addresses = Array.from({ length: 13_000 }, (_, at) => `198.18.${at >> 8}.${at & 255}`)
  const [issue] = await issuesOf(() => lab.origins.add({ host: 'many.test', addresses }))
  expect(issue).toMatchObject({ path: ['addresses', expect.any(Number)] })
  expect(issue?.message).toContain('all 12288 stand-ins')
  await lab.origins.add({ host: 'many.test', addresses: addresses.slice(0, 2) })
  expect((await lab.fetch('http://many.test/', { user: BOB })).status).toBe(200)
})

test('a lab has more origins than one network of 256 addresses, and takes more', async () => {
  const destinations = Array.from({ length: 300 }, (_, at) => ({
    name: `service-${at}.test`,
    addresses: [`198.51.${100 + (at >> 8)}.${at & 255}`],
    origin: { kind: 'echo' as const },
  }))
  await using lab = await startLab({
    config: {
      dedicated_ips: [{ colo: 'LHR', ipv4: '203.0.113.20', ipv6: '2001:db8:20::/64' }],
      users: [{ email: 'eve@example.com', password: 'x' }],
      destinations,
    },
  })
  const ask = async (host: string) => (await lab.fetch(`http://${host}/`, { user: 'eve@example.com' })).text()
  await lab.origins.add({ host: 'one-more.test', addresses: ['192.0.2.7'] })
  for (const host of ['service-0.test', 'service-299.test', 'one-more.test'])
    expect(await ask(host)).toBe('203.0.113.20\n')
  expect(lab.origins.get('service-299.test').requests).toHaveLength(1)
  expect(lab.origins.get('service-43.test').requests).toHaveLength(0)
})

test('an origin that is added finds the file as it is now, its passwords too', async () => {
  const config = join(folder, 'passwords.yaml')
  const write = (password: string, rest = '') =>
    writeFileSync(
      config,
      `dedicated_ips: [{ colo: LHR, ipv4: 203.0.113.20, ipv6: "2001:db8:20::/64" }]
users: [{ email: eve@example.com, password: ${password} }]
${rest}`,
    )
  write('first')
  await using lab = await startLab({ config })
  await lab.origins.add({ host: 'one.test' })
  const statusWith = (password: string) =>
    lab.fetch('http://one.test/', { user: 'eve@example.com', password }).then(
      ({ status }) => status,
      ({ code }) => code,
    )
  const refused = 'identity.rejected'
  expect(await statusWith('first')).toBe(200)
  await lab.origins.add({ host: 'two.test' })
  expect(await statusWith('first')).toBe(200)
  write('other')
  await lab.origins.add({ host: 'three.test' })
  expect([await statusWith('first'), await statusWith('other')]).toEqual([refused, 200])
  write('other', 'usres: []')
  const [issue] = await issuesOf(() => lab.origins.add({ host: 'four.test' }))
  expect(issue?.message).toBe('unknown key `usres`')
  write('third')
  await lab.origins.add({ host: 'five.test' })
  expect([await statusWith('other'), await statusWith('third')]).toEqual([refused, 200])
})

test('a lab with a state folder keeps its sessions and changes there', async () => {
  const state = join(folder, 'state')
  {
    await using lab = await startLab({ state })
    await lab.colos.down('LHR')
    await lab.fetch(ECHO, { user: BOB })
    await lab.sessions.waitFor({ user: BOB }, PATIENT)
  }
  expect(readFileSync(join(state, 'sessions.ndjson'), 'utf8')).toContain(BOB)
  await using lab = await startLab({ state })
  expect((await lab.explain({ user: ALICE, destination: BANK })).decision.outcome).toBe('dedicated-fallback')
})

test('an aborted signal closes the lab, or keeps it from starting', async () => {
  const stop = new AbortController()
  const lab = await startLab({ signal: stop.signal })
  stop.abort()
  await lab.close()
  await expect(fetch(lab.api.url)).rejects.toThrow()
  await expect(startLab({ signal: stop.signal })).rejects.toThrow('abort')
})

test('a lab with workers serves added origins and counts their requests', async () => {
  await using lab = await startLab({ workers: 2 })
  const erp = await lab.origins.add({ host: 'erp.test', allow: ['203.0.113.10'] })
  for (let count = 0; count < 4; count++) {
    expect((await lab.fetch('http://erp.test/', { user: BOB })).status).toBe(200)
  }
  expect(erp.requests.map(({ user }) => user)).toEqual([BOB, BOB, BOB, BOB])
  await lab.sessions.waitFor({ user: BOB }, PATIENT)
})

test('nothing is printed and no signal is handled; `log` gets what there is to say', async () => {
  const listeners = () => ['SIGINT', 'SIGTERM', 'exit', 'uncaughtException'].map((name) => process.listenerCount(name))
  const before = listeners()
  const lines: string[] = []
  const file = join(folder, 'lab.yaml')
  writeFileSync(file, readFileSync(join(ROOT, 'config/lab.yaml')))
  const { promise, resolve } = Promise.withResolvers<void>()
  await using _lab = await startLab({
    configFile: file,
    log: (line) => {
      lines.push(line)
      resolve()
    },
  })
  writeFileSync(file, 'users: 7')
  await promise
  expect(lines[0]).toContain('is not in force')
  expect(listeners()).toEqual(before)
})

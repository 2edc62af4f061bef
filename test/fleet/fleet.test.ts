// A fleet of two members over one NATS server: where connections leave, how changes spread, and what is refused by name.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { jetstream, jetstreamManager } from '@nats-io/jetstream'
import { connect as connectNats, headers } from '@nats-io/transport-node'
import { Ajv } from 'ajv'
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { FLEET } from '../../src/api/shapes/session-shapes.ts'
import { FleetIdentity } from '../../src/fleet/log-message.ts'
import { curl } from '../support/curl.ts'
import {
  FLEET_ORIGIN,
  FLEET_TOKEN,
  FLEET_USER,
  guarded,
  NatsServer,
  publicAddress,
  TestFleet,
  type TestMember,
} from '../support/fleet.ts'
import { ownNetwork } from '../support/own-network.ts'
import { PATIENCE_MS, PATIENT, TEST_LIMIT_MS } from '../support/patience.ts'
import { startPrivateLab } from '../support/private-lab.ts'
import { UdpClient } from '../support/udp.ts'

const fleet = new TestFleet()
let ams: TestMember
let lhr: TestMember

beforeAll(async () => {
  await fleet.begin()
  ams = fleet.member(0, 'AMS')
  lhr = fleet.member(1, 'LHR')
  await Promise.all([ams.start(), lhr.start()])
  await together()
}, TEST_LIMIT_MS)
afterAll(() => fleet.end(), TEST_LIMIT_MS)

/** Whatever a test before this one has left. */
beforeEach(async () => {
  await fleet.servers[0]?.start()
  for (const member of [ams, lhr]) {
    member.child?.kill('SIGCONT')
    if (member.child === undefined) await member.start()
  }
  if ((await ams.status()).standing === 'stopped') return
  await vi.waitFor(async () => {
    for (const member of [ams, lhr]) expect((await member.status()).standing).toBe('following')
  }, PATIENT)
  await lhr.ask('PUT', '/lab/v1/fleet/members/lhr-1', { drained: false })
  await together()
  expect((await ams.sendBy('LHR', '?wait=fleet')).status).toBe(200)
}, TEST_LIMIT_MS)

async function together(): Promise<void> {
  const all = { 'ams-1': 'up', 'lhr-1': 'up' }
  await Promise.all([ams.sees(all), lhr.sees(all)])
}

const visit = (member: TestMember, ...more: string[]) =>
  curl('-x', member.proxy(), '-U', FLEET_USER, ...more, FLEET_ORIGIN)

/** A process whose clock is that far ahead of this machine's. */
function clockAhead(seconds: number): Record<string, string> {
  const script = `const now = Date.now; Date.now = () => now() + ${seconds * 1_000}`
  return { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(script)}` }
}

const nats = async () => connectNats({ servers: (fleet.servers[0]?.url ?? '').replace('nats://', '') })

test('a connection leaves at the member that is the data center of the address, wherever it enters', async () => {
  for (const member of [ams, lhr]) {
    for (const form of [[], ['-p']]) {
      expect(await visit(member, ...form)).toMatchObject({ status: 200, body: lhr.standIn('LHR') })
    }
  }
  await vi.waitFor(() => expect(ams.records().length).toBeGreaterThanOrEqual(2), PATIENT)
  const [record] = ams.records()
  expect(record).toMatchObject({ EgressIP: publicAddress('LHR'), EgressColoName: 'LHR' })
  expect(record?.Lab).toMatchObject({ exit: 'member://lhr-1', fleet: { member: 'ams-1', cutOff: false } })
  expect(record?.Lab.bind).toBe(fleet.visits[0]?.from)
})

test('UDP does not go to another member: it is refused by name, and leaves from no other address', async () => {
  const login = ['bob@example.com', 'lab-bob'] as const
  const client = await UdpClient.associate(Number(new URL(ams.proxy()).port), { login })
  client.send('origin.test', 80, 'ping')
  await vi.waitFor(() => expect(ams.records().some(({ Protocol }) => Protocol === 'UDP')).toBe(true), PATIENT)
  const record = ams.records().find(({ Protocol }) => Protocol === 'UDP')
  expect([record?.Lab.error?.code, record?.BytesSent, record?.Lab.bind]).toEqual(['egress.member_failed', 0, undefined])
})

test('a tunnel carries a body of megabytes both ways, and a reset is a reset', async () => {
  const upload = join(fleet.folder, 'upload')
  writeFileSync(upload, Buffer.alloc(4_000_000, 'x'))
  expect(await visit(ams, '-p', '--data-binary', `@${upload}`)).toMatchObject({ status: 200, body: lhr.standIn('LHR') })
})

test('a change at one member is in force at all with `wait=fleet`, and everywhere under the same revision', async () => {
  const { status, revision } = await lhr.sendBy('AMS', '?wait=fleet')
  expect(status).toBe(200)
  for (const member of [ams, lhr]) {
    expect((await visit(member)).body).toBe(ams.standIn('AMS'))
    expect((await member.status()).revision).toBe(revision)
  }
  const audit = (await ams.ask('GET', '/lab/v1/audit')).result
  expect(audit[0]).toMatchObject({ action: 'a change at another member', who: { id: 'lhr-1' }, revision })
})

test('changes at the same moment all count, and one that is held to a revision counts once', async () => {
  const before = (await ams.ask('GET', '/lab/v1/clock')).result.offset_seconds
  const ten = Array.from({ length: 10 }, (_, at) => (at % 2 === 0 ? ams : lhr))
  const answers = await Promise.all(ten.map((member) => member.ask('POST', '/lab/v1/clock/advance', { seconds: 10 })))
  expect(answers.map(({ status }) => status)).toEqual(ten.map(() => 200))
  await vi.waitFor(async () => {
    for (const member of [ams, lhr]) {
      expect((await member.ask('GET', '/lab/v1/clock')).result.offset_seconds).toBeCloseTo(before + 100)
    }
  }, PATIENT)
  const account = (await ams.ask('GET', '/lab/v1/account')).result.id
  const lists = `/client/v4/accounts/${account}/gateway/lists`
  const { revision } = await ams.status()
  const held = (member: TestMember, name: string) =>
    member.ask('POST', lists, { name, type: 'DOMAIN', items: [] }, { 'if-match': `"${revision}"` })
  const both = await Promise.all([held(ams, 'one'), held(lhr, 'two')])
  expect(both.map(({ status }) => status).sort()).toEqual([200, 412])
  await lhr.ask('DELETE', '/lab/v1/clock')
})

test('the answer of the API is what its schema says', async () => {
  const check = new Ajv({ strict: false }).compile(FLEET)
  check(await ams.status())
  expect(check.errors).toBeNull()
  const none = await startPrivateLab({ standInNetwork: ownNetwork(5) })
  const token = none.lab.token()
  const url = `http://127.0.0.1:${none.lab.api.port}/lab/v1/fleet`
  expect((await fetch(url, { headers: { authorization: `Bearer ${token}` } })).status).toBe(404)
  await none.close()
})

test('a drained member is a data center that is down, until it is brought back', async () => {
  expect((await ams.ask('PUT', '/lab/v1/fleet/members/lhr-1?wait=fleet', { drained: true })).status).toBe(200)
  await lhr.sees({ 'lhr-1': 'drained' })
  for (const member of [ams, lhr]) expect((await visit(member)).status).toBe(503)
  await lhr.ask('PUT', '/lab/v1/fleet/members/lhr-1', { drained: false })
  await together()
  expect((await visit(ams)).body).toBe(lhr.standIn('LHR'))
  expect((await ams.ask('PUT', '/lab/v1/fleet/members/nobody', { drained: true })).status).toBe(404)
})

test('a member that is killed is a data center that is down at once, and up when it is back', async () => {
  await lhr.kill()
  await ams.sees({ 'lhr-1': 'lost' })
  const refused = await visit(ams)
  expect(refused.status).toBe(503)
  expect(refused.body).toContain('its colo LHR is down')
  await lhr.start()
  await together()
  expect((await visit(ams)).body).toBe(lhr.standIn('LHR'))
})

test('a member that hangs is lost, and found again when it goes on', async () => {
  lhr.child?.kill('SIGSTOP')
  await ams.sees({ 'lhr-1': 'lost' })
  lhr.child?.kill('SIGCONT')
  await together()
  expect((await visit(ams)).body).toBe(lhr.standIn('LHR'))
})

test('without NATS connections go on and changes are refused; with it everything is as before', async () => {
  const { revision } = await ams.status()
  await fleet.servers[0]?.kill()
  await vi.waitFor(async () => expect((await ams.status()).standing).toBe('cut_off'), PATIENT)
  expect((await visit(ams)).body).toBe(lhr.standIn('LHR'))
  const refused = await ams.sendBy('AMS')
  expect([refused.status, refused.errors[0].code]).toEqual([503, 20004])
  expect((await ams.ask('GET', '/lab/v1/health')).result.troubles[0]).toMatch(
    /^cut off from the fleet since .*: .*changes are refused/,
  )
  await vi.waitFor(() => expect(ams.records().at(-1)?.Lab.fleet).toEqual({ member: 'ams-1', cutOff: true }), PATIENT)
  await fleet.servers[0]?.start()
  for (const member of [ams, lhr]) {
    await vi.waitFor(
      async () => expect(await member.status()).toMatchObject({ standing: 'following', revision }),
      PATIENT,
    )
  }
  await together()
  expect((await lhr.sendBy('AMS', '?wait=fleet')).status).toBe(200)
  expect((await visit(ams)).body).toBe(ams.standIn('AMS'))
})

test('`on_partition: refuse` has a member that is cut off carry nothing; one that left is a data center that nobody is', async () => {
  const fra = fleet.member(2, 'FRA', (text) => `${text}  on_partition: refuse\n`)
  await fra.start()
  await ams.sees({ 'fra-1': 'up' })
  expect((await visit(fra)).body).toBe(lhr.standIn('LHR'))
  await fleet.servers[0]?.kill()
  await vi.waitFor(async () => expect((await fra.status()).standing).toBe('cut_off'), PATIENT)
  const refused = await visit(fra)
  expect([refused.status, refused.body]).toEqual([503, expect.stringContaining('code: egress.member_cut_off')])
  expect((await visit(ams)).body).toBe(lhr.standIn('LHR'))
  await fleet.servers[0]?.start()
  await vi.waitFor(async () => expect((await fra.status()).standing).toBe('following'), PATIENT)
  expect((await visit(fra)).body).toBe(lhr.standIn('LHR'))
  await fra.stop()
  await ams.sees({ 'fra-1': 'lost' })
  await vi.waitFor(
    async () => expect((await ams.ask('DELETE', '/lab/v1/fleet/members/fra-1')).status).toBe(200),
    PATIENT,
  )
  expect((await ams.sendBy('FRA', '?wait=fleet')).status).toBe(200)
  expect((await visit(ams)).body).toBe(ams.standIn('FRA'))
})

test('the sessions of all members are in one stream, also those of a time without NATS, and each of them once', async () => {
  const stop = new AbortController()
  const heard: string[] = []
  const url = `${lhr.api()}/lab/v1/fleet/events`
  const events = await fetch(url, { headers: { authorization: `Bearer ${FLEET_TOKEN}` }, signal: stop.signal })
  const reading = (async () => {
    for await (const chunk of events.body ?? []) heard.push(Buffer.from(chunk).toString('utf8'))
  })().catch(() => undefined)
  await visit(ams)
  await vi.waitFor(() => expect(heard.join('')).toMatch(/"Lab":.*"member":"ams-1"/), PATIENT)
  stop.abort()
  await reading
  await fleet.servers[0]?.kill()
  await vi.waitFor(async () => expect((await ams.status()).standing).toBe('cut_off'), PATIENT)
  for (let at = 0; at < 5; at++) await visit(ams)
  await fleet.servers[0]?.start()
  await lhr.kill()
  await lhr.start()
  await vi.waitFor(async () => {
    const written = [...ams.records(), ...lhr.records()].map(({ SessionID }) => SessionID)
    const sent = await sentSessions()
    expect(sent.filter((id) => written.includes(id)).sort()).toEqual(written.sort())
  }, PATIENT)
  expect(
    await (await fetch(`${ams.api()}/metrics`, { headers: { authorization: `Bearer ${FLEET_TOKEN}` } })).text(),
  ).toContain('egresslab_fleet_member_up{member="lhr-1",colo="LHR"}')
})

async function sentSessions(): Promise<string[]> {
  const connection = await nats()
  try {
    const manager = await jetstreamManager(connection, { timeout: PATIENCE_MS, checkAPI: false })
    const { state } = await manager.streams.info('egresslab_acme_sessions')
    const found: string[] = []
    for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
      const stored = await manager.streams.getMessage('egresslab_acme_sessions', { seq })
      found.push(JSON.parse(Buffer.from(stored?.data ?? '').toString('utf8')).record.SessionID)
    }
    return found
  } finally {
    await connection.close()
  }
}

test('`sessions tail --fleet` at one member shows what was carried at another', async () => {
  const args = ['scripts/egresslab.mjs', 'sessions', 'tail', '--fleet', '--json', '--limit', '1']
  const env = { ...process.env, EGRESSLAB_API_TOKEN: FLEET_TOKEN }
  const tail = guarded(process.execPath, [...args, '-c', lhr.facts.file, '--state', lhr.state], { env, stdout: 'pipe' })
  let told = ''
  tail.stdout?.setEncoding('utf8').on('data', (text: string) => {
    told += text
  })
  // nobody says when it has begun to listen, so there are connections until it has told of one
  while (tail.exitCode === null) await visit(ams)
  expect([tail.exitCode, JSON.parse(told)]).toMatchObject([0, { Lab: { fleet: { member: 'ams-1' } } }])
})

test('messages nobody of ours wrote change nothing, at no member; nor does an old one that is sent again', async () => {
  const connection = await nats()
  const log = jetstream(connection)
  const manager = await jetstreamManager(connection, { timeout: PATIENCE_MS, checkAPI: false })
  const { state } = await manager.streams.info('egresslab_acme')
  const old = await manager.streams.getMessage('egresslab_acme', { seq: state.last_seq })
  const { revision } = await ams.status()
  const proof = headers()
  for (const name of ['Egresslab-Signature', 'Egresslab-Certificate']) proof.set(name, old?.header.get(name) ?? '')
  await log.publish('egresslab.acme.change', 'nonsense')
  await log.publish('egresslab.acme.change', old?.data ?? '', { headers: proof })
  await connection.close()
  for (const member of [ams, lhr]) {
    await vi.waitFor(() => expect(member.said().match(/\[fleet\.foreign_message\]/g)).toHaveLength(2), PATIENT)
    expect(await member.status()).toMatchObject({ standing: 'following', revision })
  }
  expect((await ams.sendBy('LHR', '?wait=fleet')).status).toBe(200)
})

describe('refused at the start, with a name', () => {
  const refusal = (change: (text: string) => string, colo: 'FRA' | 'AMS' = 'FRA', number = 2) =>
    fleet.member(number, colo, change).refusal()

  test.each([
    ['fleet.member_taken', (text: string) => text, 'AMS'],
    ['fleet.colo_taken', (text: string) => text.replace('colo: FRA\n', 'colo: AMS\n'), 'FRA'],
    ['fleet.configuration_differs', (text: string) => text.replace('lab-bob', 'lab-bob, name: Bobby'), 'FRA'],
    ['fleet.configuration_differs', (text: string) => text.replace('precedence: 1000', 'precedence: 1001'), 'FRA'],
    ['fleet.foreign_certificate', (text: string) => text.replaceAll('certs/fra-1', 'certs/lhr-1'), 'FRA'],
    ['fleet.foreign_certificate', (text: string) => text.replace('  name: acme', '  name: other'), 'FRA'],
    ['fleet.unreachable', (text: string) => text.replace(/servers: .*/, 'servers: [nats://127.0.0.1:9]'), 'FRA'],
  ] as const)('%s', async (code, change, colo) => {
    expect(await refusal(change, colo)).toContain(`[${code}]`)
  })

  test('a certificate of another fleet: its messages count for nothing, and its links are refused', async () => {
    await fleet.certificates(['fra-1'], 'others')
    expect(await refusal((text) => text.replaceAll(': certs/', ': others/'))).toContain('[fleet.foreign_stream]')
    expect(await ams.status()).toMatchObject({ standing: 'following' })
  })

  test('a stream of the same name that is not ours stays as it is', async () => {
    const connection = await nats()
    const manager = await jetstreamManager(connection, { timeout: PATIENCE_MS, checkAPI: false })
    await manager.streams.add({ name: 'egresslab_theirs', subjects: ['theirs.>'] })
    await fleet.certificates(['fra-1'], 'theirs', 'theirs')
    const theirs = (text: string) => text.replace('  name: acme', '  name: theirs').replaceAll(': certs/', ': theirs/')
    expect(await refusal(theirs)).toContain('[fleet.foreign_stream]')
    expect((await manager.streams.info('egresslab_theirs')).config.subjects).toEqual(['theirs.>'])
    await connection.close()
  })

  test.each([
    ['fleet.login_refused', 'authorization { user: a, password: b }'],
    ['fleet.no_jetstream', 'jetstream: disabled'],
  ])('%s', async (code, lines) => {
    const other = new NatsServer(fleet.folder, 1, 1, lines)
    try {
      await other.start()
      expect(await refusal((text) => text.replace(/servers: .*/, `servers: [${other.url}]`))).toContain(`[${code}]`)
    } finally {
      await other.kill()
    }
  })

  test('fleet.clock_apart, and one that is less apart is let in and reported', async () => {
    const fra = fleet.member(2, 'FRA')
    expect(await fra.refusal(clockAhead(60))).toContain('[fleet.clock_apart]')
    await fra.start(clockAhead(20))
    await ams.sees({ 'fra-1': 'up' })
    await vi.waitFor(async () => {
      const { troubles } = (await ams.ask('GET', '/lab/v1/health')).result
      expect(troubles.join()).toMatch(/the clock of member `fra-1` is \d+ s from this one's \[fleet\.clock_apart\]/)
    }, PATIENT)
    await fra.stop()
  })

  test('workers', async () => {
    expect(await refusal((text) => `${text}workers: 2\n`)).toContain('carries its connections in one thread')
  })
})

test('a member that a newer version has written for stops following, says so, and goes on carrying', async () => {
  const files = { certificate: join(fleet.folder, 'certs/ams-1.pem'), key: join(fleet.folder, 'certs/ams-1-key.pem') }
  const authorityFile = join(fleet.folder, 'certs/ca.pem')
  const identity = new FleetIdentity({ name: 'acme', member: 'ams-1', authorityFile, files }, Date.now())
  const connection = await nats()
  const manager = await jetstreamManager(connection, { timeout: PATIENCE_MS, checkAPI: false })
  const { state } = await manager.streams.info('egresslab_acme')
  const revision = state.last_seq + 1
  const message = {
    by: 'ams-1',
    format: 2,
    id: 'x',
    version: '9.0.0',
    at: 0,
    revision,
    before: '',
    act: { type: 'more' },
  }
  const { bytes, signature, certificate } = identity.seal(message)
  const fields = headers()
  fields.set('Egresslab-Signature', signature)
  fields.set('Egresslab-Certificate', certificate)
  await jetstream(connection).publish('egresslab.acme.change', bytes, { headers: fields })
  await connection.close()
  for (const member of [ams, lhr]) {
    await vi.waitFor(async () => {
      expect(await member.status()).toMatchObject({ standing: 'stopped', code: 'fleet.newer_version' })
    }, PATIENT)
    expect((await visit(member)).body).toBe(lhr.standIn('LHR'))
    expect((await member.sendBy('AMS')).status).toBe(503)
  }
  expect(await fleet.member(2, 'FRA').refusal()).toContain('[fleet.newer_version]')
})

test('no secret of the fleet is in what members say or answer', async () => {
  const key = readFileSync(join(fleet.folder, 'certs/ams-1-key.pem'), 'utf8').split('\n')[1] ?? ''
  mkdirSync(fleet.folder, { recursive: true })
  for (const member of [ams, lhr]) {
    expect(member.said()).not.toContain(key)
    expect(JSON.stringify(await member.status())).not.toContain('PRIVATE')
  }
})

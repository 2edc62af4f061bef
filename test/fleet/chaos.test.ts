// A fleet of three over a cluster of three NATS servers, while members and servers are killed, hang and come back in an order drawn by
// lot, connections come in at every entrance and the one rule is changed all the time. An oracle of its own reads the log from NATS and
// sees at the origin who comes. Three things must never be:
//
//   another address than the one decided by the revision in the record
//   two policies under one revision
//   a change that was acknowledged and is gone

import { gunzipSync } from 'node:zlib'
import { jetstreamManager } from '@nats-io/jetstream'
import { connect as connectNats } from '@nats-io/transport-node'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { curl } from '../support/curl.ts'
import {
  FLEET_ORIGIN,
  FLEET_USER,
  type FleetColo,
  publicAddress,
  TestFleet,
  type TestMember,
} from '../support/fleet.ts'
import { PATIENCE_MS, PATIENT, TEST_LIMIT_MS } from '../support/patience.ts'

const SEED = Number(process.env.EGRESSLAB_CHAOS_SEED ?? 1)
const ROUNDS = Number(process.env.EGRESSLAB_CHAOS_ROUNDS ?? 6)
const COLOS = ['AMS', 'LHR', 'FRA'] as const satisfies FleetColo[]
const ALL_UP = { 'ams-1': 'up', 'lhr-1': 'up', 'fra-1': 'up' }

const fleet = new TestFleet()
let members: readonly TestMember[]

beforeAll(async () => {
  await fleet.begin(3)
  members = COLOS.map((colo, number) => fleet.member(number, colo))
  await Promise.all(members.map((member) => startedInTheEnd(member)))
  await Promise.all(members.map((member) => member.sees(ALL_UP)))
}, TEST_LIMIT_MS)
afterAll(() => fleet.end(), TEST_LIMIT_MS)

/** Right behind the death of a server the others may not have a leader yet. */
async function startedInTheEnd(member: TestMember): Promise<void> {
  await vi.waitFor(() => member.start(), PATIENT)
}

/** mulberry32 */
function lot(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

interface Acknowledged {
  readonly revision: number
  readonly colo: FleetColo
}

test(
  'never another address, never two policies under one revision, never an acknowledged change that is gone',
  async () => {
    const draw = lot(SEED)
    const pick = <T>(of: readonly T[]): T => of[draw(of.length)] ?? expect.unreachable()
    const acknowledged: Acknowledged[] = []
    let isOver = false
    let answered = 0

    const traffic = members.map(async (member, at) => {
      for (let count = 0; !isOver; count++) {
        const form = count % 2 === 0 ? ['-p'] : []
        const { status } = await curl(
          '-m',
          '10',
          ...form,
          '-x',
          member.proxy(),
          '-U',
          FLEET_USER,
          `${FLEET_ORIGIN}?${at}-${count}`,
        )
        if (status === 200) answered++
        await new Promise((resolve) => setImmediate(resolve))
      }
    })
    const changes = members.map(async (member, at) => {
      for (let count = 0; !isOver; count++) {
        const colo = COLOS[(count + at) % COLOS.length] ?? expect.unreachable()
        // whoever is down, cut off or too slow has acknowledged nothing
        const { status, revision } = await member.sendBy(colo).catch(() => ({ status: 0, revision: 0 }))
        if (status === 200) acknowledged.push({ revision, colo })
      }
    })

    for (let round = 0; round < ROUNDS; round++) {
      const member = pick(members)
      const server = pick(fleet.servers)
      const what = pick(['kill a member', 'kill a server', 'a member hangs', 'a server hangs', 'both'] as const)
      const before = answered
      if (what === 'kill a member' || what === 'both') await member.kill()
      if (what === 'kill a server' || what === 'both') await server.kill()
      if (what === 'a member hangs') member.child?.kill('SIGSTOP')
      if (what === 'a server hangs') server.signal('SIGSTOP')
      // the others go on meanwhile
      await vi.waitFor(() => expect(answered).toBeGreaterThan(before + 5), PATIENT)
      if (what === 'a member hangs') member.child?.kill('SIGCONT')
      if (what === 'a server hangs') server.signal('SIGCONT')
      await server.start()
      if (member.child === undefined) await startedInTheEnd(member)
    }
    for (const member of members) await member.sees(ALL_UP)
    const wish = acknowledged.length
    await vi.waitFor(() => expect(acknowledged.length).toBeGreaterThan(wish + 3), PATIENT)
    const seenSoFar = answered
    await vi.waitFor(() => expect(answered).toBeGreaterThan(seenSoFar + 30), PATIENT)
    isOver = true
    await Promise.all([...traffic, ...changes])
    await vi.waitFor(async () => {
      const standings = await Promise.all(members.map((member) => member.status()))
      for (const { standing } of standings) expect(standing).toBe('following')
      expect(new Set(standings.map(({ revision }) => revision)).size).toBe(1)
    }, PATIENT)

    const byRevision = await policies()
    const rules = await Promise.all(members.map((member) => ruleOf(member)))
    expect(new Set(rules).size).toBe(1)

    expect(acknowledged.length).toBeGreaterThan(10)
    const gone = acknowledged.filter(({ revision, colo }) => byRevision(revision) !== publicAddress(colo))
    expect(gone).toEqual([])

    const records = members.flatMap((member) => member.records())
    const carried = records.filter(({ Lab }) => Lab.bind !== undefined && Lab.target === 'origin.test:80')
    expect(carried.length).toBeGreaterThan(20)
    const wrong = carried.filter(({ EgressIP, Lab }) => EgressIP !== byRevision(Lab.policyRevision))
    expect(wrong.map(({ EgressIP, Lab }) => [EgressIP, byRevision(Lab.policyRevision), Lab])).toEqual([])

    // who came to the origin, by the address that only one member binds
    const owners = new Map(
      members.map((member) => [member.standIn(member.facts.colo), publicAddress(member.facts.colo)]),
    )
    const strangers = fleet.visits.filter(({ from }) => !owners.has(from.split(':')[0] ?? ''))
    expect(strangers).toEqual([])
    const seen = new Set(fleet.visits.map(({ from }) => from))
    for (const { EgressIP, Lab } of carried) {
      expect([Lab.bind, owners.get(Lab.bind?.split(':')[0] ?? '')]).toEqual([Lab.bind, EgressIP])
    }
    const unseen = carried.filter(({ Lab }) => !seen.has(Lab.bind ?? ''))
    // a connection whose request was cut has a record and no visit
    expect(unseen.length).toBeLessThan(carried.length / 2)
  },
  TEST_LIMIT_MS,
)

test(
  'without a majority of the servers nothing is acknowledged, every connection goes on, and all is well afterwards',
  async () => {
    const [ams] = members
    const [, second, third] = fleet.servers
    if (ams === undefined) expect.unreachable()
    expect((await ams.sendBy('LHR', '?wait=fleet')).status).toBe(200)
    const { revision } = await ams.status()
    await Promise.all([second?.kill(), third?.kill()])
    const refused = await ams.sendBy('FRA')
    expect([503, 504]).toContain(refused.status)
    await vi.waitFor(async () => expect((await ams.status()).standing).toBe('cut_off'), PATIENT)
    const { body } = await curl('-x', ams.proxy(), '-U', FLEET_USER, FLEET_ORIGIN)
    expect(body).toBe(members[1]?.standIn('LHR'))
    await Promise.all([second?.start(), third?.start()])
    for (const member of members) {
      await vi.waitFor(async () => expect((await member.status()).standing).toBe('following'), PATIENT)
    }
    // what NATS had not said it took may be there or not; if it is, it is everywhere
    await vi.waitFor(async () => expect((await ams.sendBy('AMS', '?wait=fleet')).status).toBe(200), PATIENT)
    expect(new Set(await Promise.all(members.map((member) => ruleOf(member)))).size).toBe(1)
    expect((await ams.status()).revision).toBeGreaterThan(revision)
  },
  TEST_LIMIT_MS,
)

/** revision → the address of the one rule, read from the log by nobody of ours */
async function policies(): Promise<(revision: number) => string | undefined> {
  const connection = await connectNats({ servers: fleet.servers.map(({ url }) => url.replace('nats://', '')) })
  const manager = await jetstreamManager(connection, { timeout: PATIENCE_MS, checkAPI: false })
  const { state } = await manager.streams.info('egresslab_acme')
  const found = new Map<number, string>()
  let now: string | undefined
  for (let seq = 1; seq <= state.last_seq; seq++) {
    const stored = await manager.streams.getMessage('egresslab_acme', { seq })
    const bytes = Buffer.from(stored?.data ?? expect.unreachable())
    const { act } = JSON.parse((bytes[0] === 0x1f ? gunzipSync(bytes) : bytes).toString('utf8'))
    const rows = act.rows ?? (act.changes ?? []).flatMap((change: { write?: unknown }) => change.write ?? [])
    const rule = rows.find(({ kind }: { kind: string }) => kind === 'rule')
    if (rule !== undefined) now = JSON.parse(rule.body).egress.ipv4
    if (now !== undefined) found.set(seq, now)
  }
  await connection.close()
  return (revision) => found.get(revision)
}

async function ruleOf(member: TestMember): Promise<string> {
  const account = (await member.ask('GET', '/lab/v1/account')).result.id
  const [rule] = (await member.ask('GET', `/client/v4/accounts/${account}/gateway/rules`)).result
  return JSON.stringify([rule.version, rule.rule_settings.egress])
}

test(
  'one server of three without a leader: a member says that it is cut off, and changes are refused by name',
  async () => {
    const [ams] = members
    if (ams === undefined) throw new RangeError('there is a first member')
    await Promise.all(fleet.servers.slice(1).map((server) => server.kill()))
    await vi.waitFor(async () => expect((await ams.status()).standing).toBe('cut_off'), PATIENT)
    // a server that has just lost the others takes itself for their leader for a while: then nobody can say whether a change counts
    const answers: number[] = []
    await vi.waitFor(async () => {
      const { status, errors } = await ams.sendBy('AMS')
      answers.push(status)
      expect([status, errors[0]?.code]).toEqual([503, 20004])
    }, PATIENT)
    expect(answers.filter((status) => status !== 503 && status !== 504)).toEqual([])
    await vi.waitFor(async () => expect((await ams.status()).why).toMatch(/no leader|does not answer/), PATIENT)
    expect(await fleet.member(3, 'EWR').refusal()).toMatch(
      /have no leader; of a cluster most servers must be up .*\[fleet\.unreachable\]/,
    )
    await Promise.all(fleet.servers.slice(1).map((server) => server.start()))
    await vi.waitFor(async () => expect((await ams.status()).standing).toBe('following'), PATIENT)
    await vi.waitFor(async () => expect((await ams.sendBy('AMS')).status).toBe(200), PATIENT)
  },
  TEST_LIMIT_MS,
)

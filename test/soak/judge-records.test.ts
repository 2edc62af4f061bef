// The soak's judge must be able to say no.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import type { Visit } from '../../scripts/soak/faulty-origin.ts'
import { type Evidence, judgeRecords } from '../../scripts/soak/judge-records.ts'
import { AT_START, rightAddresses, type Situation } from '../../scripts/soak/situation.ts'
import { type Sessions, Trips } from '../../scripts/soak/trips.ts'

const LONDON_DOWN: Situation = { ...AT_START, down: 'LHR' }

const BEGAN = '2026-11-30T12:00:00.000000000Z'
const AT = Date.parse(BEGAN)
const ORIGIN = '127.0.0.1:4000'

interface Line {
  readonly EgressIP: string
  readonly bind: string
  readonly revision?: number
  readonly port?: number
  readonly error?: string
  readonly bytes?: readonly [sent: number, received: number]
}

function logOf(...records: readonly Line[]): string {
  const folder = mkdtempSync(join(tmpdir(), 'egresslab-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'sessions.ndjson')
  const lines = records.map(({ EgressIP, bind, revision = 1, port = 5000, error, bytes = [10, 20] }, at) =>
    JSON.stringify({
      SessionID: String(at),
      Email: 'alice@example.com',
      EgressIP,
      ConnectionCloseReason: 'CLIENT_CLOSED',
      SessionStartTime: BEGAN,
      SessionEndTime: BEGAN,
      SourcePort: port,
      BytesSent: bytes[0],
      BytesReceived: bytes[1],
      Lab: {
        listener: 'main',
        inbound: 'http-connect',
        target: 'bank.saas.test:80',
        virtualNetworkName: 'default',
        policyRevision: revision,
        bind,
        dial: ORIGIN,
        ...(error === undefined ? {} : { error: { code: error, message: '' } }),
      },
    }),
  )
  writeFileSync(file, `${lines.join('\n')}\n`)
  return file
}

/** One client connection from port 5000 that leaves so many records, and what the origin saw. */
function evidence(sessions: Sessions, visits: Readonly<Record<string, Partial<Visit>>>): Evidence {
  const trips = new Trips()
  const socket = { localPort: 5000 } as Socket
  trips.enter(socket, { kind: 'tunnel', email: 'alice@example.com', door: 'main', at: AT, sessions, codes: [] })
  const saw = Object.entries(visits).map(([from, visit]): [string, Visit[]] => [
    `${from} to ${ORIGIN}`,
    [{ at: AT, bytesRead: 10, bytesWritten: 20, isClean: true, ...visit }],
  ])
  return { situationAt, trips, visits: new Map(saw), origins: new Set([ORIGIN]) }
}

const situationAt = (revision: number) => [undefined, AT_START, LONDON_DOWN][revision]

const RIGHT: Line = { EgressIP: '203.0.113.20', bind: '127.198.10.20:40000' }
const OTHER = '127.198.10.20:40001'
const SEEN = { [RIGHT.bind]: {} }

test('a record of the right address, bound to its stand-in and seen there, is right', async () => {
  const file = logOf(RIGHT, { EgressIP: '203.0.113.30', bind: '127.198.10.30:40000', revision: 2 })
  const known = evidence([2, 2], { ...SEEN, '127.198.10.30:40000': {} })
  expect(await judgeRecords([file], known)).toMatchObject({ records: 2, judged: 2, exact: 2, wrong: [] })
})

test.each<[string, readonly Line[], Evidence, string]>([
  ['a record is missing', [RIGHT], evidence([2, 2], SEEN), '1 records, not 2'],
  [
    'there is a record too many',
    [RIGHT, { ...RIGHT, bind: OTHER }],
    evidence([1, 1], { ...SEEN, [OTHER]: {} }),
    '2 records, not 1',
  ],
  ['nobody connected', [{ ...RIGHT, port: 6000 }], evidence([0, 0], SEEN), 'no client connection of the soak'],
  ['the origin saw another address', [RIGHT], evidence([1, 1], {}), 'from where the origin saw nobody'],
  [
    'the origin saw somebody else too',
    [RIGHT],
    evidence([1, 1], { ...SEEN, '127.198.10.20:1': {} }),
    'no record tells of',
  ],
  ['a byte is missing', [{ ...RIGHT, bytes: [10, 19] }], evidence([1, 1], SEEN), '19 from it, but the origin read 10'],
  ['an error does not belong to it', [{ ...RIGHT, error: 'dial.refused' }], evidence([1, 1], SEEN), 'dial.refused'],
])('a soak in which %s is wrong', async (_what, lines, known, complaint) => {
  const { wrong } = await judgeRecords([logOf(...lines)], known)
  expect(wrong).toHaveLength(1)
  expect(wrong[0]).toContain(complaint)
})

test.each([
  [
    'an address that another situation would have called for',
    '203.0.113.30',
    '127.198.10.30:1',
    1,
    'left from 203.0.113.30',
  ],
  ['the address of a data center that is down', '203.0.113.20', '127.198.10.20:1', 2, 'left from 203.0.113.20'],
  ['a socket bound to another stand-in', '203.0.113.20', '127.198.10.2:1', 1, 'the socket was bound to 127.198.10.2:1'],
  ['a revision nobody knows', '203.0.113.20', '127.198.10.20:1', 9, 'nobody knows policy revision 9'],
])('a record of %s is wrong', async (_what, EgressIP, bind, revision, complaint) => {
  const known = evidence([1, 1], { [bind]: {} })
  const { wrong, wrongCount } = await judgeRecords([logOf({ EgressIP, bind, revision })], known)
  expect(wrongCount).toBe(1)
  expect(wrong[0]).toContain(complaint)
})

test('[B4] an outage moves only those who were on the lost address', () => {
  const at = (situation: Situation, email: string) => rightAddresses(email, 'default', 'ipv4.icanhazip.com', situation)
  expect(at(LONDON_DOWN, 'alice@example.com')).toEqual(['203.0.113.10'])
  expect(at(LONDON_DOWN, 'bob@example.com')).toEqual(at(AT_START, 'bob@example.com'))
  expect(at(LONDON_DOWN, 'dave@example.com')).toEqual(['203.0.113.10'])
})

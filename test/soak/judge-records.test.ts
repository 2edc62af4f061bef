// The soak's judge must be able to say no.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { judgeRecords } from '../../scripts/soak/judge-records.ts'
import { AT_START, type LabState, rightAddresses } from '../../scripts/soak/state.ts'

const LONDON_DOWN: LabState = { ...AT_START, down: 'LHR' }

function logOf(
  ...records: readonly { readonly EgressIP: string; readonly bind: string; readonly revision?: number }[]
): string {
  const folder = mkdtempSync(join(tmpdir(), 'egresslab-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'sessions.ndjson')
  const lines = records.map(({ EgressIP, bind, revision = 1 }, at) =>
    JSON.stringify({
      SessionID: String(at),
      Email: 'alice@example.com',
      EgressIP,
      ConnectionCloseReason: 'CLIENT_CLOSED',
      Lab: { target: 'bank.saas.test:80', virtualNetworkName: 'default', policyRevision: revision, bind },
    }),
  )
  writeFileSync(file, `${lines.join('\n')}\n`)
  return file
}

const stateAt = (revision: number) => [undefined, AT_START, LONDON_DOWN][revision]

test('a record of the right address, bound to its stand-in, is right', async () => {
  const file = logOf(
    { EgressIP: '203.0.113.20', bind: '127.198.10.20:40000' },
    { EgressIP: '203.0.113.30', bind: '127.198.10.30:40000', revision: 2 },
    { EgressIP: '', bind: '' },
  )
  expect(await judgeRecords([file], stateAt)).toMatchObject({ records: 3, judged: 2, wrongCount: 0 })
})

test.each([
  [
    'an address that another state would have called for',
    '203.0.113.30',
    '127.198.10.30:1',
    1,
    'left from 203.0.113.30',
  ],
  ['the address of a data center that is down', '203.0.113.20', '127.198.10.20:1', 2, 'left from 203.0.113.20'],
  ['a socket bound to another stand-in', '203.0.113.20', '127.198.10.2:1', 1, 'the socket was bound to 127.198.10.2:1'],
  ['a revision nobody knows', '203.0.113.20', '127.198.10.20:1', 9, 'nobody knows policy revision 9'],
])('a record of %s is wrong', async (_what, EgressIP, bind, revision, complaint) => {
  const { wrong, wrongCount } = await judgeRecords([logOf({ EgressIP, bind, revision })], stateAt)
  expect(wrongCount).toBe(1)
  expect(wrong[0]).toContain(complaint)
})

test('[B4] an outage moves only those who were on the lost address', () => {
  const at = (state: LabState, email: string) => rightAddresses(email, 'default', 'ipv4.icanhazip.com', state)
  expect(at(LONDON_DOWN, 'alice@example.com')).toEqual(['203.0.113.10'])
  expect(at(LONDON_DOWN, 'bob@example.com')).toEqual(at(AT_START, 'bob@example.com'))
  expect(at(LONDON_DOWN, 'dave@example.com')).toEqual(['203.0.113.10'])
})

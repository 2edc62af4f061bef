// Gateway DNS and the data path of one lab: names resolve to placeholders, connections to placeholders are decided by their names.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Endpoint } from '../../src/net/endpoint.ts'
import type { SessionRecord } from '../../src/proxy/record.ts'
import { askDns } from '../support/ask-dns.ts'
import { curl } from '../support/curl.ts'
import { type PrivateLab, startPrivateLab } from '../support/private-lab.ts'

const ALICE = ['-U', 'alice@example.com:lab-alice'] as const

let own: PrivateLab
let dns: Endpoint
let proxy: string

beforeAll(async () => {
  own = await startPrivateLab()
  const [endpoint] = own.lab.dns
  if (endpoint === undefined) throw new RangeError('the shipped lab has Gateway DNS')
  dns = endpoint
  proxy = `127.0.0.1:${own.lab.listeners[0]?.port}`
})
afterAll(() => own.close())

/** Does something and answers the next session record. */
async function recorded(act: () => Promise<unknown>): Promise<SessionRecord> {
  const { promise, resolve } = Promise.withResolvers<SessionRecord>()
  const stop = own.lab.sessions.subscribe(resolve)
  await act()
  const record = await promise
  stop()
  return record
}

describe('a name that a rule minds', () => {
  test('resolves to the first address of the range, and to the same one again', async () => {
    expect(await askDns(dns, 'bank.saas.test')).toMatchObject({ rcode: 'NOERROR', data: ['100.80.0.1'] })
    expect(await askDns(dns, 'Bank.SaaS.test')).toMatchObject({ data: ['100.80.0.1'] })
    expect(await askDns(dns, 'payroll.saas.test')).toMatchObject({ data: ['100.80.0.2'] })
  })

  test('has an empty answer for a family it has no address of, for HTTPS and for SVCB', async () => {
    for (const type of ['AAAA', 'UNKNOWN_65', 'UNKNOWN_64'] as const) {
      expect(await askDns(dns, 'bank.saas.test', type)).toMatchObject({ rcode: 'NOERROR', data: [] })
    }
  })

  test('is what a connection to its placeholder is decided by, with the real address; the record has all three', async () => {
    const { data } = await askDns(dns, 'bank.saas.test')
    const record = await recorded(async () => {
      const answer = await curl(
        '--socks5',
        proxy,
        ...ALICE,
        '--resolve',
        `bank.saas.test:80:${data[0]}`,
        'http://bank.saas.test/',
      )
      expect(answer.status).toBe(200)
    })
    expect(record).toMatchObject({
      InitialOriginIP: '100.80.0.1',
      ResolvedFQDN: 'bank.saas.test',
      OriginIP: '198.51.100.20',
      EgressIP: '203.0.113.20',
      EgressRuleName: 'Finance to the bank',
      Lab: { target: '100.80.0.1:80', outcome: 'dedicated' },
    })
  })
})

test('a name that no rule minds keeps its real addresses', async () => {
  expect(await askDns(dns, 'espn.com')).toMatchObject({ data: ['198.51.100.40'] })
  expect(await askDns(dns, 'espn.com', 'AAAA')).toMatchObject({ data: ['2001:db8:f00::40'] })
})

test('a name of the lab that nobody configured does not exist, and no server is asked', async () => {
  expect(await askDns(dns, 'nowhere.test')).toMatchObject({ rcode: 'NXDOMAIN', data: [] })
})

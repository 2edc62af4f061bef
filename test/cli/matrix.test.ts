// `matrix` on the company of config/examples/company: every cell is what `explain` says, in every form it is printed.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { openDecider } from '../../src/decider/decider.ts'
import { explainConnection } from '../../src/decider/explain-connection.ts'
import type { Matrix } from '../../src/decider/matrix.ts'
import { startPrivateLab } from '../support/private-lab.ts'
import { run } from './run.ts'

const CONFIG = 'config/examples/company/lab.yaml'
const matrix = async (...args: string[]) => run(['matrix', '-c', CONFIG, ...args])
const document = async (...args: string[]): Promise<Matrix> => JSON.parse((await matrix('--json', ...args)).stdout)

/** Every connection of a matrix with its verdict. */
function connectionsOf({ rows, columns, scenarios, verdicts, cells }: Matrix) {
  return scenarios.flatMap(({ colos_down: down }, nth) =>
    rows.flatMap(({ users, virtual_network: { name: vnet } }, row) =>
      columns.flatMap(({ destinations }, column) => {
        const verdict = verdicts[cells[nth]?.[row]?.[column] ?? -1]
        return users.flatMap((user) => destinations.map((destination) => ({ user, vnet, destination, down, verdict })))
      }),
    ),
  )
}

test('every cell is what explain says of that connection', async () => {
  const found = connectionsOf(await document('--vnets', 'all', '--down', 'LHR', '--family', '4'))
  const decider = await openDecider({ configFile: CONFIG })
  // of all 1,080 connections every seventh, which is prime to the number of people, networks and destinations
  for (const { user, vnet, destination, down, verdict } of found.filter((_, at) => at % 7 === 0)) {
    const options = { user, vnet, protocol: 'tcp', family: '4', coloDown: down } as const
    const [{ explanation }] = await explainConnection(decider, destination, options).catch(() => [
      { explanation: undefined },
    ])
    const { outcome = null, rule = null, egress = null, physical_colo: colo = null } = explanation?.decision ?? {}
    expect({ user, destination, vnet, down, ...verdict }).toMatchObject({
      outcome,
      rule,
      egress: egress?.ipv4 ?? null,
      colo,
    })
  }
  decider.close()
})

test('a destination that does not exist names the one that was probably meant, as explain does', async () => {
  const meant = /there is no host `custom\.saas\.test` .*; did you mean `customs\.saas\.test`\?/
  expect((await matrix('--destinations', 'custom.saas.test', '--groups', 'HR')).stdout).toMatch(meant)
  expect((await run(['explain', '-c', CONFIG, 'custom.saas.test'])).stdout).toMatch(meant)
  expect((await matrix('--destinations', 'elsewhere.test', '--groups', 'HR')).stdout).not.toContain('did you mean')
})

test('it agrees with every policy test of the company that says who is let in', async () => {
  const { cases } = parse(readFileSync('config/examples/company/company.test.yaml', 'utf8'))
  const found = connectionsOf(await document('--down', 'LHR'))
  const told = cases.filter(({ expect: { let_in } }: { expect: { let_in?: boolean } }) => let_in !== undefined)
  expect(told.length).toBeGreaterThan(15)
  for (const { flow, expect: expected } of told) {
    const { host } = new URL(flow.destination)
    const down = String(flow.colos_down ?? [])
    const cell = found.find(
      (one) => one.user === flow.user && one.destination === `${host}:443` && String(one.down) === down,
    )
    expect({ flow, let_in: cell?.verdict?.let_in, rule: cell?.verdict?.rule?.name }).toEqual({
      flow,
      let_in: expected.let_in,
      rule: expected.rule,
    })
  }
})

test('people and destinations with equal cells are one row and one column', async () => {
  const { rows, columns } = await document('--destinations', 'robots.test', 'erp.saas.test', 'robots.test:80')
  expect(rows.map(({ users }) => users.length)).toEqual([6, 6])
  expect(columns.map(({ destinations }) => destinations)).toEqual([
    ['robots.test:443', 'robots.test:80'],
    ['erp.saas.test:443'],
  ])
})

test('an outage shows only what it changes', async () => {
  const { stdout } = await matrix(
    '--groups',
    'Finance',
    '--destinations',
    'bank.saas.test',
    'robots.test',
    '--down',
    'LHR',
  )
  expect(stdout).toBe(
    [
      '2 people, 2 destinations, 8 connections decided',
      '',
      'bank.saas.test:443  lets in 203.0.113.20, 203.0.113.30',
      '  ✓ 203.0.113.20  LHR  Finance to the bank  alice@example.com, frank@example.com',
      '',
      'robots.test:443',
      '  · 203.0.113.40  LAX  Warehouse networks  alice@example.com, frank@example.com',
      '',
      'LHR down changes this:',
      '',
      'bank.saas.test:443  lets in 203.0.113.20, 203.0.113.30',
      '  ✓ 203.0.113.30 (fallback)  IAD  Finance to the bank  instead of 203.0.113.20  alice@example.com, frank@example.com',
      '',
    ].join('\n'),
  )
})

test('as CSV it has a line for every connection', async () => {
  const { stdout } = await matrix('--format', 'csv', '--down', 'each')
  const lines = stdout.trimEnd().split('\r\n')
  expect(lines[0]).toBe(
    'user,virtual_network,destination,colos_down,outcome,egress,fallback,colo,rule,precedence,let_in,error',
  )
  expect(lines.length - 1).toBe(12 * 16 * 8)
  expect(lines[1]).toBe(
    'alice@example.com,default,bank.saas.test:443,,dedicated,203.0.113.20,false,LHR,Finance to the bank,1000,true,',
  )
})

test('as HTML it is one file that loads nothing, runs nothing and has a table for each outage', async () => {
  const { stdout } = await matrix('--format', 'html', '--down', 'each')
  expect(stdout).not.toMatch(/<script|<link|src=|href=|url\(|https?:/)
  expect(stdout.match(/<table>/g)?.length).toBe(8)
  expect(stdout).toContain(
    '<td class="in changed">203.0.113.30 (fallback)<small>IAD · Finance to the bank · let in</small></td>',
  )
})

test('everything that cannot be asked is said at once, with the way out', async () => {
  const args = [
    '--users',
    'alicf@example.com',
    '--groups',
    'Finanace',
    '--vnets',
    'vnet-AMRE',
    '--down',
    'LHX',
    '--destinations',
    'a b',
  ]
  const { code, stderr } = await matrix(...args)
  expect(code).toBe(2)
  for (const hint of [
    '`alice@example.com`?',
    '`Finance`?',
    '`vnet-AMER`?',
    'unknown data center `LHX`',
    'invalid destination `a b`',
  ]) {
    expect(stderr).toContain(hint)
  }
})

test('GET /lab/v1/matrix answers for the lab as it is now', async () => {
  const lab = await startPrivateLab({ configFile: CONFIG, ephemeral: false })
  try {
    const token = readFileSync(join(lab.folder, 'api-token'), 'utf8').trim()
    const headers = { authorization: `Bearer ${token}` }
    const ask = async (query: string) => {
      const answer = await fetch(`http://127.0.0.1:${lab.lab.api.port}/lab/v1/matrix?${query}`, { headers })
      return { status: answer.status, ...((await answer.json()) as { result: Matrix; errors: { message: string }[] }) }
    }
    const query = 'users=alice@example.com&destinations=bank.saas.test&family=4'
    expect(connectionsOf((await ask(query)).result).map(({ verdict }) => verdict?.egress)).toEqual(['203.0.113.20'])
    lab.lab.store.setColoDown('LHR', true)
    expect(connectionsOf((await ask(query)).result).map(({ verdict }) => verdict?.egress)).toEqual(['203.0.113.30'])
    const refused = await ask('users=nobody@example.com&family=5')
    expect(refused.status).toBe(400)
  } finally {
    await lab.close()
  }
})

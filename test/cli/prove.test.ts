import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { run } from './run.ts'

const LIMIT_MS = 120_000
const WHEN = 'any(identity.groups.name[*] == "Finance") and any(net.fqdn.domains[*] == "bank.saas.test")'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'egresslab-prove-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** A file of invariants about the shipped configuration. */
function invariants(...lines: readonly string[]): string {
  const path = join(folder, 'bank.test.yaml')
  writeFileSync(
    path,
    `config: ${resolve('config/lab.yaml')}\ninvariants:\n${lines.map((line) => `  - ${line}\n`).join('')}`,
  )
  return path
}

const bank = (name: string, rest: string) => `{ name: ${name}, when: '${WHEN}', ${rest} }`

test(
  'an invariant that holds for every connection is proven, with a data center down; exit 0',
  async () => {
    const file = invariants(
      bank('bank', 'then: { egress_in: [203.0.113.20, 203.0.113.30] }, despite: { colos_down: 1 }'),
    )
    const { code, stdout, stderr } = await run(['prove', file])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(/^proven {5}bank {2}\d+ ms\n1 proven\n$/)
  },
  LIMIT_MS,
)

test(
  'a broken one comes with the smallest situation, a connection, and the command that explains it; exit 1',
  async () => {
    const file = invariants(bank('bank', 'then: { let_in_by: bank.saas.test }, despite: { colos_down: 3 }'))
    const { code, stdout } = await run(['prove', file])
    expect(code).toBe(1)
    expect(stdout).toContain('while    IAD, LHR are down')
    const again = /^ {2}again {4}egresslab (.*)$/m.exec(stdout)?.[1]?.split(' ') ?? []
    const explained = await run([...again, '--json', '--state', join(folder, 'none')])
    expect(JSON.parse(explained.stdout).decision).toMatchObject({
      outcome: 'unroutable',
      rule: { name: 'Finance to the bank' },
    })
  },
  LIMIT_MS,
)

test(
  '--json prints the documented answers',
  async () => {
    const file = invariants(
      bank('bank', 'then: { never_shared: true, country: GB }'),
      '{ name: all, then: { outcome: dedicated } }',
    )
    const { code, stdout } = await run(['prove', file, '--json'])
    expect(code).toBe(1)
    const { answers } = JSON.parse(stdout)
    expect(answers).toMatchObject([
      { name: 'bank', answer: 'proven', witness: null, file, line: 3 },
      { name: 'all', answer: 'refuted', witness: { colos_down: [], decision: { rule: null } }, file, line: 4 },
    ])
    expect(answers[1].witness.flow['net.dst.port']).toBeTypeOf('number')
  },
  LIMIT_MS,
)

test(
  'an invariant that no connection can meet, and names that do not exist, are errors with file and line; exit 2',
  async () => {
    const vacuous = invariants(
      "{ name: v, when: 'net.dst.port == 80 and net.dst.port == 443', then: { never_shared: true } }",
    )
    const first = await run(['prove', vacuous])
    expect(first.code).toBe(2)
    expect(first.stderr).toContain(`${vacuous}:3:`)
    expect(first.stderr).toContain('no connection can meet `when` of `v`')
    const unknown = invariants(
      '{ name: a, then: { rule: Finanse to the bank } }',
      '{ name: b, then: { let_in_by: bonk.saas.test } }',
      '{ name: c, then: { never_shared: true }, despite: { colos_down: 9 } }',
      '{ name: d, when: net.dst.prt == 1, then: { egress_in: [192.0.2.1] } }',
    )
    const { code, stderr } = await run(['prove', unknown])
    expect(code).toBe(2)
    for (const told of [
      'no rule `Finanse to the bank`',
      'called `bonk.saas.test`',
      '9 data centers cannot be down',
      'unknown identifier `net.dst.prt`',
      'no egress address in `192.0.2.1`',
    ]) {
      expect(stderr).toContain(told)
    }
  },
  LIMIT_MS,
)

test(
  'what cannot be told exactly is not decided and named; exit 3, or 0 with --allow-undecided',
  async () => {
    const when = 'identity.groups.name[1] == "Finance" and all(identity.groups.name[*] == "Engineering")'
    const file = invariants(`{ name: odd, when: '${when}', then: { outcome: unroutable } }`)
    const { code, stdout } = await run(['prove', file])
    expect(code).toBe(3)
    expect(stdout).toContain('undecided  odd: not told exactly: identity.groups.name[1] == "Finance"')
    expect((await run(['prove', file, '--allow-undecided'])).code).toBe(0)
  },
  LIMIT_MS,
)

test(
  'reports for CI: JUnit and SARIF name the invariant and its line',
  async () => {
    const file = invariants('{ name: all, then: { outcome: dedicated } }')
    const [junit, sarif] = [join(folder, 'junit.xml'), join(folder, 'sarif.json')]
    await run(['prove', file, '--junit', junit, '--sarif', sarif])
    expect(readFileSync(junit, 'utf8')).toContain('<testcase name="all"')
    const [{ results }] = JSON.parse(readFileSync(sarif, 'utf8')).runs
    expect(results).toMatchObject([
      { ruleId: 'prove.refuted', level: 'error', locations: [{ physicalLocation: { region: { startLine: 3 } } }] },
    ])
  },
  LIMIT_MS,
)

test(
  '--same: a configuration decides every connection as itself does',
  async () => {
    const { code, stdout } = await run(['prove', '--same', 'config/lab.yaml', 'config/lab.yaml', '--json'])
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ same: true, regions: [] })
  },
  LIMIT_MS,
)

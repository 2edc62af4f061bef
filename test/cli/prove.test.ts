import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { Ajv } from 'ajv'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Solver, startSolver } from '../../src/prove/solver.ts'
import { run } from './run.ts'

const LIMIT_MS = 120_000
const WHEN = 'any(identity.groups.name[*] == "Finance") and any(net.fqdn.domains[*] == "bank.saas.test")'

let folder: string
let solver: Solver
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'egresslab-prove-'))
  // loaded once for all tests
  solver = await startSolver()
}, LIMIT_MS)
afterAll(() => {
  solver.close()
  rmSync(folder, { recursive: true, force: true })
})

/** SARIF 2.1.0 by its schema, whose draft 4 uses no keyword that means something else in draft 7. */
const {
  $schema: _,
  id: __,
  ...sarifSchema
} = JSON.parse(readFileSync(new URL('sarif-2.1.0.schema.json', import.meta.url), 'utf8'))
const isSarif = new Ajv({ strict: false, unicodeRegExp: false, validateFormats: false }).compile(sarifSchema)

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
    const junit = join(folder, 'undecided.xml')
    const { code, stdout } = await run(['prove', file, '--junit', junit])
    expect(code).toBe(3)
    expect(readFileSync(junit, 'utf8')).toContain(' failures="1"')
    expect(stdout).toContain('undecided  odd: not told exactly: identity.groups.name[1] == "Finance"')
    expect((await run(['prove', file, '--allow-undecided', '--junit', junit])).code).toBe(0)
    expect(readFileSync(junit, 'utf8')).toContain(' failures="0"')
  },
  LIMIT_MS,
)

test(
  'reports for CI: JUnit and SARIF name the invariant and its line',
  async () => {
    const file = invariants('{ name: all, then: { outcome: dedicated } }')
    const [junit, sarif] = [join(folder, 'junit.xml'), join(folder, 'sarif.json')]
    await run(['prove', file, '--junit', junit, '--sarif', sarif])
    const report = readFileSync(junit, 'utf8')
    expect(report).toContain('<testcase name="all"')
    expect(report).toMatch(/<testsuites [^>]*tests="1"[^>]* failures="1"/)
    const log = JSON.parse(readFileSync(sarif, 'utf8'))
    expect(isSarif(log), JSON.stringify(isSarif.errors)).toBe(true)
    const [{ results }] = log.runs
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

test(
  'a group, a rule or a service that is misspelt is an error with file, line and the name that was meant',
  async () => {
    const file = invariants(
      '{ name: g, when: \'any(identity.groups.name[*] in {"Finance" "Finanse"})\', then: { never_shared: true } }',
      '{ name: r, then: { rule: Finance to the bink } }',
      '{ name: v, when: \'net.vnet_id == "vnet-EMAE"\', then: { never_shared: true } }',
    )
    const { code, stdout, stderr } = await run(['prove', file])
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toContain(`${file}:3:`)
    expect(stderr).toContain('a group `Finanse`')
    expect(stderr).toContain('did you mean `Finance`?')
    expect(stderr).toContain(`${file}:4:`)
    expect(stderr).toContain('did you mean `Finance to the bank`?')
    expect(stderr).toContain(`${file}:5:`)
    expect(stderr).toContain('did you mean `vnet-EMEA`?')
  },
  LIMIT_MS,
)

test(
  '--json with an invariant that no connection can meet prints the other answers and the problem; exit 2',
  async () => {
    const file = invariants(
      "{ name: v, when: 'net.dst.port == 80 and net.dst.port == 443', then: { never_shared: true } }",
      bank('bank', 'then: { never_shared: true }'),
    )
    const { code, stdout, stderr } = await run(['prove', file, '--json'])
    expect(code).toBe(2)
    expect(JSON.parse(stdout)).toMatchObject({
      answers: [{ name: 'bank', answer: 'proven' }],
      problems: [{ code: 'prove.vacuous', file, line: 3 }],
      not_asked: 0,
    })
    expect(stderr).toContain('no connection can meet `when` of `v`')
  },
  LIMIT_MS,
)

test(
  '--write-tests: what refutes an invariant is a policy test that fails, in a new file',
  async () => {
    const file = invariants(
      bank('bank', 'then: { let_in_by: bank.saas.test }, despite: { colos_down: 2 }'),
      `{ name: all, when: 'net.vnet_id == "vnet-AMER" and net.dst.ip in {0.0.0.0/0}', then: { egress_in: [203.0.113.10, 203.0.113.20] } }`,
      bank('holds', 'then: { never_shared: true }'),
    )
    const tests = join(folder, 'found.test.yaml')
    const { code, stderr } = await run(['prove', file, '--write-tests', tests])
    expect({ code, stderr }).toEqual({ code: 1, stderr: `2 policy tests written to ${tests}\n` })
    const tested = await run(['test', tests])
    expect(tested.code).toBe(1)
    expect(tested.stdout).toMatch(/✗ bank.*let_in {2}expected {2}true.*✗ all.*egress_in {2}expected.*2 failed/s)
    const again = await run(['prove', file, '--write-tests', tests])
    expect(again.code).toBe(2)
    expect(again.stderr).toContain(`\`${tests}\` exists`)
  },
  LIMIT_MS,
)

test(
  '--allowlists: an answer for every service, group and virtual network, with the smallest outage',
  async () => {
    const { code, stdout } = await run(['prove', '--allowlists', '--colos-down', '2', '--json'])
    expect(code).toBe(1)
    const { answers } = JSON.parse(stdout)
    const of = (name: string) => answers.find((each: { name: string }) => each.name === name)
    expect(of('bank.saas.test lets in Finance on default')).toMatchObject({
      answer: 'refuted',
      reason: 'somebody is refused while IAD and LHR are down',
      witness: { colos_down: ['IAD', 'LHR'], decision: { outcome: 'unroutable' } },
    })
    expect(of('bank.saas.test lets in Engineering on default')).toMatchObject({
      reason: 'somebody is refused with every data center up',
    })
    const one = JSON.parse((await run(['prove', '--allowlists', '--json'])).stdout).answers
    expect(one.length).toBe(answers.length)
    expect(
      one.find((each: { name: string }) => each.name === 'bank.saas.test lets in Finance on default'),
    ).toMatchObject({
      answer: 'proven',
      witness: null,
    })
    const wrong = await run(['prove', '--allowlists', '--colos-down', 'many'])
    expect(wrong.code).toBe(2)
    expect(wrong.stderr).toContain('`--colos-down` is a whole number from 0')
  },
  LIMIT_MS,
)

const RULES = `
dedicated_ips:
  - { colo: AMS, ipv4: 203.0.113.10, ipv6: "2001:db8:10::/64" }
  - { colo: LHR, ipv4: 203.0.113.20, ipv6: "2001:db8:20::/64" }
rules:
  - { name: low, precedence: 1, traffic: net.dst.port < 100, egress: { ipv4: 203.0.113.10, ipv6: "2001:db8:10::/64" } }
  - { name: middle, precedence: 2, traffic: 'net.dst.port in {100..199}', egress: { ipv4: 203.0.113.10, ipv6: "2001:db8:10::/64", ipv4_fallback: 203.0.113.20 } }
  - { name: high, precedence: 3, traffic: 'net.dst.port in {200..299}', egress: { ipv4: 203.0.113.10, ipv6: "2001:db8:10::/64" } }
  - { name: dead, precedence: 4, traffic: net.dst.port < 300, egress: { ipv4: 203.0.113.20, ipv6: "2001:db8:20::/64" } }
  - { name: outage, precedence: 5, traffic: 'net.dst.port == 400 and net.dst.ip in {0.0.0.0/0}', egress: { ipv4: 203.0.113.10, ipv6: "2001:db8:10::/64", ipv4_fallback: 203.0.113.20 } }
  - { name: wide, precedence: 6, traffic: net.dst.port == 400, egress: { ipv4: 203.0.113.10, ipv6: "2001:db8:10::/64" } }
  - { name: apart, precedence: 7, traffic: 'net.dst.port in {400..500}', egress: { ipv4: 203.0.113.20, ipv6: "2001:db8:10::/64" } }
`

function configuration(text: string): string {
  const path = join(folder, 'rules.yaml')
  writeFileSync(path, text)
  return path
}

test(
  '--reach: dead, idle but for outages, overlapping, in two countries; and what no rule decides',
  async () => {
    const file = configuration(RULES)
    const { code, stdout } = await run(['prove', '--reach', file, '--json'])
    expect(code).toBe(0)
    const { findings } = JSON.parse(stdout)
    const of = (kind: string) =>
      findings
        .filter((each: { kind: string }) => each.kind === kind)
        .map(({ rule, by = [] }: { rule: { name: string }; by?: { name: string }[] }) => [
          rule?.name,
          ...by.map(({ name }) => name),
        ])
    expect(of('never-reached')).toEqual([['dead', 'low', 'middle', 'high']])
    expect(of('only-in-outages')).toEqual([['outage']])
    expect(of('overlap')).toEqual([['apart', 'outage']])
    expect(of('two-countries')).toEqual([['apart']])
    expect(findings.at(-1)).toMatchObject({ kind: 'gap', rule: null, witness: { decision: { rule: null } } })
    const told = (await run(['prove', '--reach', file])).stdout
    expect(told).toContain('dead       rule `dead` (precedence 4) is never reached: `low` (precedence 1), `middle`')
    expect(told).toContain(
      'overlap    rule `apart` (precedence 7) also matches connections that `outage` (precedence 5)',
    )
    expect(told).toContain('apart` (precedence 7) sends people from GB over IPv4 and from NL over IPv6')
  },
  LIMIT_MS,
)

test(
  'check --prove adds what its own proofs cannot tell: rules dead by three others, invariants that do not hold',
  async () => {
    const file = configuration(`${RULES}invariants:
  - { name: never at home, then: { egress_in: [203.0.113.20] } }
`)
    const alone = await run(['check', '-c', file, '--json'])
    expect(alone.stdout).not.toContain('prove.')
    const { code, stdout } = await run(['check', '-c', file, '--prove', '--json'])
    expect(code).toBe(2)
    const { issues } = JSON.parse(stdout)
    const of = (wanted: string) => issues.filter((issue: { code: string }) => issue.code === wanted)
    expect(of('prove.refuted')).toMatchObject([{ severity: 'error', file, line: 14 }])
    expect(of('prove.never-reached')).toMatchObject([
      { severity: 'advice', file, line: 9, message: expect.stringContaining('`low`, `middle`, `high` together match') },
    ])
  },
  LIMIT_MS,
)

test(
  'rules diff --semantic: same, or what changes; exit 1 with --fail-on-change',
  async () => {
    const before = join(folder, 'before.yaml')
    writeFileSync(before, RULES)
    const same = configuration(
      RULES.replace('net.dst.port < 100', 'not net.dst.port >= 100').replace('precedence: 7', 'precedence: 70'),
    )
    const equal = await run(['rules', 'diff', before, same, '--semantic'])
    expect(equal.stdout).toMatch(/^same {5}no connection is decided otherwise/)
    expect(equal.code).toBe(0)
    const other = configuration(RULES.replace('{200..299}', '{200..298}'))
    const changed = await run(['rules', 'diff', before, other, '--semantic', '--fail-on-change'])
    expect(changed.code).toBe(1)
    expect(changed.stdout).toMatch(/^changed {2}rule `high` \(precedence 3\) → rule `dead` \(precedence 4\)/)
    expect(changed.stdout).toContain('nothing else changes')
    expect(changed.stdout).toContain('port 299/')
  },
  LIMIT_MS,
)

test(
  'Ctrl-C leaves the answers so far, and says how many questions were not asked; exit 130',
  async () => {
    const many = Array.from(
      { length: 400 },
      (_, at) => `{ name: port ${at}, when: net.dst.port == ${at + 1}, then: { never_shared: true } }`,
    )
    const file = invariants(...many)
    const program = spawn(process.execPath, ['src/main.ts', 'prove', file], { stdio: ['ignore', 'pipe', 'ignore'] })
    let told = ''
    program.stdout.setEncoding('utf8').on('data', (text: string) => {
      if (told === '') program.kill('SIGINT')
      told += text
    })
    const [code] = await once(program, 'close')
    expect(code).toBe(130)
    const counts = /^(\d+) refuted,(?: 1 not decided,)? (\d+) not asked$/m.exec(told)
    const [, refuted, left] = counts?.map(Number) ?? []
    expect(told.match(/^refuted /gm)?.length, told).toBe(refuted)
    expect(left).toBeGreaterThan(0)
  },
  LIMIT_MS,
)

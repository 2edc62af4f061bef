// Policies in every form people have, given to the verbs that decide: `check`, `test` and `replay` lay them over a configuration,
// or make one of them.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { run } from './run.ts'
import { twoLabs } from './two-labs.ts'

const BRING = 'config/examples/bring'
const FORMS = [
  'terraform-v4',
  'terraform-v4/main.tf',
  'terraform-v5',
  'terraform-v5/rules.tf',
  'terraform.tfstate',
  'show-state.json',
  'show-plan.json',
  'one-rule.json',
  'slice.ndjson',
  'slice-pretty.json',
].map((name) => `${BRING}/${name}`)

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'egresslab-policy-'))
  writeFileSync(join(folder, 'sessions.ndjson'), `${JSON.stringify(SESSION)}\n`)
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const SESSION = {
  SessionID: '1',
  SessionStartTime: '2026-11-01T12:00:00Z',
  SessionEndTime: '2026-11-01T12:00:01Z',
  Email: 'alice@example.com',
  SourceIP: '81.2.69.142',
  SourcePort: 40000,
  OriginIP: '198.51.100.70',
  OriginPort: 443,
  Protocol: 'TCP',
  EgressIP: '203.0.113.10',
  EgressRuleID: '00000000-0000-0000-0000-000000000000',
  EgressRuleName: '',
}

describe.each(FORMS)('%s', (file) => {
  test('is checked', async () => {
    const { code, stdout, stderr } = await run(['check', '-c', file])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toContain(`good: ${file}`)
    expect(stdout).not.toContain(`${tmpdir()}/egresslab-rules-`)
  })

  test('names no person or group that only a configuration could have', async () => {
    expect((await run(['check', '-c', file])).stdout).not.toMatch(
      /value\.unknown_(group|person|posture_check|endpoint)/,
    )
  })

  test('decides a recording in place of the rules of the configuration', async () => {
    const sessions = join(folder, 'sessions.ndjson')
    const { code, stdout } = await run(['replay', sessions, '--rules', file, '--threads', '1'])
    expect(code).toBe(0)
    expect(stdout).toContain('1 session')
    expect(stdout).toContain(file)
    expect(stdout).not.toContain(`${tmpdir()}/egresslab-rules-`)
  })
})

test('`test` lays a policy over the configuration of the test file', async () => {
  const cases = `${BRING}/partners.test.yaml`
  const { code, stdout } = await run(['test', cases, '-c', `${BRING}/terraform-v4`, '--coverage'])
  expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringContaining('2 passed') })
  expect(stdout).not.toContain(`${tmpdir()}/egresslab-rules-`)
})

test('two policies are compared on one configuration', async () => {
  const args = ['--rules', `${BRING}/terraform-v4`, '--against', `${BRING}/one-rule.json`, '--json', '--threads', '1']
  const { stdout } = await run(['replay', join(folder, 'sessions.ndjson'), ...args])
  expect(JSON.parse(stdout)).toMatchObject({
    changed: 1,
    moves: { rule: [{ change: expect.stringMatching(/Partners from Ashburn.*Everything else/) }] },
  })
})

test('a list that the answer does not have is said; with the answer for the list beside it the rule decides', async () => {
  const rules = readFileSync(`${BRING}/api-rules.json`, 'utf8')
  const list = readFileSync(`${BRING}/api-list.json`, 'utf8')
  const { code, stdout } = await run(['check', '-c', `${BRING}/api-rules.json`])
  expect(code).toBe(0)
  expect(stdout).toContain(
    'rule `Contractors from Ashburn` uses the list `0c1f4b0a57d14d6b9f0e6a1d0b7f3c11`, which is not here',
  )
  const both = join(folder, 'both.json')
  writeFileSync(both, rules + list)
  expect((await run(['check', '-c', both])).stdout).not.toContain('which is not here')
})

test.each(['terraform-v4/main.tf', 'api-rules.json', 'terraform.tfstate', 'slice-pretty.json'])(
  'a verb that needs a configuration says once what %s is, and who takes it',
  async (name) => {
    const { code, stderr } = await run(['explain', '192.0.2.1:443', '-c', `${BRING}/${name}`])
    expect(code).toBe(2)
    expect(stderr).toBe(
      `${BRING}/${name}: error: \`${BRING}/${name}\` has rules, and is no configuration [rules.not_a_configuration]\n  hint: \`check -c\`, \`test -c\`, \`replay --rules\` and \`rules push\` take it as it is\n\n1 error\n`,
    )
    writeFileSync(join(folder, 'page.html'), '<!DOCTYPE html>\n<html>\n<b>x</b>: y\n')
    expect((await run(['explain', '192.0.2.1:443', '-c', join(folder, 'page.html')])).stderr).toContain('is a web page')
  },
)

test('an address that nothing says the place of is assumed somewhere, and said', async () => {
  const file = join(folder, 'foreign.json')
  const egress = { ipv4: '192.0.2.11', ipv4_fallback: '192.0.2.12', ipv6: '2001:db8:99::/64' }
  writeFileSync(
    file,
    JSON.stringify({ name: 'x', action: 'egress', precedence: 1, enabled: true, rule_settings: { egress } }),
  )
  const { code, stdout } = await run(['check', '-c', file])
  expect(code).toBe(0)
  expect(stdout).toContain('nothing says where 192.0.2.11 (stands at AMS), 192.0.2.12 (stands at IAD) are')
  const replayed = await run(['replay', join(folder, 'sessions.ndjson'), '--rules', file, '--threads', '1'])
  expect(replayed.code).toBe(0)
  expect(replayed.stderr).toContain('nothing says where 192.0.2.11')
})

test('mistakes in a policy are reported in its own name', async () => {
  const file = join(folder, 'mistake.json')
  writeFileSync(file, JSON.stringify({ name: 'x', action: 'egress', precedence: 1, traffic: 'net.dst.prot == 1' }))
  const { code, stderr } = await run(['check', '-c', file])
  expect(code).toBe(2)
  expect(stderr).toContain(`${file}: error: rule \`x\`: unknown identifier \`net.dst.prot\``)
  expect(stderr).not.toContain(`${tmpdir()}/egresslab-rules-`)
})

describe('what `rules pull` writes', () => {
  const labs = twoLabs()

  test.each(['yaml', 'json'])('as %s is taken by `check`, `test` and `replay`', async (form) => {
    const pulled = labs.file(`pulled.${form}`)
    await labs.rules('pull', pulled)
    expect(await run(['check', '-c', pulled])).toMatchObject({ code: 0, stderr: '' })
    expect(await run(['test', 'config/tests/lab.test.yaml', '-c', pulled])).toMatchObject({ code: 0, stderr: '' })
    const args = ['--rules', pulled, '--against', 'config/lab.yaml', '--json', '--threads', '1']
    const { code, stdout } = await run(['replay', join(folder, 'sessions.ndjson'), ...args])
    expect([code, JSON.parse(stdout).changed]).toEqual([0, 0])
  })
})

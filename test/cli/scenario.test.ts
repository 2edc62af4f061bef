// `egresslab scenario` as people run it: the shipped scenarios hold, whichever way they are played; what is wrong is said at once.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { instantClock, runningClock } from '../../src/scenario/run-scenarios.ts'
import { PATIENCE_MS } from '../support/patience.ts'
import { run } from './run.ts'

const SHIPPED = readdirSync('scenarios').filter((name) => name.endsWith('.yaml'))
const LAB = resolve('config/lab.yaml')
let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'egresslab-scenarios-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function write(name: string, text: string): string {
  const file = join(folder, name)
  writeFileSync(file, text)
  return file
}

const withoutMessages = (_key: string, value: unknown) =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).filter(([key]) => !['message', 'why', 'time', 'mode'].includes(key)))
    : value

test.each(SHIPPED)('scenarios/%s holds through a real proxy, and decided only it comes to the same', async (name) => {
  const file = `scenarios/${name}`
  const played = await run(['scenario', file, '--instant', '--json'])
  expect({ ...played, stdout: '' }).toEqual({ code: 0, stdout: '', stderr: '' })
  const [first] = JSON.parse(played.stdout).scenarios
  expect(first).toMatchObject({ file, mode: 'proxy', passed: true, expectations: { failed: 0 } })
  expect(first.expectations.met).toBeGreaterThan(3)
  const decided = await run(['scenario', file, '--decide', '--json'])
  const same = (text: string) => JSON.parse(JSON.stringify(JSON.parse(text).scenarios[0], withoutMessages))
  expect(same(decided.stdout)).toEqual(same(played.stdout))
})

test('every shipped scenario names the schema for editors, fits it, and says how to play it', () => {
  const schema = JSON.parse(readFileSync('scenarios/scenario.schema.json', 'utf8'))
  const validate = new Ajv2020({ strict: true, allowUnionTypes: true, validateFormats: false }).compile(schema)
  expect(SHIPPED.length).toBeGreaterThan(5)
  for (const name of SHIPPED) {
    const text = readFileSync(`scenarios/${name}`, 'utf8')
    expect(text).toMatch(/^# yaml-language-server: \$schema=\.\/scenario\.schema\.json\n/)
    expect(text).toContain(`# $ npx egresslab scenario scenarios/${name} --instant\n`)
    expect({ name, valid: validate(parse(text)) }).toEqual({ name, valid: true })
  }
})

const OUTAGE = `
name: London goes down
config: ${LAB}
defaults: { user: alice@example.com, destination: "http://bank.saas.test/" }
traffic: [{ every: 5s }]
steps:
  - at: 5s
    colo_down: lhr
    expect: [{ name: the bank lets Ashburn in, egress_ip: 203.0.113.30, status: 200 }]
  - at: 6s
    expect: [{ name: wrongly expected, egress_ip: 203.0.113.20, status: 403 }]
`

describe('the report', () => {
  test('says who moved, when and why; an expectation that fails exits 1 and shows what differs', async () => {
    const { code, stdout } = await run(['scenario', write('outage.yaml', OUTAGE), '--decide'])
    expect(code).toBe(1)
    expect(stdout).toContain(
      '     5 s  → alice@example.com to http://bank.saas.test/  203.0.113.20 → 203.0.113.30\n' +
        '           rule `Finance to the bank` (precedence 1000) sends this to 203.0.113.20; its colo LHR is down, so the fallback 203.0.113.30 is used\n',
    )
    expect(stdout).toContain(
      'moved\n  5 s  alice@example.com  http://bank.saas.test/  203.0.113.20 → 203.0.113.30  LHR (London) goes down\n',
    )
    expect(stdout).toContain('wrongly expected  line 11\n')
    expect(stdout).toContain('egress_ip: expected 203.0.113.20, found 203.0.113.30\n')
    expect(stdout).toContain('status: expected 403, found 200\n')
    expect(stdout).toContain('1 passed, 1 failed  4 requests decided only\n')
  })

  test('is one document with --json, and a JUnit report where asked for', async () => {
    const junit = join(folder, 'junit.xml')
    const { stdout } = await run(['scenario', write('outage.yaml', OUTAGE), '--decide', '--json', '--junit', junit])
    expect(JSON.parse(stdout)).toMatchObject({
      passed: false,
      scenarios: [
        {
          name: 'London goes down',
          moves: [
            {
              at_s: 5,
              login: 'alice@example.com',
              from: '203.0.113.20',
              to: '203.0.113.30',
              after: ['LHR (London) goes down'],
            },
          ],
          connections: { kept: 0, reset: 0, lost: 0 },
        },
      ],
    })
    const xml = readFileSync(junit, 'utf8')
    expect(xml).toContain('<testsuites name="egresslab scenario" tests="2" failures="1"')
    expect(xml).toContain('egress_ip: expected 203.0.113.20, found 203.0.113.30')
  })

  test('plays another configuration with -c, and several files one after the other', async () => {
    const file = write('outage.yaml', OUTAGE)
    const { stdout } = await run(['scenario', file, file, '--decide', '--json', '-c', 'config/lab.yaml'])
    expect(JSON.parse(stdout).scenarios.map(({ config }: { config: string }) => config)).toEqual([
      'config/lab.yaml',
      'config/lab.yaml',
    ])
  })
})

describe('a scenario that cannot be played', () => {
  test('is refused with every problem at its place, before anything is played', async () => {
    const file = write(
      'bad.yaml',
      `name: bad
config: ${LAB}
duration: 5s
defaults: { vnet: vnet-APAC }
traffic:
  - { user: alcie@example.com, destination: "http://bank.saas.test/", every: 5s, hold: true }
  - { user: bob@example.com, destination: "ftp://bank.saas.test/", every: 5s }
steps:
  - at: 1s
    colo_down: LAXX
  - at: 9s
    rule: { disable: Finance for the bank }
  - at: 2s
    exit_down: 203.0.113.20
    stand_in_down: 203.0.113.99
    expect:
      - { user: bob@example.com, destination: "espn.com:80" }
      - { user: bob@example.com, destination: "espn.com:80", error: dial.lost }
`,
    )
    const { code, stdout, stderr } = await run(['scenario', file, '--instant'])
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    const found = [...stderr.matchAll(/^.*bad\.yaml:(\d+):\d+: error: .*\[(.*)\]$/gm)].map(
      ([, line, id]) => `${line} ${id}`,
    )
    expect(new Set(found)).toEqual(
      new Set([
        '4 scenario.unknown_virtual_network',
        '6 scenario.bad_traffic',
        '6 scenario.unknown_user',
        '7 scenario.bad_destination',
        '10 scenario.unknown_colo',
        '11 scenario.too_late',
        '12 scenario.unknown_rule',
        '14 scenario.unknown_exit',
        '15 scenario.unknown_dedicated_address',
        '17 scenario.nothing_expected',
        '18 scenario.unknown_error',
      ]),
    )
    expect(stderr).toContain('did you mean `alice@example.com`?')
    expect(stderr).toContain('did you mean `Finance to the bank`?')
  })

  test('of a wrong shape says what is wrong with the shape', async () => {
    const file = write(
      'shape.yaml',
      `name: x\nconfig: ${LAB}\nstep:\n  - at: soon\nsteps:\n  - at: soon\n    colo_down: LAX\n  - at: 1s\n`,
    )
    const { code, stderr } = await run(['scenario', file, '--decide'])
    expect(code).toBe(2)
    expect(stderr).toContain('unknown key `step`')
    expect(stderr).toContain('`soon` is not a time since the start such as `0s`, `5s` or `1.5m`')
  })

  test('whose configuration is not there says so at `config`; a file that is not there, too', async () => {
    const file = write('lost.yaml', 'name: x\nconfig: nowhere.yaml\nsteps:\n  - { at: 1s, colo_down: LAX }\n')
    const { code, stderr } = await run(['scenario', file, join(folder, 'nothing.yaml'), '--decide'])
    expect(code).toBe(2)
    expect(stderr).toContain('lost.yaml:2:9: error: cannot read')
    expect(stderr).toContain('nothing.yaml`: there is no such file')
  })
})

describe('time', () => {
  test('that is compressed stands at each moment, and never goes back', async () => {
    const clock = instantClock(1000)
    await clock.until(50)
    expect(clock.machineTime()).toBe(1050)
    await clock.until(20)
    expect(clock.machineTime()).toBe(1050)
  })

  test('that runs comes to each moment and not before it, and a stop ends the wait', async () => {
    const clock = runningClock(1000, 1000)
    await clock.until(0)
    await clock.until(2000)
    expect(clock.machineTime()).toBeGreaterThanOrEqual(3000)
    const ending = new AbortController()
    const slow = runningClock(0, 0.001, ending.signal)
    await slow.until(0)
    const waiting = slow.until(1e9)
    ending.abort()
    await waiting
  })

  test('without --instant it takes its time; Ctrl-C ends it in order, with 130', async () => {
    const child = spawn(process.execPath, ['src/main.ts', 'scenario', 'scenarios/network-switch.yaml'])
    let told = ''
    child.stdout.on('data', (text) => {
      const before = told.includes('✓ Amsterdam')
      told += String(text)
      // once: a second signal would end it at once
      if (!before && told.includes('✓ Amsterdam')) child.kill('SIGINT')
    })
    const [code] = await once(child, 'exit', { signal: AbortSignal.timeout(PATIENCE_MS) })
    expect(code).toBe(130)
    expect(told).toContain('1 passed, 0 failed')
    expect(told).not.toContain('Los Angeles')
  })

  test('with --speed the same comes of it', async () => {
    const file = write('outage.yaml', OUTAGE)
    const kinds = async (...options: readonly string[]) =>
      JSON.parse((await run(['scenario', file, '--json', ...options])).stdout).scenarios[0].timeline.map(
        ({ kind, at_s }: { kind: string; at_s: number }) => `${at_s} ${kind}`,
      )
    expect(await kinds('--decide', '--speed', '1000')).toEqual(await kinds('--decide'))
    expect((await run(['scenario', file, '--speed', '0'])).code).toBe(2)
  })
})

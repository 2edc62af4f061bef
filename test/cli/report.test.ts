// `--format` and `--report`: the same findings in every form that pipelines read, valid by the form's own rules, with names in them
// that try to be markup.

import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Ajv } from 'ajv'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { FORMATS } from '../../src/config/formats.ts'
import { installed } from '../support/installed.ts'
import { run } from './run.ts'

const NASTY = '</td><script>alert(1)</script> | [x](http://x.test) ::error file=a::b'
const LAB = `dedicated_ips:
  - { colo: AMS, ipv4: 203.0.113.10, ipv6: "2001:db8:10::/64" }
  - { colo: LHR, ipv4: 203.0.113.20, ipv6: "2001:db8:20::/64" }
rules:
  - name: To the bank
    traffic: net.fqdn.host == "bank.saas.test"
    egress: { ipv4: 203.0.113.20, ipv4_fallback: 203.0.113.10 }
  - name: '${NASTY}'
    traffic: net.dst.port == 22
    egress: { ipv4: 203.0.113.10, ipv4_fallback: 203.0.113.20 }
users:
  - { email: bob@example.com, password: lab, place: AMS }
destinations:
  - { name: bank.saas.test, addresses: [198.51.100.20], origin: { kind: saas, allow: [203.0.113.20] } }
`
const SESSION = {
  Email: 'bob@example.com',
  SourceIP: '198.51.100.7',
  SourcePort: 40000,
  OriginIP: '198.51.100.20',
  OriginPort: 443,
  Protocol: 'TCP',
  ResolvedFQDN: 'bank.saas.test',
  EgressIP: '203.0.113.20',
  EgressColoName: 'LHR',
  EgressRuleName: 'To the bank',
  IngressColoName: 'AMS',
}

const folder = mkdtempSync(join(tmpdir(), 'egresslab-report-'))
const path = (name: string) => join(folder, name)
const read = (name: string) => readFileSync(path(name), 'utf8')
const own = (text: string) => text.replaceAll(`${folder}/`, '')

beforeAll(() => {
  writeFileSync(path('lab.yaml'), LAB)
  writeFileSync(path('bad.yaml'), LAB.replace('net.dst.port == 22', 'net.dst.prt == 22'))
  writeFileSync(
    path('after.yaml'),
    LAB.replace('ipv4: 203.0.113.20, ipv4_fallback: 203.0.113.10', 'ipv4: 203.0.113.10'),
  )
  writeFileSync(path('sessions.ndjson'), `${JSON.stringify(SESSION)}\n{ no record\n`)
  mkdirSync(path('tests'))
  const cases = `config: ../lab.yaml
cases:
  - { name: gets in, flow: { user: bob@example.com, destination: "bank.saas.test:443" }, expect: { let_in: true } }
  - { name: '${NASTY}', flow: { user: bob@example.com, destination: "bank.saas.test:443" }, expect: { egress_ip: 203.0.113.10 } }
`
  writeFileSync(path('tests/lab.test.yaml'), cases)
  const scenario = `name: '${NASTY}'
config: lab.yaml
duration: 30s
defaults: { user: bob@example.com, destination: "http://bank.saas.test/" }
traffic: [{ every: 5s }]
steps:
  - { at: 10s, colo_down: LHR, expect: [{ let_in: true, egress_ip: 203.0.113.20 }] }
  - { at: 20s, colo_up: LHR }
`
  writeFileSync(path('scenario.yaml'), scenario)
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const commands = (): Readonly<Record<string, { readonly args: readonly string[]; readonly code: number }>> => ({
  'check with errors': { args: ['check', '-c', path('bad.yaml')], code: 2 },
  'check with advice': { args: ['check', '-c', path('lab.yaml')], code: 0 },
  test: { args: ['test', path('tests')], code: 1 },
  'a test that cannot be read': { args: ['test', path('lab.yaml')], code: 2 },
  replay: {
    args: ['replay', path('sessions.ndjson'), '-c', path('lab.yaml'), '--rules', path('after.yaml'), '--threads', '1'],
    code: 0,
  },
  scenario: { args: ['scenario', path('scenario.yaml'), '--decide'], code: 1 },
  'a scenario that cannot be played': { args: ['scenario', path('lab.yaml'), '--decide'], code: 2 },
  'rules diff': {
    args: [
      ...['rules', 'diff', path('after.yaml'), '--against', path('lab.yaml'), '-c', path('lab.yaml')],
      ...['--fail-on-change', '--replay', path('sessions.ndjson')],
    ],
    code: 1,
  },
})

describe.each(Object.keys(commands()))('%s', (name) => {
  const given = () => commands()[name] ?? { args: [], code: 0 }
  const inForm = async (format: string) => {
    const { args, code } = given()
    const ran = await run([...args, '--format', format])
    expect(ran.code).toBe(code)
    return ran.stdout
  }

  test('SARIF is valid by the schema of SARIF 2.1.0, and every result has a file', async () => {
    const ajv = new Ajv({ strict: false, allErrors: true, unicodeRegExp: false })
    for (const format of ['uri', 'uri-reference', 'date-time', 'uuid']) ajv.addFormat(format, isFormat(format))
    // draft 4 of JSON Schema; the keywords it uses mean the same in draft 7
    const { $schema, id, ...schema } = JSON.parse(
      readFileSync(new URL('sarif-2.1.0.schema.json', import.meta.url), 'utf8'),
    )
    expect({ $schema, id }).toMatchObject({
      $schema: expect.stringContaining('draft-04'),
      id: expect.stringContaining('sarif-2.1.0'),
    })
    const validate = ajv.compile(schema)
    const log = JSON.parse(await inForm('sarif'))
    expect(validate(log), JSON.stringify(validate.errors)).toBe(true)
    const [{ results }] = log.runs
    expect(results.length).toBeGreaterThan(0)
    for (const { locations } of results) expect(locations[0].physicalLocation.artifactLocation.uri).not.toBe('')
    expect(validate({ ...log, version: '2.0' })).toBe(false)
  })

  test('GitHub gets one workflow command for each finding, and no name begins one', async () => {
    const lines = (await inForm('github')).trimEnd().split('\n')
    const verdict = lines.pop()
    expect(verdict).not.toMatch(/^::/)
    for (const line of lines) {
      expect(line).toMatch(/^::(error|warning|notice) file=[^:,]+(,line=\d+(,col=\d+)?)?,title=egresslab [^:,]+::./)
    }
    const log = JSON.parse(await inForm('sarif'))
    expect(lines).toHaveLength(log.runs[0].results.length)
  })

  test('JUnit is XML', async () => {
    if (installed('python3', 'python3') === undefined) return
    const report = await inForm('junit')
    const script =
      'import sys, xml.dom.minidom; print(xml.dom.minidom.parseString(sys.stdin.read()).documentElement.tagName)'
    expect(execFileSync('python3', ['-c', script], { input: report, encoding: 'utf8' })).toBe('testsuites\n')
  })

  test('HTML is one file without scripts or anything to load, and Markdown has no markup of names', async () => {
    const page = await inForm('html')
    expect(page).toMatch(/^<!doctype html>[\s\S]*<\/html>\n$/)
    expect(page).toContain("default-src 'none'")
    expect(page).not.toMatch(/<script|\bsrc=|href=|@import|url\((?!#)/)
    const markdown = await inForm('markdown')
    expect(markdown).toMatch(/^## (✅|❌) egresslab /)
    expect(markdown).not.toMatch(/<script|\[x\]|<\/td>/)
  })

  test('the exit code is that of the text', async () => {
    const { args } = given()
    const text = await run(args)
    const other = await run([...args, '--format', 'markdown'])
    expect(other.code).toBe(text.code)
  })
})

/** Of the formats that the schema names, the lab knows these. */
function isFormat(name: string): RegExp | ((text: string) => boolean) {
  const known = Object.entries(FORMATS).find(([key]) => key === name)?.[1].test
  if (typeof known === 'function') return known
  return known ?? /^[^\s<>"{}|\\^`]*$/
}

test('annotations are at the file and line of what is wrong, with the hint', async () => {
  const { stdout } = await run(['check', '-c', path('bad.yaml'), '--format', 'github'])
  expect(own(stdout)).toContain(
    '::error file=bad.yaml,line=9,col=14,title=egresslab check%3A expression.unknown_field::rule ',
  )
  expect(stdout).toContain('did you mean `net.dst.port`?')
})

test('a failed case of a policy test is annotated at its line', async () => {
  const { stdout } = await run(['test', path('tests'), '--format', 'github'])
  expect(own(stdout)).toMatch(
    /^::error file=tests\/lab\.test\.yaml,line=4,title=egresslab test%3A test\.failed::.*egress_ip: expected 203\.0\.113\.10, found 203\.0\.113\.20\n1 passed, 1 failed\n$/,
  )
})

test('a changed rule is annotated at the line that names it', async () => {
  const { stdout } = await run([
    'rules',
    'diff',
    path('after.yaml'),
    '--against',
    path('lab.yaml'),
    '--format',
    'github',
  ])
  expect(own(stdout)).toContain(
    '::warning file=after.yaml,line=5,title=egresslab rules diff%3A rules.update::rule `To the bank` changes: ',
  )
})

/** Its pictures, each well formed by itself. */
function picturesIn(page: string): string[] {
  const pictures = page.match(/<svg xmlns[\s\S]*?<\/svg>/g) ?? []
  const script = 'import sys, xml.dom.minidom; xml.dom.minidom.parseString(sys.stdin.buffer.read())'
  if (installed('python3', 'python3') !== undefined)
    for (const input of pictures) execFileSync('python3', ['-c', script], { input })
  return pictures
}

test('the HTML of a scenario draws who left from where when, with what happened and when somebody was refused', async () => {
  const { args } = commands().scenario ?? { args: [] }
  const page = (await run([...args, '--format', 'html'])).stdout
  const [picture = '', ...others] = picturesIn(page)
  expect(others).toEqual([])
  const who = 'bob@example.com to http://bank.saas.test/'
  const told = [...picture.matchAll(/<title>([^<]*)<\/title>/g)].map(([, title]) => title)
  expect(told).toEqual([
    `${who}: 203.0.113.20 from 0 s`,
    `${who}: 203.0.113.10 from 10 s`,
    `${who}: 203.0.113.20 from 20 s`,
    `${who}: refused from 10 s to 20 s`,
    'LHR (London) goes down',
    'LHR (London) is up again',
  ])
  expect(page).toContain('<td>1</td><td>10 s</td><td>LHR (London) goes down</td>')
})

test('the text of a scenario in a file is what the terminal gets', async () => {
  const { args } = commands().scenario ?? { args: [] }
  const { stdout } = await run([...args, '--report', path('scenario.txt')])
  expect(readFileSync(path('scenario.txt'), 'utf8')).toBe(stdout)
})

test('the HTML of a test run draws how many cases each rule decided', async () => {
  const { args } = commands().test ?? { args: [] }
  const [picture = ''] = picturesIn((await run([...args, '--format', 'html'])).stdout)
  expect(picture).toMatch(/>1000 To the bank<\/text><rect [^>]*fill="#2f81d6"\/><text [^>]*>2<\/text>/)
  expect(picture).toMatch(/>2000 &#60;\/td[^<]*<\/text><rect [^>]*fill="#d1453b"\/><text [^>]*>never<\/text>/)
})

test('the HTML of a replay shows who would be refused, and the map before and after', async () => {
  const { args } = commands().replay ?? { args: [] }
  const { stdout } = await run([...args, '--format', 'html'])
  expect(stdout).toContain('<h2>Who would be refused</h2>')
  expect(stdout).toContain('<td>bob@example.com (1)</td>')
  expect(stdout).toContain('<title>LHR → AMS: 1 session</title>')
  expect(stdout).toContain('newly refuses 1 of 1 session')
})

test('--report writes each form that a file name asks for, beside what standard output gets', async () => {
  const names = ['r.sarif', 'r.xml', 'r.md', 'r.html', 'r.json', 'r.txt']
  const files = names.flatMap((name) => ['--report', path(name)])
  const { code, stdout } = await run(['check', '-c', path('lab.yaml'), ...files])
  expect({ code, stdout }).toEqual({ code: 0, stdout: read('r.txt') })
  expect(read('r.txt')).toMatch(/^good: .*lab\.yaml$/m)
  expect(JSON.parse(read('r.json'))).toMatchObject({ valid: true })
  expect(JSON.parse(read('r.sarif'))).toMatchObject({ version: '2.1.0' })
  expect([read('r.xml'), read('r.md'), read('r.html')].map((text) => text.slice(0, 5))).toEqual([
    '<?xml',
    '## ✅ ',
    '<!doc',
  ])
})

test('a report whose name says no form, or that cannot be written, is bad input', async () => {
  const odd = await run(['check', '-c', path('lab.yaml'), '--report', path('report.pdf')])
  expect(odd.code).toBe(2)
  expect(odd.stderr).toContain('expected a name that ends in .sarif, .xml, .md, .html, .json or .txt')
  const nowhere = await run(['check', '-c', path('lab.yaml'), '--report', path('no/such/r.md')])
  expect(nowhere.code).toBe(2)
  expect(nowhere.stderr).toContain('[report.unwritable]')
})

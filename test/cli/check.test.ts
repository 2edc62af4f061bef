import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { run } from './run.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'egresslab-check-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function file(text: string): string {
  const path = join(folder, 'lab.yaml')
  writeFileSync(path, text)
  return path
}

const ONE_IP = 'dedicated_ips:\n  - { colo: AMS, ipv4: 203.0.113.10, ipv6: "2001:db8:10::/64" }\n'

test('the shipped configuration is good; what could be better is advice', async () => {
  const { code, stdout, stderr } = await run(['check'])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout).not.toMatch(/error|warning/)
  expect(stdout).toMatch(/^config\/lab\.yaml:\d+:\d+: advice: .* \[practice\.P3\]$/m)
  expect(stdout).toMatch(/^\d+ advice\ngood: config\/lab\.yaml\n$/m)
})

test('every mistake is listed at once, with file, line, path, drawing and what to do; the exit code is 2', async () => {
  const path = file(
    `${ONE_IP}rules:\n  - name: Web\n    traffic: net.dst.prt == 443 or http.host == "x"\n    egress: { ipv4: 203.0.113.10, ipv4_fallback: 0.0.0.0 }\n`,
  )
  expect(await run(['check', '-c', path])).toEqual({
    code: 2,
    stdout: '',
    stderr: [
      `${path}:5:14: error: rule \`Web\`: unknown identifier \`net.dst.prt\` in its \`traffic\` expression [expression.unknown_field]`,
      '  at rules.Web.traffic',
      '  Filter parsing error (1:1):',
      '  net.dst.prt == 443 or http.host == "x"',
      '  ^^^^^^^^^^^ unknown identifier `net.dst.prt`',
      '  hint: did you mean `net.dst.port`?',
      '',
      `${path}:5:36: error: rule \`Web\`: unknown identifier \`http.host\` in its \`traffic\` expression [expression.unknown_field]`,
      '  at rules.Web.traffic',
      '  Filter parsing error (1:23):',
      '  net.dst.prt == 443 or http.host == "x"',
      '                        ^^^^^^^^^ unknown identifier `http.host`',
      '  hint: fields of HTTP rules do not exist in egress rules: they run before any request is read',
      '',
      '2 errors',
      '',
    ].join('\n'),
  })
})

test('mistakes of the file itself come the same way', async () => {
  const path = file('dedicated_ips:\n  - { colo: AMX, ipv4: 203.0.113.10 }\nusers:\n  - { emial: bob@example.com }\n')
  const { code, stderr } = await run(['check', '-c', path])
  expect(code).toBe(2)
  expect(stderr).toContain(`${path}:2:13: error: there is no data center \`AMX\``)
  expect(stderr).toContain('  at dedicated_ips[0].colo\n')
  expect(stderr).toContain(`${path}:4:7: error: `)
})

test('[P1] [P2] [P6] warnings: one dedicated IP, a rule without fallback, a rule that is never reached', async () => {
  const path = file(
    `${ONE_IP}rules:
  - name: First
    traffic: net.dst.port == 443
    egress: { ipv4: 203.0.113.10, ipv4_fallback: null }
  - name: Second
    traffic: net.dst.port in {443}
    egress: { ipv4: 203.0.113.10, ipv4_fallback: 0.0.0.0 }
`,
  )
  const { code, stdout } = await run(['check', '--json', '-c', path])
  const { valid, issues } = JSON.parse(stdout)
  const warnings = issues.filter(({ severity }: { severity: string }) => severity === 'warning')
  expect({ code, valid }).toEqual({ code: 0, valid: true })
  expect(warnings).toEqual([
    expect.objectContaining({ code: 'practice.P1', file: path }),
    expect.objectContaining({ code: 'practice.P2', file: path, line: 4 }),
    expect.objectContaining({ code: 'practice.P6', file: path, line: 7 }),
  ])
})

test('--json has every issue and says whether the file is good, with exit code 2 where it is not', async () => {
  const path = file('dedicated_ips: nonsense\n')
  const { code, stdout, stderr } = await run(['check', '--json', '-c', path])
  expect({ code, stderr }).toEqual({ code: 2, stderr: '' })
  expect(JSON.parse(stdout)).toMatchObject({ valid: false, issues: [{ severity: 'error', file: path, line: 1 }] })
})

test('colour only on a terminal, and not with NO_COLOR', async () => {
  expect((await run(['check'], { terminal: true })).stdout).toContain('\u001b[')
  expect((await run(['check'], { terminal: true, env: { NO_COLOR: '1' } })).stdout).not.toContain('\u001b[')
  expect((await run(['check'])).stdout).not.toContain('\u001b[')
})

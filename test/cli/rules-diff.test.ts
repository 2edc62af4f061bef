// `rules diff`: what would change, in words, as data, and for sessions that were recorded.

import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { curl } from '../support/curl.ts'
import { run } from './run.ts'
import { twoLabs } from './two-labs.ts'

const labs = twoLabs()
const { file, rules } = labs

describe('diff', () => {
  test('is silent about spelling: expressions are compared in normal form', async () => {
    await rules('pull', file('rules.yaml'))
    const text = readFileSync(file('rules.yaml'), 'utf8')
    writeFileSync(
      file('rules.yaml'),
      text.replace('net.protocol in {"tcp" "udp"}', '  net.protocol   in { "tcp"   "udp" }'),
    )
    const { code, stdout } = await rules('diff', file('rules.yaml'), '--fail-on-change')
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringContaining('nothing would change') })
  })

  test('--fail-on-change exits 1, between files as well', async () => {
    await rules('pull', file('a.json'))
    const text = readFileSync(file('a.json'), 'utf8')
    writeFileSync(file('b.json'), text.replace('"enabled": false', '"enabled": true'))
    const { code, stdout } = await rules('diff', file('b.json'), '--against', file('a.json'), '--fail-on-change')
    expect(code).toBe(1)
    expect(stdout).toContain('~ rule 10000 `Everything else to default egress`\n    enabled  false → true\n')
  })

  test('--sides writes both as configurations that decide as before and after', async () => {
    await rules('pull', file('rules.yaml'))
    const text = readFileSync(file('rules.yaml'), 'utf8')
    writeFileSync(
      file('rules.yaml'),
      text
        .replace('ipv4: 203.0.113.40', 'ipv4: 203.0.113.50')
        .replace('ipv4_fallback: 203.0.113.50', 'ipv4_fallback: 203.0.113.40'),
    )
    const { stdout } = await rules('diff', file('rules.yaml'), '--sides', file('sides'))
    expect(stdout).toContain(
      `egresslab replay SESSIONS --rules ${file('sides/before.yaml')} --against ${file('sides/after.yaml')}\n`,
    )
    const decided = async (side: string) => {
      const flow = ['--user', 'bob@example.com', '--vnet', 'vnet-AMER', 'ipv4.icanhazip.com:80', '--json']
      const explained = await run(['explain', '-c', file(`sides/${side}.yaml`), '--state', file('none'), ...flow])
      return JSON.parse(explained.stdout).decision.egress.ipv4
    }
    expect([await decided('before'), await decided('after')]).toEqual(['203.0.113.40', '203.0.113.50'])
  })
})

describe('diff --replay', () => {
  test('tells what would change for recorded sessions, and leaves nothing behind', async () => {
    await curl('-x', labs.lab.proxy, '-U', 'bob@example.com;vnet=vnet-AMER:lab-bob', 'http://ipv4.icanhazip.com/')
    await curl('-x', labs.lab.proxy, '-U', 'bob@example.com:lab-bob', 'http://ipv4.icanhazip.com/')
    const log = join(labs.lab.folder, 'sessions.ndjson')
    await expect.poll(() => existsSync(log) && readFileSync(log, 'utf8').trim().split('\n').length).toBe(2)
    await rules('pull', file('rules.yaml'))
    const text = readFileSync(file('rules.yaml'), 'utf8')
    writeFileSync(file('rules.yaml'), text.replace('ipv4: 203.0.113.40', 'ipv4: 203.0.113.10'))
    const { code, stdout } = await rules('diff', file('rules.yaml'), '--replay', log)
    expect(code).toBe(0)
    expect(stdout).toContain('egress ipv4  203.0.113.40 → 203.0.113.10')
    expect(stdout).toMatch(/2 sessions/)
    const { stdout: document } = await rules('diff', file('rules.yaml'), '--json', '--replay', log)
    expect(JSON.parse(document).replay).toMatchObject({
      sessions: 2,
      changed: 1,
      moves: { egress_ip: [{ change: expect.stringMatching(/203\.0\.113\.40.*203\.0\.113\.10/), sessions: 1 }] },
    })
  })
})

// Outages as `explain` tells them: who moves, and who does not ([B4]).

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { run } from './run.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'egresslab-outage-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** The colo a connection leaves from with these colos down; `WAW` is home. */
async function leavesFrom(user: string, colos: readonly string[], ...down: string[]): Promise<string | null> {
  const config = join(folder, `${colos.join('-')}.yaml`)
  const ips = colos.map(
    (colo, at) => `  - { colo: ${colo}, ipv4: 203.0.113.${at + 1}, ipv6: "2001:db8:${at + 1}::/64" }`,
  )
  const text = `account: { home_colo: WAW }\ndedicated_ips:\n${ips.join('\n')}\nusers: [{ email: nowhere@example.com }, { email: prague@example.com, place: PRG }]\nlisteners: [{ name: main, port: 0 }]\n`
  writeFileSync(config, text)
  const lost = down.flatMap((colo) => ['--colo-down', colo])
  const { code, stdout, stderr } = await run([
    'explain',
    '198.51.100.9:443',
    '--user',
    user,
    '-c',
    config,
    '--json',
    ...lost,
  ])
  expect([code, stderr]).toEqual([0, ''])
  return JSON.parse(stdout).decision.physical_colo
}

test('[B4] a user nobody can place stays where they are while the home data center is down', async () => {
  const colos = ['TBS', 'BCN']
  expect(await leavesFrom('nowhere@example.com', colos)).toBe('BCN')
  expect(await leavesFrom('nowhere@example.com', colos, 'WAW')).toBe('BCN')
  expect(await leavesFrom('nowhere@example.com', colos, 'WAW', 'BCN')).toBe('TBS')
})

test('[B4] the outage of one address ties nobody to further ones', async () => {
  const colos = ['FRA', 'VIE', 'BUD', 'MUC', 'HAM', 'WAW', 'CPH', 'ZAG']
  const before = await leavesFrom('prague@example.com', colos)
  for (const lost of colos.filter((colo) => colo !== before)) {
    expect([lost, await leavesFrom('prague@example.com', colos, lost)]).toEqual([lost, before])
  }
})

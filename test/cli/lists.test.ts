import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { loadConfig } from '../../src/config/load.ts'
import { openJournal } from '../../src/store/sqlite-journal.ts'
import { createStore } from '../../src/store/store.ts'
import { onNotice } from '../store/lab.ts'
import { run } from './run.ts'

const NOWHERE = ['--state', '/nonexistent/state']

test('colo list shows data centers with dedicated IPs', async () => {
  expect(await run(['colo', 'list', ...NOWHERE])).toEqual({
    code: 0,
    stderr: 'no lab is running; showing what the next start will use\n',
    stdout: [
      'COLO  STATE  CITY             DEDICATED IPS',
      'AMS   up     Amsterdam, NL    203.0.113.10 2001:db8:10::/64',
      'EWR   up     Newark, US       203.0.113.50 2001:db8:50::/64',
      'IAD   up     Ashburn, US      203.0.113.30 2001:db8:30::/64',
      'LAX   up     Los Angeles, US  203.0.113.40 2001:db8:40::/64',
      'LHR   up     London, GB       203.0.113.20 2001:db8:20::/64',
      '',
    ].join('\n'),
  })
})

test('what was changed at run time shows, from the state folder, which stays as it is', async () => {
  const state = mkdtempSync(join(tmpdir(), 'egresslab-lists-'))
  const store = createStore(loadConfig('config/lab.yaml'), { journal: openJournal(state, { onNotice }), onNotice })
  store.setColoDown('BOM', true)
  const amer = store.current().account.virtualNetworks.find(({ name }) => name === 'vnet-AMER')?.id ?? null
  store.chooseVirtualNetwork('bob@example.com', amer)
  store.close()
  const colos = JSON.parse((await run(['colo', 'list', '--json', '--state', state])).stdout)
  expect(colos).toContainEqual(expect.objectContaining({ code: 'BOM', up: false, dedicated: [] }))
  const networks = JSON.parse((await run(['vnet', 'list', '--json', '--state', state])).stdout)
  expect(networks).toContainEqual(expect.objectContaining({ name: 'vnet-AMER', chosenBy: ['bob@example.com'] }))
  rmSync(state, { recursive: true, force: true })
})

test('vnet list marks the default', async () => {
  const { code, stdout } = await run(['vnet', 'list', ...NOWHERE])
  expect(code).toBe(0)
  expect(stdout).toMatch(/^default \(default\) +bc394015-009b-5a2f-b831-d4eadded39ea /m)
  expect(stdout).toMatch(/^vnet-EMEA +16b1c326-09e6-59ef-ac02-ecef454cdfe6 +leaves from London$/m)
})

test('[G3] geofeed prints a line per address and range', async () => {
  const { code, stdout } = await run(['geofeed'])
  expect(code).toBe(0)
  const entries = stdout.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  expect(entries).toHaveLength(10)
  expect(entries).toContain('203.0.113.40/32,US,,Los Angeles,')
  expect(entries).toContain('2001:db8:20::/64,GB,,London,')
})

test('ca prints the certificate of the authority, or where it is', async () => {
  const { code, stdout } = await run(['ca'])
  expect(code).toBe(0)
  expect(stdout).toMatch(/^-----BEGIN CERTIFICATE-----\n[\s\S]+-----END CERTIFICATE-----\n$/)
  const path = (await run(['ca', '--path'])).stdout.trimEnd()
  expect(existsSync(path)).toBe(true)
  expect(readFileSync(path, 'utf8')).toBe(stdout)
})

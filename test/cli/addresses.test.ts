// `addresses` without root: nothing is changed, and the commands to run are shown.

import { mkdtempSync, readdirSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test, vi } from 'vitest'
import { readOwnAddresses } from '../../src/config/stand-ins.ts'
import { run } from './run.ts'

afterEach(() => void vi.restoreAllMocks())

test.skipIf(process.platform !== 'linux')('up refuses, with what root would run, and adds nothing', async () => {
  vi.spyOn(process, 'geteuid').mockReturnValue(1000)
  const state = mkdtempSync(join(tmpdir(), 'no-root-'))
  const before = readOwnAddresses()
  const { code, stdout, stderr } = await run(['addresses', 'up', '--state', state])
  expect(code).toBe(2)
  expect(stdout).toBe('')
  expect(stderr).toContain('only root can add addresses')
  expect(stderr).toContain('  sudo ip -4 route add local 203.0.113.10/32 dev lo\n')
  expect(stderr).toContain('egresslab shell')
  expect(readOwnAddresses()).toEqual(before)
  expect(readdirSync(state)).toEqual([])
})

test.skipIf(process.platform !== 'linux')('check shows every address the lab binds, in use and by what', async () => {
  const { code, stdout } = await run(['addresses', 'check'])
  expect(code).toBe(0)
  expect(stdout).toMatch(/^dedicated +203\.0\.113\.10 +AMS +127\.0\.10\.10 +yes +yes +local route 127\.0\.0\.0\/8$/m)
  expect(stdout).toMatch(/^dedicated +203\.0\.113\.10 +AMS +itself +- +no +-$/m)
  expect(stdout).toMatch(/^shared +198\.18\.0\.0\/16 +- +127\.18\.0\.1 … 127\.18\.\d+\.\d+ +yes +yes /m)
  expect(stdout).toMatch(/^origin +\S+ +bank\.saas\.test +127\.0\.2\d\.\d+ +yes +yes /m)
})

test.skipIf(process.platform !== 'linux')(
  '--dry-run prints what would be run, and nothing is left for down',
  async () => {
    const state = mkdtempSync(join(tmpdir(), 'dry-run-'))
    const { code, stdout } = await run(['addresses', 'up', '--dry-run', '--shared', '--state', state])
    expect(code).toBe(0)
    expect(stdout).toContain('ip -4 route add local 203.0.113.50/32 dev lo\n')
    expect(stdout).toContain('ip -4 route add local 198.18.0.0/23 dev lo\n')
    const down = await run(['addresses', 'down', '--state', state])
    expect(down).toEqual({
      code: 0,
      stdout: 'nothing to remove: no address that `addresses up` added is left\n',
      stderr: '',
    })
  },
)

test('a record of added addresses that is none is an error, and no command is run', async () => {
  const state = mkdtempSync(join(tmpdir(), 'bad-record-'))
  writeFileSync(join(state, 'addresses.json'), '{"added":["203.0.113.10/32; reboot"]}')
  const { code, stderr } = await run(['addresses', 'down', '--state', state])
  expect(code).toBe(2)
  expect(stderr).toContain('this is not a record of added addresses')
})

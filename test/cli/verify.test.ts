import { afterAll, beforeAll, expect, test } from 'vitest'
import { type PrivateLab, startPrivateLab } from '../support/private-lab.ts'
import { run } from './run.ts'

let running: PrivateLab
beforeAll(async () => {
  running = await startPrivateLab()
})
afterAll(() => running.close())

const verify = (...args: string[]) => run(['verify', '--proxy', running.proxy, ...args])

test('says that both echo origins saw dedicated IPs, and which', async () => {
  const { code, stdout, stderr } = await verify('--user', 'carol@example.com')
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout).toMatch(/^as carol@example\.com\nFAMILY +ASKED +SAW +WHICH IS\n/)
  expect(stdout).toMatch(/^IPv4 +http:\/\/ipv4\.icanhazip\.com\/ +203\.0\.113\.40 +dedicated, LAX$/m)
  expect(stdout).toMatch(/^IPv6 +http:\/\/ipv6\.icanhazip\.com\/ +2001:db8:40:\S+ +dedicated, LAX$/m)
})

test('--vnet chooses for these connections; --json has the same as data', async () => {
  const { code, stdout } = await verify('--user', 'bob@example.com', '--vnet', 'vnet-EMEA', '--json')
  expect(code).toBe(0)
  expect(JSON.parse(stdout)).toMatchObject({
    user: 'bob@example.com',
    dedicated: true,
    answers: [
      { family: 4, seen: '203.0.113.20', dedicated: true, colo: 'LHR', problem: null },
      { family: 6, dedicated: true, colo: 'LHR', problem: null },
    ],
  })
})

test('shared egress is not dedicated: exit 1', async () => {
  const lab = running.lab.store
  for (const code of ['AMS', 'LHR', 'IAD', 'LAX', 'EWR']) lab.setColoDown(code, true)
  const { code, stdout } = await verify('--user', 'bob@example.com')
  lab.revert('all')
  expect(code).toBe(1)
  expect(stdout).toMatch(/^IPv4 .* 198\.18\.\d+\.\d+ +not a dedicated IP$/m)
})

test('a wrong password is said as what it is: exit 1', async () => {
  const { code, stdout } = await verify('--user', 'bob@example.com', '--password', 'wrong')
  expect(code).toBe(1)
  expect(stdout).toContain('407: egresslab: the user name or the password is wrong')
})

test('a lab that does not run is said as what it is: exit 1', async () => {
  const { code, stdout } = await run(['verify', '--proxy', '127.0.0.1:9'])
  expect(code).toBe(1)
  expect(stdout).toContain('nothing listens at 127.0.0.1:9; is the lab running (`npm start`)?')
})

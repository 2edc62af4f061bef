// `token create`, `list`, `revoke`, against a running lab that keeps its state: a token works until it is revoked, after a restart too.

import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { startLab } from '../../src/lab/start-lab.ts'
import { ownNetwork } from '../support/own-network.ts'
import { PATIENT } from '../support/patience.ts'
import { type PrivateLab, startPrivateLab } from '../support/private-lab.ts'
import { type Ran, run } from './run.ts'

let running: PrivateLab
let where: readonly string[]
beforeAll(async () => {
  running = await startPrivateLab({ ephemeral: false })
  where = ['--api', `127.0.0.1:${running.lab.api.port}`, '--state', running.folder]
})
afterAll(() => running.close())

const token = (action: string, ...rest: readonly string[]): Promise<Ran> => run(['token', action, ...where, ...rest])

const statusWith = async (text: string, port: number, path = '/lab/v1/health') =>
  (await fetch(`http://127.0.0.1:${port}${path}`, { headers: { authorization: `Bearer ${text.trim()}` } })).status

test('a token is printed alone on standard output, once, and does what its role may', async () => {
  const made = await token('create', 'dana', '--role', 'viewer')
  expect([made.code, made.stdout]).toEqual([0, expect.stringMatching(/^egl_[\w-]{43}\n$/)])
  expect(made.stderr).toMatch(/^dana \(viewer, expires \d{4}-\d\d-\d\dT[\d:.]+Z\); this token is not shown again\n$/)
  const { port } = running.lab.api
  expect(await statusWith(made.stdout, port)).toBe(200)
  expect(await statusWith(made.stdout, port, '/lab/v1/tokens')).toBe(403)
  const listed = await token('list')
  expect(listed.stdout).toMatch(/^NAME +ROLE +EXPIRES +LAST USED +ID\ndana +viewer +\S+Z +\S+Z +[\da-f-]{36}\n$/)
  expect(listed.stdout).not.toContain(made.stdout.trim())
  expect(readFileSync(join(running.folder, 'lab.db')).includes(made.stdout.trim())).toBe(false)
  expect(running.said()).not.toContain(made.stdout.trim())
})

test('a revoked one is refused from then on, and gone from the list', async () => {
  const made = JSON.parse((await token('create', 'leaves', '--role', 'admin', '--expires', 'never', '--json')).stdout)
  expect(made).toMatchObject({ name: 'leaves', role: 'admin', expires_at: null, last_used_at: null })
  const revoked = await token('revoke', 'leaves')
  expect([revoked.code, revoked.stdout]).toEqual([0, 'the token leaves (admin) is revoked\n'])
  expect(await statusWith(made.token, running.lab.api.port)).toBe(401)
  expect((await token('list')).stdout).not.toContain('leaves')
})

test('without a name it has that of its role, counted on', async () => {
  const names = []
  for (let at = 0; at < 2; at++)
    names.push(JSON.parse((await token('create', '--role', 'operator', '--json')).stdout).name)
  expect(names).toEqual(['operator', 'operator-2'])
})

test.each([
  [['create', 'x', '--role', 'owner'], /allowed choices are viewer, operator, admin/i],
  [['create', 'x'], /required option '--role <role>' not specified/],
  [
    ['create', 'x', '--role', 'viewer', '--expires', 'soon'],
    /`soon` is not a duration such as `90d`, at most 3660 days/,
  ],
  [['create', 'dana', '--role', 'admin'], /a token named `dana` exists already/],
  [['revoke', 'nobody'], /there is no token `nobody`/],
  [['revoke', ''], /no token is named/],
] as const)('%j is refused with exit code 2 and what to do', async ([action, ...rest], message) => {
  const { code, stdout, stderr } = await token(action, ...rest)
  expect([code, stdout, stderr]).toEqual([2, '', expect.stringMatching(message)])
})

test('`audit` says who did that, and `audit.ndjson` beside the state has the same lines, for its owner alone', async () => {
  const made = JSON.parse((await token('create', 'acts', '--role', 'operator', '--json')).stdout)
  const headers = { authorization: `Bearer ${made.token}`, 'content-type': 'application/json' }
  const url = `http://127.0.0.1:${running.lab.api.port}/lab/v1/colos/LHR`
  expect((await fetch(url, { method: 'PUT', headers, body: '{"up": false}' })).status).toBe(200)
  const shown = await run(['audit', ...where, '--limit', '2'])
  expect(shown.stdout).toMatch(
    /^WHEN +WHO +FROM +REVISION +WHAT\n\S+Z +acts \(operator\) +127\.0\.0\.1 +\d+ +colo\/LHR created\n\S+Z +api-token \(admin\) +127\.0\.0\.1 +\d+ +token\/\S+ created\n$/,
  )
  const lines = (await run(['audit', ...where, '--who', 'acts', '--json'])).stdout.trim().split('\n')
  expect(lines.map((line) => JSON.parse(line).changes[0].after)).toEqual([{ id: 'LHR', down: true }])
  const file = join(running.folder, 'audit.ndjson')
  await vi.waitFor(() => expect(readFileSync(file, 'utf8')).toContain(lines[0]), PATIENT)
  expect(readFileSync(file, 'utf8')).not.toContain(made.token)
  expect(statSync(file).mode & 0o777).toBe(0o600)
  expect((await run(['audit', ...where, '--since', 'yesterday'])).code).toBe(2)
})

test('tokens are there after a restart', async () => {
  const { stdout } = await token('create', 'stays', '--role', 'viewer')
  await running.lab.close()
  const again = await startLab({
    configFile: 'config/lab.yaml',
    state: running.folder,
    ephemeral: false,
    portsFromZero: true,
    standInNetwork: ownNetwork(),
  })
  expect(await statusWith(stdout, again.api.port)).toBe(200)
  await again.close()
})

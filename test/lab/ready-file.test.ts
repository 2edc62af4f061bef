// `start --ready-file` and `start --parallel`: what scripts and test suites of other languages rely on.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { curl } from '../support/curl.ts'
import { PATIENCE_MS } from '../support/patience.ts'

let folder: string
let children: ChildProcess[]
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'egresslab-ready-'))
  children = []
})
afterEach(() => {
  for (const child of children) child.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
})

function start(...args: readonly string[]): ChildProcess {
  const all = ['src/main.ts', 'start', '--parallel', '--state', join(folder, `state-${children.length}`), ...args]
  const child = spawn(process.execPath, all, { stdio: 'ignore' })
  children.push(child)
  return child
}

const exitOf = async (child: ChildProcess) =>
  (await once(child, 'exit', { signal: AbortSignal.timeout(PATIENCE_MS) }))[0]

async function contentsOf(file: string) {
  await expect.poll(() => existsSync(file)).toBe(true)
  return JSON.parse(readFileSync(file, 'utf8'))
}

test('the file says where everything is, whole and true, and goes with the lab', async () => {
  const file = join(folder, 'ready.json')
  const child = start('--ready-file', file)
  const ready = await contentsOf(file)
  const port = expect.any(Number)
  expect(ready).toEqual({
    proxy: { host: '127.0.0.1', port },
    listeners: [{ name: 'main', host: '127.0.0.1', port: ready.proxy.port }],
    api: { url: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/) },
    console: { url: `${ready.api.url}/` },
    dns: [{ host: '127.0.0.1', port }],
    token_file: join(folder, 'state-0', 'api-token'),
    ca_file: expect.stringMatching(/^\/.*ca\.pem$/),
    sessions_file: join(folder, 'state-0', 'sessions.ndjson'),
    config: resolve('config/lab.yaml'),
    pid: child.pid,
  })
  const proxy = `http://127.0.0.1:${ready.proxy.port}`
  const answer = await curl(
    '--cacert',
    ready.ca_file,
    '-x',
    proxy,
    '-U',
    'bob@example.com:lab-bob',
    'https://ipv4.icanhazip.com/',
  )
  expect(answer).toMatchObject({ status: 200, body: '203.0.113.10\n' })
  const health = await fetch(`${ready.api.url}/lab/v1/health`, {
    headers: { authorization: `Bearer ${readFileSync(ready.token_file, 'utf8').trim()}` },
  })
  expect(health.status).toBe(200)
  child.kill('SIGTERM')
  expect(await exitOf(child)).toBe(143)
  expect(existsSync(file)).toBe(false)
})

test('nothing is kept of an ephemeral lab, so the file names no token and no sessions', async () => {
  const file = join(folder, 'ready.json')
  start('--ephemeral', '--ready-file', file)
  expect(await contentsOf(file)).toMatchObject({ token_file: null, sessions_file: null })
})

test('what a lab left that was killed is gone before the next one listens; that of a running one stays', async () => {
  const [left, kept] = [join(folder, 'left.json'), join(folder, 'kept.json')]
  writeFileSync(left, JSON.stringify({ pid: 2 ** 22 + 1 }))
  writeFileSync(kept, JSON.stringify({ pid: process.pid }))
  const bad = join(folder, 'bad.yaml')
  writeFileSync(bad, 'users: 7')
  expect(await exitOf(start('--config', bad, '--ready-file', left))).toBe(2)
  expect(await exitOf(start('--config', bad, '--ready-file', kept))).toBe(2)
  expect([existsSync(left), existsSync(kept)]).toEqual([false, true])
})

test('a file that cannot be written ends the lab with exit code 2', async () => {
  expect(await exitOf(start('--ready-file', join(folder, 'nowhere', 'ready.json')))).toBe(2)
})

// The lab as a process of its own, started the way people start it: output, signals, exit codes.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { type Banner, bannerOf } from '../support/banner.ts'
import { curl } from '../support/curl.ts'
import { loopback, ownNetwork } from '../support/own-network.ts'
import { PATIENCE_MS } from '../support/patience.ts'
import { dialPlain, untilRefused } from '../support/tcp.ts'

let folder: string
let config: string
let child: ChildProcess | undefined
let banner: Banner
let stdout: string

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'egresslab-process-'))
  config = join(folder, 'lab.yaml')
  const shipped = readFileSync('config/lab.yaml', 'utf8')
  const network = ownNetwork(5)
  writeFileSync(
    config,
    `${shipped.replace(/port: 80[89]0/g, 'port: 0').replace('127.0.0.1:8053', `${loopback(53)}:8053`)}\nstand_ins: { network: ${network} }\n`,
  )
})
afterEach(() => child?.kill('SIGKILL'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** Starts a program and waits until the lab has said where it listens. Answers the proxy's port. */
async function start(command: string, args: readonly string[], file = config): Promise<number> {
  const all = [...args, '--config', file, '--state', join(folder, 'state')]
  const started = spawn(command, all, { stdio: ['ignore', 'pipe', 'pipe'] })
  child = started
  stdout = ''
  started.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  banner = await bannerOf(started)
  return banner.proxy
}

const lab = (...args: readonly string[]) => start(process.execPath, ['scripts/egresslab.mjs', 'start', ...args])
/** The exit code once it has ended; `close`: once everything it wrote is here, too. */
const exit = async (event: 'exit' | 'close' = 'exit') =>
  (await once(child ?? expect.unreachable(), event, { signal: AbortSignal.timeout(PATIENCE_MS) }))[0]

test('prints the addresses, and curl lines that give what they say', async () => {
  await lab()
  const lines = [...banner.said().matchAll(/^ {2}curl -x (\S+) -U '(\S+)' (\S+) +# (\S+)/gm)]
  expect(lines).toHaveLength(6)
  for (const [, proxy = '', user = '', url = '', expected = ''] of lines) {
    const { status, body } = await curl('-x', proxy, '-U', user, url)
    expect([String(status), `${status},`, body.trim()]).toContain(expected)
  }
})

test('writes nothing but session records to a pipe, one per line', async () => {
  const port = await lab()
  await curl('-x', `http://127.0.0.1:${port}`, '-U', 'bob@example.com:lab-bob', 'http://ipv4.icanhazip.com/')
  await expect.poll(() => stdout).toContain('\n')
  expect(JSON.parse(stdout)).toMatchObject({ Email: 'bob@example.com', EgressIP: '203.0.113.10' })
})

test.each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)('LC-01: %s ends it in order with exit code %d, and no log line is lost', async (signal, code) => {
  const port = await lab()
  await curl('-x', `http://127.0.0.1:${port}`, '-U', 'bob@example.com:lab-bob', 'http://ipv4.icanhazip.com/')
  child?.kill(signal)
  expect(await exit('close')).toBe(code)
  await expect(dialPlain(port)).rejects.toThrow('ECONNREFUSED')
  expect(stdout.trimEnd().split('\n')).toHaveLength(1)
  const kept = readFileSync(join(folder, 'state', 'sessions.ndjson'), 'utf8')
    .trimEnd()
    .split('\n')
  expect(kept.at(-1)).toBe(stdout.trimEnd())
})

test('LC-01: SIGTERM drains workers too, and keeps what they recorded', async () => {
  const port = await lab('--workers', '2')
  for (let at = 0; at < 4; at++) {
    await curl('-x', `http://127.0.0.1:${port}`, '-U', 'bob@example.com:lab-bob', 'http://ipv4.icanhazip.com/')
  }
  child?.kill('SIGTERM')
  expect(await exit('close')).toBe(143)
  await expect(dialPlain(port)).rejects.toThrow('ECONNREFUSED')
  expect(stdout.trimEnd().split('\n')).toHaveLength(4)
})

test('LC-01: an open tunnel gets the drain time; a second signal does not wait for it', async () => {
  const patient = join(folder, 'patient.yaml')
  const text = readFileSync(config, 'utf8').replace('drain: 5s', 'drain: 600s')
  expect(text).toContain('drain: 600s')
  writeFileSync(patient, text)
  const port = await start(process.execPath, ['scripts/egresslab.mjs', 'start'], patient)
  const tunnel = await dialPlain(port)
  tunnel.on('error', () => {})
  const credentials = Buffer.from('bob@example.com:lab-bob').toString('base64')
  tunnel.write(`CONNECT ipv4.icanhazip.com:80 HTTP/1.1\r\nHost: x\r\nProxy-Authorization: Basic ${credentials}\r\n\r\n`)
  const [answer] = await once(tunnel, 'data')
  expect(String(answer)).toMatch(/^HTTP\/1\.1 200 /)
  child?.kill('SIGTERM')
  await untilRefused(port)
  tunnel.write('GET / HTTP/1.1\r\nHost: ipv4.icanhazip.com\r\n\r\n')
  const [page] = await once(tunnel, 'data')
  expect(String(page)).toContain('203.0.113.10')
  // a second press of keys, as opposed to one signal that arrives twice
  const again = setInterval(() => child?.kill('SIGINT'), 400)
  expect(await exit()).toBe(130)
  clearInterval(again)
})

test('RS-08: it outlives the reader of its standard output', async () => {
  const port = await lab()
  child?.stdout?.destroy()
  for (let n = 0; n < 3; n++) {
    const answer = await curl(
      '-x',
      `http://127.0.0.1:${port}`,
      '-U',
      'bob@example.com:lab-bob',
      'http://ipv4.icanhazip.com/',
    )
    expect(answer).toMatchObject({ status: 200, body: '203.0.113.10\n' })
  }
  expect(child?.exitCode).toBe(null)
})

test('stops when npm that started it is ended by a signal', async () => {
  const port = await start('npm', ['start', '--silent', '--'])
  child?.kill('SIGTERM')
  await untilRefused(port)
})

test('a configuration with mistakes ends it with exit code 2 and all of them on standard error', async () => {
  const file = join(folder, 'bad.yaml')
  writeFileSync(file, 'dedicated_ips:\n  - { colo: AMX, ipv4: 203.0.113.10 }\nlisteners:\n  - { name: main, prt: 1 }\n')
  const bad = spawn(process.execPath, ['scripts/egresslab.mjs', 'start', '--config', file], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let stderr = ''
  bad.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  const [code] = await once(bad, 'close')
  expect(code).toBe(2)
  expect(stderr).toContain(`${file}:2:13: error: there is no data center \`AMX\``)
  expect(stderr).toContain(`${file}:4:19: error: `)
  expect(stderr).toMatch(/^2 errors$/m)
})

test('RS-08: a reader of its standard output that stops reading holds up nobody', async () => {
  const port = await lab()
  const url = `http://127.0.0.1:${port}`
  child?.stdout?.removeAllListeners('data').pause()
  const credentials = ['-x', url, '-U', 'bob@example.com:lab-bob']
  // far more records than a pipe takes: each curl makes a session per connection, eighty connections each
  const many = Array.from({ length: 80 }, () => [
    '--next',
    '-s',
    '-H',
    'Connection: close',
    ...credentials,
    'http://ipv4.icanhazip.com/',
  ])
  for (let n = 0; n < 4; n++) {
    const { body } = await curl(...many.flat().slice(1))
    expect(body).toBe('203.0.113.10\n'.repeat(80))
  }
  child?.kill('SIGTERM')
  expect(await exit()).toBe(143)
})

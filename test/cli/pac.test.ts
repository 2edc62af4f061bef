// `pac`: the file as it is printed and written, and what it refuses.

import { mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { evaluatePac } from '../support/evaluate-pac.ts'
import { run } from './run.ts'

test('prints a file that sends browsers to the shipped proxy, and past it to the API', async () => {
  const { code, stdout, stderr } = await run(['pac'])
  expect([code, stderr]).toEqual([0, ''])
  const urls = ['http://bank.saas.test/', 'http://127.0.0.1:8090/']
  expect(await evaluatePac(stdout, ...urls)).toEqual(['PROXY 127.0.0.1:8080', 'DIRECT'])
})

test('--output writes the very same', async () => {
  const file = join(mkdtempSync(join(tmpdir(), 'pac-')), 'proxy.pac')
  const args = ['pac', '--listener', 'main', '--scheme', 'socks5', '--direct', '*.a.test', '--direct', 'b.test']
  const printed = await run(args)
  const written = await run([...args, '--output', file])
  expect([written.code, written.stdout]).toEqual([0, ''])
  expect(readFileSync(file, 'utf8')).toBe(printed.stdout)
  const urls = ['http://x.a.test/', 'http://b.test/', 'http://c.test/']
  expect(await evaluatePac(printed.stdout, ...urls)).toEqual(['DIRECT', 'DIRECT', 'SOCKS5 127.0.0.1:8080'])
})

test.each([
  [['--listener', 'nobody'], 'there is no listener `nobody`'],
  [['--scheme', 'ftp'], 'Allowed choices are http, https, socks5'],
  [['--direct', 'a b'], '`a b` is not a host name'],
  [['--output', '/dev/null/proxy.pac'], 'cannot write `/dev/null/proxy.pac` (ENOTDIR)'],
  [['-c', 'config/nowhere.yaml'], 'config/nowhere.yaml'],
])('%j is a usage error in words', async (args, words) => {
  const { code, stdout, stderr } = await run(['pac', ...args])
  expect([code, stdout]).toEqual([2, ''])
  expect(stderr).toContain(words)
})

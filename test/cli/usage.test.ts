import { expect, test } from 'vitest'
import { run } from './run.ts'

test('--help lists the verbs and exits 0', async () => {
  const { code, stdout, stderr } = await run(['--help'])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  for (const verb of ['start', 'explain', 'check', 'verify', 'fmt', 'expr', 'colo', 'vnet', 'geofeed', 'ca']) {
    expect(stdout).toMatch(new RegExp(`^  ${verb}\\b`, 'm'))
  }
})

test('--version prints the version alone', async () => {
  const { code, stdout } = await run(['--version'])
  expect(code).toBe(0)
  expect(stdout).toMatch(/^\d+\.\d+\.\d+\n$/)
})

test.each([
  [['explian'], "unknown command 'explian'"],
  [['check', '--confg', 'x'], "unknown option '--confg'"],
  [['verify', '--proxy', 'nowhere'], 'write it as host:port'],
])('%j is a usage error: exit 2, said on standard error', async (args, message) => {
  const { code, stdout, stderr } = await run(args)
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
  expect(stderr).toContain(message)
})

test('no verb at all shows the help and exits 2', async () => {
  const { code, stdout, stderr } = await run([])
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
  expect(stderr).toContain('Usage: egresslab')
})

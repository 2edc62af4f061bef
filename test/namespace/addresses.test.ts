// `addresses check`, `up`, `down` and `shell` on a real kernel, in a network nobody else has.

import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { canHaveInternet, createInternet, type Internet } from '../support/internet.ts'

// each step is a process of its own, which takes its time on a busy machine

describe.skipIf(!canHaveInternet())('on a machine of its own', () => {
  let internet: Internet
  let folder: string
  let config: string
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'addresses-'))
    config = join(folder, 'lab.yaml')
    writeFileSync(
      config,
      `dedicated_ips:
  - { colo: AMS, ipv4: 203.0.113.10, ipv6: "2001:db8:10::/64" }
  - { colo: LHR, ipv4: 203.0.113.20 }
`,
    )
    internet = await createInternet([])
  })
  afterAll(() => {
    internet?.close()
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true })
  })

  const egresslab = (...args: readonly string[]) =>
    internet.lab.run(process.execPath, 'src/main.ts', ...args, '--config', config)
  const addresses = (verb: string, ...args: readonly string[]) =>
    egresslab('addresses', verb, ...(verb === 'check' ? [] : ['--state', folder]), ...args)

  /** What is local beyond what every machine has, and the switch. */
  async function machine(): Promise<string[]> {
    const routes = await internet.lab.must('sh', '-c', 'ip -4 route show table local; ip -6 route show table local')
    const prefixes = [...routes.matchAll(/^local ((?:203\.0\.113|2001:db8:10:)\S*) /gm)].map(
      ([, prefix = '']) => prefix,
    )
    return [...prefixes, (await internet.lab.must('cat', '/proc/sys/net/ipv6/ip_nonlocal_bind')).trim()]
  }

  test('up adds what is missing and says how, down takes exactly that away', async () => {
    await internet.lab.must('ip', 'route', 'add', 'local', '203.0.113.20', 'dev', 'lo')
    const before = await machine()
    expect(before).toEqual(['203.0.113.20', '0'])

    const up = await addresses('up')
    expect(up.stdout.split('\n').slice(0, 3)).toEqual([
      'ip -4 route add local 203.0.113.10/32 dev lo',
      'ip -6 route add local 2001:db8:10::/64 dev lo',
      'sysctl -q -w net.ipv6.ip_nonlocal_bind=1',
    ])
    expect(await machine()).toEqual(['203.0.113.10', '203.0.113.20', '2001:db8:10::/64', '1'])
    expect((await addresses('up')).stdout).toContain('nothing to add')

    const found = JSON.parse((await addresses('check', '--json')).stdout)
    expect(found.complete).toBe(true)
    expect(found.addresses).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ binds: '203.0.113.10', needed: true, by: 'local route 203.0.113.10/32' }),
        expect.objectContaining({ binds: '2001:db8:10::/64', needed: true, bindable: true }),
      ]),
    )

    expect((await addresses('down')).exit).toBe(0)
    expect(await machine()).toEqual(before)
    expect(existsSync(join(folder, 'addresses.json'))).toBe(false)
  })

  test('what a restart took away is forgotten, and nothing else is touched', async () => {
    await addresses('up')
    await internet.lab.must('ip', 'route', 'del', 'local', '203.0.113.10/32', 'dev', 'lo')
    expect((await addresses('down')).stdout).not.toContain('203.0.113.10')
    expect(await machine()).toEqual(['203.0.113.20', '0'])
  })

  test('check fails where the lab could not start, and says what is missing; start says the same', async () => {
    const real = join(folder, 'real.yaml')
    writeFileSync(real, 'addresses: real\ndedicated_ips: [{ colo: AMS, ipv4: 203.0.113.10 }]\napi: { port: 0 }\n')
    const check = await internet.lab.run(process.execPath, 'src/main.ts', 'addresses', 'check', '--config', real)
    expect(check.exit).toBe(1)
    expect(check.stdout).toContain(
      'the lab cannot start on this machine:\n- `203.0.113.10` is not an address of this machine\n',
    )
    const start = await internet.lab.run(process.execPath, 'src/main.ts', 'start', '--ephemeral', '--config', real)
    expect(start.exit).toBe(2)
    expect(start.stderr).toContain('`203.0.113.10` is not an address of this machine')
    expect(start.stderr).toContain('egresslab addresses up')
  })

  test('shell: the addresses are real inside, the exit code is the command’s, and outside nothing changes', async () => {
    const before = await machine()
    const inside = await egresslab('shell', '--', 'sh', '-c', 'ip -6 route show table local | grep 2001; exit 7')
    expect(inside).toMatchObject({ exit: 7, stdout: expect.stringContaining('local 2001:db8:10::/64 dev lo') })
    expect((await egresslab('shell', '--', 'sh', '-c', 'kill -TERM $$')).exit).toBe(143)
    expect(await machine()).toEqual(before)
  })

  test('shell: a kernel that forbids it is told apart from a command that failed', async () => {
    const shut = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
    const shell = [process.execPath, 'src/main.ts', 'shell', '--config', config, '--', 'true']
    const { exit, stderr } = await internet.lab.run(
      'unshare',
      '--user',
      '--map-root-user',
      'sh',
      '-c',
      shut,
      'sh',
      ...shell,
    )
    expect(exit).toBe(2)
    expect(stderr).toContain('cannot create a network namespace: unshare: unshare failed')
    expect(stderr).toContain('`sudo sysctl -w user.max_user_namespaces=10000` permits it')
  })
})

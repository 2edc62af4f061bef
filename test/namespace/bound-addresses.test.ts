// `bind`: addresses that are on no interface, and the device connections leave by. Two cables lead to the origin's host; the routes name the
// wrong one, whose next hop does not exist.

import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { canHaveInternet, createInternet, type Internet, LAB_HOST } from '../support/internet.ts'
import { PATIENCE_MS, PATIENT } from '../support/patience.ts'

const FAR = { ipv4: '198.51.100.80', ipv6: '2001:db8:80::80' }
const IPV4_URL = `http://${FAR.ipv4}/`
const IPV6_URL = `http://[${FAR.ipv6}]/`
const LAB = `engine: linux
dedicated_ips:
  - { colo: AMS, ipv4: 203.0.113.10, ipv6: "2001:db8:10::/64", bind: { device: second, transparent: true } }
  - { colo: LHR, ipv4: 203.0.113.20, ipv6: "2001:db8:20::/64", bind: { device: second, freebind: true } }
  - { colo: IAD, ipv4: 203.0.113.30, ipv6: "2001:db8:30::/64", bind: { transparent: true } }
users:
  - { email: bob@example.com, password: lab-bob, place: AMS }
  - { email: carol@example.com, password: lab-carol, place: LHR }
  - { email: dave@example.com, password: lab-dave, place: IAD }
rules:
  - { name: carol, precedence: 1, identity: 'identity.email == "carol@example.com"', egress: { ipv4: 203.0.113.20 } }
  - { name: dave, precedence: 2, identity: 'identity.email == "dave@example.com"', egress: { ipv4: 203.0.113.30 } }
listeners: [{ name: proxy, host: 127.0.0.1, port: 8080 }, { name: outside, host: 192.0.2.1, port: 8081 }]
api: { host: 127.0.0.1, port: 8090 }
timeouts: { connect: 2s, unacknowledged: 2s }
`

describe.skipIf(!canHaveInternet())('addresses that are on no interface', () => {
  let internet: Internet
  let folder: string
  const file = (text: string) => {
    const path = join(folder, 'lab.yaml')
    writeFileSync(path, text)
    return path
  }
  const egresslab = (...args: readonly string[]) => internet.lab.run(process.execPath, 'src/main.ts', ...args)

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'bound-'))
    internet = await createInternet([])
    await route()
    const origin = internet.origin.start(process.execPath, [join(import.meta.dirname, 'origin.mjs')])
    await once(origin.stdout ?? expect.unreachable(), 'data', { signal: AbortSignal.timeout(PATIENCE_MS) })
    const lab = internet.lab.start(process.execPath, ['src/main.ts', 'start', '--state', folder, '--config', file(LAB)])
    let said = ''
    lab.stderr?.setEncoding('utf8').on('data', (text: string) => (said += text))
    await vi.waitUntil(() => said.includes('explains why.') || lab.exitCode !== null, { ...PATIENT, interval: 20 })
    expect(said).toContain('explains why.')
  })
  afterAll(() => {
    internet?.close()
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true })
  })

  /** What comes in by `second` for addresses the lab's host does not have is taken in by a rule for that device alone. */
  async function route(): Promise<void> {
    const { lab, origin } = internet
    await internet.lay(
      'second',
      { ipv4: '192.168.77.1', ipv6: '2001:db8:77::1' },
      { ipv4: '192.168.77.2', ipv6: '2001:db8:77::2' },
    )
    const ip = (host: typeof lab, line: string) => host.must('ip', ...line.split(' '))
    await ip(origin, `addr add ${FAR.ipv4}/32 dev lo`)
    await ip(origin, `addr add ${FAR.ipv6}/128 dev lo`)
    await ip(origin, `route add 203.0.113.0/24 via 192.168.77.1 src ${FAR.ipv4}`)
    await ip(origin, 'route add 2001:db8:10::/64 via 2001:db8:77::1')
    await ip(lab, `route add ${FAR.ipv4}/32 via 192.0.2.99 dev cable metric 1`)
    await ip(lab, `route add ${FAR.ipv4}/32 via 192.168.77.2 dev second metric 9`)
    await ip(lab, `route add ${FAR.ipv6}/128 via 2001:db8:ffff::99 dev cable metric 1`)
    await ip(lab, `route add ${FAR.ipv6}/128 via 2001:db8:77::2 dev second metric 9`)
    for (const family of ['-4', '-6']) await ip(lab, `${family} rule add iif second lookup 100`)
    await ip(lab, '-4 route add local 203.0.113.0/24 dev lo table 100')
    await ip(lab, '-6 route add local 2001:db8:10::/64 dev lo table 100')
  }

  async function seen(user: string, url: string): Promise<string> {
    const login = `${user}@example.com:lab-${user}`
    return (await internet.lab.run('curl', '-q', '-sS', '-x', 'http://127.0.0.1:8080', '-U', login, url)).stdout.trim()
  }

  test('a transparent address this machine does not have is bound and leaves by the named device, whatever the routes say', async () => {
    expect(await seen('bob', IPV4_URL)).toBe('203.0.113.10')
    expect(await seen('bob', IPV6_URL)).toMatch(/^2001:db8:10:0:/)
  })

  test('UD-05 and so do datagrams', async () => {
    const ask = [join(import.meta.dirname, 'ask-udp.mjs'), 'bob@example.com', 'lab-bob', FAR.ipv4, '7']
    expect(await internet.lab.must(process.execPath, ...ask)).toBe('203.0.113.10\n')
  })

  test('without a device the routes decide, and lead to nobody', async () => {
    expect(await seen('dave', IPV4_URL)).toContain('code: dial.')
  })

  test('the lab starts with a freebind address that comes later; until then a connection from it says so', async () => {
    const before = await seen('carol', IPV4_URL)
    expect(before).toContain('code: egress.address_missing')
    expect(before).toContain('from `203.0.113.20` to `198.51.100.80:80`: this machine does not have the address yet')
    await internet.lab.must('ip', 'addr', 'add', '203.0.113.20/32', 'dev', 'second')
    expect(await seen('carol', IPV4_URL)).toBe('203.0.113.20')
  })

  test.each([
    ['client', LAB_HOST.ipv4, 'CLIENT_ERROR'],
    ['origin', '203.0.113.10', 'ORIGIN_ERROR'],
  ])(
    'what the %s does not acknowledge for `timeouts.unacknowledged` ends the tunnel, and the record says so',
    async (who, lost, reason) => {
      const talk = [join(import.meta.dirname, 'talk.mjs'), LAB_HOST.ipv4, 'bob@example.com:lab-bob', FAR.ipv4]
      const talking = internet.origin.start(process.execPath, talk)
      onTestFinished(() => void talking.kill())
      await once(talking.stdout ?? expect.unreachable(), 'data', { signal: AbortSignal.timeout(PATIENCE_MS) })
      // what the lab sends goes on arriving there, and no acknowledgement leaves
      const hole = ['blackhole', `${lost}/32`]
      await internet.origin.must('ip', 'route', 'add', ...hole)
      onTestFinished(() => void internet.origin.must('ip', 'route', 'del', ...hole))
      const ended = () => {
        const log = join(folder, 'sessions.ndjson')
        const lines = existsSync(log) ? readFileSync(log, 'utf8').split('\n').filter(Boolean) : []
        const records = lines.map((line) => JSON.parse(line))
        return records.find(({ Lab }) => Lab.error?.message === `the ${who} does not answer any more`)
      }
      // the system's own patience is about 15 minutes
      const record = await vi.waitUntil(ended, { ...PATIENT, interval: 50 })
      expect(record).toMatchObject({ ConnectionCloseReason: reason, Lab: { target: '198.51.100.80:9' } })
    },
  )

  test('check tells how such an address is bound, and up does not add it', async () => {
    const check = await egresslab('addresses', 'check', '--json', '--config', file(LAB))
    expect(JSON.parse(check.stdout).addresses).toContainEqual(
      expect.objectContaining({ binds: '203.0.113.10', bindable: true, by: 'transparent, device second' }),
    )
    const up = await egresslab('addresses', 'up', '--dry-run', '--config', file(LAB))
    expect(up.stdout).not.toContain('203.0.113.')
  })

  test('a device that is not there, and a right that is missing, keep the lab from starting with a plain error', async () => {
    const start = (text: string, ...under: readonly string[]) => {
      const [program = '', ...args] = [...under, process.execPath, 'src/main.ts', 'start', '--ephemeral', '--config']
      return internet.lab.run(program, ...args, file(text))
    }
    const nowhere = await start(LAB.replace('device: second', 'device: third').replaceAll(/80(8|9)0/g, '0'))
    expect(nowhere).toMatchObject({ exit: 2 })
    expect(nowhere.stderr).toContain(
      '`203.0.113.10` cannot be bound as configured: this machine has no network device `third`',
    )
    const powerless = await start(LAB.replaceAll(/80(8|9)0/g, '0'), 'setpriv', '--bounding-set=-all', '--inh-caps=-all')
    expect(powerless).toMatchObject({ exit: 2 })
    expect(powerless.stderr).toContain(
      '`203.0.113.10` cannot be bound as configured: `transparent` needs CAP_NET_ADMIN, which this process does not have',
    )
    const elsewhere =
      'dedicated_ips: [{ colo: AMS, ipv4: 203.0.113.10, exit: { socks5: "192.0.2.2:1080", device: third } }]\n'
    const exit = await start(`${elsewhere}api: { port: 0 }\n`)
    expect(exit.stderr).toContain('the exit socks5://192.0.2.2:1080: `0.0.0.0` cannot be bound as configured')
  })
})

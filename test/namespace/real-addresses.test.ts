// Real addresses on the wire: the lab on one host, an origin on another, a cable between them. The origin is asked whom it sees.

import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { canHaveInternet, createInternet, type Internet, ORIGIN_HOST } from '../support/internet.ts'
import { PATIENCE_MS, PATIENT } from '../support/patience.ts'

const DEDICATED = ['203.0.113.0/24', '2001:db8:10::/64', '2001:db8:20::/64', '2001:db8:30::/64']
const CONFIG = join(import.meta.dirname, 'lab.yaml')
const IPV4_URL = `http://${ORIGIN_HOST.ipv4}/`
const IPV6_URL = `http://[${ORIGIN_HOST.ipv6}]/`

describe.skipIf(!canHaveInternet())('a lab that owns its dedicated addresses', () => {
  let internet: Internet
  let state: string
  const egresslab = (...args: readonly string[]) => internet.lab.run(process.execPath, 'src/main.ts', ...args)

  beforeAll(async () => {
    state = mkdtempSync(join(tmpdir(), 'namespace-'))
    internet = await createInternet(DEDICATED)
    const origin = internet.origin.start(process.execPath, [join(import.meta.dirname, 'origin.mjs')])
    await Promise.all([
      once(origin.stdout ?? expect.unreachable(), 'data', { signal: AbortSignal.timeout(PATIENCE_MS) }),
      egresslab('addresses', 'up', '--config', CONFIG, '--state', state).then(({ stderr }) => expect(stderr).toBe('')),
    ])
    await startLab()
  })
  afterAll(() => {
    internet?.close()
    if (state !== undefined) rmSync(state, { recursive: true, force: true })
  })

  async function startLab(): Promise<void> {
    const lab = internet.lab.start(process.execPath, ['src/main.ts', 'start', '--config', CONFIG, '--state', state])
    let said = ''
    lab.stderr?.setEncoding('utf8').on('data', (text: string) => (said += text))
    await vi.waitUntil(() => said.includes('explains why.') || lab.exitCode !== null, { ...PATIENT, interval: 20 })
    expect(said).toContain('explains why.')
  }

  /** What the origin saw of a request of this user. */
  async function seen(user: string, url: string): Promise<string> {
    const login = `${user}@example.com:lab-${user}`
    const curl = ['curl', '-q', '-sS', '-m', '8', '-x', 'http://127.0.0.1:8080', '-U', login, url]
    return (await internet.lab.run(...(curl as [string, ...string[]]))).stdout.trim()
  }

  test('[E1] an origin on the internet sees the dedicated IPv4 address itself', async () => {
    expect(await seen('bob', IPV4_URL)).toBe('203.0.113.10')
    expect(await seen('carol', IPV4_URL)).toBe('203.0.113.20')
  })

  test('[E4] over IPv6 it sees the user’s own address inside the /64, the same each time', async () => {
    const first = await seen('bob', IPV6_URL)
    expect(first).toMatch(/^2001:db8:10:0:/)
    expect(await seen('bob', IPV6_URL)).toBe(first)
    const another = await seen('dave', IPV6_URL)
    expect(another).toMatch(/^2001:db8:10:0:/)
    expect(another).not.toBe(first)
  })

  test('[R6] with LHR down, the origin sees the fallback at IAD, and LHR again afterwards', async () => {
    const token = readFileSync(join(state, 'api-token'), 'utf8').trim()
    const colo = (up: boolean) => {
      const how = ['-X', 'PUT', '-H', `Authorization: Bearer ${token}`, '-H', 'Content-Type: application/json']
      return internet.lab.must(
        'curl',
        '-q',
        '-sSf',
        ...how,
        '-d',
        `{"up":${up}}`,
        'http://127.0.0.1:8090/lab/v1/colos/LHR',
      )
    }
    await colo(false)
    expect(await seen('carol', IPV4_URL)).toBe('203.0.113.30')
    await colo(true)
    expect(await seen('carol', IPV4_URL)).toBe('203.0.113.20')
  })

  test('UD-05 a datagram arrives from the dedicated address as well', async () => {
    const ask = [join(import.meta.dirname, 'ask-udp.mjs'), 'bob@example.com', 'lab-bob', ORIGIN_HOST.ipv4, '7']
    expect(await internet.lab.must(process.execPath, ...ask)).toBe('203.0.113.10\n')
  })

  test('EG-01 a loopback stand-in cannot leave the host: a named reason, and nothing arrives', async () => {
    const answer = await seen('erin', IPV4_URL)
    expect(answer).toContain('a loopback stand-in cannot leave this host')
    expect(answer).toContain('code: dial.unreachable')
  })

  test('the record says that the public address itself was bound', async () => {
    await seen('bob', IPV4_URL)
    const records = readFileSync(join(state, 'sessions.ndjson'), 'utf8').trim().split('\n')
    const last = records.map((line) => JSON.parse(line)).findLast(({ Email }) => Email === 'bob@example.com')
    expect(last).toMatchObject({ EgressIP: expect.stringMatching(/^203\.0\.113\.10$|^2001:db8:10:/) })
    expect(last.Lab.bind).toContain(last.EgressIP)
  })
})

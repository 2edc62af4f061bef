// The test origins as users reach them: a whole lab, real curl through its proxy.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type StartedLab, startLab } from '../../src/lab/start-lab.ts'
import { curl } from '../support/curl.ts'
import { ownNetwork } from '../support/own-network.ts'

const MOVE = Date.parse('2031-03-01T00:00:00Z')
const CONFIG = `
dedicated_ips:
  - { colo: LAX, ipv4: 203.0.113.40, ipv6: "2001:db8:40::/64" }
  - { colo: LHR, ipv4: 203.0.113.20, ipv6: "2001:db8:20::/64", geolocation_updated_at: ${new Date(MOVE).toISOString()} }
users:
  - { email: alice@example.com, password: lab, place: LHR }
  - { email: vegas@example.com, password: lab, place: LAS }
destinations:
  - { name: search.saas.test, addresses: [198.51.100.30], origin: search }
  - { name: cloudflare.com, addresses: [104.16.132.229], origin: site }
  - { name: ifconfig.me, addresses: [198.51.100.5, "2001:db8:f00::5"], origin: echo }
`

let folder: string
let lab: StartedLab

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'origins-lab-'))
  const configFile = join(folder, 'lab.yaml')
  writeFileSync(configFile, CONFIG)
  const standInNetwork = ownNetwork(3)
  lab = await startLab({ configFile, state: folder, ephemeral: true, portsFromZero: true, standInNetwork })
})
afterAll(async () => {
  await lab.close()
  rmSync(folder, { recursive: true })
})

describe('through the proxy', () => {
  test('HTTPS is accepted on the word of the development authority alone, and shows the egress IP', async () => {
    const answer = await ask('alice', 'https://ifconfig.me/json', '--cacert', lab.authorityFile)
    expect(answer).toMatchObject({ exit: 0, status: 200 })
    const facts = JSON.parse(answer.body)
    expect(facts.address).toMatch(/^2001:db8:20:/)
    expect(facts.site.address).toBe('[2001:db8:f00::5]:443')
    expect(facts.tls).toMatchObject({ version: 'TLSv1.3', server_name: 'ifconfig.me' })
  })

  test('without the authority curl refuses the certificate', async () => {
    expect((await ask('alice', 'https://ifconfig.me/')).exit).toBe(60)
  })

  test('[E5] a site behind Cloudflare is known by its published address and answers /cdn-cgi/trace', async () => {
    const { body } = await ask('vegas', 'http://cloudflare.com/cdn-cgi/trace')
    expect(body).toContain('ip=203.0.113.40\n')
    expect(body).toContain('colo=LAS\n')
    expect(body).toContain('loc=US\n')
  })

  test("[G2] the search engine learns of an IP's move on its day, by the lab's clock", async () => {
    const before = (await ask('alice', 'http://search.saas.test/')).body
    expect(before).toContain('country: US\n')
    expect(before).toContain('from: US (from 2031-03-01: London, GB)\n')

    lab.store.setClockOffset(MOVE - Date.now())
    const after = (await ask('alice', 'http://search.saas.test/')).body
    lab.store.setClockOffset(0)

    expect(after).toContain('country: GB\n')
    expect(after).toContain('seen: 203.0.113.20\nfrom: London, GB\n')
  })

  test.each([
    ['/status/418', 418],
    ['/upload', 200],
  ])('the workbench answers %s', async (path, status) => {
    expect((await ask('alice', `http://ifconfig.me${path}`, '-d', 'x')).status).toBe(status)
  })

  test('an upgrade reaches the WebSocket echo', async () => {
    const handshake = ['-H', 'connection: upgrade', '-H', 'upgrade: websocket', '-H', 'sec-websocket-version: 13']
    const key = 'sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ=='
    const answer = await ask('alice', 'http://ifconfig.me/ws', '-p', '-m', '1', ...handshake, '-H', key)
    expect(answer.status).toBe(101)
    expect(answer.headers.get('sec-websocket-accept')).toBe('s3pPLMBiTxaQ9kYGzzhZRbK+xOo=')
  })
})

function ask(user: string, url: string, ...extra: readonly string[]) {
  const [listener] = lab.listeners
  const proxy = `http://${listener?.host}:${listener?.port}`
  return curl('-x', proxy, '-U', `${user}@example.com:lab`, ...extra, url)
}

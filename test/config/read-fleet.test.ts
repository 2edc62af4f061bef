// Section fleet: what it is read as, what is wrong with it, and which differences between two members' files count.

import { expect, test } from 'vitest'
import { checkConfigText } from '../../src/config/load.ts'
import { differingSections } from '../../src/config/read-fleet.ts'

const FILE = `dedicated_ips: [{ colo: AMS, ipv4: 203.0.113.10, ipv6: "2001:db8:10::/64" }]
users: [{ email: bob@example.com, password: one }]
rules: [{ name: All, traffic: net.dst.port == 443, egress: { ipv4: 203.0.113.10, ipv6: "2001:db8:10::/64" } }]
fleet:
  name: acme
  member: ams-1
  colo: AMS
  advertise: 198.51.100.1:8443
  ca: certs/ca.pem
  certificate: certs/ams-1.pem
  key: certs/ams-1-key.pem
`

const read = (text: string) => checkConfigText('/somewhere/lab.yaml', text)
const problemsOf = (more: string) => read(FILE + more).issues.map(({ code, message }) => `${code}: ${message}`)

test('paths start from the file, and what is not said is as documented', () => {
  expect(read(FILE).config?.fleet).toMatchObject({
    member: 'ams-1',
    servers: ['nats://127.0.0.1:4222'],
    listen: { port: 8443 },
    authorityFile: '/somewhere/certs/ca.pem',
    files: { key: '/somewhere/certs/ams-1-key.pem' },
    onPartition: 'go_on',
  })
  expect(read(FILE.replace(/^fleet:[\s\S]*/m, '')).config?.fleet).toBeUndefined()
})

test.each([
  ['  servers: ["http://127.0.0.1"]\n', 'config.malformed'],
  ['  login: { user: a, password: b }\n  credentials: a.creds\n', 'config.conflict'],
  ['  login: { user: a, password: b }\n  servers: ["nats://192.0.2.1:4222"]\n', 'config.insecure'],
  ['workers: 2\n', 'config.conflict'],
])('%j', (more, code) => {
  expect(problemsOf(more)).toEqual([expect.stringContaining(`${code}: `)])
})

test('a password for servers on this machine, or by TLS, crosses no network in the clear', () => {
  const login = '  login: { user: a, password: b }\n'
  for (const servers of ['["nats://localhost:4222"]', '["nats://[::1]:4222"]', '["tls://n1.corp.example"]']) {
    expect(problemsOf(`${login}  servers: ${servers}\n`)).toEqual([])
  }
})

test('an unknown data center is named', () => {
  expect(read(FILE.replace('  colo: AMS', '  colo: XXX')).issues[0]).toMatchObject({ path: ['fleet', 'colo'] })
})

test('members may differ in what is their machine’s, and in nothing else', () => {
  const differing = (change: (text: string) => string) => {
    const [one, other] = [FILE, change(FILE)].map((text) => read(text).config?.fleet?.share)
    return differingSections(one ?? {}, other ?? {})
  }
  expect(differing((text) => `${text}stand_ins: { network: 127.99.0.0/16 }\nlimits: { max_clients: 5 }\n`)).toEqual([])
  expect(differing((text) => text.replace('password: one', 'password: two'))).toEqual([])
  expect(
    differing((text) =>
      text.replace('ipv6: "2001:db8:10::/64" }]', 'exit: { socks5: "127.0.0.1:1080" }, ipv6: "2001:db8:10::/64" }]'),
    ),
  ).toEqual([])
  expect(
    differing((text) =>
      text.replace('{ name: All, traffic: net.dst.port == 443,', '{ traffic: net.dst.port == 443, name: All,'),
    ),
  ).toEqual([])
  expect(differing((text) => text.replace('== 443', '== 80'))).toEqual(['rules'])
  expect(differing((text) => text.replace('bob@', 'carol@'))).toEqual(['users'])
  expect(differing((text) => `${text}settings: { udp_proxying: false }\n`)).toEqual(['settings'])
})

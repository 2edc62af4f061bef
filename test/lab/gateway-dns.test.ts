// Gateway DNS and the data path of one lab: names resolve to placeholders, connections to placeholders are decided by their names.

import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Endpoint } from '../../src/net/endpoint.ts'
import type { SessionRecord } from '../../src/proxy/session-record.ts'
import { askDns, queryFor } from '../support/ask-dns.ts'
import { curl } from '../support/curl.ts'
import { installed } from '../support/installed.ts'
import { type PrivateLab, startPrivateLab } from '../support/private-lab.ts'
import { RawClient } from '../support/raw-client.ts'
import { UdpClient } from '../support/udp.ts'

const ALICE = ['-U', 'alice@example.com:lab-alice'] as const
const TOKEN = 'a-token-for-this-test'
const DIG = installed('dig', 'bind9-dnsutils')

let own: PrivateLab
let dns: Endpoint
let proxy: string

beforeAll(async () => {
  own = await startPrivateLab({ apiToken: TOKEN })
  const [endpoint] = own.lab.dns
  if (endpoint === undefined) throw new RangeError('the shipped lab has Gateway DNS')
  dns = endpoint
  proxy = `127.0.0.1:${own.lab.listeners[0]?.port}`
})
afterAll(() => own.close())

/** Does something and answers the next session record. */
async function recorded(act: () => Promise<unknown>): Promise<SessionRecord> {
  const { promise, resolve } = Promise.withResolvers<SessionRecord>()
  const stop = own.lab.sessions.subscribe(resolve)
  await act()
  const record = await promise
  stop()
  return record
}

async function api(method: string, path: string, body?: object): Promise<{ readonly result: unknown }> {
  const url = `http://127.0.0.1:${own.lab.api.port}${path.replace('{account}', `/client/v4/accounts/${own.lab.snapshot().account.id}`)}`
  const response = await fetch(url, {
    method,
    headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  expect(response.status).toBe(200)
  return (await response.json()) as { result: unknown }
}

describe('a name that a rule minds', () => {
  test('resolves to the first address of the range, and to the same one again', async () => {
    expect(await askDns(dns, 'bank.saas.test')).toMatchObject({ rcode: 'NOERROR', data: ['100.80.0.1'] })
    expect(await askDns(dns, 'Bank.SaaS.test')).toMatchObject({ data: ['100.80.0.1'] })
    expect(await askDns(dns, 'payroll.saas.test')).toMatchObject({ data: ['100.80.0.2'] })
  })

  test('has an empty answer for a family it has no address of, for HTTPS and for SVCB', async () => {
    for (const type of ['AAAA', 'UNKNOWN_65', 'UNKNOWN_64'] as const) {
      expect(await askDns(dns, 'bank.saas.test', type)).toMatchObject({ rcode: 'NOERROR', data: [] })
    }
  })

  test('is what a connection to its placeholder is decided by, with the real address; the record has all three', async () => {
    const { data } = await askDns(dns, 'bank.saas.test')
    const record = await recorded(async () => {
      const answer = await curl(
        '--socks5',
        proxy,
        ...ALICE,
        '--resolve',
        `bank.saas.test:80:${data[0]}`,
        'http://bank.saas.test/',
      )
      expect(answer.status).toBe(200)
    })
    expect(record).toMatchObject({
      InitialOriginIP: '100.80.0.1',
      ResolvedFQDN: 'bank.saas.test',
      OriginIP: '198.51.100.20',
      EgressIP: '203.0.113.20',
      EgressRuleName: 'Finance to the bank',
      Lab: { target: '100.80.0.1:80', outcome: 'dedicated' },
    })
  })
})

test('a name that no rule minds keeps its real addresses', async () => {
  expect(await askDns(dns, 'espn.com')).toMatchObject({ data: ['198.51.100.40'] })
  expect(await askDns(dns, 'espn.com', 'AAAA')).toMatchObject({ data: ['2001:db8:f00::40'] })
})

test('a name of the lab that nobody configured does not exist, and no server is asked', async () => {
  expect(await askDns(dns, 'nowhere.test')).toMatchObject({ rcode: 'NXDOMAIN', data: [] })
})

describe('a connection to a placeholder, by every protocol', () => {
  const visit = (...args: string[]) => curl(...ALICE, ...args, '-H', 'Host: bank.saas.test', 'http://100.80.0.1/')

  test.each([
    ['HTTP', ['-x'], 'http-forward'],
    ['CONNECT', ['-p', '-x'], 'http-connect'],
    ['SOCKS5', ['--socks5'], 'socks5'],
  ])('%s: is decided by the name behind it', async (_, how, inbound) => {
    await askDns(dns, 'bank.saas.test')
    const record = await recorded(async () => expect((await visit(...how, proxy)).status).toBe(200))
    expect(record).toMatchObject({
      InitialOriginIP: '100.80.0.1',
      ResolvedFQDN: 'bank.saas.test',
      OriginIP: '198.51.100.20',
      EgressRuleName: 'Finance to the bank',
      Lab: { inbound },
    })
  })

  test.each([
    ['HTTP', ['-x']],
    ['CONNECT', ['-p', '-x']],
    ['SOCKS5', ['--socks5']],
  ])('%s: where it stands for nothing, is refused by a name of its own', async (_, how) => {
    const record = await recorded(() => curl(...ALICE, ...how, proxy, 'http://100.80.9.9/'))
    expect(record).toMatchObject({
      ConnectionCloseReason: 'ORIGIN_UNREACHABLE',
      EgressIP: '',
      Lab: { target: '100.80.9.9:80', error: { code: 'name.unknown_placeholder' } },
    })
  })

  test('HTTP clients are told so, with the code', async () => {
    const answer = await curl(...ALICE, '-x', proxy, 'http://100.80.9.9/')
    expect(answer.status).toBe(502)
    expect(answer.headers.get('proxy-status')).toContain('dns_error')
    expect(answer.body).toContain('code: name.unknown_placeholder')
    expect(answer.body).toContain('resolve the name again')
  })

  test('UDP: is decided by the name behind it, and answers come from the placeholder', async () => {
    await api('POST', '{account}/gateway/rules', {
      name: 'Echo from Newark',
      action: 'egress',
      filters: ['egress'],
      enabled: true,
      precedence: 100,
      traffic: 'net.fqdn.host == "udp-echo.test"',
      rule_settings: { egress: { ipv4: '203.0.113.50', ipv4_fallback: '0.0.0.0', ipv6: '2001:db8:50::/64' } },
    })
    const [placeholder = ''] = (await askDns(dns, 'udp-echo.test')).data
    expect(placeholder).toMatch(/^100\.80\.0\./)
    const door = own.lab.listeners[0]?.port ?? 0
    const client = await UdpClient.associate(door, { login: ['bob@example.com', 'lab-bob'] })
    expect(await client.ask(placeholder, 7, 'x')).toBe('203.0.113.50\n')
    expect(await client.ask('udp-echo.test', 7, 'x')).toBe('203.0.113.50\n')
    expect(client.answers.map(({ from }) => from)).toEqual([`${placeholder}:7`, '198.51.100.7:7'])
    const record = await recorded(async () => client.control.socket.end())
    expect(record).toMatchObject({
      InitialOriginIP: placeholder,
      ResolvedFQDN: 'udp-echo.test',
      OriginIP: '198.51.100.7',
    })
  })
})

describe('questions that go through the proxy', () => {
  const REFUSED = { EgressIP: '', Lab: { error: { code: 'guard.own_listener' } } }

  test('SS-04: over TCP are refused, as every port of the lab is', async () => {
    const record = await recorded(async () => {
      const client = await RawClient.connect(own.lab.listeners[0]?.port ?? 0)
      const login = Buffer.from('bob@example.com:lab-bob').toString('base64')
      client.send(`CONNECT 127.0.0.1:${dns.port} HTTP/1.1\r\nHost: x\r\nProxy-Authorization: Basic ${login}\r\n\r\n`)
      const { received: head } = await client.text('\r\n\r\n')
      expect(head).toContain(' 403 ')
      client.socket.destroy()
    })
    expect(record).toMatchObject({ ...REFUSED, Protocol: 'TCP' })
  })

  test('SS-04: over UDP are, too', async () => {
    const client = await UdpClient.associate(own.lab.listeners[0]?.port ?? 0, { login: ['bob@example.com', 'lab-bob'] })
    const record = await recorded(async () => {
      client.sendRaw(
        Buffer.concat([Buffer.of(0, 0, 0, 1, 127, 0, 0, 1, dns.port >> 8, dns.port & 255), queryFor('espn.com', 'A')]),
      )
    })
    expect(record).toMatchObject({ ...REFUSED, Protocol: 'UDP' })
    client.control.socket.destroy()
  })
})

describe('at the API', () => {
  test('a range that is changed is the one the next name gets its placeholder from, at once', async () => {
    const path = '{account}/zerotrust/subnets/initial_resolved_ip/v4'
    await api('PUT', path, { network: '100.96.0.0/24' })
    await api('POST', '{account}/gateway/lists', { name: 'none', type: 'DOMAIN', items: [] })
    expect(await askDns(dns, 'bank.saas.test')).toMatchObject({ data: ['100.80.0.1'] })
    const search = {
      name: 'Search',
      action: 'egress',
      filters: ['egress'],
      enabled: true,
      traffic: 'net.fqdn.host == "search.saas.test"',
    }
    await api('POST', '{account}/gateway/rules', search)
    expect(await askDns(dns, 'search.saas.test')).toMatchObject({ data: ['100.96.0.1'] })
    const record = await recorded(() => curl(...ALICE, '--socks5', proxy, 'http://100.96.0.1/'))
    expect(record).toMatchObject({
      InitialOriginIP: '100.96.0.1',
      ResolvedFQDN: 'search.saas.test',
      EgressRuleName: 'Search',
    })
    await api('PUT', path, { network: '100.80.0.0/16' })
  })

  test('what is given out is listed, with its connections', async () => {
    await askDns(dns, 'bank.saas.test')
    const { result } = await api('GET', '/lab/v1/dns/placeholders')
    expect(result).toContainEqual({
      placeholder: '100.80.0.1',
      name: 'bank.saas.test',
      address: '198.51.100.20',
      connections: 0,
      unused_seconds: 0,
    })
  })

  test('explain understands a placeholder as the connection would be', async () => {
    await askDns(dns, 'bank.saas.test')
    const { result } = await api('POST', '/lab/v1/explain', {
      destination: '100.80.0.1:443',
      user: 'alice@example.com',
    })
    expect(result).toMatchObject({
      flow: { 'net.fqdn.host': 'bank.saas.test', 'net.dst.ip': '198.51.100.20' },
      decision: { rule: { name: 'Finance to the bank' } },
    })
  })

  test('[F2] with host selectors off names have their addresses, and a placeholder from before leads on by address alone', async () => {
    await askDns(dns, 'bank.saas.test')
    const path = '{account}/gateway/configuration'
    await api('PATCH', path, { settings: { host_selector: { enabled: false } } })
    expect(await askDns(dns, 'bank.saas.test')).toMatchObject({ data: ['198.51.100.20'] })
    const record = await recorded(() => curl(...ALICE, '--socks5', proxy, 'http://100.80.0.1/'))
    expect(record).toMatchObject({ OriginIP: '198.51.100.20', EgressRuleName: '', Lab: { outcome: 'balanced' } })
    await api('PATCH', path, { settings: { host_selector: { enabled: true } } })
    expect(await askDns(dns, 'bank.saas.test')).toMatchObject({ data: ['100.80.0.1'] })
  })
})

describe('a placeholder', () => {
  const connectionsTo = async (placeholder: string) => {
    const { result } = (await api('GET', '/lab/v1/dns/placeholders')) as {
      result: readonly { readonly placeholder: string; readonly connections: number }[]
    }
    return result.find((one) => one.placeholder === placeholder)?.connections
  }

  test('is held by a connection as long as that lasts, and let go of when one fails', async () => {
    await askDns(dns, 'bank.saas.test')
    const login = Buffer.from('alice@example.com:lab-alice').toString('base64')
    const tunnel = async (port: number) => {
      const client = await RawClient.connect(own.lab.listeners[0]?.port ?? 0)
      const head = `CONNECT 100.80.0.1:${port} HTTP/1.1\r\nHost: x\r\nProxy-Authorization: Basic ${login}\r\n\r\n`
      return client.send(head).text('\r\n\r\n')
    }
    const client = await tunnel(80)
    expect(await connectionsTo('100.80.0.1')).toBe(1)
    await recorded(async () => client.socket.resetAndDestroy())
    expect(await connectionsTo('100.80.0.1')).toBe(0)
    const record = await recorded(() => tunnel(9))
    expect(record).toMatchObject({ InitialOriginIP: '100.80.0.1', ConnectionCloseReason: 'ORIGIN_UNREACHABLE' })
    expect(await connectionsTo('100.80.0.1')).toBe(0)
  })

  test('for IPv6 leads to the IPv6 address, from the IPv6 range', async () => {
    const rule = {
      name: 'Search over six',
      action: 'egress',
      filters: ['egress'],
      enabled: true,
      precedence: 90,
      traffic: 'any(net.fqdn.domains[*] == "espn.com")',
      rule_settings: { egress: { ipv4: '203.0.113.40', ipv4_fallback: '0.0.0.0', ipv6: '2001:db8:40::/64' } },
    }
    await api('POST', '{account}/gateway/rules', rule)
    expect(await askDns(dns, 'espn.com', 'AAAA')).toMatchObject({ data: ['2606:4700:cf1:4000::1'] })
    const record = await recorded(() => curl('-g', ...ALICE, '--socks5', proxy, 'http://[2606:4700:cf1:4000::1]/'))
    expect(record).toMatchObject({
      InitialOriginIP: '2606:4700:cf1:4000::1',
      ResolvedFQDN: 'espn.com',
      OriginIP: '2001:db8:f00::40',
      EgressRuleName: 'Search over six',
    })
    expect(record.EgressIP).toMatch(/^2001:db8:40:/)
  })

  test('that cannot be given, because the range is used up, is SERVFAIL, and the log says so', async () => {
    const path = '{account}/zerotrust/subnets/initial_resolved_ip/v4'
    await api('PUT', path, { network: '100.98.0.0/32' })
    const rule = { name: 'Echo', action: 'egress', filters: ['egress'], enabled: true }
    await api('POST', '{account}/gateway/rules', { ...rule, traffic: 'net.fqdn.host matches "icanhazip|ifconfig"' })
    expect(await askDns(dns, 'ipv4.icanhazip.com')).toMatchObject({ data: ['100.98.0.0'] })
    expect(await askDns(dns, 'ifconfig.me')).toMatchObject({ rcode: 'SERVFAIL', data: [] })
    expect(own.said()).toContain('no placeholder is left for `ifconfig.me`')
    await api('PUT', path, { network: '100.80.0.0/16' })
    expect(await askDns(dns, 'ifconfig.me')).toMatchObject({ rcode: 'NOERROR' })
  })
})

describe.skipIf(DIG === undefined)('dig', () => {
  const dig = async (...args: string[]) => {
    const all = ['@127.0.0.1', '-p', String(dns.port), '+tries=1', '+time=5', ...args]
    return (await promisify(execFile)(DIG ?? '', all)).stdout
  }

  test.each([
    [['bank.saas.test', '+short'], '100.80.0.1\n'],
    [['bank.saas.test', '+short', '+tcp'], '100.80.0.1\n'],
    [['bank.saas.test', 'HTTPS', '+short'], ''],
    [['-x', '100.80.0.1', '+short'], 'bank.saas.test.\n'],
    [['cloudflare.com', 'AAAA', '+short'], '2606:4700::6810:84e5\n'],
  ])('%j prints %j', async (args, printed) => {
    expect(await dig(...args)).toBe(printed)
  })

  test('finds no fault with the messages, with EDNS, cookies and without', async () => {
    for (const options of [['+edns=0', '+cookie'], ['+noedns'], ['+subnet=192.0.2.0/24'], ['+dnssec']]) {
      const printed = await dig('bank.saas.test', ...options)
      expect(printed).toContain('status: NOERROR')
      expect(printed).not.toMatch(/WARNING|malformed|extra bytes/i)
    }
  })

  test('sees BADVERS for a version of EDNS that is not there yet', async () => {
    expect(await dig('bank.saas.test', '+edns=1', '+noednsnegotiation')).toContain('status: BADVERS')
  })

  test('reads why a message is refused', async () => {
    expect(await dig('bank.saas.test', '-c', 'CH')).toMatch(
      /status: REFUSED[\s\S]*EDE: 21 \(Not Supported\): \(only class IN/,
    )
  })
})

// What Gateway DNS says to which question, on real sockets where the transport matters.

import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { decode, encode } from 'dns-packet'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { RuleDocument } from '../../src/config/lab-state.ts'
import { createDnsPolicies } from '../../src/dns/dns-policies.ts'
import { isAnswered } from '../../src/dns/dns-server.ts'
import { GatewayError } from '../../src/errors/gateway-error.ts'
import { cidr } from '../../src/net/cidr.ts'
import { ip } from '../../src/net/ip.ts'
import { rule as policyRule } from '../policy/build.ts'
import { type AskedType, type DnsAnswer, queryFor, readAnswer, withOpt } from '../support/ask-dns.ts'
import { a, aaaa, startDns } from '../support/dns-server.ts'
import { loopback } from '../support/own-network.ts'
import { type ScriptedOptions, scriptedGatewayDns } from '../support/scripted-gateway-dns.ts'

async function ask(options: ScriptedOptions, name: string, type: AskedType = 'A'): Promise<DnsAnswer> {
  return askOf(scriptedGatewayDns(options).gatewayDns, name, type)
}

async function askOf(
  gatewayDns: Pick<ReturnType<typeof scriptedGatewayDns>['gatewayDns'], 'answer'>,
  name: string,
  type: AskedType = 'A',
): Promise<DnsAnswer> {
  const reply = await gatewayDns.answer(queryFor(name, type), () => 65_535)
  if (reply === undefined) throw new RangeError('no reply')
  return readAnswer(reply)
}

/** The text of the extended error (RFC 8914). */
function extendedError(answer: DnsAnswer): string {
  const opt = answer.additionals?.find((record) => record.type === 'OPT')
  const option = opt?.type === 'OPT' ? opt.options.find(({ code }) => Number(code) === 15) : undefined
  return option?.data === undefined ? '' : `${option.data.readUInt16BE(0)} ${option.data.subarray(2).toString()}`
}

describe('addresses', () => {
  test.each([
    ['bank.lab.test', 'A', ['100.80.0.1']],
    ['bank.lab.test', 'AAAA', ['2606:4700:cf1:4000::1']],
    ['BANK.lab.TEST', 'A', ['100.80.0.1']],
    ['other.lab.test', 'A', ['198.51.100.20']],
    ['other.lab.test', 'AAAA', ['2001:db8:f00::20']],
    ['printer', 'A', ['192.0.2.9']],
    ['printer', 'AAAA', []],
    ['localhost', 'A', ['127.0.0.1']],
    ['localhost', 'AAAA', ['::1']],
  ] as const)('%s %s → %j', async (name, type, data) => {
    expect(await ask({}, name, type)).toMatchObject({ rcode: 'NOERROR', data, flag_ra: true, flag_aa: false })
  })

  test('of names that no server is asked for do not exist', async () => {
    const server = await startDns(() => [a('nope.test', '192.0.2.1')])
    for (const name of ['nope.test', 'x.invalid', '10.0.0.1']) {
      expect(await ask({ upstream: server.address }, name)).toMatchObject({ rcode: 'NXDOMAIN', data: [] })
    }
    expect(server.asked).toEqual([])
  })

  test('of all other names come from the name server, at most for as long as it says', async () => {
    const server = await startDns(({ type }) =>
      type === 'A' ? [a('www.example.net', '192.0.2.1', 20), a('www.example.net', '192.0.2.2', 20)] : [],
    )
    const answer = await ask({ upstream: server.address }, 'www.example.net')
    expect(answer).toMatchObject({ data: ['192.0.2.1', '192.0.2.2'] })
    for (const ttl of answer.ttls) expect(ttl).toBeLessThanOrEqual(20)
    expect(await ask({ upstream: server.address }, 'www.example.net', 'AAAA')).toMatchObject({
      rcode: 'NOERROR',
      data: [],
    })
  })

  test('are fixed when the name is resolved: the placeholder stands for what the name server said', async () => {
    const server = await startDns(({ type }) =>
      type === 'A' ? [a('minded.example.net', '192.0.2.7')] : [aaaa('minded.example.net', '2001:db8::7')],
    )
    const { gatewayDns, table } = scriptedGatewayDns({ upstream: server.address })
    expect(await askOf(gatewayDns, 'minded.example.net')).toMatchObject({ data: ['100.80.0.1'], ttls: [30] })
    expect(await askOf(gatewayDns, 'minded.example.net', 'AAAA')).toMatchObject({ data: ['2606:4700:cf1:4000::1'] })
    expect(table.list()).toMatchObject([
      { name: 'minded.example.net', address: ip('192.0.2.7') },
      { name: 'minded.example.net', address: ip('2001:db8::7') },
    ])
  })

  test.each([
    ['NXDOMAIN', 'NXDOMAIN', ''],
    ['SERVFAIL', 'SERVFAIL', '23 the name server failed (SERVFAIL)'],
    ['silence', 'SERVFAIL', '22 no name server answered in time'],
  ] as const)(
    'are not made up: %s from the name server is %s, and no placeholder is taken',
    async (reply, rcode, text) => {
      const server = await startDns(() => reply)
      const { gatewayDns, table } = scriptedGatewayDns({ upstream: server.address })
      const message = await gatewayDns.answer(queryFor('minded.example.net', 'A', withOpt()), () => 1232)
      const answer = readAnswer(message ?? Buffer.alloc(0))
      expect(answer).toMatchObject({ rcode, data: [] })
      expect(extendedError(answer)).toBe(text)
      expect(table.list()).toEqual([])
    },
  )

  test('[F2] are real ones for everybody while host selectors are off', async () => {
    expect(await ask({ hostSelector: false }, 'bank.lab.test')).toMatchObject({ data: ['198.51.100.20'] })
    expect(await ask({ hostSelector: false }, 'bank.lab.test', 'AAAA')).toMatchObject({ data: ['2001:db8:f00::20'] })
  })
})

describe('names behind a tunnel', () => {
  test('have a placeholder for the private address, rules or not: the route goes by the name', async () => {
    const { gatewayDns, table } = scriptedGatewayDns({ hostSelector: false })
    expect(await askOf(gatewayDns, 'wiki.inside.test')).toMatchObject({ data: ['100.80.0.1'] })
    expect(table.list()).toMatchObject([{ name: 'wiki.inside.test', address: ip('10.10.0.7') }])
    expect(await askOf(gatewayDns, 'wiki.inside.test', 'AAAA')).toMatchObject({ rcode: 'NOERROR', data: [] })
  })

  test('that the other side does not know do not exist', async () => {
    expect(await ask({}, 'nobody.inside.test')).toMatchObject({ rcode: 'NXDOMAIN' })
  })
})

describe('rules of type `dns`', () => {
  const dns = (rule: Partial<RuleDocument>): RuleDocument => ({
    ...policyRule({ action: 'block', filters: ['dns'], traffic: 'dns.fqdn == "bank.lab.test"' }),
    rest: {},
    ...rule,
  })

  test('that override a name bypass host selectors: the address of the rule, and no placeholder', async () => {
    const rest = { rule_settings: { override_ips: ['192.0.2.44', '2001:db8::44'] } }
    const { gatewayDns, table } = scriptedGatewayDns({ dnsRules: [dns({ action: 'override', rest })] })
    expect(await askOf(gatewayDns, 'bank.lab.test')).toMatchObject({ data: ['192.0.2.44'] })
    expect(await askOf(gatewayDns, 'bank.lab.test', 'AAAA')).toMatchObject({ data: ['2001:db8::44'] })
    expect(table.list()).toEqual([])
  })

  test('that override with a host give its addresses', async () => {
    const rest = { rule_settings: { override_host: 'printer' } }
    expect(await ask({ dnsRules: [dns({ action: 'override', rest })] }, 'bank.lab.test')).toMatchObject({
      data: ['192.0.2.9'],
    })
  })

  test('that block a type of query force the other IP version', async () => {
    const traffic = 'any(dns.domains[*] == "lab.test") and dns.query_rtype == "AAAA"'
    const dnsRules = [dns({ traffic })]
    expect(await ask({ dnsRules }, 'bank.lab.test', 'AAAA')).toMatchObject({ rcode: 'NOERROR', data: ['::'] })
    expect(await ask({ dnsRules }, 'bank.lab.test')).toMatchObject({ data: ['100.80.0.1'] })
  })

  test('of which an earlier one allows are not reached, nor are disabled ones', async () => {
    const block = dns({ precedence: 2 })
    expect(await ask({ dnsRules: [block] }, 'bank.lab.test')).toMatchObject({ data: ['0.0.0.0'] })
    const allow = dns({ precedence: 1, action: 'allow' })
    expect(await ask({ dnsRules: [block, allow] }, 'bank.lab.test')).toMatchObject({ data: ['100.80.0.1'] })
    expect(await ask({ dnsRules: [dns({ enabled: false })] }, 'bank.lab.test')).toMatchObject({ data: ['100.80.0.1'] })
  })

  test.each([
    ['an expiration that has passed', { expiration: { expires_at: '2026-11-30T23:59:59Z' } }, false],
    ['an expiration to come', { expiration: { expires_at: '2026-12-02T00:00:00Z', duration: 10 } }, true],
    ['a schedule of now', { schedule: { tue: '08:00-12:30,13:30-17:00', time_zone: 'Europe/London' } }, true],
    ['the end of a schedule’s hours', { schedule: { tue: '08:00-09:00', time_zone: 'Europe/London' } }, false],
    ['a schedule until midnight', { schedule: { tue: '17:00-24:00', time_zone: 'Asia/Tokyo' } }, true],
    [
      'a schedule whose day has not begun there',
      { schedule: { tue: '00:00-24:00', time_zone: 'Pacific/Pago_Pago' } },
      false,
    ],
    ['a schedule of the day that is there', { schedule: { mon: '20:00-24:00', time_zone: 'Pacific/Pago_Pago' } }, true],
    ['a schedule of other days', { schedule: { wed: '00:00-24:00', time_zone: 'Europe/London' } }, false],
    [
      'a schedule of now, expired',
      {
        schedule: { tue: '00:00-24:00', time_zone: 'Europe/London' },
        expiration: { expires_at: '2026-12-01T09:00:00Z' },
      },
      false,
    ],
    ['a schedule without a day', { schedule: { mon: '', tue: null, time_zone: 'Europe/London' } }, true],
    ['neither', { schedule: null, expiration: null }, true],
  ])('[R14] with %s', async (_what, rest, blocks) => {
    // a Tuesday
    const now = Date.parse('2026-12-01T09:00:00Z')
    expect(await ask({ dnsRules: [dns({ rest })], now }, 'bank.lab.test')).toMatchObject({
      data: [blocks ? '0.0.0.0' : '100.80.0.1'],
    })
  })

  test('on people, places or anything else of a query are left out, and named', () => {
    const rules = [
      dns({ name: 'local hours', precedence: 0, rest: { schedule: { mon: '08:00-17:00' } } }),
      dns({ name: 'by person', precedence: 1, identity: 'identity.email == "a@example.com"' }),
      dns({ name: 'by place', precedence: 2, traffic: 'dns.src.geo.country == "NL"' }),
      dns({ name: 'safe search', precedence: 3, action: 'safesearch' }),
      dns({ name: 'plain', precedence: 4 }),
    ]
    expect(createDnsPolicies(rules, 'default').leftOut).toEqual(['local hours', 'by person', 'by place', 'safe search'])
  })
})

describe('other types', () => {
  test('`https_records: withheld` answers HTTPS and SVCB of a minded name empty, and its name server is not asked for them', async () => {
    const server = await startDns(({ type }) => (type === 'A' ? [a('minded.example.net', '192.0.2.7')] : []))
    for (const type of ['UNKNOWN_65', 'UNKNOWN_64'] as const) {
      expect(await ask({ upstream: server.address, withholds: true }, 'minded.example.net', type)).toMatchObject({
        rcode: 'NOERROR',
        data: [],
      })
    }
    expect(new Set(server.asked)).toEqual(new Set(['A minded.example.net', 'AAAA minded.example.net']))
  })

  test('HTTPS of a minded name without an address has an empty answer; where its addresses cannot be found out, none is told', async () => {
    const empty = await startDns(() => [])
    expect(await ask({ upstream: empty.address, withholds: true }, 'minded.example.net', 'UNKNOWN_65')).toMatchObject({
      rcode: 'NOERROR',
      data: [],
    })
    const broken = await startDns(() => 'SERVFAIL')
    const { gatewayDns } = scriptedGatewayDns({ upstream: broken.address, withholds: true })
    const reply = await gatewayDns.answer(queryFor('www.example.net', 'UNKNOWN_65', withOpt()), () => 1232)
    const answer = readAnswer(reply ?? Buffer.alloc(0))
    expect([answer.rcode, extendedError(answer)]).toEqual(['SERVFAIL', '23 the name server failed (SERVFAIL)'])
  })

  test('of the lab’s own names have an empty answer', async () => {
    expect(await ask({}, 'other.lab.test', 'MX')).toMatchObject({ rcode: 'NOERROR', data: [] })
    expect(await ask({}, 'wiki.inside.test', 'MX')).toMatchObject({ rcode: 'NOERROR', data: [] })
    expect(await ask({}, 'nope.test', 'MX')).toMatchObject({ rcode: 'NXDOMAIN' })
  })

  test('PTR of a placeholder is the name it stands for', async () => {
    const { gatewayDns } = scriptedGatewayDns()
    await askOf(gatewayDns, 'bank.lab.test')
    await askOf(gatewayDns, 'bank.lab.test', 'AAAA')
    const reversed = `1.${'0.'.repeat(15)}0.0.0.4.1.f.c.0.0.0.7.4.6.0.6.2.ip6.arpa`
    expect(await askOf(gatewayDns, '1.0.80.100.in-addr.arpa', 'PTR')).toMatchObject({ data: ['bank.lab.test'] })
    expect(await askOf(gatewayDns, reversed, 'PTR')).toMatchObject({ data: ['bank.lab.test'] })
  })

  test('ANY gets the least there is to say (RFC 8482)', async () => {
    expect(await ask({}, 'bank.lab.test', 'ANY')).toMatchObject({ rcode: 'NOERROR', answers: [{ type: 'HINFO' }] })
  })
})

describe('passing on what is no address', () => {
  /** A name server with one TXT record, over UDP and, where it does not fit there, over TCP. */
  async function textServer(text: string, fits = true) {
    const reply = (query: Buffer, truncated: boolean) => {
      const { id = 0, questions = [] } = decode(query)
      const answers = truncated ? [] : [{ type: 'TXT', name: questions[0]?.name ?? '', ttl: 60, data: text } as const]
      return encode({ type: 'response', id, flags: truncated ? 0x0380 : 0x0180, questions, answers })
    }
    const datagrams = createSocket('udp4').bind(0, loopback(53))
    await once(datagrams, 'listening')
    const { port } = datagrams.address()
    datagrams.on('message', (query, peer) => datagrams.send(reply(query, !fits), peer.port, peer.address))
    const streams = createServer((socket) => {
      socket.on('error', () => undefined)
      socket.once('data', (data: Buffer) => {
        const whole = reply(data.subarray(2), false)
        const length = Buffer.alloc(2)
        length.writeUInt16BE(whole.length)
        socket.end(Buffer.concat([length, whole]))
      })
    }).listen(port, loopback(53))
    await once(streams, 'listening')
    onTestFinished(() => {
      datagrams.close()
      streams.close()
    })
    return `${loopback(53)}:${port}`
  }

  test('HTTPS of a minded name goes by as at Cloudflare, and takes no placeholder', async () => {
    const { gatewayDns, table } = scriptedGatewayDns({ upstream: await textServer('what the name server said') })
    const { rcode, answers } = await askOf(gatewayDns, 'minded.example.net', 'UNKNOWN_65')
    expect([rcode, answers?.length]).toEqual(['NOERROR', 1])
    expect(table.list()).toEqual([])
  })

  test('brings back what the name server says, under the client’s own id', async () => {
    const upstream = await textServer('hello')
    const answer = await ask({ upstream }, 'www.example.net', 'TXT')
    expect(answer).toMatchObject({ id: 4711, rcode: 'NOERROR', data: ['hello'] })
  })

  test('asks again over TCP when a datagram was too small', async () => {
    const upstream = await textServer('x'.repeat(200), false)
    expect(await ask({ upstream }, 'www.example.net', 'TXT')).toMatchObject({ data: ['x'.repeat(200)] })
  })

  test('tells its own client to use TCP when the answer is larger than it takes', async () => {
    const { gatewayDns } = scriptedGatewayDns({ upstream: await textServer('x'.repeat(200)) })
    const reply = await gatewayDns.answer(queryFor('www.example.net', 'TXT'), () => 100)
    expect(readAnswer(reply ?? Buffer.alloc(0))).toMatchObject({ flag_tc: true, data: [] })
  })

  test('is SERVFAIL when nobody answers', async () => {
    expect(await ask({}, 'www.example.net', 'TXT')).toMatchObject({ rcode: 'SERVFAIL' })
  })
})

describe('placeholders', () => {
  test('that are used up are SERVFAIL with the reason, and the operator is told', async () => {
    const { gatewayDns, notices } = scriptedGatewayDns({ range: '100.80.0.0/32', traffic: 'net.fqdn.host != "x"' })
    expect(await askOf(gatewayDns, 'bank.lab.test')).toMatchObject({ data: ['100.80.0.0'] })
    const query = queryFor('other.lab.test', 'A', withOpt())
    const answer = readAnswer((await gatewayDns.answer(query, () => 1232)) ?? Buffer.alloc(0))
    expect(answer).toMatchObject({ rcode: 'SERVFAIL', data: [] })
    expect(extendedError(answer)).toBe('0 every placeholder for IPv4 is in use')
    expect(notices).toEqual([expect.stringContaining('no placeholder is left for `other.lab.test`')])
    expect(gatewayDns.counts()).toMatchObject({ placeholders: 1, exhausted: 1 })
  })

  test('lead back to name and address; an address of the range that is nobody’s is refused by its name', async () => {
    const { gatewayDns } = scriptedGatewayDns()
    await askOf(gatewayDns, 'bank.lab.test')
    const at = (text: string) => gatewayDns.placeholderAt({ kind: 'ip', ip: ip(text), port: 443 })
    expect(at('100.80.0.1')).toMatchObject({ name: 'bank.lab.test', address: ip('198.51.100.20') })
    expect(at('198.51.100.20')).toBeUndefined()
    expect(() => at('100.80.0.2')).toThrow(GatewayError)
    expect(() => at('100.80.0.2')).toThrow('`100.80.0.2` is in the placeholder range')
  })
})

test('it answers this machine and the networks it is told of, nobody else', () => {
  const isClient = isAnswered([cidr('172.17.0.0/16')])
  expect(['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1', '172.17.0.2'].map((text) => isClient(ip(text)))).toEqual(
    Array(5).fill(true),
  )
  expect(['192.0.2.1', '10.0.0.1', '2001:db8::1', '::ffff:192.0.2.1'].map((text) => isClient(ip(text)))).toEqual(
    Array(4).fill(false),
  )
})

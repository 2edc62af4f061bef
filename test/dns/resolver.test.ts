import { describe, expect, it } from 'vitest'
import type { ConfiguredTunnel, Destination } from '../../src/config/lab-config.ts'
import { parseHostsFile } from '../../src/dns/address-book.ts'
import { createDnsClient } from '../../src/dns/dns-client.ts'
import { createResolver, type ResolverFacts } from '../../src/dns/resolver.ts'
import { GatewayError } from '../../src/errors/gateway-error.ts'
import { cidr, containsIp } from '../../src/net/cidr.ts'
import { formatEndpoint } from '../../src/net/endpoint.ts'
import { parseAuthority } from '../../src/net/host.ts'
import { ip } from '../../src/net/ip.ts'
import { createRouteTable } from '../../src/policy/routes.ts'
import type { ResolveOptions } from '../../src/proxy/pipeline-ports.ts'
import { account as accountWith } from '../policy/build.ts'
import { a, aaaa, type Script, startDns } from '../support/dns-server.ts'

const AMSTERDAM = { city: 'Amsterdam', latitude: 52.37, longitude: 4.9 }
const PORTS = new Map([
  [80, 10_080],
  [443, 10_443],
])
const DESTINATIONS: readonly Destination[] = [
  {
    name: 'bank.saas.test',
    addresses: [
      { public: ip('198.51.100.7'), standIn: ip('127.0.20.7'), ports: PORTS },
      { public: ip('2001:db8:f00::7'), standIn: ip('127.0.26.7'), ports: PORTS },
    ],
    place: AMSTERDAM,
    proxiedByCloudflare: false,
  },
  {
    name: 'four.saas.test',
    addresses: [{ public: ip('198.51.100.8'), standIn: ip('127.0.20.8'), ports: PORTS }],
    proxiedByCloudflare: true,
  },
]

async function lab(script: Script = () => 'NXDOMAIN', changes: Partial<ResolverFacts> = {}) {
  const server = await startDns(script)
  let now = 0
  const dns = createDnsClient({
    servers: [server.address],
    timeoutMs: 1_000,
    tries: 1,
    maxUnderWay: 1_000,
    now: () => now,
  })
  const resolve = createResolver({
    destinations: DESTINATIONS,
    hosts: parseHostsFile(
      '192.0.2.9 printer printer.office # the one upstairs\n::1 ip6-localhost\nfe80::1%eth0 zoned\n',
    ),
    dns,
    guard: {
      settings: { profile: 'lab', allow: [], deny: [] },
      ownSockets: { services: [], origins: [] },
      isLocal: () => false,
    },
    placeOf: () => undefined,
    isProxiedByCloudflare: (address) => containsIp(cidr('104.16.0.0/13'), address),
    ...changes,
  })
  const candidates = async (text: string, options: Partial<ResolveOptions> = {}) => {
    const target = parseAuthority(text)
    if (target === undefined) throw new RangeError(text)
    return resolve(target, {
      transport: 'tcp',
      peer: { ip: ip('127.0.0.1'), port: 50_000 },
      virtualNetworkId: '',
      signal: new AbortController().signal,
      ...options,
    })
  }
  return {
    server,
    dns,
    candidates,
    elapse: (ms: number) => {
      now += ms
    },
    /** destinations as text */
    addresses: async (text: string, options: Partial<ResolveOptions> = {}) =>
      (await candidates(text, options)).map(({ destination }) => destination.ip.text),
    failure: (text: string, options: Partial<ResolveOptions> = {}) =>
      candidates(text, options).then(
        () => undefined,
        (error: GatewayError) => error.code,
      ),
  }
}

describe('what the configuration maps', () => {
  it('answers with public addresses, IPv6 first, and dials the stand-ins with their ports ([E3])', async () => {
    const { candidates, server } = await lab()
    const found = await candidates('bank.saas.test:443')
    expect(found.map(({ destination, dial }) => [formatEndpoint(destination), formatEndpoint(dial)])).toEqual([
      ['[2001:db8:f00::7]:443', '127.0.26.7:10443'],
      ['198.51.100.7:443', '127.0.20.7:10443'],
    ])
    expect(found.map(({ place }) => place)).toEqual([AMSTERDAM, AMSTERDAM])
    expect(server.asked).toEqual([])
  })

  it('dials a port that is not mapped as it is', async () => {
    const { candidates } = await lab()
    const [, four] = await candidates('bank.saas.test:2222')
    expect(four && formatEndpoint(four.dial)).toBe('127.0.20.7:2222')
  })

  it('is found by its public address as well', async () => {
    const { candidates } = await lab()
    const [found] = await candidates('198.51.100.8:80')
    expect(found).toMatchObject({ dial: { port: 10_080 }, proxiedByCloudflare: true })
    expect(found?.dial.ip.text).toBe('127.0.20.8')
  })

  it('is held to the family that was asked for', async () => {
    const { addresses, failure } = await lab()
    expect(await addresses('bank.saas.test:80', { family: 4 })).toEqual(['198.51.100.7'])
    expect(await addresses('bank.saas.test:80', { family: 6 })).toEqual(['2001:db8:f00::7'])
    expect(await failure('four.saas.test:80', { family: 6 })).toBe('egress.no_matching_family')
    expect(await failure('198.51.100.7:80', { family: 6 })).toBe('egress.no_matching_family')
  })
})

describe('names that no server is asked for', () => {
  it.each([
    ['localhost:1', ['::1', '127.0.0.1']],
    ['app.localhost:1', ['::1', '127.0.0.1']],
    ['printer.office:1', ['192.0.2.9']],
    ['ip6-localhost:1', ['::1']],
    ['93.184.216.34:1', ['93.184.216.34']],
    ['[2606:4700::1111]:1', ['2606:4700::1111']],
  ])('%s', async (target, expected) => {
    const { addresses, server } = await lab()
    expect(await addresses(target)).toEqual(expected)
    expect(server.asked).toEqual([])
  })

  it.each(['nothing.invalid', 'bnak.saas.test', 'www.example', 'abc.onion', 'test'])(
    '%s does not exist (RFC 6761)',
    async (name) => {
      const { candidates, server } = await lab(({ name: asked }) => [a(asked, '93.184.216.1')])
      await expect(candidates(`${name}:1`)).rejects.toMatchObject({
        code: 'name.not_found',
        message: `there is no host \`${name}\` in the configuration or the hosts file, and such names are never sent to DNS`,
      })
      expect(server.asked).toEqual([])
    },
  )

  it('a name of the hosts file exists, whatever it ends in', async () => {
    const { addresses } = await lab(undefined, { hosts: parseHostsFile('192.0.2.9 app.test') })
    expect(await addresses('app.test:1')).toEqual(['192.0.2.9'])
  })
})

describe('names from DNS', () => {
  it('families take turns, IPv6 first (RFC 8305)', async () => {
    const { addresses } = await lab(({ name, type }) =>
      type === 'A'
        ? [a(name, '93.184.216.1'), a(name, '93.184.216.2'), a(name, '93.184.216.3')]
        : [aaaa(name, '2606:2800::1')],
    )
    const [six, ...four] = await addresses('www.example.org:443')
    expect(six).toBe('2606:2800::1')
    expect(four.sort()).toEqual(['93.184.216.1', '93.184.216.2', '93.184.216.3'])
  })

  it('aliases are followed, mapped answers become IPv4, and published ranges are told ([E5])', async () => {
    const { candidates } = await lab(({ name, type }) =>
      type === 'A'
        ? [{ type: 'CNAME', name, data: 'real.example.org', ttl: 60 }, a('real.example.org', '104.16.1.1')]
        : [aaaa(name, '::ffff:93.184.216.9')],
    )
    const found = await candidates('alias.example.org:443')
    expect(found.map(({ destination }) => [destination.ip.text, destination.ip.family])).toEqual([
      ['93.184.216.9', 4],
      ['104.16.1.1', 4],
    ])
    expect(found.map(({ proxiedByCloudflare }) => proxiedByCloudflare)).toEqual([false, true])
  })

  it.each([
    ['NXDOMAIN', 'name.not_found'],
    ['SERVFAIL', 'name.failed'],
    ['REFUSED', 'name.failed'],
    ['silence', 'name.timeout'],
    [[], 'name.not_found'],
  ] as const)('%j is %s (EG-09)', async (reply, code) => {
    const { failure } = await lab(() => reply)
    expect(await failure('www.example.org:443')).toBe(code)
  })

  it('a name server that is not there is a failure that says so', async () => {
    const dns = createDnsClient({ servers: ['127.0.0.1:9'], timeoutMs: 100, tries: 1 })
    const { candidates } = await lab(() => 'silence', { dns })
    await expect(candidates('www.example.org:443')).rejects.toMatchObject({ code: expect.stringMatching(/^name\./) })
  })

  it('one family is enough when the other one fails or stays silent', async () => {
    const { addresses } = await lab(({ name, type }) => (type === 'A' ? [a(name, '93.184.216.1')] : 'silence'))
    expect(await addresses('www.example.org:443')).toEqual(['93.184.216.1'])
    const broken = await lab(({ name, type }) => (type === 'A' ? 'SERVFAIL' : [aaaa(name, '2606:2800::1')]))
    expect(await broken.addresses('www.example.org:443')).toEqual(['2606:2800::1'])
  })

  it('asks for the forced family only, and tells a name without it from one that does not exist', async () => {
    const { failure, server } = await lab(({ name }) => (name === 'www.example.org' ? [] : 'NXDOMAIN'))
    expect(await failure('www.example.org:443', { family: 6 })).toBe('egress.no_matching_family')
    expect(await failure('gone.example.org:443', { family: 6 })).toBe('name.not_found')
    expect(server.asked).toEqual(['AAAA www.example.org', 'AAAA gone.example.org'])
  })

  it('asks once for many who wait, and not again while the answer lasts', async () => {
    const { addresses, server, elapse } = await lab(({ name, type }) =>
      type === 'A' ? [a(name, '93.184.216.1', 60)] : [],
    )
    await Promise.all(Array.from({ length: 50 }, () => addresses('www.example.org:443')))
    elapse(59_000)
    await addresses('www.example.org:443')
    expect(server.asked.filter((question) => question.startsWith('A '))).toEqual(['A www.example.org'])
    elapse(2_000)
    await addresses('www.example.org:443')
    expect(server.asked.filter((question) => question.startsWith('A '))).toHaveLength(2)
  })

  it('keeps answers at least 5 s and at most an hour, whatever the server says', async () => {
    const { addresses, server, elapse } = await lab(({ name, type }) =>
      type === 'A' ? [a(name, '93.184.216.1', name.startsWith('short') ? 0 : 1_000_000)] : [],
    )
    const askedForA = () => server.asked.filter((question) => question.startsWith('A ')).length
    for (const [name, keptMs] of [
      ['short.example.org:1', 5_000],
      ['long.example.org:1', 3_600_000],
    ] as const) {
      const before = askedForA()
      await addresses(name)
      elapse(keptMs - 1)
      await addresses(name)
      expect(askedForA()).toBe(before + 1)
      elapse(2)
      await addresses(name)
      expect(askedForA()).toBe(before + 2)
    }
  })

  it('remembers for 30 s that a name does not exist', async () => {
    const { failure, server, elapse } = await lab(() => 'NXDOMAIN')
    await failure('gone.example.org:443')
    elapse(29_000)
    await failure('gone.example.org:443')
    expect(server.asked).toHaveLength(2)
    elapse(2_000)
    await failure('gone.example.org:443')
    expect(server.asked).toHaveLength(4)
  })

  it('200 names that hang hold up nobody else (EG-09)', async () => {
    const { addresses, failure, dns } = await lab(({ name, type }) => {
      if (name.startsWith('slow')) return 'silence'
      return type === 'A' ? [a(name, '93.184.216.1')] : []
    })
    const order: string[] = []
    // one family only: the test's own name server cannot take more than about 250 datagrams at one blow
    const four = { family: 4 } as const
    const slow = Array.from({ length: 200 }, async (_, n) => {
      const code = await failure(`slow${n}.example.org:443`, four)
      order.push('slow')
      return code
    })
    const quick = Array.from({ length: 20 }, async (_, n) => {
      const found = await addresses(`quick${n}.example.org:443`, four)
      order.push('quick')
      return found
    })
    expect(await Promise.all(quick)).toEqual(quick.map(() => ['93.184.216.1']))
    expect(new Set(await Promise.all(slow))).toEqual(new Set(['name.timeout']))
    expect(order.slice(0, 20)).toEqual(Array.from({ length: 20 }, () => 'quick'))
    expect(dns.counts().underWay).toBe(0)
  })

  it('refuses to look up more names at once than it can carry', async () => {
    const server = await startDns(() => 'silence')
    const dns = createDnsClient({ servers: [server.address], timeoutMs: 100, tries: 1, maxUnderWay: 2 })
    const waiting = [dns.query('one.example.org', 4), dns.query('two.example.org', 4)]
    expect(dns.query('three.example.org', 4)).toEqual({ kind: 'failed', why: '2 names are already being resolved' })
    expect(await Promise.all(waiting)).toEqual([{ kind: 'timeout' }, { kind: 'timeout' }])
  })

  it('keeps a bounded number of answers', async () => {
    const server = await startDns(() => 'NXDOMAIN')
    const dns = createDnsClient({ servers: [server.address], maxCached: 10 })
    for (let n = 0; n < 30; n++) await dns.query(`n${n}.example.org`, 4)
    expect(dns.counts()).toEqual({ cached: 10, underWay: 0 })
  })

  it('a client that goes away stops waiting, and the answer still serves others', async () => {
    const { candidates, failure, addresses } = await lab(({ name, type }) => {
      if (name.startsWith('slow')) return 'silence'
      return type === 'A' ? [a(name, '93.184.216.1')] : []
    })
    expect(await failure('slow.example.org:443', { signal: AbortSignal.abort() })).toBe('relay.client_reset')
    const reason = new GatewayError('relay.killed', 'the lab is stopping')
    await expect(candidates('slow.example.org:443', { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    expect(await failure('www.example.org:443', { signal: AbortSignal.abort() })).toBe('relay.client_reset')
    expect(await addresses('www.example.org:443')).toEqual(['93.184.216.1'])
  })
})

describe('the guard sees every address (SS-03)', () => {
  const stranger = { peer: { ip: ip('192.0.2.44'), port: 50_000 } }

  it('a name for a local address does not help a stranger', async () => {
    const { failure } = await lab(({ name, type }) => (type === 'A' ? [a(name, '127.0.0.1')] : [aaaa(name, 'fd00::1')]))
    expect(await failure('rebound.example.org:80', stranger)).toBe('guard.forbidden_destination')
    expect(await failure('localhost:80', stranger)).toBe('guard.forbidden_destination')
  })

  it('of mixed answers only the good ones are tried', async () => {
    const { addresses } = await lab(({ name, type }) =>
      type === 'A' ? [a(name, '10.0.0.1'), a(name, '93.184.216.1'), a(name, '169.254.169.254')] : [],
    )
    expect(await addresses('mixed.example.org:80', stranger)).toEqual(['93.184.216.1'])
  })

  it('an answer that changes after the check is not asked for again', async () => {
    let asked = 0
    const { addresses, server } = await lab(({ name, type }) => {
      if (type === 'AAAA') return []
      return [a(name, asked++ === 0 ? '93.184.216.1' : '127.0.0.1', 0)]
    })
    expect(await addresses('rebinding.example.org:80')).toEqual(['93.184.216.1'])
    expect(await addresses('rebinding.example.org:80')).toEqual(['93.184.216.1'])
    expect(server.asked).toHaveLength(2)
  })
})

describe('what is behind a tunnel', () => {
  const routes = [{ id: 'r', network: cidr('10.10.0.0/16'), virtualNetworkId: 'v', tunnelId: 't', comment: '' }]
  const names = [{ id: 'h', hostname: 'wiki.internal.test', tunnelId: 't', comment: '' }]
  const table = createRouteTable(accountWith({ privateRoutes: routes, hostnameRoutes: names }))
  const office: ConfiguredTunnel = {
    id: 't',
    name: 'office',
    networks: [{ network: cidr('10.10.0.0/16'), standIn: cidr('127.40.0.0/16'), ports: new Map([[80, 9480]]) }],
    hosts: [{ name: 'wiki.internal.test', addresses: [ip('10.10.1.4')] }],
  }
  const strict = {
    settings: { profile: 'strict' as const, allow: [], deny: [] },
    ownSockets: { services: [], origins: [] },
    isLocal: () => false,
  }
  const inside = { routes: table, virtualNetworkId: 'v', peer: { ip: ip('192.0.2.7'), port: 1 } }

  it('is dialled at its stand-in, also for clients elsewhere under a strict guard', async () => {
    const { candidates } = await lab(undefined, { tunnels: [office], guard: strict })
    const [found] = await candidates('10.10.1.4:80', inside)
    expect(found && formatEndpoint(found.dial)).toBe('127.40.1.4:9480')
    expect(found).toMatchObject({ tunnel: { name: 'office', by: 'stand-in' } })
  })

  it('is nothing special in another virtual network', async () => {
    const { failure } = await lab(undefined, { tunnels: [office], guard: strict })
    expect(await failure('10.10.1.4:80', { ...inside, virtualNetworkId: 'w' })).toBe('guard.forbidden_destination')
  })

  it('`deny` keeps everybody away all the same', async () => {
    const settings = { ...strict.settings, deny: [cidr('10.10.1.0/24')] }
    const { failure } = await lab(undefined, { tunnels: [office], guard: { ...strict, settings } })
    expect(await failure('10.10.1.4:80', inside)).toBe('guard.forbidden_destination')
  })

  it('a name goes by the tunnel before anything else, and a name it lacks is told apart', async () => {
    const { candidates, failure } = await lab(undefined, { tunnels: [office] })
    const [found] = await candidates('wiki.internal.test:80', inside)
    expect(found && formatEndpoint(found.dial)).toBe('127.40.1.4:9480')
    expect(await failure('wiki.internal.test:80')).toBe('name.not_found')
  })

  it('without a word about the way, a stand-in of the destination itself will do', async () => {
    const mapped: Destination = {
      addresses: [{ public: ip('10.10.1.9'), standIn: ip('127.0.20.9'), ports: new Map() }],
      proxiedByCloudflare: false,
    }
    const { candidates } = await lab(undefined, { destinations: [mapped] })
    expect((await candidates('10.10.1.9:80', inside))[0]).toMatchObject({ tunnel: { by: 'stand-in' } })
    expect((await candidates('10.10.1.8:80', inside))[0]).toMatchObject({ tunnel: { by: 'nothing' } })
  })
})

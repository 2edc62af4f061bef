// What records of the three data sets say is used as they mean it, and what they lack is said.

import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { run } from '../cli/run.ts'
import { ACCOUNT, elsewhere, example, only, replayed, session, verb, written } from './replayed.ts'

describe('zero_trust_network_sessions', () => {
  test('a recording of the rules in force changes nothing', async () => {
    const outcome = await replayed(example('network-sessions.ndjson'))
    expect(outcome).toMatchObject({
      sessions: 15,
      decided: 15,
      compared: 15,
      exempt: 6,
      changed: 0,
      let_in: 0,
      refused: 0,
      data_sets: { zero_trust_network_sessions: 15 },
      recorded: { from: '2026-10-05T08:00:02.000Z', to: '2026-10-05T08:14:02.000Z' },
      missing: {},
      unknown: { users: {}, virtual_networks: {} },
    })
  })

  test('an address inside the range that the rule names is the same egress, one in another range is not', async () => {
    expect((await replayed(only(session(1)))).changed).toBe(0)
    const other = session(1, { EgressIP: '2001:db8:30:0:8f3b:1c2d:5e6f:7a81' })
    expect(await replayed(only(other))).toMatchObject({
      changed: 1,
      moves: { egress_ip: [{ change: '2001:db8:30::/64 → 2001:db8:20::/64', sessions: 1 }] },
    })
  })

  test('nil UUIDs are none: no user, no device, no rule, the default network', async () => {
    const outcome = await replayed(only(session(4)))
    expect(outcome).toMatchObject({
      changed: 0,
      users: [{ user: '(nobody)' }],
      unknown: { users: {}, virtual_networks: {} },
    })
    const none = session(4, { EgressRuleID: '00000000-0000-0000-0000-000000000000', EgressRuleName: '' })
    expect((await replayed(only(none))).moves.rule).toEqual([{ change: '(none) → Everything else', sessions: 1 }])
  })

  test.each(['CFD_TUNNEL', 'MAGIC', 'MESH', 'DEVICE_CLIENT', 'WARP'])(
    'a destination by way of %s is exempt, whatever the rules say',
    async (Offramp) => {
      const tunnelled = session(8, { Offramp, DestinationTunnelID: '00000000-0000-0000-0000-000000000000' })
      expect(await replayed(only(tunnelled))).toMatchObject({
        decided: 1,
        exempt: 1,
        changed: 0,
        rules: expect.any(Array),
      })
      expect(await replayed(only(session(8, { Offramp: 'INTERNET', DestinationTunnelID: '' })))).toMatchObject({
        exempt: 0,
      })
    },
  )

  test('a session that never left is compared by its rule alone, and claims nothing about allowlists', async () => {
    const rules = elsewhere()
    const never = await replayed(only(session(6), session(7)), { rules })
    expect(never).toMatchObject({ decided: 2, compared: 2, changed: 0, refused: 0, allowlists: [] })
    const left = await replayed(only(session(0)), { rules })
    expect(left).toMatchObject({
      changed: 1,
      refused: 1,
      let_in: 0,
      allowlists: [{ name: 'bank.saas.test', refused: 1 }],
    })
    const otherRule = session(6, { EgressRuleID: 'b2', EgressRuleName: 'Gone' })
    expect(await replayed(only(otherRule))).toMatchObject({ changes: { rule: 1, egress_ip: 0, colo: 0 } })
  })

  test('"443" is 443; without a port a session is not decided, and the report names it', async () => {
    const asText = session(0, { OriginPort: '443', SourcePort: '52000' })
    expect(await replayed(only(asText))).toMatchObject({
      decided: 1,
      changed: 0,
      destinations: [{ destination: 'bank.saas.test:443' }],
    })
    const { OriginPort: _, ...portless } = JSON.parse(session(0))
    const outcome = await replayed(only(JSON.stringify(portless), session(0, { OriginPort: 0 }), session(2)))
    expect(outcome).toMatchObject({ decided: 1, undecided: { no_port: 2 }, missing: { OriginPort: 1 } })
    const { stdout } = await run(['replay', only(JSON.stringify(portless), session(2)), '-c', ACCOUNT])
    expect(stdout).toContain('1 decided again; not decided: 1 without a port\n')
    expect(stdout).toContain('missing in the records\n  OriginPort  1 of 2  not decided\n')
  })

  test("a device client's own address is no internal source, that behind a GRE tunnel is", async () => {
    expect((await replayed(only(session(2), session(3)))).changed).toBe(0)
    const swapped = [session(2, { OnrampType: 'MAGIC' }), session(3, { OnrampType: 'CF1_CLIENT' })]
    expect((await replayed(only(...swapped))).moves.rule).toEqual([
      { change: 'Everything else → Branch office', sessions: 1 },
      { change: 'Branch office → Everything else', sessions: 1 },
    ])
    // exports from before September 2026 have no OnrampType
    const older = [session(2, { OnrampType: undefined }), session(3, { OnrampType: undefined })]
    expect((await replayed(only(...older))).changed).toBe(0)
  })

  test('people are found by their id where the mail address is empty; who is unknown is named by it', async () => {
    expect(await replayed(only(session(5)))).toMatchObject({ changed: 0, users: [{ user: 'alice@example.com' }] })
    const stranger = session(5, { UserID: '3d1c9f4e-8a0b-4f6e-9c55-1e0a5b7c2d99' })
    expect((await replayed(only(stranger))).unknown.users).toEqual({ '3d1c9f4e-8a0b-4f6e-9c55-1e0a5b7c2d99': 1 })
  })

  test('--names sni takes the name of the TLS handshake where there is no other, and the report says so', async () => {
    const nameless = only(session(0, { ResolvedFQDN: '' }), session(2))
    expect(await replayed(nameless)).toMatchObject({ named_by_sni: 0, changes: { rule: 1 } })
    expect(await replayed(nameless, { names: 'sni' })).toMatchObject({ named_by_sni: 1, changed: 0 })
    const { stdout } = await run(['replay', nameless, '-c', ACCOUNT, '--names', 'sni'])
    expect(stdout).toContain('\n1 decided by the name of their TLS handshake (SNI)\n')
  })

  test('every close reason and off-ramp of September 2026 is understood', async () => {
    expect(await replayed(only(session(7), session(12)))).toMatchObject({ decided: 2, changed: 0, exempt: 1 })
  })
})

describe('the sister data sets', () => {
  test('gateway_network is known by its fields; what it has no egress for is decided, not compared', async () => {
    const outcome = await replayed(example('gateway-network.ndjson'))
    expect(outcome).toMatchObject({
      sessions: 4,
      decided: 4,
      compared: 0,
      changed: 0,
      data_sets: { gateway_network: 4 },
      missing: {
        ResolvedFQDN: 4,
        EgressIP: 4,
        EgressColoName: 4,
        'EgressRuleID or EgressRuleName': 4,
        IngressColoName: 4,
      },
      rules: [
        { name: 'Bank from London', sessions: 0 },
        { name: 'Branch office' },
        { name: 'America', sessions: 1 },
        { name: 'SSH', sessions: 1 },
        { name: 'Everything else', sessions: 2 },
      ],
    })
    expect((await replayed(example('gateway-network.ndjson'), { names: 'sni' })).rules[0]).toMatchObject({
      sessions: 1,
    })
  })

  test('gateway_network compares two sets of rules; what a policy blocked never left', async () => {
    const outcome = await replayed(example('gateway-network.ndjson'), { names: 'sni', against: elsewhere() })
    expect(outcome).toMatchObject({ compared: 4, changed: 1, refused: 1, let_in: 0 })
    const blocked = readFileSync(example('gateway-network.ndjson'), 'utf8').replace('allowedOnNoRuleMatch', 'block')
    const file = written('blocked.ndjson', blocked)
    expect(await replayed(file, { names: 'sni', against: elsewhere() })).toMatchObject({ changed: 1, refused: 0 })
  })

  test('gateway_network says applications and countries itself', async () => {
    const rules = written(
      'facts.yaml',
      `- { name: Apps, precedence: 1, traffic: 'any(app.ids[*] in {1199})' }
- { name: GB, precedence: 2, traffic: 'net.src.geo.country == "GB" and net.dst.geo.continent == "EU"' }
`,
    )
    const outcome = await replayed(example('gateway-network.ndjson'), { rules })
    expect(outcome.rules).toMatchObject([
      { name: 'Apps', sessions: 1 },
      { name: 'GB', sessions: 3 },
    ])
  })

  test('gateway_http is known by its fields: name and port of the URL, UDP for HTTP/3', async () => {
    expect(await replayed(example('gateway-http.ndjson'))).toMatchObject({
      sessions: 2,
      decided: 2,
      data_sets: { gateway_http: 2 },
      destinations: [{ destination: 'bank.saas.test:443' }, { destination: 'news.example.net:8443' }],
    })
    const {
      DestinationPort: _p,
      HTTPHost: _h,
      ...byUrl
    } = JSON.parse(readFileSync(example('gateway-http.ndjson'), 'utf8').split('\n')[1] ?? '')
    const rules = written('udp.yaml', `- { name: UDP, precedence: 1, traffic: 'net.protocol == "udp"' }\n`)
    expect(await replayed(only(JSON.stringify(byUrl)), { rules })).toMatchObject({
      destinations: [{ destination: 'news.example.net:8443' }],
      rules: [{ name: 'UDP', sessions: 1 }],
    })
  })

  test('records that are none are named for what they are', async () => {
    const dns = only(
      '{"QueryName":"bank.saas.test","SrcIP":"198.51.100.77","Datetime":"2026-10-05T08:00:00Z"}',
      session(0),
    )
    expect((await replayed(dns)).unreadable.first).toEqual([
      { file: dns, line: 1, message: 'a record of `gateway_dns`, which is a question and no connection' },
    ])
  })
})

describe('--fail-on-change', () => {
  test('fails when nothing was decided, and says why', async () => {
    const { code, stderr } = await verb(example('subset.ndjson'), '--fail-on-change')
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: 'only 0.0 % of the sessions could be decided; --min-decided asks for 90 %\n',
    })
  })

  test('fails when nothing could be compared', async () => {
    const { code, stderr } = await verb(example('gateway-network.ndjson'), '--fail-on-change')
    expect(code).toBe(1)
    expect(stderr).toContain('only 0.0 % of the sessions could be decided and compared')
    const against = ['--against', ACCOUNT, '--fail-on-change']
    expect((await verb(example('gateway-network.ndjson'), ...against)).code).toBe(0)
  })

  test('fails below --min-decided, which is 90 % unless said otherwise', async () => {
    const lines = Array.from({ length: 10 }, (_, nth) => session(0, nth < 2 ? { OriginPort: 0 } : {}))
    const file = only(...lines)
    expect((await verb(file, '--fail-on-change')).code).toBe(1)
    expect((await verb(file, '--fail-on-change', '--min-decided', '80')).code).toBe(0)
    expect((await verb(only(...lines.slice(1)), '--fail-on-change', '--min-decided', '88.8')).code).toBe(0)
    expect((await run(['replay', file, '--min-decided', '101'])).code).toBe(2)
  })
})

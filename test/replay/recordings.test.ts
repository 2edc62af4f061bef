// Recordings in the forms people have them: every example is understood, and what its records say is used as they mean it.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { replayDocument } from '../../src/cli/commands/replay.ts'
import { loadReplaySide } from '../../src/replay/load-policy.ts'
import type { ReplayRequest, UnreadableRecord } from '../../src/replay/replay.ts'
import { createReplayer, type ReplaySide } from '../../src/replay/replayer.ts'
import { openSessions, replayBytes } from '../../src/replay/session-stream.ts'
import { SpanReader } from '../../src/replay/span.ts'
import { run } from '../cli/run.ts'

const EXAMPLES = 'config/examples/recordings'
const ACCOUNT = `${EXAMPLES}/account.yaml`
const example = (name: string) => `${EXAMPLES}/${name}`

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'egresslab-recordings-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function written(name: string, content: string | Uint8Array): string {
  writeFileSync(join(folder, name), content)
  return join(folder, name)
}

/** What `replay FILE --json` prints, decided in this thread; rules are loaded once. */
async function replayed(file: string, { rules, against, names, columns }: Partial<ReplayRequest> = {}) {
  const [after, before] = against === undefined ? [rules] : [against, rules]
  const other = against === undefined ? {} : { before: sideOf(before) }
  const replayer = createReplayer(sideOf(after), { ...other, ...(names === undefined ? {} : { names }) })
  const unreadable: UnreadableRecord[] = []
  const spans = new SpanReader()
  let lines = 0
  for await (const { lines: piece, inRecords } of openSessions(file, Readable.from([]), columns).pieces()) {
    const bytes = piece.kind === 'bytes' ? piece.bytes : spans.read(piece.span)
    const report = replayBytes(replayer, bytes, { keepChanged: false })
    for (const { line, message } of report.problems) {
      unreadable.push({ file, ...(inRecords ? { record: lines + line } : { line: lines + line }), message })
    }
    lines += report.lines
  }
  spans.close()
  const decided = sideOf(after).snapshot.ruleset.rules
  return replayDocument({ summary: replayer.summary(), unreadable, seconds: 1, rules: decided }) as Document
}

/** The verb itself. */
const verb = (file: string, ...args: readonly string[]) =>
  run(['replay', file, '-c', ACCOUNT, '--threads', '1', ...args])

/** Results of every shape; tests look into theirs. */
// biome-ignore lint/suspicious/noExplicitAny: see above
type Document = any

const sides = new Map<string, ReplaySide>()

/** Like the verb: a list of rules goes with the account, anything else is a configuration. */
function sideOf(file = ACCOUNT): ReplaySide {
  const isList = readFileSync(file, 'utf8').startsWith('- ')
  const side =
    sides.get(file) ?? loadReplaySide(isList ? { configFile: ACCOUNT, rulesFile: file } : { configFile: file })
  sides.set(file, side)
  return side
}

/** Sessions of the first example, as a Logpush job writes them. */
const SESSIONS = readFileSync(example('network-sessions.ndjson'), 'utf8').trimEnd().split('\n')
const session = (nth: number, changes: Readonly<Record<string, unknown>> = {}): string =>
  JSON.stringify({ ...JSON.parse(SESSIONS[nth] ?? ''), ...changes })
const only = (...lines: readonly string[]) => written('some.ndjson', `${lines.join('\n')}\n`)
/** Sends Finance to the bank from Ashburn, which the bank refuses. */
const elsewhere = () =>
  written(
    'elsewhere.yaml',
    readFileSync(ACCOUNT, 'utf8').replace(
      'egress: { ipv4: 203.0.113.20, ipv4_fallback: 203.0.113.30, ipv6: "2001:db8:20::/64" }',
      'egress: { ipv4: 203.0.113.30, ipv4_fallback: 203.0.113.20, ipv6: "2001:db8:30::/64" }',
    ),
  )

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

/** The five sessions that most examples hold. */
const FIVE = { sessions: 5, decided: 5, compared: 5, changed: 0 }
const PERIOD = {
  from: expect.stringMatching(/^2026-10-05T08:00:02/),
  to: expect.stringMatching(/^2026-10-05T08:14:02/),
}

describe('forms', () => {
  test.each([
    ['a pretty-printed JSON array, RFC 3339', 'array.json'],
    ['a batch with prefix and suffix and nested records, unix nanoseconds', 'batch.json'],
    ['records wrapped by a collector, unix seconds as text, ports as text', 'wrapped.ndjson'],
    ['records passed on as text', 'raw-text.ndjson'],
    ['CSV with its columns in the first row, unix nanoseconds', 'sessions.csv'],
    ['the same with tabs', 'sessions.tsv'],
  ])('%s', async (_what, name) => {
    expect(await replayed(example(name))).toMatchObject({ ...FIVE, recorded: PERIOD })
  })

  test('CSV as Logpush writes it, without a first row of names, needs --columns and says so', async () => {
    const columns = readFileSync(example('sessions.csv'), 'utf8').split('\n')[0] ?? ''
    expect(await replayed(example('sessions-without-names.csv'), { columns: columns.split(',') })).toMatchObject(FIVE)
    const { code, stderr } = await verb(example('sessions-without-names.csv'))
    expect(code).toBe(2)
    expect(stderr).toContain('looks like CSV, and its first row names no columns')
    expect(stderr).toContain('--columns SessionStartTime,Email,…')
  })

  test.each([
    ['a minified array', () => JSON.stringify(JSON.parse(readFileSync(example('array.json'), 'utf8')))],
    [
      'a batch on one line',
      () => `{"events":[${session(0)},${session(1)},${session(2)},${session(4)},${session(14)}]}`,
    ],
    [
      'an answer of an API',
      () =>
        `{"success":true,"errors":[],"result":[${[0, 1, 2, 4, 14].map((n) => session(n)).join(',')}],"meta":{"a":{"b":1}}}`,
    ],
    ['records with nothing between them', () => [0, 1, 2, 4, 14].map((n) => session(n)).join('')],
    [
      'pretty-printed records one after the other',
      () => [0, 1, 2, 4, 14].map((n) => JSON.stringify(JSON.parse(session(n)), null, 4)).join('\n'),
    ],
    [
      'batches one after the other',
      () => `[${session(0)},\n${session(1)}]\n[${session(2)},${session(4)}]\n[]\n[${session(14)}]`,
    ],
    ['a byte order mark', () => `\ufeff${[0, 1, 2, 4, 14].map((n) => session(n)).join('\r\n')}`],
    [
      'CSV of several batches, with carriage returns',
      () => {
        const [names = '', ...rows] = readFileSync(example('sessions.csv'), 'utf8').trimEnd().split('\n')
        return [names, ...rows.slice(0, 2), names, ...rows.slice(2)].join('\r\n')
      },
    ],
  ])('%s', async (_what, text) => {
    expect(await replayed(written('form', text()))).toMatchObject(FIVE)
  })

  test.each([
    ['gzip', gzipSync],
    ['zstd', zstdCompressSync],
  ])('packed with %s, in several pieces, by its first bytes and not its name', async (_what, pack) => {
    const halves = [SESSIONS.slice(0, 7), SESSIONS.slice(7)].map((lines) => pack(`${lines.join('\n')}\n`))
    expect(await replayed(written('packed.log', Buffer.concat(halves)))).toMatchObject({ sessions: 15, changed: 0 })
    const array = written('array.packed', pack(readFileSync(example('array.json'))))
    expect(await replayed(array)).toMatchObject(FIVE)
  })

  test('the packed examples are the plain one', async () => {
    for (const name of ['network-sessions.ndjson.gz', 'network-sessions.ndjson.zst']) {
      expect(await replayed(example(name))).toMatchObject({ sessions: 15, changed: 0 })
    }
  })

  test.each([
    ['RFC 3339 with nanoseconds', '2026-10-05T08:00:02.123456789Z'],
    ['RFC 3339 with an offset', '2026-10-05T10:00:02+02:00'],
    ['seconds', 1_791_187_202],
    ['milliseconds', 1_791_187_202_123],
    ['nanoseconds', 1_791_187_202_123_456_800],
    ['nanoseconds as text', '1791187202123456789'],
  ])('timestamps: %s', async (_what, SessionStartTime) => {
    const { recorded } = await replayed(only(session(0, { SessionStartTime })))
    expect(recorded).toEqual({ from: expect.stringMatching(/^2026-10-05T08:00:02/), to: recorded.from })
  })

  test('a subset of fields: what is missing for a decision is listed per field, with a count', async () => {
    const outcome = await replayed(example('subset.ndjson'))
    expect(outcome).toMatchObject({
      decided: 0,
      undecided: { no_port: 5 },
      missing: {
        OriginPort: 5,
        SourcePort: 5,
        VirtualNetworkID: 5,
        IngressColoName: 5,
        'DeviceID or DeviceName': 5,
        EgressColoName: 5,
        'EgressRuleID or EgressRuleName': 5,
      },
    })
    expect(outcome.missing).not.toHaveProperty('ResolvedFQDN')
  })

  test('what is no such file is refused in words', async () => {
    const archive = written('a.zip', Buffer.from([0x50, 0x4b, 3, 4, 20, 0]))
    await expect(replayed(archive)).rejects.toThrow('it is a ZIP archive; unpack it first')
    const open = written('open.json', `[${`{"SessionID":"a","x":[`.padEnd(17 << 20, '[')}`)
    await expect(replayed(open)).rejects.toThrow('a record is longer than 16 MiB, so a bracket is not closed')
    const cut = written('cut.json', `[${session(0)},${session(1).slice(0, 300)}`)
    expect(await replayed(cut)).toMatchObject({
      decided: 1,
      unreadable: { count: 1, first: [{ file: cut, record: 2, message: 'not complete JSON' }] },
    })
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

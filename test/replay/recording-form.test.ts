// Recordings in every form people have them, each with an example; records are cut out of JSON whatever its layout, and
// wherever the reads happen to end.

import { readFileSync } from 'node:fs'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { formOf, RecordCutter } from '../../src/replay/recording-form.ts'
import { example, only, replayed, SESSIONS, session, verb, written } from './replayed.ts'

/** The records as they come out, for input in pieces of this many bytes. */
function cut(text: string, size: number): unknown[] {
  const cutter = new RecordCutter()
  const bytes = Buffer.from(text)
  let out = ''
  for (let at = 0; at < bytes.length; at += size) out += cutter.add(bytes.subarray(at, at + size)).toString()
  expect(cutter.isOpen).toBe(false)
  return out.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line)]))
}

const record = fc.dictionary(
  fc.string(),
  fc.oneof(fc.string({ unit: 'binary' }), fc.integer(), fc.array(fc.string()), fc.object()),
  {
    minKeys: 1,
  },
)
/** No array of objects directly in it: that makes a batch. */
const plain = record.filter(
  (one) => !Object.values(one).some((value) => Array.isArray(value) && value.some((item) => typeof item === 'object')),
)
const records = fc.array(plain, { minLength: 1, maxLength: 6 })
const indent = fc.constantFrom(undefined, 1, '\t')
const size = fc.integer({ min: 1, max: 40 })

/** As JSON has them: -0 is 0 there, and a key `__proto__` is one. */
const asJson = (value: unknown) => JSON.parse(JSON.stringify(value))

test('arrays, batches and records one after the other give the same records', () => {
  fc.assert(
    fc.property(records, indent, size, (list, space, bytes) => {
      const wanted = asJson(list)
      expect(cut(JSON.stringify(list, null, space), bytes)).toEqual(wanted)
      expect(cut(JSON.stringify({ before: { a: [1] }, events: list, after: [] }, null, space), bytes)).toEqual(wanted)
      expect(cut(list.map((one) => JSON.stringify(one, null, space)).join(''), bytes)).toEqual(wanted)
    }),
    { numRuns: 300 },
  )
})

test('a form is known by how it begins', () => {
  const form = (head: string) => formOf('x', head).kind
  expect(form('{"SessionID":"a"}\n{"SessionID":"b"}\n')).toBe('lines')
  expect(form('{"SessionID":"cut off\n{"SessionID":"b"}\n')).toBe('lines')
  expect(form('\n\n  {"event":{"SessionID":"a"}}\n')).toBe('lines')
  expect(form('some words\n{"SessionID":"a"}')).toBe('lines')
  expect(form('')).toBe('lines')
  expect(form('{\n  "SessionID": "a"\n}\n')).toBe('json')
  expect(form('{"events":[\n  {"info":{"SessionID":"a"}},\n')).toBe('json')
  expect(form('{"events":[{"SessionID":"a"}]}')).toBe('json')
  expect(form('{"SessionID":"a"}{"SessionID":"b"}')).toBe('json')
  expect(form('[')).toBe('json')
  expect(form('SessionID,Email\r\n')).toBe('table')
  expect(form('"SessionID"\t"Email"\n')).toBe('table')
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
      unreadable: { first: [{ file: cut, record: 2, message: 'the file ends inside this record' }] },
    })
  })
})

describe('a recording that was cut off', () => {
  const NDJSON = `${SESSIONS.join('\n')}\n`
  /** What the verb says of the first bytes of a recording. */
  const said = async (name: string, content: string | Uint8Array, ...args: readonly string[]) => {
    const file = written(name, content)
    const { code, stdout } = await verb(file, '--json', ...args)
    const { sessions, unreadable } = JSON.parse(stdout)
    const [{ line, record, message } = {}] = unreadable.first
    const where = line === undefined ? `, record ${record}` : `:${line}`
    return { code, sessions, cut: unreadable.count, message: `F${where}: ${message}` }
  }
  const half = (content: string | Uint8Array) => content.slice(0, Math.floor(content.length / 2))
  const whole = SESSIONS.length
  const MANY = Array.from(
    { length: 3000 },
    (_, at) => `${session(at % whole, { SessionID: `${at}-${Math.sin(at)}` })}\n`,
  ).join('')

  test('counts with what was read, whatever its form, and the cut is said', async () => {
    const line = NDJSON.slice(0, NDJSON.length / 2).split('\n').length
    const packed = { gz: half(gzipSync(MANY)), zst: half(zstdCompressSync(MANY)) }
    const table = readFileSync(example('sessions.csv'), 'utf8')
    const array = `[${SESSIONS.join(',\n')}]`
    expect(await said('a.ndjson', half(NDJSON))).toMatchObject({
      code: 0,
      sessions: line,
      cut: 1,
      message: `F:${line}: not complete JSON`,
    })
    for (const [form, content] of Object.entries(packed)) {
      const { code, sessions, cut, message } = await said(`a.${form}`, content)
      expect({ code, cut }).toEqual({ code: 0, cut: 1 })
      expect(sessions).toBeGreaterThan(0)
      expect(message).toBe(
        `F:${sessions}: the packed data breaks off at byte ${content.length}: unexpected end of file`,
      )
    }
    expect(await said('a.json', half(array))).toMatchObject({
      code: 0,
      cut: 1,
      message: expect.stringMatching(/^F, record \d+: the file ends inside this record$/),
    })
    expect(await said('b.json', array.slice(0, -1))).toEqual({
      code: 0,
      sessions: whole + 1,
      cut: 1,
      message: `F, record ${whole + 1}: the file ends before what it opens is closed`,
    })
    const rows = table.split('\n')
    const short = `${rows.slice(0, 3).join('\n')}\n${rows[3]?.slice(0, 60)}`
    expect(await said('a.csv', short)).toMatchObject({
      code: 0,
      sessions: 3,
      cut: 1,
      message: expect.stringMatching(/^F:4: /),
    })
    const quoted = `${rows.slice(0, 3).join('\n')}\n"2026-10-05T0`
    expect(await said('b.csv', quoted)).toEqual({
      code: 0,
      sessions: 3,
      cut: 1,
      message: 'F:4: the file ends inside a quoted cell',
    })
    expect(
      await said('a.csv.gz', half(gzipSync(`${table}${`${rows.slice(1, 3).join('\n')}\n`.repeat(4000)}`))),
    ).toMatchObject({
      code: 0,
      message: expect.stringContaining('the packed data breaks off'),
    })
  })

  test('nothing that precedes a fault in packed data is lost', async () => {
    const packed = gzipSync(MANY)
    const damaged = Buffer.from(packed)
    damaged.fill(0xff, damaged.length - 400, damaged.length - 300)
    const { sessions, message } = await said('damaged.gz', damaged)
    expect(sessions).toBeGreaterThan(2000)
    expect(message).toMatch(/^F:\d+: the packed data breaks off at byte \d+: (invalid|incorrect)/)
    expect((await said('cut.gz', packed.subarray(0, -9))).sessions).toBeGreaterThan(2990)
  })

  test('with --fail-on-change it counts among what was not decided', async () => {
    const table = `${SESSIONS[0]}\n${SESSIONS[1]}\n{"SessionID`
    expect(await said('c.ndjson', table, '--fail-on-change')).toMatchObject({ code: 1, cut: 1 })
    expect(await said('c.ndjson', table, '--fail-on-change', '--min-decided', '60')).toMatchObject({ code: 0, cut: 1 })
  })
})

test('columns that are not those of the table are named', async () => {
  const file = example('sessions-without-names.csv')
  expect(await verb(file, '--columns', 'Foo,Bar')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining(
      'none of the columns `Foo`, `Bar` is a field of a session record [replay.no_columns]',
    ),
  })
  expect(await verb(file, '--columns', 'SessionStartTime,Email')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining(
      `${file}:1:1: error: no line is a session record: this row has 24 cells, and 2 columns are named`,
    ),
  })
})

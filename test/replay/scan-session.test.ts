// The quick reader of session records against the thorough one: whatever it does not give up on, it reads the same.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { FIELDS, sessionOf, valuesOfJson } from '../../src/replay/recorded-session.ts'
import { SessionScanner } from '../../src/replay/scan-session.ts'
import { sampleRecord } from '../log/sample-record.ts'

const SAMPLE = sampleRecord(
  { DeviceName: 'laptop' },
  { userPlace: { latitude: 52.1, longitude: -4.5, city: 'São Paulo' } },
)

function scan(text: string, scanner = new SessionScanner()): readonly unknown[] | undefined {
  const framed = `\n${text}\n{"Email":"somebody else"}`
  return scanner.scan(framed, 1, 1 + text.length) ? [...scanner.values] : undefined
}

test('reads a record of the lab without giving up, and finds every field', () => {
  const values = scan(JSON.stringify(SAMPLE))
  expect(values).toEqual(valuesOfJson(SAMPLE))
  expect(sessionOf(valuesOfJson(SAMPLE) ?? [])).toMatchObject({
    email: 'bob@example.com',
    originIp: '198.51.100.1',
    originPort: 80,
    sourcePort: 40_000,
    fromLab: true,
    outcome: 'balanced',
    placeCity: 'São Paulo',
    latitude: 52.1,
    longitude: -4.5,
  })
})

describe('does the same as parsing for', () => {
  const texts: Readonly<Record<string, string>> = {
    'white space anywhere': JSON.stringify(SAMPLE, null, 2).replaceAll('\n', ' '),
    'keys in another order': JSON.stringify(Object.fromEntries(Object.entries(SAMPLE).reverse())),
    'a field given twice': '{"Protocol":"TCP","Email":"a@b.test","Email":"c@d.test"}',
    'fields of other types':
      '{"Protocol":null,"Email":7,"OriginPort":"80","EgressIP":["x"],"Lab":"none","OriginIP":{"a":1}}',
    'unwanted escapes': String.raw`{"SNI":"a\"b\\","Protocol":"TCP","Lab":{"error":{"message":"\"Email\":\"x\"}"},"outcome":"balanced"}}`,
    nothing: '{}',
  }
  test.each(Object.entries(texts))('%s', (_name, text) => {
    expect(scan(text)).toEqual(valuesOfJson(JSON.parse(text)))
  })
})

test('gives up where a wanted value has an escape', () => {
  expect(scan(String.raw`{"Protocol":"TCP","EgressRuleName":"the \"one\""}`)).toBeUndefined()
})

test('takes nothing from the next line, and nothing that is cut short', () => {
  const text = JSON.stringify(SAMPLE)
  const scanner = new SessionScanner()
  for (let length = 0; length < text.length; length++) expect(scan(text.slice(0, length), scanner)).toBeUndefined()
  expect(scan(text, scanner)).toEqual(valuesOfJson(SAMPLE))
})

const wanted = fc.constantFrom(
  ...FIELDS.map((path) => path.split('.').at(-1) ?? ''),
  'Lab',
  'userPlace',
  'other',
  'x"y',
)
const leaf = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.boolean(),
  fc.constant(null),
)
const { record } = fc.letrec((tie) => ({
  record: fc.dictionary(wanted, fc.oneof({ weight: 4, arbitrary: leaf }, tie('record'), fc.array(leaf))),
}))

test('never differs from parsing on any JSON object, one scanner for all', () => {
  const scanner = new SessionScanner()
  fc.assert(
    fc.property(record, fc.constantFrom(undefined, 1), (object, indent) => {
      const text = JSON.stringify(object, null, indent).replaceAll('\n', ' ')
      const scanned = scan(text, scanner)
      if (scanned !== undefined) expect(scanned).toEqual(valuesOfJson(JSON.parse(text)))
    }),
    { numRuns: 2000 },
  )
})

test('whatever bytes come, it answers; where text is JSON, it does not differ', () => {
  const text = JSON.stringify(SAMPLE)
  const scanner = new SessionScanner()
  fc.assert(
    fc.property(fc.nat(text.length), fc.nat(6), fc.string({ maxLength: 6 }), (at, drop, put) => {
      const broken = text.slice(0, at) + put + text.slice(at + drop)
      const scanned = scan(broken, scanner)
      const parsed = tryParse(broken)
      if (scanned !== undefined && parsed !== undefined) expect(scanned).toEqual(valuesOfJson(parsed))
    }),
    { numRuns: 2000 },
  )
})

function tryParse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

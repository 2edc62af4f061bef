// The quick way of reading session records against the thorough one: they never differ, whatever comes, and in whatever order.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { FIELDS, sessionOf } from '../../src/replay/recorded-session.ts'
import { SessionReader, valuesOfJson } from '../../src/replay/session-reader.ts'
import { sampleRecord } from '../log/sample-record.ts'

const SAMPLE = sampleRecord(
  { DeviceName: 'laptop' },
  { userPlace: { latitude: 52.1, longitude: -4.5, city: 'São Paulo' } },
)

/** The record in the middle of a text, as a reader sees it; 'no JSON' where there is none. */
function read(text: string, reader: SessionReader): unknown {
  const framed = `\n${text}\n{"Email":"somebody else"}`
  return answerOf(() => reader.read(framed, 1, 1 + text.length)?.slice())
}

function parsed(text: string): unknown {
  return answerOf(() => valuesOfJson(JSON.parse(text)))
}

function answerOf(attempt: () => unknown): unknown {
  try {
    return attempt()
  } catch (thrown) {
    if (thrown instanceof SyntaxError) return 'no JSON'
    throw thrown
  }
}

/** A reader that has seen records like these. */
function experienced(...texts: readonly string[]): SessionReader {
  const reader = new SessionReader()
  for (const text of texts) read(text, reader)
  return reader
}

test('finds every field of a record of the lab, the second time as the first', () => {
  const text = JSON.stringify(SAMPLE)
  const reader = new SessionReader()
  for (let time = 0; time < 3; time++) expect(read(text, reader)).toEqual(valuesOfJson(SAMPLE))
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
    'fields of other types': '{"Protocol":null,"Email":7,"OriginPort":"80","Lab":"none","OriginIP":{"a":1}}',
    lists: '{"Protocol":"TCP","EgressIP":["x"],"Email":"a@b.test"}',
    'keys that only look like paths': '{"Protocol":"TCP","Lab.outcome":"x","Lab":{"a.b":{"outcome":"y"}}}',
    'keys that mean something to patterns':
      '{"Protocol":"TCP","a.*(b|c)[d]{2}^$\\\\/":"x","é \\" ":1,"__proto__":{"Email":"p"}}',
    'escapes in unwanted texts': String.raw`{"SNI":"a\"b\\","Protocol":"TCP","Lab":{"error":{"m":"\"Email\":\"x\""},"outcome":"balanced"}}`,
    'escapes in wanted texts': String.raw`{"Protocol":"TCP","EgressRuleName":"the \"one\" é"}`,
    'numbers of all kinds': '{"OriginPort":-0.5e+3,"SourcePort":0,"Protocol":"TCP"}',
    'what is no object': '[1, 2]',
    nothing: '{}',
  }
  test.each(Object.entries(texts))('%s', (_name, text) => {
    const reader = experienced(text)
    expect(read(text, reader)).toEqual(parsed(text))
    expect(read(JSON.stringify(SAMPLE), reader)).toEqual(valuesOfJson(SAMPLE))
    expect(read(text, reader)).toEqual(parsed(text))
  })
})

test.each([
  ['a number with a leading zero', '{"Protocol":"TCP","OriginPort":080}'],
  ['a number with letters', '{"Protocol":"TCP","OriginPort":80x}'],
  ['an escape that does not exist', String.raw`{"Protocol":"TCP","SNI":"\q","OriginPort":80}`],
  ['a line feed in a text', '{"Protocol":"TCP","SNI":"a\nb","OriginPort":80}'],
  ['text behind the record', '{"Protocol":"TCP","SNI":"","OriginPort":80} x'],
])('%s is no JSON, also to one who knows such records', (_name, text) => {
  const reader = experienced('{"Protocol":"TCP","OriginPort":80}', '{"Protocol":"TCP","SNI":"a","OriginPort":80}')
  expect(read(text, reader)).toBe('no JSON')
})

test('takes nothing from the next line, and nothing that is cut short', () => {
  const text = JSON.stringify(SAMPLE)
  const reader = experienced(text)
  for (let length = 0; length < text.length; length++) expect(read(text.slice(0, length), reader)).toBe('no JSON')
  expect(read(text, reader)).toEqual(valuesOfJson(SAMPLE))
})

const wanted = fc.constantFrom(...FIELDS.map((path) => path.split('.').at(-1) ?? ''), 'Lab', 'userPlace', 'x"y')
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

test('never differs from parsing on any JSON objects, one after the other', () => {
  fc.assert(
    fc.property(fc.array(record, { minLength: 1, maxLength: 12 }), fc.constantFrom(undefined, 1), (objects, indent) => {
      const reader = new SessionReader()
      const texts = objects.map((object) => JSON.stringify(object, null, indent).replaceAll('\n', ' '))
      for (const text of [...texts, ...texts]) expect(read(text, reader)).toEqual(parsed(text))
    }),
    { numRuns: 500 },
  )
})

test('never differs from parsing on damaged records', () => {
  const text = JSON.stringify(SAMPLE)
  const reader = experienced(text)
  fc.assert(
    fc.property(fc.nat(text.length), fc.nat(6), fc.string({ maxLength: 6 }), (at, drop, put) => {
      const damaged = text.slice(0, at) + put + text.slice(at + drop)
      expect(read(damaged, reader)).toEqual(parsed(damaged))
    }),
    { numRuns: 2000 },
  )
})

// Records are cut out of JSON whatever its layout, and wherever the reads happen to end.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { formOf, RecordCutter } from '../../src/replay/recording-form.ts'

/** The records as they come out, for input in pieces of this many bytes. */
function cut(text: string, size: number): unknown[] {
  const cutter = new RecordCutter()
  const bytes = Buffer.from(text)
  let out = ''
  for (let at = 0; at < bytes.length; at += size) out += cutter.add(bytes.subarray(at, at + size)).toString()
  out += cutter.rest().toString()
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

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { formatInstant } from '../../src/proxy/session-record.ts'

test.each([
  [0, '1970-01-01T00:00:00.000000000Z'],
  [-1, '1969-12-31T23:59:59.999000000Z'],
  [Date.UTC(2026, 1, 28, 23, 59, 59, 999), '2026-02-28T23:59:59.999000000Z'],
  [1000.5, '1970-01-01T00:00:01.000500000Z'],
])('%d ms is %s', (epochMs, text) => {
  expect(formatInstant(epochMs)).toBe(text)
})

test('an instant is spelled alike whatever was spelled before it', () => {
  const instant = fc.integer({ min: 1_700_000_000_000, max: 1_700_000_000_400 })
  fc.assert(
    fc.property(fc.array(fc.tuple(instant, fc.constantFrom(0, 0.5))), (instants) => {
      for (const [ms, fraction] of instants) {
        const nanos = fraction === 0 ? '000000' : '500000'
        expect(formatInstant(ms + fraction)).toBe(`${new Date(ms).toISOString().slice(0, -1)}${nanos}Z`)
      }
    }),
  )
})

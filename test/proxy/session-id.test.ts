import { expect, test } from 'vitest'
import { newSessionId } from '../../src/proxy/session.ts'

test('every id is a UUID of version 4, and none comes twice', () => {
  const ids = Array.from({ length: 5000 }, newSessionId)
  for (const id of ids) expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  expect(new Set(ids).size).toBe(5000)
})

test('every digit that is drawn takes every value', () => {
  const seen = Array.from({ length: 36 }, () => new Set<string>())
  for (let n = 0; n < 2000; n++) for (const [at, digit] of [...newSessionId()].entries()) seen[at]?.add(digit)
  const counts = seen.map((digits) => digits.size)
  expect(counts.filter((count) => count === 16)).toHaveLength(30)
  expect(counts[14]).toBe(1)
  expect(counts[19]).toBe(4)
})

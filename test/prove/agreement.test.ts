import { expect, test } from 'vitest'
import { compareWithDecide } from './agreement.ts'

test('the encoding ends where decide() ends, for random policies and connections', () => {
  const { connections, matched, disagreements } = compareWithDecide(20_261_130, 3000)
  expect(disagreements).toEqual([])
  expect(connections).toBe(3000)
  expect(matched).toBeGreaterThan(500)
}, 240_000)

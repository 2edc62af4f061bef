import { expect, test } from 'vitest'
import { compareWithDecide } from './agreement.ts'
import { plantFaults } from './planted.ts'
import { holdProofsAgainstConnections } from './soundness.ts'

test('the encoding ends where decide() ends, for random policies and connections', () => {
  const { connections, matched, faults } = compareWithDecide(20_261_130, 3000)
  expect(faults).toEqual([])
  expect(connections).toBe(3000)
  expect(matched).toBeGreaterThan(500)
})

test('no random connection refutes what is proven of random policies, and of what they are rewritten to', async () => {
  const { proven, refuted, faults } = await holdProofsAgainstConnections(20_261_130, 8, 2000)
  expect(faults).toEqual([])
  expect(proven).toBeGreaterThan(3)
  expect(refuted).toBeGreaterThan(10)
})

test('every small mistake planted in a policy is found, with a connection that shows it', async () => {
  expect(await plantFaults(20_261_201, 4)).toEqual({ planted: 4, found: 4, faults: [] })
})

import { expect, test } from 'vitest'
import { TEST_LIMIT_MS } from '../../support/patience.ts'
import { compareWithScan } from '../index-agreement.ts'

const seed = Number(process.env.SEED ?? 20_261_121)
const comparisons = Number(process.env.COMPARISONS ?? 20_000)

test(`[R2] the index finds what trying every rule in order finds (seed ${seed})`, {
  timeout: TEST_LIMIT_MS + comparisons,
}, () => {
  const agreement = compareWithScan({ seed, comparisons })
  expect(agreement.disagreements).toEqual([])
  expect(agreement.comparisons).toBeGreaterThanOrEqual(comparisons)
  expect(agreement.matched / agreement.comparisons).toBeGreaterThan(0.3)
  expect(agreement.matched / agreement.comparisons).toBeLessThan(0.99)
})

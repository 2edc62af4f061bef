import fc from 'fast-check'
import { expect, test } from 'vitest'
import { conditionOf } from '../../src/analysis/condition.ts'
import { implies, isImpossible } from '../../src/analysis/unreachable.ts'
import { compileExpression, type Expression, parseExpression } from '../../src/expression/index.ts'
import { anyExpression, anyLists, anyValues } from '../expression/generate.ts'
import { scheme } from '../expression/support.ts'

/** Fields of which nothing is known beforehand. */
const fields = ['i', 's', 't', 'p', 'b', 'ii', 'ss', 'tt', 'pp', 'm', 'mm']
const seed = Number(process.env.SEED ?? 20_261_121)

function parsed(source: string): Expression {
  const result = parseExpression(source, scheme)
  if (!result.ok) throw new Error(`the generator made ${source}`)
  return result.expression
}

test(`whatever is proven holds for random values (seed ${seed})`, () => {
  const part = anyExpression(scheme, { depth: 1, fields })
  const values = fc.sample(anyValues(scheme), { seed, numRuns: 150 })
  const lists = fc.sample(anyLists(), { seed, numRuns: 20 })
  const parts = fc.sample(part, { seed, numRuns: 400 }).map((source) => ({ source, expression: parsed(source) }))
  let proven = 0
  for (const [at, a] of parts.entries()) {
    for (const b of [
      ...parts.slice(at + 1, at + 40),
      { source: '', expression: parsed(`(${a.source}) or (${parts[at - 1]?.source ?? 'b'})`) },
    ]) {
      for (const [given, then] of [
        [a, b],
        [b, a],
      ] as const) {
        if (!implies(conditionOf(given.expression), conditionOf(then.expression))) continue
        proven++
        const [one, two] = [compileExpression(given.expression), compileExpression(then.expression)]
        for (const [nth, its] of values.entries()) {
          const known = lists[nth % lists.length] ?? new Map()
          if (one(its, known) && !two(its, known))
            expect.fail(`${given.expression.source} does not imply ${then.expression.source}`)
        }
      }
    }
  }
  expect(proven).toBeGreaterThan(400)
})

test(`what is called impossible matches nothing (seed ${seed})`, () => {
  const pair = fc.tuple(
    anyExpression(scheme, { depth: 1, fields }),
    anyExpression(scheme, { depth: 1, fields: ['i', 's', 'p'] }),
  )
  const values = fc.sample(anyValues(scheme), { seed, numRuns: 200 })
  let found = 0
  for (const [a, b] of fc.sample(pair, { seed, numRuns: 3000 })) {
    const expression = parsed(`(${a}) and (${b})`)
    if (!isImpossible(conditionOf(expression))) continue
    found++
    const matches = compileExpression(expression)
    expect(values.some((its) => matches(its, new Map()))).toBe(false)
  }
  expect(found).toBeGreaterThan(5)
})

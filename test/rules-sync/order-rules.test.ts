// One request at a time, rules end where they should, whatever they have to get past: no precedence is taken twice at any moment,
// and nothing goes before what replaces it is there.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { orderRules } from '../../src/rules-sync/order-rules.ts'
import type { PolicyStep, PortableRule } from '../../src/rules-sync/portable-policy.ts'

const rule = (id: string, precedence: number): PortableRule => ({ id, name: id, precedence, fields: { name: id } })
const update = (id: string, precedence: number): PolicyStep => ({
  action: 'update',
  thing: 'rule',
  name: id,
  id,
  precedence,
  differences: [],
  body: { precedence },
})
const create = (name: string, precedence: number): PolicyStep => ({
  action: 'create',
  thing: 'rule',
  name,
  precedence,
  differences: [],
  body: { precedence },
})
const remove = (id: string): PolicyStep => ({
  action: 'delete',
  thing: 'rule',
  name: id,
  id,
  differences: [],
  body: {},
})

/** Plays the steps as the API would; throws where it would refuse. */
function play(steps: readonly PolicyStep[], there: readonly PortableRule[]): Map<string, number> {
  const now = new Map(there.map(({ id = '', precedence = 0 }) => [id, precedence]))
  for (const { action, id, name, precedence = 0 } of steps) {
    if (action === 'delete') {
      now.delete(id ?? '')
      continue
    }
    const holder = [...now].find(([, at]) => at === precedence)?.[0]
    if (holder !== undefined && holder !== id) throw new Error(`${precedence} is taken by ${holder}`)
    now.set(id ?? name, precedence)
  }
  return now
}

const told = (steps: readonly PolicyStep[]) =>
  steps.map(({ action, name, precedence }) => `${action} ${name} ${precedence}`)

test('rules that move down follow each other, without a detour', () => {
  const there = [rule('a', 1), rule('b', 2), rule('c', 3)]
  expect(told(orderRules([update('a', 2), update('b', 3), update('c', 4)], there))).toEqual([
    'update c 4',
    'update b 3',
    'update a 2',
  ])
})

test('two rules that change places: one steps aside, next to where it was', () => {
  const there = [rule('a', 10), rule('b', 20)]
  expect(told(orderRules([update('a', 20), update('b', 10)], there))).toEqual([
    'park b 21',
    'update a 20',
    'update b 10',
  ])
})

test('a rule to be deleted steps aside and goes last', () => {
  const steps = orderRules([create('new', 10), remove('old')], [rule('old', 10)])
  expect(told(steps)).toEqual(['park old 11', 'create new 10', 'delete old undefined'])
})

test('any set of changes ends where it should, and no step is refused', () => {
  const precedences = fc.uniqueArray(fc.integer({ min: 0, max: 12 }), { minLength: 1, maxLength: 8 })
  fc.assert(
    fc.property(precedences, precedences, fc.nat(8), (before, after, pruned) => {
      const there = before.map((precedence, at) => rule(`r${at}`, precedence))
      const gone = there.slice(0, Math.min(pruned, there.length))
      const kept = there.slice(gone.length)
      const steps = after.map((precedence, at) => {
        const own = kept[at]
        return own?.id === undefined ? create(`n${at}`, precedence) : update(own.id, precedence)
      })
      // those that are neither updated nor deleted must not be in the way
      const still = kept.slice(after.length)
      fc.pre(still.every(({ precedence }) => !after.includes(precedence ?? -1)))
      const ordered = orderRules([...steps, ...gone.map(({ id = '' }) => remove(id))], there)
      const now = play(ordered, there)
      const expected = [
        ...steps.map(({ id, name, precedence }) => [id ?? name, precedence]),
        ...still.map(({ id, precedence }) => [id, precedence]),
      ]
      expect([...now].sort()).toEqual(expected.sort())
      const firstDeletion = ordered.findIndex(({ action }) => action === 'delete')
      expect(
        ordered.slice(firstDeletion < 0 ? ordered.length : firstDeletion).every(({ action }) => action === 'delete'),
      ).toBe(true)
    }),
  )
})

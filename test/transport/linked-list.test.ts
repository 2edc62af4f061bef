import fc from 'fast-check'
import { expect, test } from 'vitest'
import { LinkedList, type ListEntry } from '../../src/transport/linked-list.ts'

test('a crowd holds what entered and has not left, in the order of entering', () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 9 })), (steps) => {
      const crowd = new LinkedList<number>()
      const places = new Map<number, ListEntry<number>>()
      steps.forEach((step, at) => {
        const oldest = [...places.keys()][step]
        if (oldest === undefined) places.set(at, crowd.enter(at))
        else {
          const place = places.get(oldest)
          if (place !== undefined) crowd.leave(place)
          places.delete(oldest)
        }
        expect(crowd.list()).toEqual([...places.keys()])
        expect(crowd.size).toBe(places.size)
      })
    }),
  )
})

test('leaving twice takes nobody else out, and a place that was left refers to nothing', () => {
  const crowd = new LinkedList<string>()
  crowd.enter('first')
  const place = crowd.enter('second')
  crowd.enter('third')
  crowd.leave(place)
  crowd.leave(place)
  expect(crowd.list()).toEqual(['first', 'third'])
  expect(crowd.size).toBe(2)
  expect(place).toEqual({ item: undefined, before: undefined, after: undefined })
})

test('an empty crowd says so to whoever waits, and one that is not yet empty does not', async () => {
  const crowd = new LinkedList<string>()
  await crowd.empty()
  const places = [crowd.enter('a'), crowd.enter('b')]
  let isEmpty = false
  const empty = crowd.empty().then(() => {
    isEmpty = true
  })
  for (const place of places) {
    await Promise.resolve()
    expect(isEmpty).toBe(false)
    crowd.leave(place)
  }
  await empty
})

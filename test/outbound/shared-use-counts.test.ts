// One limit counted by several threads: exact however they interleave, and right again after one of them dies.

import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { describe, expect, test } from 'vitest'
import { SharedUseTable } from '../../src/outbound/shared-use-counts.ts'

describe('counts in shared memory', () => {
  test('[E7]: the limit holds over all threads together', () => {
    const table = new SharedUseTable(3)
    const threads = [0, 1, 2].map((thread) => table.countsOf(thread))
    const granted = Array.from({ length: 12 }, (_, at) => threads[at % 3]?.add('a b', 5))
    expect(granted.filter((used) => used !== undefined)).toEqual([1, 2, 3, 4, 5])
    threads[0]?.remove('a b')
    expect(threads[1]?.add('a b', 5)).toBe(5)
    expect(threads[2]?.add('a b', 5)).toBeUndefined()
  })

  test('each key has a count of its own, and a key that nobody uses leaves no trace', () => {
    const table = new SharedUseTable(2)
    const [one, two] = [table.countsOf(0), table.countsOf(1)]
    for (let key = 0; key < 5000; key++) expect(one.add(`key ${key}`, 1)).toBe(1)
    for (let key = 0; key < 5000; key++) expect(two.add(`key ${key}`, 1)).toBeUndefined()
    expect(one.own()).toEqual({ keys: 5000, most: 1 })
    for (let key = 0; key < 5000; key++) one.remove(`key ${key}`)
    expect(one.own()).toEqual({ keys: 0, most: 0 })
    for (let key = 0; key < 5000; key++) expect(two.add(`key ${key}`, 1)).toBe(1)
  })

  test('what a dead thread had counted is given back, and nothing else', () => {
    const table = new SharedUseTable(2)
    const [one, two] = [table.countsOf(0), table.countsOf(1)]
    for (let at = 0; at < 3; at++) one.add('a b', 10)
    two.add('a b', 10)
    table.forget(0)
    expect(two.add('a b', 10)).toBe(2)
    expect(table.countsOf(0).add('a b', 2)).toBeUndefined()
    expect(table.countsOf(0).add('a b', 3)).toBe(3)
  })

  test('[E7]: threads that take and give back at once never exceed the limit, and end with nothing in use', async () => {
    const table = new SharedUseTable(3)
    const module = new URL('../../src/outbound/shared-use-counts.ts', import.meta.url).href
    const code = `
      import { workerData } from 'node:worker_threads'
      const { SharedUseTable } = await import(${JSON.stringify(module)})
      const counts = new SharedUseTable(3, workerData.buffer).countsOf(workerData.thread)
      let most = 0
      for (let round = 0; round < 20000; round++) {
        const key = 'key ' + (round % 3)
        const used = counts.add(key, 2)
        if (used === undefined) continue
        most = Math.max(most, used)
        counts.remove(key)
      }
      const { parentPort } = await import('node:worker_threads')
      parentPort.postMessage(most)`
    const most = await Promise.all(
      [0, 1].map(async (thread) => {
        const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(code)}`), {
          workerData: { buffer: table.buffer, thread },
        })
        const [answer] = await once(worker, 'message')
        return answer as number
      }),
    )
    expect(Math.max(...most)).toBeLessThanOrEqual(2)
    const last = table.countsOf(2)
    for (let key = 0; key < 3; key++) expect(last.add(`key ${key}`, 2)).toBe(1)
  })
})

import { expect, test } from 'vitest'
import { createLineQueue } from '../../src/log/line-queue.ts'

test('lines arrive whole, in order, in batches, each with its line feed', async () => {
  const batches: string[] = []
  const queue = createLineQueue({
    write: async (batch) => void batches.push(batch.toString()),
    onProblem: fail,
    batch: 10,
  })
  for (const line of ['one', 'two', 'three', 'a line longer than a batch', 'five']) queue.push(line)
  await queue.close(1000)
  expect(batches).toEqual(['one\ntwo\n', 'three\n', 'a line longer than a batch\n', 'five\n'])
  expect(queue.dropped).toBe(0)
})

test('lines keep their letters, and those that come while a batch is written wait for the next', async () => {
  const batches: string[] = []
  const done = Promise.withResolvers<void>()
  const queue = createLineQueue({
    onProblem: fail,
    batch: 40,
    async write(batch) {
      if (batches.length === 0) queue.push('während')
      await Promise.resolve()
      batches.push(batch.toString())
      if (batches.length === 2) done.resolve()
    },
  })
  queue.push('größer')
  queue.push('日本語')
  await done.promise
  expect(batches).toEqual(['größer\n日本語\n', 'während\n'])
  expect(queue.dropped).toBe(0)
})

test('RS-08: a stuck writer costs bounded memory, and what is dropped is counted', async () => {
  const queue = createLineQueue({ write: () => new Promise(() => {}), onProblem: fail, capacity: 1000 })
  for (let at = 0; at < 1000; at++) queue.push('0123456789')
  expect(queue.dropped).toBe(1000 - Math.floor(1000 / 11))
  await queue.close(10)
  expect(queue.dropped).toBe(1000)
})

test('RS-08: a failing writer is told of once, tried again, and loses nothing when it recovers', async () => {
  const problems: unknown[] = []
  const written: string[] = []
  let failures = 3
  const done = Promise.withResolvers<void>()
  const queue = createLineQueue({
    retryMs: 1,
    onProblem: (error) => problems.push(error),
    async write(batch) {
      if (failures-- > 0) throw new Error('disk full')
      written.push(batch.toString())
      if (written.join('') === 'one\ntwo\n') done.resolve()
    },
  })
  queue.push('one')
  queue.push('two')
  await done.promise
  expect(problems).toHaveLength(1)
  expect(queue.dropped).toBe(0)
})

test('closing gives a failing writer one last try and then counts what is lost', async () => {
  const queue = createLineQueue({
    write: () => Promise.reject(new Error('disk full')),
    onProblem: () => {},
    retryMs: 60_000,
  })
  queue.push('one')
  await queue.close(5000)
  queue.push('too late')
  expect(queue.dropped).toBe(2)
})

function fail(error: unknown): never {
  throw error
}

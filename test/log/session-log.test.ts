import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createLineQueue } from '../../src/log/line-queue.ts'
import { createSessionLog } from '../../src/log/session-log.ts'
import { sampleRecord } from './sample-record.ts'

function memoryQueue() {
  let text = ''
  const queue = createLineQueue({
    onProblem: (error: unknown) => expect.unreachable(String(error)),
    async write(batch) {
      text += batch.toString()
    },
  })
  return {
    queue: Object.assign(queue, { whyNotWritable: async () => undefined }),
    lines: () => text.split('\n').slice(0, -1),
  }
}

test('a session goes to the file as JSON, to a terminal as a line, to memory and to whoever listens', async () => {
  const file = memoryQueue()
  const output = memoryQueue()
  const log = createSessionLog({ file: file.queue, output: { queue: output.queue, form: 'line', colour: false } })
  const heard: string[] = []
  const stop = log.subscribe((record) => heard.push(record.SessionID))
  log.record(sampleRecord({ SessionID: 'a' }))
  stop()
  log.record(sampleRecord({ SessionID: 'b' }))
  await log.close(5000)
  expect(file.lines().map((line) => JSON.parse(line).SessionID)).toEqual(['a', 'b'])
  expect(output.lines()[0]).toContain('bob@example.com')
  expect(heard).toEqual(['a'])
  expect(log.recent().map((record) => record.SessionID)).toEqual(['a', 'b'])
  expect(log).toMatchObject({ total: 2, dropped: 0 })
})

test('RS-10: memory holds only the last sessions', () => {
  const log = createSessionLog({ remember: 3 })
  for (let n = 0; n < 10; n++) log.record(sampleRecord({ SessionID: String(n) }))
  expect(log.recent().map((record) => record.SessionID)).toEqual(['7', '8', '9'])
  expect(log.total).toBe(10)
})

test('LG-01: NDJSON has one parsable line per session, whatever a client sent', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.string({ unit: 'binary' }), { maxLength: 20 }), async (names) => {
      const output = memoryQueue()
      const log = createSessionLog({ output: { queue: output.queue, form: 'ndjson', colour: false } })
      for (const name of names) log.record(sampleRecord({ Email: name }))
      await log.close(5000)
      expect(output.lines().map((line) => JSON.parse(line).Email)).toEqual(names)
    }),
    { numRuns: 50 },
  )
})

import { expect, test } from 'vitest'
import { RecentSessions } from '../../src/proxy/live-sessions.ts'
import { sampleRecord } from '../log/sample-record.ts'

const session = (id: string) => ({ id, record: sampleRecord({ SessionID: id }) })

test('the oldest session gives way when the memory is full (RS-10)', () => {
  const memory = new RecentSessions(2)
  for (const id of ['a', 'b', 'c']) memory.add(session(id))
  expect(memory.list().map(({ record }) => record.SessionID)).toEqual(['b', 'c'])
  expect(memory.find('a')).toBeUndefined()
  expect(memory.find('c')?.record.SessionID).toBe('c')
})

test('a listener hears every session until it is stopped', () => {
  const memory = new RecentSessions(1)
  const heard: string[] = []
  const stop = memory.subscribe(({ record }) => heard.push(record.SessionID))
  memory.add(session('a'))
  stop()
  memory.add(session('b'))
  expect(heard).toEqual(['a'])
})

import { expect, test } from 'vitest'
import { createEventLog } from '../../src/log/event-log.ts'

function written(form: 'line' | 'ndjson', act: (log: ReturnType<typeof createEventLog>) => void): string {
  let text = ''
  act(createEventLog({ form, write: (more) => (text += more) }))
  return text
}

test('a person at a terminal reads one plain line per event', () => {
  const text = written('line', (log) => {
    log.info('listening on 127.0.0.1:8080')
    log.warn('the session log lost 3 lines')
    log.error('cannot write the session log', new Error('no space\nleft'))
  })
  expect(text).toBe(
    'egresslab: listening on 127.0.0.1:8080\negresslab: warning: the session log lost 3 lines\n' +
      'egresslab: error: cannot write the session log: no space\\u{a}left\n',
  )
})

test('elsewhere events are JSON, one per line, with details', () => {
  const line = JSON.parse(written('ndjson', (log) => log.warn('lines lost', { dropped: 3 })))
  expect(line).toMatchObject({ level: 40, name: 'egresslab', msg: 'lines lost', dropped: 3 })
})

test('LG: values under the names of secrets are blacked out', () => {
  const text = written('ndjson', (log) => log.info('started', { token: 's3cret', password: 'lab-bob' }))
  expect(text).not.toMatch(/s3cret|lab-bob/)
})

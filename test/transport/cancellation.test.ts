import { expect, test } from 'vitest'
import { CancellationSource } from '../../src/transport/cancellation.ts'

test('listeners hear of the departure once, in their order, and those that left do not', () => {
  const departure = new CancellationSource()
  const heard: string[] = []
  const gone = () => heard.push('gone')
  departure.addEventListener('abort', () => heard.push('first'))
  departure.addEventListener('abort', gone)
  departure.addEventListener('abort', () => heard.push('second'))
  departure.removeEventListener('abort', gone)
  expect(departure.aborted).toBe(false)
  departure.abort('why')
  departure.abort('again')
  expect(heard).toEqual(['first', 'second'])
  expect(departure).toMatchObject({ aborted: true, reason: 'why' })
})

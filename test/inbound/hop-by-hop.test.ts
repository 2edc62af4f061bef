import fc from 'fast-check'
import { expect, test } from 'vitest'
import { valuesOf } from '../../src/http1/fields.ts'
import { allowedTrailers, endToEnd, hasToken } from '../../src/inbound/http-forward/hop-by-hop.ts'

const NONE: ReadonlySet<string> = new Set()
const PROTECTED = ['authorization', 'content-length', 'host', 'via', 'www-authenticate']
const fieldName = fc.stringMatching(/^[A-Za-z][A-Za-z0-9-]{0,15}$/)

test('HH-01 HH-02 whatever Connection names is gone, however it is spelled, protected names are not, the rest keeps its order', () => {
  fc.assert(
    fc.property(fc.array(fieldName, { maxLength: 8 }), fc.array(fieldName, { maxLength: 8 }), (named, others) => {
      const nominated = [...named, ...PROTECTED]
      const fields = [...nominated, ...others].flatMap((name) => [name, 'v'])
      const kept = endToEnd(['CONNECTION', nominated.join(' , ').toUpperCase(), ...fields], NONE)
      const names = kept.filter((_, at) => at % 2 === 0)
      const gone = new Set([
        ...named.map((name) => name.toLowerCase()),
        'connection',
        'keep-alive',
        'te',
        'trailer',
        'upgrade',
      ])
      for (const name of PROTECTED) gone.delete(name)
      expect(names).toEqual([...nominated, ...others].filter((name) => !gone.has(name.toLowerCase())))
    }),
    { numRuns: 300 },
  )
})

test('several Connection fields all count', () => {
  expect(endToEnd(['Connection', 'a', 'A', '1', 'connection', 'close, b', 'B', '2', 'C', '3'], NONE)).toEqual([
    'C',
    '3',
  ])
})

test('FR-05 trailers cannot bring framing, routing, credentials or cookies', () => {
  expect(
    allowedTrailers(['Content-Length', '5', 'X-Sum', '1', 'Set-Cookie', 'a', 'HOST', 'b', 'Authorization', 'c']),
  ).toEqual(['X-Sum', '1'])
})

test('values and tokens', () => {
  expect(valuesOf(['X', '1', 'x', '2', 'Xy', '3'], 'x')).toEqual(['1', '2'])
  expect(hasToken(['close', 'Keep-Alive, Upgrade'], 'upgrade')).toBe(true)
  expect(hasToken(['not-upgrade'], 'upgrade')).toBe(false)
})

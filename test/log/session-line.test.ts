import fc from 'fast-check'
import { expect, test } from 'vitest'
import { sessionLine } from '../../src/log/session-log.ts'
import { sampleRecord } from './sample-record.ts'

const withoutClock = (line: string) => line.replace(/^\d\d:\d\d:\d\d {2}/, '')

test('a connection reads: who, network, destination, rule, egress IP, colo, where it seems to be, bytes, time', () => {
  expect(withoutClock(sessionLine(sampleRecord(), { colour: false }))).toBe(
    'bob@example.com      default    ipv4.icanhazip.com:80     (balanced)              203.0.113.10   via AMS  seen in Amsterdam NL    ↑ 312 B ↓ 4.1 kB  12 ms',
  )
})

test('the deciding rule stands in place of the outcome', () => {
  const line = sessionLine(sampleRecord({ EgressRuleName: 'Finance to the bank' }), { colour: false })
  expect(line).toContain('  Finance to the bank     203.0.113.10')
})

test('a refused connection says its close reason, its code and its message, and no address', () => {
  const refused = sampleRecord(
    { Email: '', EgressIP: '', EgressColoName: '', ConnectionCloseReason: 'PROXY_CONN_REFUSED' },
    { error: { code: 'identity.required', message: 'no credentials were sent' } },
  )
  expect(withoutClock(sessionLine(refused, { colour: false }))).toBe(
    '(nobody)             default    ipv4.icanhazip.com:80     PROXY_CONN_REFUSED identity.required: no credentials were sent  12 ms',
  )
})

test('LG-01: whatever a client sends, a session is one line without control or direction-changing characters', () => {
  const nasty = fc.string({ unit: 'binary', maxLength: 300 })
  fc.assert(
    fc.property(nasty, nasty, nasty, (email, target, message) => {
      const record = sampleRecord({ Email: email }, { target, error: { code: 'dial.refused', message } })
      expect(sessionLine(record, { colour: false })).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/u)
    }),
  )
})

test('LG-01: a 64 KB user name does not flood the terminal', () => {
  expect(sessionLine(sampleRecord({ Email: 'x'.repeat(65536) }), { colour: false }).length).toBeLessThan(400)
})

test('colour only where asked for', () => {
  expect(sessionLine(sampleRecord(), { colour: false })).not.toContain('\u001b')
  expect(sessionLine(sampleRecord(), { colour: true })).toContain('\u001b[32m203.0.113.10')
})

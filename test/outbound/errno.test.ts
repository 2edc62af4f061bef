import { describe, expect, it } from 'vitest'
import { ip } from '../../src/net/ip.ts'
import { bestOf, type DialledPair, dialError, isPortClash } from '../../src/outbound/errno.ts'
import { endpoint } from './attempt.ts'

const PAIR: DialledPair = {
  bind: ip('127.0.10.10'),
  egress: ip('203.0.113.10'),
  dial: endpoint('192.0.2.80', 443),
  destination: endpoint('192.0.2.80', 443),
}

function systemError(code: string, syscall = 'connect'): Error {
  return Object.assign(new Error('whatever the system says'), { code, syscall })
}

describe('a system error has one meaning', () => {
  it.each([
    ['ECONNREFUSED', 'connect', 'dial.refused'],
    ['ECONNRESET', 'connect', 'dial.reset'],
    ['ETIMEDOUT', 'connect', 'dial.timeout'],
    ['EHOSTUNREACH', 'connect', 'dial.unreachable'],
    ['ENETUNREACH', 'connect', 'dial.unreachable'],
    ['EACCES', 'connect', 'dial.unreachable'],
    ['EADDRNOTAVAIL', 'bind', 'egress.address_missing'],
    ['EADDRNOTAVAIL', 'connect', 'egress.ports_exhausted'],
    ['EADDRINUSE', 'connect', 'egress.ports_exhausted'],
    ['EINVAL', 'connect', 'dial.unreachable'],
    ['EMFILE', 'connect', 'guard.too_many_connections'],
    ['EWHATEVER', 'connect', 'dial.unreachable'],
  ])('%s from %s is %s', (code, syscall, expected) => {
    const cause = systemError(code, syscall)
    const error = dialError(cause, PAIR)
    expect(error.code).toBe(expected)
    expect(error.cause).toBe(cause)
    expect(error.details).toMatchObject({ errno: code, dial: '192.0.2.80:443', bind: '127.0.10.10' })
  })

  it('says in words that a loopback stand-in cannot leave this host', () => {
    expect(dialError(systemError('EINVAL'), PAIR).message).toBe(
      'no connection from `127.0.10.10` to `192.0.2.80:443`: a loopback stand-in cannot leave this host',
    )
  })

  it('tells a busy port, which another port may solve, from a missing address', () => {
    expect(isPortClash(systemError('EADDRINUSE'))).toBe(true)
    expect(isPortClash(systemError('EADDRNOTAVAIL', 'connect'))).toBe(true)
    expect(isPortClash(systemError('EADDRNOTAVAIL', 'bind'))).toBe(false)
    expect(isPortClash(systemError('ECONNREFUSED'))).toBe(false)
  })
})

it('of several errors the one that says most about the destination leads', () => {
  const order = ['ENETUNREACH', 'ETIMEDOUT', 'ECONNREFUSED'].map((code) => dialError(systemError(code), PAIR))
  expect(bestOf(order).code).toBe('dial.refused')
  expect(bestOf(order.slice(0, 2)).code).toBe('dial.timeout')
  expect(bestOf(order.slice(0, 1))).toBe(order[0])
})

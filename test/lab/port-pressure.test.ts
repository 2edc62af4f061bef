import { expect, test } from 'vitest'
import { createPressureWarning } from '../../src/lab/thread-data-plane.ts'
import { ip } from '../../src/net/ip.ts'
import { PortLeases } from '../../src/outbound/port-leases.ts'

const REQUEST = {
  egress: ip('203.0.113.10'),
  destination: { ip: ip('198.51.100.1'), port: 443 },
  bind: ip('127.0.10.10'),
  dial: { ip: ip('127.0.20.1'), port: 10_443 },
}

test('EG-03 80, 95 and 100 % of the limit are told once, and again after a minute', () => {
  const said: string[] = []
  let now = 0
  const onPressure = createPressureWarning(
    (message) => said.push(message),
    () => now,
  )
  const leases = new PortLeases({ limit: () => 20, range: { first: 20_000, last: 21_000 }, onPressure })
  const held = Array.from({ length: 20 }, () => leases.lease(REQUEST))
  expect(said).toEqual([
    '16 of 20 connections from `203.0.113.10` to `198.51.100.1:443` are in use (80 %)',
    '19 of 20 connections from `203.0.113.10` to `198.51.100.1:443` are in use (95 %)',
    '20 of 20 connections from `203.0.113.10` to `198.51.100.1:443` are in use (100 %); the next one is refused with `egress.ports_exhausted`',
  ])

  const upAndDown = () => {
    held.pop()?.release()
    held.push(leases.lease(REQUEST))
  }
  upAndDown()
  expect(said).toHaveLength(3)
  now = 60_000
  upAndDown()
  expect(said).toHaveLength(4)
})

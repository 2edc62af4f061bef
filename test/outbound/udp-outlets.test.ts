// What egress health hears of UDP: the same as of TCP, and nothing of an exit that does not carry it.

import { expect, test } from 'vitest'
import type { ConfiguredExit } from '../../src/config/lab-config.ts'
import { DEFAULT_PORT_RANGE, PortLeases } from '../../src/outbound/port-leases.ts'
import { SourceRegistry } from '../../src/outbound/source-registry.ts'
import { createUdpOutlets } from '../../src/outbound/udp-socket.ts'
import { engine } from '../support/engine.ts'
import { attempt, endpoint } from './attempt.ts'

const LISTENER = {
  received: () => undefined,
  dropped: () => undefined,
  unreachable: () => undefined,
  failed: () => undefined,
}
const EXIT: ConfiguredExit = {
  text: 'http://192.0.2.9:8080',
  kind: 'http',
  at: endpoint('192.0.2.9', 8080),
  realises: ['203.0.113.10'],
}

/** What is told of one attempt: the egress address, and the error where there was one. */
async function toldOf(standIn: string, exit?: ConfiguredExit): Promise<readonly string[]> {
  const told: string[] = []
  const outlets = createUdpOutlets({
    engine,
    leases: new PortLeases({ limit: () => 10, range: DEFAULT_PORT_RANGE, onPressure: () => undefined }),
    sources: new SourceRegistry(),
    exitOf: () => exit,
    onAttempt: ({ address }, error) => told.push(`${address.text} ${error?.code ?? 'works'}`),
  })(() => undefined)
  const dialled = attempt({ dial: endpoint('127.0.0.1', 9), standIns: [standIn] })
  await outlets.connect([dialled], LISTENER).then(
    ({ channel }) => channel.destroy(),
    () => undefined,
  )
  return told
}

test('an address that is bound works', async () => {
  expect(await toldOf('127.0.10.10')).toEqual(['203.0.113.10 works'])
})

test('an address that this machine does not have is missing', async () => {
  expect(await toldOf('203.0.113.10')).toEqual(['203.0.113.10 egress.address_missing'])
})

test('an exit that carries TCP only is not out for it', async () => {
  expect(await toldOf('127.0.10.10', EXIT)).toEqual([])
})

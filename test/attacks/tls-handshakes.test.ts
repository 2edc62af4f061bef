// Story: clients that begin with a TLS record and then send junk, or nothing more, or leave. Each is let go with one record, others
// notice nothing, and no connection reaches an origin (TL-02, RS-01).

import { expect, test } from 'vitest'
import { curl } from '../support/curl.ts'
import { PATIENCE_MS } from '../support/patience.ts'
import { RawClient } from '../support/raw-client.ts'
import { BOB, EGRESS, PASSWORD, startGateway } from '../support/start-gateway.ts'
import { tellMeOrigin } from '../support/tell-me-origin.ts'
import { testTls, tlsSource } from '../support/tls.ts'

const RECORD = Buffer.from('1603010200010001fc0303', 'hex')

async function start(handshakeTimeoutMs = PATIENCE_MS) {
  const source = await tlsSource()
  return startGateway({ settings: { tlsFor: () => source, handshakeTimeoutMs } })
}

test.each([
  ['random bytes', Buffer.concat([Buffer.of(0x16), Buffer.alloc(2_000, 0xa5)])],
  ['a record longer than records are', Buffer.from('160301ffff', 'hex')],
  ['a record of no length', Buffer.from('1603010000', 'hex')],
  ['SSL 2 length', Buffer.from('160002', 'hex')],
  ['a finished message first', Buffer.from('16030300041400000c', 'hex')],
  ['HTTP behind the first byte', Buffer.from('\x16GET / HTTP/1.1\r\n\r\n', 'latin1')],
])('junk: %s', async (_what, bytes) => {
  const gateway = await start(300)
  const client = await RawClient.connect(gateway.port)
  await client.send(bytes).end()
  const [record] = await gateway.recorded(1)
  expect(['request.tls_failed', 'request.timeout']).toContain(record?.Lab.error?.code)
  expect(gateway.records).toHaveLength(1)
})

test('slow: a handshake that does not go on is cut, and so is one that trickles', async () => {
  const gateway = await start(1_000)
  const silent = await RawClient.connect(gateway.port)
  await silent.send(RECORD).end()
  const trickling = await RawClient.connect(gateway.port)
  trickling.send(RECORD)
  const trickle = setInterval(() => trickling.send(Buffer.of(0)), 20)
  await trickling.end()
  clearInterval(trickle)
  expect(await gateway.recorded(2)).toMatchObject([
    { ConnectionCloseReason: 'CLIENT_IDLE_TIMEOUT', Lab: { error: { code: 'request.timeout' } } },
    { Lab: { error: { code: 'request.timeout' } } },
  ])
})

test('leaving: at every byte of a handshake, by FIN and by reset; honest clients go on (TU-08)', async () => {
  const origin = await tellMeOrigin()
  const gateway = await start()
  const { authorityFile } = await testTls()
  for (let cut = 1; cut <= RECORD.length; cut++) {
    for (const reset of [true, false]) {
      const client = await RawClient.connect(gateway.port)
      await client.sendInPieces([RECORD.subarray(0, cut)])
      if (reset) client.socket.resetAndDestroy()
      else client.socket.end()
    }
  }
  const records = await gateway.recorded(RECORD.length)
  expect(new Set(records.map(({ Lab }) => Lab.error?.code))).toEqual(new Set(['request.tls_failed']))
  const proxy = ['-x', `https://127.0.0.1:${gateway.port}`, '--proxy-cacert', authorityFile]
  const answer = await curl(...proxy, '-U', `${BOB}:${PASSWORD}`, `http://o.test:${origin.port}/`)
  expect(answer.body).toBe(`${EGRESS[BOB]?.bound}\n`)
  expect(origin.connections).toHaveLength(1)
})

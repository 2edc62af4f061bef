// A stop of the proxy is nobody's error: what it cuts off says so in the record.

import { connect } from 'node:net'
import { expect, test } from 'vitest'
import { startGateway } from '../support/start-gateway.ts'

test.each([
  ['a method and half a target', 'GET http://x'],
  ['a CONNECT without its end', 'CONNECT o.test:80 HTTP/1.1\r\nHost: o'],
  ['a SOCKS5 greeting without its methods', '\x05\x02'],
])('LC-01 a stop in the middle of a request is recorded as ours, not as the client’s: %s', async (_what, begun) => {
  const { gateway, port, records, recorded } = await startGateway({ settings: { drainMs: 1_000 } })
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => undefined)
  socket.write(Buffer.from(begun, 'latin1'))
  await expect.poll(() => gateway.clients).toBe(1)
  await gateway.stop()
  await recorded(1)
  expect(records.map(({ Lab }) => Lab.error?.code)).toEqual(['relay.killed'])
})

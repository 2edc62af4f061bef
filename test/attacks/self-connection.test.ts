// Story: somebody asks the proxy to connect to itself, under every name it has, to loop it or to reach what only it may reach
// (SS-04, HH-05). Refused through every way in, before anything is dialled.

import { expect, test } from 'vitest'
import { RawClient } from '../support/raw-client.ts'
import { startGateway } from '../support/start-gateway.ts'

const SPELLINGS = [
  '127.0.0.1',
  '127.1',
  '2130706433',
  '0x7f000001',
  '0.0.0.0',
  '[::ffff:127.0.0.1]',
  'localhost',
  'LOCALHOST.',
]

test.each(SPELLINGS)('SS-01 SS-04 %s on our own port is refused, whatever the protocol', async (host) => {
  const gateway = await startGateway({ listener: { authentication: 'anonymous' } })
  const high = String.fromCharCode(gateway.port >> 8)
  const low = String.fromCharCode(gateway.port & 255)
  const bare = host.replace(/^\[|\]$/g, '')
  const name = `${String.fromCharCode(bare.length)}${bare}`
  const ways: readonly [string, string][] = [
    [`CONNECT ${host}:${gateway.port} HTTP/1.1\r\nHost: o\r\n\r\n`, 'HTTP/1.1 403 '],
    [`GET http://${host}:${gateway.port}/ HTTP/1.1\r\nHost: o\r\nConnection: close\r\n\r\n`, 'HTTP/1.1 403 '],
    [`\x05\x01\0\x05\x01\0\x03${name}${high}${low}`, '\x05\0\x05\x02'],
    [`\x04\x01${high}${low}\0\0\0\x01\0${bare}\0`, '\0\x5b'],
  ]

  for (const [bytes, answer] of ways) {
    const client = await RawClient.connect(gateway.port)
    await client.send(bytes).end()
    expect(client.received.slice(0, answer.length)).toBe(answer)
  }

  for (const { Lab } of await gateway.recorded(ways.length)) expect(Lab.error?.code).toBe('guard.own_listener')
  expect(gateway.records).toHaveLength(ways.length)
})

// Clients beyond the number that can be served: each is told so in its own protocol, and recorded (RS-03).

import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { startGateway } from '../support/start-gateway.ts'

/** A connection that takes the place of one. */
async function occupy(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  onTestFinished(() => void socket.destroy())
  await once(socket, 'connect')
  return socket
}

/** Everything said to a client that begins like this, up to the end of the connection. */
async function answerTo(port: number, words: string | Uint8Array): Promise<{ text: string; ended: string }> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  const chunks: Buffer[] = []
  const ended = new Promise<string>((resolve) => {
    socket.on('end', () => resolve('FIN')).on('error', () => resolve('RST'))
  })
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  socket.write(words)
  const how = await ended
  socket.destroy()
  return { text: Buffer.concat(chunks).toString('latin1'), ended: how }
}

test.each([
  ['CONNECT', 'CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n', 'HTTP/1.1 503 '],
  ['a forwarded request', 'GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n', 'HTTP/1.1 503 '],
  ['SOCKS5', Uint8Array.of(5, 1, 0), '\x05\xff'],
  ['SOCKS4', Uint8Array.of(4, 1, 0, 80, 127, 0, 0, 1, 0), '\x00\x5b'],
  ['TLS', Uint8Array.of(0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0), '\x15\x03\x01\x00\x02'],
] as const)('RS-03: %s over the limit is refused in its own words, not reset', async (_name, words, expected) => {
  const { port, records, gateway } = await startGateway({ settings: { maxClients: 1 } })
  const first = await occupy(port)
  await expect.poll(() => gateway.clients).toBe(1)
  const { text, ended } = await answerTo(port, words)
  expect(text.startsWith(expected)).toBe(true)
  expect(ended).toBe('FIN')
  if (expected.startsWith('HTTP')) expect(text).toMatch(/^Retry-After: 1\r$/m)
  expect(records.map(({ Lab }) => Lab.error?.code)).toEqual(['guard.too_many_connections'])
  first.destroy()
  await expect.poll(() => gateway.clients).toBe(0)
  expect((await answerTo(port, 'CONNECT nowhere HTTP/1.1\r\n\r\n')).text).toMatch(/ 400 /)
})

test('RS-03: those that are turned away are bounded too, and one that says nothing holds no place', async () => {
  const { port, records, pipeline } = await startGateway({
    settings: { maxClients: 1, maxRefusedClients: 1, handshakeTimeoutMs: 2_000 },
  })
  await occupy(port)
  const silent = await occupy(port)
  const third = await answerTo(port, 'CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n')
  expect(third).toEqual({ text: '', ended: 'RST' })
  expect(records.map(({ Lab }) => Lab.error?.code)).toEqual(['guard.too_many_connections'])
  expect(pipeline.counts().refused).toEqual({ 'guard.too_many_connections': 1 })
  await once(silent.resume(), 'close')
})

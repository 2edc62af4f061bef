import { expect, test } from 'vitest'
import { curl } from '../support/curl.ts'
import { RawClient } from '../support/raw-client.ts'
import { BOB, startGateway } from '../support/start-gateway.ts'
import { listen } from '../support/tcp.ts'
import { tellMeOrigin } from '../support/tell-me-origin.ts'

const AS_BOB = { listener: { authentication: 'anonymous' as const, fixedUser: BOB } }

function port(number: number): string {
  return String.fromCharCode(number >> 8, number & 255)
}

test('SK-01 SK-07 any cut of a 4a request gives the same tunnel, and the reply holds the egress address', async () => {
  const { port: origin } = await listen((socket) => socket.on('data', (data) => socket.write(`echo ${data}`)))
  const gateway = await startGateway(AS_BOB)
  const bytes = Buffer.from(`\x04\x01${port(origin)}\0\0\0\x01me\0o.test\0early`, 'latin1')

  for (let cut = 0; cut < bytes.length; cut++) {
    const client = await RawClient.connect(gateway.port)
    await client.sendInPieces([bytes.subarray(0, cut), bytes.subarray(cut)])
    await client.text('echo early'.slice(0, 6))
    expect(client.received.slice(0, 2)).toBe('\0\x5a')
    expect(client.received.slice(4, 8)).toBe('\xcb\0\x71\x0a')
    client.socket.resetAndDestroy()
  }
})

test('plain SOCKS4 with an address works as well', async () => {
  const origin = await tellMeOrigin()
  const gateway = await startGateway(AS_BOB)
  const answer = await curl('-x', `socks4://127.0.0.1:${gateway.port}`, `http://127.0.0.1:${origin.port}/`)
  expect(answer.body).toBe('127.0.10.10\n')
})

test.each([
  ['SK-07 a user id without end', `\x04\x01\0\x50\x7f\0\0\x01${'u'.repeat(300)}`, '\x5b'],
  ['SK-07 a name without end', `\x04\x01\0\x50\0\0\0\x01u\0${'n'.repeat(300)}`, '\x5b'],
  ['SK-07 address 0.0.0.0', '\x04\x01\0\x50\0\0\0\0u\0', '\x5b'],
  ['SK-04 port 0', '\x04\x01\0\0\x7f\0\0\x01u\0', '\x5b'],
  ['SK-05 BIND', '\x04\x02\0\x50\x7f\0\0\x01u\0', '\x5b'],
  ['SK-04 an empty name', '\x04\x01\0\x50\0\0\0\x01u\0\0', '\x5b'],
  ['a name that does not exist', '\x04\x01\0\x50\0\0\0\x01u\0nowhere.invalid\0', '\x5b'],
])('%s is refused with 91 and one record', async (_what, bytes, code) => {
  const gateway = await startGateway(AS_BOB)
  const client = await RawClient.connect(gateway.port)
  await client.send(bytes).end()
  expect(client.received).toBe(`\0${code}\0\0\0\0\0\0`)
  expect(await gateway.recorded(1)).toHaveLength(1)
})

test('a door that wants a login cannot be used: 93, since a user id proves nothing', async () => {
  const gateway = await startGateway()
  const client = await RawClient.connect(gateway.port)
  await client.send(`\x04\x01\0\x50\0\0\0\x01${BOB}\0o.test\0`).end()
  expect(client.received.slice(0, 2)).toBe('\0\x5d')
  expect(await gateway.recorded(1)).toMatchObject([{ Lab: { error: { code: 'identity.required' } } }])
})

import { expect, test } from 'vitest'
import { detectProtocol } from '../../src/inbound/listener.ts'
import { RawClient } from '../support/raw-client.ts'
import { startGateway } from '../support/start-gateway.ts'

test.each([
  ['\x04\x01', 'socks4'],
  ['\x05', 'socks5'],
  ['\x16\x03\x01', 'tls'],
  ['CONNECT example.com:443', 'connect'],
  ['CONNECT ', 'connect'],
  ['CONNECT', undefined],
  ['C', undefined],
  ['', undefined],
  ['CONNECTx', 'http'],
  ['COPY http://', 'http'],
  ['GET /', 'http'],
  ['\r\nGET', 'http'],
  ['\0', 'http'],
  ['\x06', 'http'],
])('%j is %s', (bytes, spoken) => {
  expect(detectProtocol(Buffer.from(bytes, 'latin1'))).toBe(spoken)
})

test('SK-08 TLS to a plain door is refused with an alert, at once, and the record says what to do', async () => {
  const gateway = await startGateway()
  const client = await RawClient.connect(gateway.port)
  await client.send('\x16\x03\x01\x02\x00\x01').end()
  expect(client.received).toBe('\x15\x03\x01\0\x02\x02\x28')
  expect((await gateway.recorded(1))[0]?.Lab.error?.message).toContain('use http:// for the proxy itself')
})

test('SK-08 nonsense is refused at once', async () => {
  const gateway = await startGateway()
  const client = await RawClient.connect(gateway.port)
  await client.send('\0\x01\x02\x03').end()
  expect(client.received).toMatch(/^HTTP\/1\.1 400 /)
})

// What a tunnel carries, by the first bytes of its client, and that it stands in the record.

import { once } from 'node:events'
import { connect as connectTls, createServer } from 'node:tls'
import { describe, expect, test } from 'vitest'
import { understandFirstBytes } from '../../src/proxy/session.ts'
import { curl } from '../support/curl.ts'
import { RawClient } from '../support/raw-client.ts'
import { startGateway } from '../support/start-gateway.ts'
import { listen } from '../support/tcp.ts'

const OPEN = { listener: { authentication: 'anonymous' as const } }

/** The first bytes that Node's TLS client sends for this server name. */
async function clientHello(servername?: string): Promise<Buffer> {
  const { promise, resolve } = Promise.withResolvers<Buffer>()
  const { port } = await listen((socket) => void socket.once('data', resolve))
  const client = connectTls({ port, host: '127.0.0.1', ...(servername === undefined ? {} : { servername }) })
  client.on('error', () => {})
  const bytes = await promise
  client.destroy()
  return bytes
}

describe('the first bytes of a client', () => {
  test.each([
    ['GET / HTTP/1.1\r\n', 'http'],
    ['OPTIONS * HTTP/1.1\r\n', 'http'],
    ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'http2'],
    ['SSH-2.0-OpenSSH_10.0\r\n', 'ssh'],
    ['EHLO example.com\r\n', ''],
    ['get / http/1.1\r\n', ''],
    ['\x16\x01\x00', ''],
    ['', ''],
  ])('%j is %j', (text, protocol) => {
    expect(understandFirstBytes(Buffer.from(text, 'latin1'))).toEqual({ protocol, sni: '' })
  })

  test('TLS names the host it is for, in lower case', async () => {
    expect(understandFirstBytes(await clientHello('Shop.Example.com'))).toEqual({
      protocol: 'tls',
      sni: 'shop.example.com',
    })
    expect(understandFirstBytes(await clientHello())).toEqual({ protocol: 'tls', sni: '' })
  })

  test('a ClientHello cut anywhere, or with any byte changed, is TLS without an exception', async () => {
    const hello = await clientHello('shop.example.com')
    for (let length = 2; length < hello.length; length++) {
      expect(['', 'shop.example.com']).toContain(understandFirstBytes(hello.subarray(0, length)).sni)
    }
    for (let at = 5; at < hello.length; at++) {
      const changed = Buffer.from(hello)
      changed[at] = (changed[at] ?? 0) ^ 0xff
      expect(understandFirstBytes(changed).sni).toMatch(/^[\w.-]*$/)
    }
  })
})

describe('the record of a tunnel', () => {
  test('has the protocol and the server name, and TU-11: neither changes where it goes', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const gateway = await startGateway(OPEN)
    const address = server.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    await curl(
      '-p',
      '-x',
      `http://127.0.0.1:${gateway.port}`,
      '-k',
      '--resolve',
      `shop.example.com:${port}:127.0.0.1`,
      '--connect-to',
      `::127.0.0.1:${port}`,
      `https://shop.example.com:${port}/`,
    )
    server.close()
    await expect.poll(() => gateway.records).toHaveLength(1)
    expect(gateway.records[0]).toMatchObject({
      DetectedProtocol: 'tls',
      SNI: 'shop.example.com',
      OriginIP: '127.0.0.1',
    })
  })

  test('has it for bytes that came with the request too (TU-04), and nothing where the client never spoke', async () => {
    const { port } = await listen((socket) => void socket.end('hello'))
    const gateway = await startGateway(OPEN)
    const early = await RawClient.connect(gateway.port)
    await early.send(`CONNECT 127.0.0.1:${port} HTTP/1.1\r\nHost: x\r\n\r\nSSH-2.0-x\r\n`).end()
    early.socket.end()
    const silent = await RawClient.connect(gateway.port)
    await silent.send(`CONNECT 127.0.0.1:${port} HTTP/1.1\r\nHost: x\r\n\r\n`).end()
    silent.socket.end()
    await expect.poll(() => gateway.records).toHaveLength(2)
    expect(gateway.records.map(({ DetectedProtocol }) => DetectedProtocol)).toEqual(['ssh', ''])
  })
})

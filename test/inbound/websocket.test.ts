import { createServer } from 'node:http'
import { describe, expect, test } from 'vitest'
import { WebSocketServer } from 'ws'
import { byteLogOrigin } from '../support/byte-log-origin.ts'
import { RawClient } from '../support/raw-client.ts'
import { startGateway } from '../support/start-gateway.ts'
import { tellMeOrigin } from '../support/tell-me-origin.ts'

const OPEN = { listener: { authentication: 'anonymous' as const } }

/** One request in absolute form, without credentials. */
function request(port: number, fields = '', { method = 'GET', path = '/', version = '1.1', host = 'o.test' } = {}) {
  return `${method} http://${host}:${port}${path} HTTP/${version}\r\nHost: ${host}\r\n${fields}\r\n`
}

describe('HH-13 WebSocket', () => {
  test('goes through, and becomes a tunnel with its record', async () => {
    const server = createServer()
    const sockets = new WebSocketServer({ server })
    sockets.on('connection', (socket) => socket.on('message', (data) => socket.send(`echo ${data}`)))
    const origin = await tellMeOrigin()
    origin.server.on('upgrade', (req, socket, head) => {
      sockets.handleUpgrade(req, socket, head, (ws) => sockets.emit('connection', ws, req))
    })
    const gateway = await startGateway(OPEN)
    const client = await RawClient.connect(gateway.port)
    const fields =
      'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n'

    await client.send(request(origin.port, fields)).text('Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n')
    expect(client.received).toMatch(/^HTTP\/1\.1 101 Switching Protocols\r\n/)
    expect(client.received).toMatch(/\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n/)
    await client.send(Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0x68, 0x69])).text('echo hi')
    client.socket.destroy()

    expect(await gateway.recorded(1)).toMatchObject([{ Lab: { inbound: 'http-forward' } }])
    expect(gateway.records[0]?.Lab.error).toBeUndefined()
  })

  test('refused by the origin is an ordinary answer, and the last one', async () => {
    const origin = await tellMeOrigin((_req, res) => res.writeHead(403).end('no sockets here'))
    const gateway = await startGateway(OPEN)
    const client = await RawClient.connect(gateway.port)
    await client.send(request(origin.port, 'Connection: Upgrade\r\nUpgrade: websocket\r\n')).end()
    expect(client.received).toMatch(/^HTTP\/1\.1 403 Forbidden\r\n/)
    expect(client.received).toContain('no sockets here')
  })

  test('is the only protocol to switch to: h2c goes on as plain HTTP', async () => {
    const origin = await byteLogOrigin()
    const gateway = await startGateway(OPEN)
    const client = await RawClient.connect(gateway.port)
    await client
      .send(request(origin.port, 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n'))
      .text('ok')
    expect(origin.received).not.toMatch(/h2c|upgrade|http2/i)
  })
})

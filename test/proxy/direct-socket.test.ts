import { createServer, type Socket } from 'node:net'
import { expect, it, onTestFinished } from 'vitest'
import { adoptAccepted, DirectSocket } from '../../src/proxy/direct-socket.ts'
import { dialPlain, listen, next, readToEnd } from '../support/tcp.ts'

it('adopting an accepted socket works on this version of Node', async () => {
  const accepted = Promise.withResolvers<Socket>()
  const { port } = await listen((socket) => accepted.resolve(adoptAccepted(socket)))
  const client = await dialPlain(port)
  const adopted = await accepted.promise
  expect(adopted).toBeInstanceOf(DirectSocket)
  expect([adopted.remotePort, adopted.localPort]).toEqual([client.localPort, port])
  client.end('from the client')
  expect((await readToEnd(adopted)).toString()).toBe('from the client')
  adopted.end('from the server')
  expect((await readToEnd(client)).toString()).toBe('from the server')
})

it('a server still counts adopted connections, and closes with the last', async () => {
  const accepted = Promise.withResolvers<Socket>()
  const server = createServer((socket) => accepted.resolve(adoptAccepted(socket)))
  onTestFinished(() => void server.close())
  server.listen(0, '127.0.0.1')
  await next(server, 'listening')
  await dialPlain((server.address() as { port: number }).port)
  const adopted = await accepted.promise
  const count = () => new Promise((resolve) => server.getConnections((_error, connections) => resolve(connections)))
  expect(await count()).toBe(1)
  const closed = next(server, 'close')
  server.close()
  adopted.destroy()
  await closed
  expect(await count()).toBe(0)
})

it('a direct socket is an ordinary stream, with back-pressure, until it is told to pump', async () => {
  const { port } = await listen((socket) => socket.end(Buffer.alloc(8 * 1024 * 1024, 'x')))
  const socket = new DirectSocket({ allowHalfOpen: true })
  onTestFinished(() => void socket.destroy())
  socket.connect(port, '127.0.0.1')
  await next(socket, 'readable')
  expect(socket.readableLength).toBeLessThanOrEqual(512 * 1024)
  expect((await readToEnd(socket)).length).toBe(8 * 1024 * 1024)
})

it('what is not an accepted TCP socket comes back as it is', () => {
  const unconnected = new DirectSocket()
  expect(adoptAccepted(unconnected)).toBe(unconnected)
})

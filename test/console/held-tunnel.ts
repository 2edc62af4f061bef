// A connection through the proxy that stays open, for looking at.

import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

/** A CONNECT tunnel as one of the shipped users (`bob`, `carol;vnet=vnet-EMEA`); the proxy's answer is read and dropped. */
export async function openTunnel(proxyPort: number, who: string, target: string): Promise<Socket> {
  const [name = '', ...parameters] = who.split(';')
  const user = [`${name}@example.com`, ...parameters].join(';')
  const credentials = Buffer.from(`${user}:lab-${name}`).toString('base64')
  const socket = connect(proxyPort, '127.0.0.1')
  socket.on('error', () => undefined)
  socket.write(`CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\nProxy-Authorization: Basic ${credentials}\r\n\r\n`)
  await once(socket, 'data')
  return socket
}

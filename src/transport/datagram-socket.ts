// A UDP socket bound to exactly one address and port, for the two sides of a relay. Never a wildcard, never shared.

import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import type { Endpoint } from '../net/endpoint.ts'

/** Binds; port 0 is any. Rejects with the system's error, and leaves no socket then. Errors of later sends go to the callback of
 *  the send, if anywhere. */
export async function bindDatagramSocket({ ip, port }: Endpoint): Promise<Socket> {
  const socket = createSocket({ type: ip.family === 4 ? 'udp4' : 'udp6', lookup: asItIs })
  const listening = once(socket, 'listening')
  socket.bind({ address: ip.text, port, exclusive: true })
  try {
    await listening
  } catch (thrown) {
    socket.close()
    throw thrown
  }
  socket.on('error', () => undefined)
  return socket
}

/** Only addresses are ever sent to; Node's own look-up would put each datagram off by a tick. */
function asItIs(
  address: string,
  _options: unknown,
  done: (error: null, address: string, family: number) => void,
): void {
  done(null, address, address.includes(':') ? 6 : 4)
}

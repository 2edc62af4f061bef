// Gateway DNS over UDP: one datagram in, one out (RFC 1035 section 4.2.1). Answers allowed clients only.

import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import type { Endpoint } from '../net/endpoint.ts'
import { type Ip, parseIp } from '../net/ip.ts'
import type { GatewayDns } from './gateway-dns.ts'
import { MAX_QUERY_BYTES } from './message.ts'

/** Most queries in progress; further ones are dropped, as by a congested network. */
const MAX_UNDER_WAY = 1_000

export interface DnsDatagramServer {
  readonly port: number
  close(): Promise<void>
}

/** Listens. Rejects with the system's error. `isClient`: who is answered; all others get no reply, so that a forged
 *  source address receives nothing. */
export async function serveDatagrams(
  { ip, port }: Endpoint,
  { answer }: Pick<GatewayDns, 'answer'>,
  isClient: (address: Ip) => boolean,
): Promise<DnsDatagramServer> {
  const socket = createSocket(ip.family === 4 ? 'udp4' : 'udp6')
  let underWay = 0
  socket.on('message', (message, peer) => {
    const from = parseIp(peer.address.replace(/%.*$/, ''))
    if (from === undefined || !isClient(from) || underWay >= MAX_UNDER_WAY || message.length > MAX_QUERY_BYTES) return
    underWay++
    void answer(message, ({ udpLimit }) => udpLimit).then((reply) => {
      underWay--
      if (reply !== undefined) sendTo(socket, reply, peer)
    })
  })
  const listening = once(socket, 'listening')
  socket.bind({ address: ip.text, port, exclusive: true })
  await listening
  socket.on('error', () => undefined)
  return {
    port: socket.address().port,
    close: async () => {
      const closed = once(socket, 'close')
      socket.close()
      await closed
    },
  }
}

function sendTo(socket: Socket, reply: Buffer, peer: { readonly port: number; readonly address: string }): void {
  try {
    // the client may be gone; there is nobody to report to
    socket.send(reply, peer.port, peer.address, () => undefined)
  } catch {
    // the server was closed meanwhile
  }
}

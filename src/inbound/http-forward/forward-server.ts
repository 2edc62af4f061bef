// Forwarded HTTP for clients whose first bytes were not SOCKS, TLS or CONNECT: takes them over, and lets them go when the proxy stops.

import { LinkedList } from '../../transport/linked-list.ts'
import type { ClientConnection } from '../client-connection.ts'
import type { ForwardSettings } from './forward.ts'
import { type ConnectTurn, Http1Requests } from './http1-requests.ts'

export interface ForwardServer {
  /** Takes over a client; its bytes are still in its stream. */
  receive(client: ClientConnection): void
  /** answers carry `Connection: close` from here on, idle clients are let go (LC-01) */
  drain(): void
}

export function createForwardServer(settings: ForwardSettings, onConnect: ConnectTurn): ForwardServer {
  const clients = new LinkedList<Http1Requests>()
  return {
    receive(client) {
      client.release()
      const requests = new Http1Requests(client, settings, onConnect)
      const entry = clients.enter(requests)
      client.stream.onceClosed(() => clients.leave(entry))
      requests.start()
    },
    drain() {
      for (const requests of clients.list()) requests.stop()
    },
  }
}

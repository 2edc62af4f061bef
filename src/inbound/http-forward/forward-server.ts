// Forwarded HTTP/1 for clients whose first bytes were not SOCKS, TLS or CONNECT: takes them over, and closes idle ones
// when the proxy stops.

import { LinkedList } from '../../transport/linked-list.ts'
import type { ClientConnection } from '../client-connection.ts'
import type { ForwardSettings } from './forward.ts'
import { type ConnectTurn, Http1Requests } from './http1-requests.ts'

export interface ForwardServer {
  /** Takes over a client whose first bytes are still in its stream. */
  receive(client: ClientConnection): void
  /** From now on responses carry `Connection: close`; idle clients are closed (LC-01). */
  drain(): void
}

/** `onConnect` takes a CONNECT that follows other requests on its connection. */
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

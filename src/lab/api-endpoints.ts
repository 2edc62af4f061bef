// Proxy endpoints made at the API: a listener on loopback for each, for as long as the endpoint exists. Its port is kept with the
// endpoint, so that it is the same after a restart where it is still free.

import type { EndpointsPort } from '../api/index.ts'
import type { ProxyEndpointDocument } from '../config/lab-state.ts'
import { messageOf } from '../errors/thrown.ts'
import type { OpenListener } from '../inbound/listener.ts'
import type { EventLog } from '../log/event-log.ts'
import { type Cidr, parseCidr } from '../net/cidr.ts'
import type { Listener } from '../proxy/arrival.ts'
import type { Store } from '../store/store.ts'

const HOST = '127.0.0.1'

interface ApiEndpointsParts {
  readonly store: Pick<Store, 'current' | 'subscribe'>
  /** Opens one listener of the data plane; port 0 takes a free one. Rejects where it cannot be bound. Undefined: there are none. */
  readonly open: ((listener: Listener) => Promise<OpenListener>) | undefined
  readonly events: Pick<EventLog, 'warn'>
}

export interface ApiEndpoints extends EndpointsPort {
  /** Opens the endpoints that were made before this start; resolves to what closes all there are by then. */
  resume(): Promise<() => Promise<void>>
  listeners(): readonly Listener[]
}

/** Listeners for the endpoints of the store that no configuration file declares; undefined where none can be opened. */
export function createApiEndpoints({ store, open, events }: ApiEndpointsParts): ApiEndpoints | undefined {
  if (open === undefined) return undefined
  const opened = new Map<string, OpenListener>()

  const current = (id: string) => {
    const stored = store.current().state.proxyEndpoint.get(id)
    return stored === undefined || stored.deletedAt !== null || stored.seed !== null ? undefined : stored.value
  }

  const openFor = async (endpoint: ProxyEndpointDocument): Promise<number> => {
    const port = endpoint.port ?? 0
    const listener = listenerFor(endpoint, port, () => current(endpoint.id) ?? endpoint)
    const one = await open(listener).catch((thrown: unknown) => {
      if (port === 0) throw thrown
      events.warn(
        `port ${port} of the proxy endpoint \`${endpoint.name}\` is taken; it gets another one until the next start`,
      )
      return open(listenerFor(endpoint, 0, () => current(endpoint.id) ?? endpoint))
    })
    opened.set(endpoint.id, one)
    return one.address.port
  }

  const shut = (id: string): void => {
    const one = opened.get(id)
    opened.delete(id)
    void one?.close()
    one?.resetAll()
  }

  const unsubscribe = store.subscribe((_snapshot, { touched }) => {
    for (const { kind, id, action } of touched) if (kind === 'proxyEndpoint' && action === 'deleted') shut(id)
  })

  const closeAll = async (): Promise<void> => {
    unsubscribe()
    const all = [...opened.values()]
    opened.clear()
    const closed = all.map((one) => one.close())
    for (const one of all) one.resetAll()
    await Promise.all(closed)
  }

  return {
    open: openFor,
    shut,
    addressOf: (id) => {
      const port = opened.get(id)?.address.port
      return port === undefined ? undefined : { host: HOST, port }
    },
    async resume() {
      const made = [...store.current().state.proxyEndpoint.values()].flatMap(({ value }) => current(value.id) ?? [])
      for (const endpoint of made) {
        await openFor(endpoint).catch((thrown: unknown) => {
          events.warn(`the proxy endpoint \`${endpoint.name}\` cannot listen: ${messageOf(thrown)}`)
        })
      }
      return closeAll
    },
    listeners: () => [...opened.values()].map(({ listener, address }) => ({ ...listener, port: address.port })),
  }
}

/** Name and networks are read anew for every client: they may change at the API. */
function listenerFor(endpoint: ProxyEndpointDocument, port: number, now: () => ProxyEndpointDocument): Listener {
  const { kind, subdomain } = endpoint
  return {
    name: `endpoint ${subdomain}`,
    host: HOST,
    port,
    authentication: kind === 'identity' ? 'required' : 'anonymous',
    endpoint: {
      kind,
      host: `${subdomain}.proxy.cloudflare-gateway.com`,
      get name() {
        return now().name
      },
      get networks(): readonly Cidr[] {
        return now().networks.flatMap((text) => parseCidr(text) ?? [])
      },
    },
  }
}

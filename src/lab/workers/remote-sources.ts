// The registry of outgoing connections across threads: a worker reports connections to test origins to the main thread before
// it connects; an origin that asks sees everything reported up to that moment. Other destinations are not reported.

import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads'
import type { Endpoint } from '../../net/endpoint.ts'
import type { SourceRegistry, Sources } from '../../outbound/source-registry.ts'
import type { PublicSource, PublicSourceOf } from '../../proxy/stage-values.ts'
import type { SourceMessage } from './messages.ts'

const nothing = () => {}

/** The worker's end, for connections to these addresses, of which there may be more later. */
export function createSourceSender(
  port: MessagePort,
  origins: ReadonlySet<string>,
): (transport: 'tcp' | 'udp') => Sources {
  let next = 0
  const send = (message: SourceMessage) => port.postMessage(message)
  return (transport) => ({
    add(bound: Endpoint, dialled: Endpoint, source: PublicSource) {
      if (!origins.has(dialled.ip.text)) return nothing
      const id = next++
      send({ kind: 'add', id, transport, bound, dialled, source })
      return () => send({ kind: 'remove', id })
    },
  })
}

/** The main thread's end of one worker. */
export class SourceListener {
  readonly #port: MessagePort
  readonly #registries: Readonly<Record<'tcp' | 'udp', SourceRegistry>>
  readonly #held = new Map<number, () => void>()

  constructor(port: MessagePort, registries: Readonly<Record<'tcp' | 'udp', SourceRegistry>>) {
    this.#port = port
    this.#registries = registries
    port.on('message', this.#take)
    port.unref()
  }

  /** Applies everything reported so far, synchronously. */
  catchUp(): void {
    for (
      let message = receiveMessageOnPort(this.#port);
      message !== undefined;
      message = receiveMessageOnPort(this.#port)
    ) {
      this.#take(message.message)
    }
  }

  /** The worker is gone: forgets its connections. */
  close(): void {
    this.#port.close()
    for (const forget of this.#held.values()) forget()
    this.#held.clear()
  }

  readonly #take = (message: SourceMessage): void => {
    if (message.kind === 'add') {
      this.#held.set(
        message.id,
        this.#registries[message.transport].add(message.bound, message.dialled, message.source),
      )
    } else {
      this.#held.get(message.id)?.()
      this.#held.delete(message.id)
    }
  }
}

/** The question origins ask, answered after catching up with every worker. */
export function askedOf(registry: SourceRegistry, catchUp: () => void): PublicSourceOf {
  return (peer, local) => {
    catchUp()
    return registry.publicSourceOf(peer, local)
  }
}

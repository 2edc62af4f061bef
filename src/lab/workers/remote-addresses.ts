// What workers and the main thread tell each other about addresses. Placeholders: Gateway DNS runs in the main thread, and so
// does its table; a worker that is asked for an address in their range asks there what it stands for, other addresses never
// leave the worker. Sources: a worker reports connections to test origins to the main thread before it connects, and an
// origin that asks sees everything reported up to that moment; other destinations are not reported.

import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads'
import { GatewayError } from '../../errors/gateway-error.ts'
import { type Cidr, containsIp } from '../../net/cidr.ts'
import type { Endpoint } from '../../net/endpoint.ts'
import type { Family, Ip } from '../../net/ip.ts'
import type { SourceRegistry, Sources } from '../../outbound/source-registry.ts'
import type { Ports } from '../../proxy/pipeline-ports.ts'
import type { Placeholder, PublicSource, PublicSourceOf } from '../../proxy/stage-values.ts'
import type { MessageFromWorker, MessageToWorker, SourceMessage } from './messages.ts'

export type PlaceholderQuestion = Extract<MessageFromWorker, { kind: 'placeholder' | 'hold' | 'letGo' }>
export type PlaceholderAnswer = Extract<MessageToWorker, { kind: 'placeholder' }>

type AskPlaceholder = NonNullable<Ports['placeholderAt']>

/** The worker's end. */
export class PlaceholderClient {
  readonly #tell: (question: PlaceholderQuestion) => void
  readonly #rangeOf: (family: Family) => Cidr
  /** ranges this worker has seen in force: what was given out before a range was moved stays good */
  readonly #ranges = new Map<string, Cidr>()
  readonly #asked = new Map<number, (answer: PlaceholderAnswer) => void>()
  #next = 0

  constructor(tell: (question: PlaceholderQuestion) => void, rangeOf: (family: Family) => Cidr) {
    this.#tell = tell
    this.#rangeOf = rangeOf
  }

  readonly placeholderAt: AskPlaceholder = (target) => {
    if (target.kind === 'name' || !this.#mayBeOne(target.ip)) return undefined
    return this.#ask(target.ip)
  }

  hear(answer: PlaceholderAnswer): void {
    this.#asked.get(answer.id)?.(answer)
    this.#asked.delete(answer.id)
  }

  #mayBeOne(address: Ip): boolean {
    const range = this.#rangeOf(address.family)
    this.#ranges.set(range.text, range)
    for (const seen of this.#ranges.values()) if (containsIp(seen, address)) return true
    return false
  }

  async #ask(address: Ip): Promise<Placeholder | undefined> {
    const id = this.#next++
    const { promise, resolve } = Promise.withResolvers<PlaceholderAnswer>()
    this.#asked.set(id, resolve)
    this.#tell({ kind: 'placeholder', id, address })
    const { found, refused } = await promise
    if (refused !== undefined) throw new GatewayError(refused.code, refused.message)
    return found === undefined ? undefined : { ...found, hold: () => this.#hold(id, address) }
  }

  #hold(id: number, address: Ip): () => void {
    this.#tell({ kind: 'hold', id, address })
    return () => this.#tell({ kind: 'letGo', id })
  }
}

/** The main thread's end of one worker. */
export class PlaceholderServer {
  readonly #placeholderAt: AskPlaceholder
  readonly #held = new Map<number, () => void>()

  constructor(placeholderAt: AskPlaceholder) {
    this.#placeholderAt = placeholderAt
  }

  async hear(question: PlaceholderQuestion, answer: (answer: PlaceholderAnswer) => void): Promise<void> {
    if (question.kind === 'letGo') {
      this.#held.get(question.id)?.()
      this.#held.delete(question.id)
      return
    }
    const { id, address } = question
    try {
      const found = await this.#placeholderAt({ kind: 'ip', ip: address, port: 0 })
      if (question.kind === 'hold') {
        if (found !== undefined) this.#held.set(id, found.hold())
        return
      }
      answer({ kind: 'placeholder', id, ...(found === undefined ? {} : { found: factsOf(found) }) })
    } catch (thrown) {
      if (!(thrown instanceof GatewayError)) throw thrown
      const { code, message } = thrown
      if (question.kind === 'placeholder') answer({ kind: 'placeholder', id, refused: { code, message } })
    }
  }

  /** The worker is gone, and its connections with it. */
  close(): void {
    for (const letGo of this.#held.values()) letGo()
    this.#held.clear()
  }
}

function factsOf({ initial, name, address }: Placeholder): Omit<Placeholder, 'hold'> {
  return { initial, name, address }
}

const nothing = () => {}

/** The worker's end, for connections to these addresses. */
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

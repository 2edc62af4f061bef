// What members say to each other over NATS beside the log: a heartbeat every second, and who is there, for those who want to join.
// Signed like the log; lost without harm.

import { randomUUID } from 'node:crypto'
import type { NatsConnection } from '@nats-io/transport-node'
import type { FleetIdentity } from './log-message.ts'
import type { Beat } from './member-watch.ts'

type Said = Omit<Beat, 'by' | 'incarnation' | 'count'>

/** How long others have to say that they are there. */
const ASK_MS = 500

/** Sends this member's heartbeat and answers who is there; hands over those of others, checked by signature and
 *  order. */
export class MemberCalls {
  /** names this start of the member */
  readonly incarnation = randomUUID()
  readonly #connection: NatsConnection
  readonly #identity: FleetIdentity
  #count = 0

  constructor(connection: NatsConnection, identity: FleetIdentity) {
    this.#connection = connection
    this.#identity = identity
  }

  send(said: Said): void {
    this.#connection.publish(this.#subject('beat'), this.#seal(said))
  }

  /** `answer`: undefined while it is no member yet. */
  listen({ answer, hear }: { readonly answer: () => Said | undefined; readonly hear: (beat: Beat) => void }): void {
    const questions = this.#connection.subscribe(this.#subject('ask'))
    void (async () => {
      for await (const { data } of questions) {
        const asker = Buffer.from(data).toString('utf8')
        const said = answer()
        if (said !== undefined && /^[0-9a-f-]{36}$/.test(asker)) {
          this.#connection.publish(`${this.#subject('who')}.${asker}`, this.#seal(said))
        }
      }
    })()
    const beats = this.#connection.subscribe(this.#subject('beat'))
    void (async () => {
      for await (const { data } of beats) {
        const beat = this.#open(data)
        if (beat !== undefined) hear(beat)
      }
    })()
  }

  /** Everybody else who says that they are there. */
  async whoIsUp(): Promise<readonly Beat[]> {
    const inbox = this.#connection.subscribe(`${this.#subject('who')}.${this.incarnation}`)
    const found: Beat[] = []
    const reading = (async () => {
      for await (const { data } of inbox) {
        const beat = this.#open(data)
        if (beat !== undefined && beat.incarnation !== this.incarnation && !beat.leaving) found.push(beat)
      }
    })()
    this.#connection.publish(this.#subject('ask'), Buffer.from(this.incarnation))
    await pause(ASK_MS)
    inbox.unsubscribe()
    await reading
    return found
  }

  /** Resolves once everything is sent, or soon in any case. */
  async flush(): Promise<void> {
    await Promise.race([this.#connection.flush().catch(() => undefined), pause(ASK_MS)])
  }

  #subject(kind: 'beat' | 'ask' | 'who'): string {
    return `egresslab-${kind}.${this.#identity.fleet}`
  }

  #seal(said: Said): Uint8Array {
    const beat: Beat = { by: this.#identity.member, incarnation: this.incarnation, count: ++this.#count, ...said }
    const { bytes, signature, certificate } = this.#identity.seal(beat)
    return Buffer.from(JSON.stringify([Buffer.from(bytes).toString('base64'), signature, certificate]))
  }

  /** Undefined: no member said it. */
  #open(data: Uint8Array): Beat | undefined {
    try {
      const [bytes = '', signature = '', certificate = ''] = JSON.parse(Buffer.from(data).toString('utf8')) as string[]
      return this.#identity.open<Beat>({ bytes: Buffer.from(bytes, 'base64'), signature, certificate })
    } catch {
      return undefined
    }
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

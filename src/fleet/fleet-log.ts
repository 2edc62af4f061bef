// The log of a fleet in NATS: one stream of JetStream, in which every change of the fleet has one place. Who changes something writes
// it for the next place; if somebody else was there first, NATS refuses it. A message is read by its place, never as it happens to
// arrive, so nothing is skipped, and nothing is taken before NATS has it.

import { randomUUID } from 'node:crypto'
import type { ConsumerMessages, JetStreamClient, JetStreamManager, StreamConfig, StreamInfo } from '@nats-io/jetstream'
import type { MsgHdrs, NatsConnection } from '@nats-io/transport-node'
import { ownVersion } from '../config/own-package.ts'
import { ChangeError } from '../errors/change-error.ts'
import { type InputError, inputError } from '../errors/issue.ts'
import { messageOf } from '../errors/thrown.ts'
import { LOG_FORMAT, type LogAct, type LogMessage, type SealedMessage, type WholeFleet } from './log-message.ts'
import { LogState, type LogVerdict, type PlacedMessage, rowsAfter } from './log-state.ts'
import { connectNats, type FleetLogParts, type NatsLibrary, natsLibrary } from './nats-connection.ts'

/** A message that took its place, or somebody else's that did. */
export type Proposed = { readonly kind: 'taken' } | { readonly kind: 'behind' }

const ASK_MS = 2_000
const PUBLISH_TRIES = 3
/** every so many messages one gives the whole state, so that whoever joins reads few */
const WHOLE_EVERY = 100
/** Most servers a log is copied to. */
const COPIES = 3
const WRONG_LAST_SEQUENCE = 10_071
const NO_SUCH_MESSAGE = 10_037
const NO_SUCH_STREAM = 10_059
const NAME_IN_USE = 10_058
/** by this server, or for this account */
const NOT_ENABLED: ReadonlySet<number> = new Set([10_076, 10_039])

class LeaderlessError extends Error {
  constructor() {
    super('the servers of the log have no leader')
  }
}

/** Reads the log from the last place this lab has, follows it, and appends to it. Every message is signed by its
 *  member; what does not fit the history stops the member. */
export class FleetLog {
  readonly connection: NatsConnection
  readonly nats: NatsLibrary
  readonly state = new LogState()
  readonly #parts: FleetLogParts
  readonly #jetStream: JetStreamClient
  readonly #manager: JetStreamManager
  readonly #stream: string
  #rows: WholeFleet['rows'] = []
  #reading: Promise<void> = Promise.resolve()
  #onRead: (verdict: LogVerdict, place: number) => void = () => {}

  /** Connects, and reads everything there is. Throws InputError `fleet.*` with the reason why it cannot be a member. */
  static async open(parts: FleetLogParts): Promise<FleetLog> {
    const nats = await natsLibrary()
    const connection = await connectNats(nats, parts)
    try {
      const manager = await nats.jetstreamManager(connection, { timeout: ASK_MS, checkAPI: false })
      const log = new FleetLog(parts, nats, connection, manager)
      await log.#load()
      return log
    } catch (thrown) {
      await connection.close()
      throw thrown
    }
  }

  private constructor(parts: FleetLogParts, nats: NatsLibrary, connection: NatsConnection, manager: JetStreamManager) {
    this.#parts = parts
    this.nats = nats
    this.connection = connection
    this.#manager = manager
    this.#jetStream = nats.jetstream(connection, { timeout: ASK_MS })
    this.#stream = streamName(parts.settings.name)
  }

  /** The documents as they are, until somebody {@link onRead | reads on}. */
  get rows(): WholeFleet['rows'] {
    return this.#rows
  }

  /** From now on gets what is read of each place. */
  onRead(listener: (verdict: LogVerdict, place: number) => void): void {
    this.#rows = []
    this.#onRead = listener
  }

  /** Reads everything that is there by now. Rejects where NATS cannot be asked. */
  catchUp(): Promise<void> {
    const done = this.#reading.then(() => this.#readOn())
    this.#reading = done.catch(() => undefined)
    return done
  }

  /** Writes an act for the next place, and reads it. `rows`: the documents after it; `since`: the revision that it was made on, where it
   *  counts on no other. Nothing else is read meanwhile. Throws ChangeError `change.fleet_cut_off`, `change.fleet_unknown`. */
  propose(act: LogAct, rows: () => WholeFleet['rows'], since?: number): Promise<Proposed> {
    const done = this.#reading.then(() => this.#propose(act, rows, since))
    this.#reading = done.then(
      () => undefined,
      () => undefined,
    )
    return done
  }

  async #propose(act: LogAct, rows: () => WholeFleet['rows'], since: number | undefined): Promise<Proposed> {
    const { state } = this
    if (since !== undefined && state.revision !== since) return { kind: 'behind' }
    const place = state.position + 1
    const isWhole = act.type === 'open' || act.type === 'adopt' || place % WHOLE_EVERY === 0
    const share = act.type === 'open' || act.type === 'adopt' ? act.share : state.share
    const members = [...state.membersAfter(act).values()]
    const message: LogMessage = {
      format: LOG_FORMAT,
      id: randomUUID(),
      by: this.#parts.settings.member,
      version: ownVersion(),
      at: Date.now(),
      revision: place,
      before: state.chain,
      act,
      ...(isWhole ? { whole: { share, members, rows: rows() } } : {}),
    }
    const { bytes, signature, certificate } = this.#parts.identity.seal(message)
    const most = this.connection.info?.max_payload ?? 0
    if (bytes.length + 4096 > most) {
      const why = `the change is ${bytes.length} bytes, and the NATS server takes messages of at most ${most}`
      throw new ChangeError('change.fleet_cut_off', `${why}; raise its \`max_payload\``)
    }
    const headers = this.#headersOf({ bytes, signature, certificate })
    const taken = await this.#publish(isWhole ? 'whole' : 'change', bytes, {
      msgID: message.id,
      headers,
      timeout: ASK_MS,
      expect: { lastSequence: state.position, streamName: this.#stream },
    })
    // where the answer to the first try was lost, the message that is there may be this one
    if (taken !== place && (await this.#messageAt(place)) !== message.id) return { kind: 'behind' }
    this.#hear({ place, message, bytes })
    return { kind: 'taken' }
  }

  /** Publishes to another stream, once for each id. Rejects where it is not taken. */
  async publish(subject: string, sealed: SealedMessage, msgID: string): Promise<void> {
    await this.#jetStream.publish(subject, sealed.bytes, { msgID, headers: this.#headersOf(sealed), timeout: ASK_MS })
  }

  /** What a message that was published so proves itself by. */
  proofOf(headers: MsgHdrs | undefined): Pick<SealedMessage, 'signature' | 'certificate'> {
    return { signature: headers?.get(SIGNATURE) ?? '', certificate: headers?.get(CERTIFICATE) ?? '' }
  }

  /** Makes a stream, copied to as many servers as the log; one that is there stays as it is. */
  async makeStream(config: Partial<StreamConfig> & Pick<StreamConfig, 'name'>): Promise<void> {
    const { JetStreamApiError } = this.nats
    let last: unknown
    for (const num_replicas of [COPIES, 1]) {
      try {
        await this.#manager.streams.add({ ...config, num_replicas })
        return
      } catch (thrown) {
        if (!(thrown instanceof JetStreamApiError)) throw thrown
        // of several that start at the same time one makes it
        if (thrown.code === NAME_IN_USE) return
        last = thrown
      }
    }
    throw last
  }

  /** Every message of a stream from place `from(last)` on, and those that come, until they are closed. `last`: the place of the last one
   *  there is. Rejects where NATS cannot be asked. */
  async messages(
    stream: string,
    from: (last: number) => number,
  ): Promise<{ last: number; messages: ConsumerMessages }> {
    const last = (await this.#manager.streams.info(stream)).state.last_seq
    const consumer = await this.#jetStream.consumers.get(stream, { opt_start_seq: Math.max(1, from(last)) })
    return { last, messages: await consumer.consume({ abort_on_missing_resource: true }) }
  }

  async close(): Promise<void> {
    await this.connection.close()
  }

  #headersOf({ signature, certificate }: SealedMessage): MsgHdrs {
    const headers = this.nats.headers()
    headers.set(SIGNATURE, signature)
    headers.set(CERTIFICATE, certificate)
    return headers
  }

  /** The place it took; undefined: somebody else's message is there. The same message is sent again where no answer came, and NATS knows
   *  it again by its id. */
  async #publish(
    kind: string,
    bytes: Uint8Array,
    options: Parameters<JetStreamClient['publish']>[2],
  ): Promise<number | undefined> {
    const { JetStreamApiError } = this.nats
    let isUnknown = false
    let reason = ''
    for (let left = PUBLISH_TRIES; left > 0; left--) {
      try {
        const { seq } = await this.#jetStream.publish(subjectOf(this.#parts.settings.name, kind), bytes, options)
        return seq
      } catch (thrown) {
        if (thrown instanceof JetStreamApiError && thrown.code === WRONG_LAST_SEQUENCE) return undefined
        reason = messageOf(thrown)
        isUnknown ||= !(this.#isUnheard(thrown) || thrown instanceof JetStreamApiError)
        if (thrown instanceof JetStreamApiError) break
      }
    }
    if (isUnknown) {
      throw new ChangeError('change.fleet_unknown', `NATS has not said whether it took the change: ${reason}`)
    }
    throw new ChangeError('change.fleet_cut_off', `NATS does not take changes: ${reason}`)
  }

  /** Was nobody there to take what was sent? */
  #isUnheard(thrown: unknown): boolean {
    const { NoRespondersError, RequestError } = this.nats
    // what the library throws then may have a class that it does not export
    const cause = thrown instanceof Error ? thrown.cause : undefined
    return thrown instanceof NoRespondersError || (cause instanceof RequestError && cause.isNoResponders())
  }

  async #load(): Promise<void> {
    const { settings } = this.#parts
    try {
      const info = await this.#ensureStream()
      await this.#beginAtWhole(info.state.last_seq)
      this.#onRead = (verdict) => {
        if (verdict.kind === 'stop') throw this.#refusal(verdict.code, verdict.why)
        if (verdict.kind === 'taken') this.#rows = rowsAfter(this.#rows, verdict.message.act)
      }
      await this.catchUp()
      const isForeign = this.state.position > 0 && this.state.revision === 0
      if (isForeign) {
        const why = `the stream \`${this.#stream}\` holds messages, and none of a member of this fleet`
        throw this.#refusal('fleet.foreign_stream', why, 'use another `fleet.name`, or the certificates of that fleet')
      }
    } catch (thrown) {
      const { JetStreamApiError, JetStreamError, TimeoutError } = this.nats
      const isOff =
        thrown instanceof JetStreamApiError ? NOT_ENABLED.has(thrown.code) : thrown instanceof JetStreamError
      if (isOff || this.#isUnheard(thrown)) {
        const why = `the NATS server at \`${this.connection.getServer()}\` has no JetStream that this member may use`
        throw this.#refusal('fleet.no_jetstream', `${why}: ${messageOf(thrown)}`, 'start it with `nats-server -js`')
      }
      const isLeaderless = thrown instanceof LeaderlessError || thrown instanceof JetStreamApiError
      if (!isLeaderless && !(thrown instanceof TimeoutError)) throw thrown
      const said = isLeaderless ? `cannot be asked now: ${messageOf(thrown)}` : 'does not answer'
      const why = `JetStream at \`${this.connection.getServer()}\` ${said}; of a cluster most servers must be up (${settings.servers.length} are named)`
      throw this.#refusal('fleet.unreachable', why)
    }
  }

  async #ensureStream(): Promise<StreamInfo> {
    const found = await this.info()
    const made = found ?? (await this.#makeLog())
    const { config } = made
    const subjects = [...(config.subjects ?? [])].sort().join(' ')
    if (config.description !== descriptionOf(this.#parts.settings.name) || subjects !== this.#subjects().join(' ')) {
      const why = `the stream \`${this.#stream}\` is not egresslab's`
      throw this.#refusal('fleet.foreign_stream', why, 'use another `fleet.name`, or another account of NATS')
    }
    return made
  }

  #subjects(): string[] {
    const { name } = this.#parts.settings
    return [subjectOf(name, 'change'), subjectOf(name, 'whole')]
  }

  async #makeLog(): Promise<StreamInfo> {
    await this.makeStream({
      name: this.#stream,
      description: descriptionOf(this.#parts.settings.name),
      subjects: this.#subjects(),
      deny_delete: true,
      deny_purge: true,
    })
    return this.#manager.streams.info(this.#stream)
  }

  /** The stream as it is; undefined: there is none. Rejects where nobody answers. */
  async info(): Promise<StreamInfo | undefined> {
    try {
      const info = await this.#manager.streams.info(this.#stream)
      // a server that has lost the others answers with what it knows, which may be old
      if (info.cluster !== undefined && !info.cluster.leader) throw new LeaderlessError()
      return info
    } catch (thrown) {
      if (thrown instanceof this.nats.JetStreamApiError && thrown.code === NO_SUCH_STREAM) return undefined
      throw thrown
    }
  }

  /** Starts at the last message that gives everything, where that is ours; else at the first one. */
  async #beginAtWhole(last: number): Promise<void> {
    if (last === 0) return
    const placed = await this.#get({ last_by_subj: subjectOf(this.#parts.settings.name, 'whole') })
    const whole = placed === undefined ? undefined : this.state.begin(placed)
    if (whole !== undefined) this.#rows = whole.rows
  }

  async #readOn(): Promise<void> {
    const info = await this.info()
    const last = info?.state.last_seq ?? 0
    if (last < this.state.position) {
      const why = `the log ends at ${last}, and this member has read it up to ${this.state.position}`
      this.#onRead({ kind: 'stop', code: 'fleet.history_differs', why }, last)
      return
    }
    while (this.state.position < last) {
      const place = this.state.position + 1
      const placed = await this.#get({ seq: place })
      if (placed === undefined) {
        this.#onRead({ kind: 'stop', code: 'fleet.gap', why: `message ${place} of the log is gone` }, place)
        return
      }
      if (this.#hear(placed).kind === 'stop') return
    }
  }

  async #messageAt(place: number): Promise<string | undefined> {
    try {
      return (await this.#get({ seq: place }))?.message?.id
    } catch (thrown) {
      throw new ChangeError(
        'change.fleet_unknown',
        `NATS has not said whether it took the change: ${messageOf(thrown)}`,
      )
    }
  }

  async #get(query: { readonly seq: number } | { readonly last_by_subj: string }): Promise<PlacedMessage | undefined> {
    try {
      const stored = await this.#manager.streams.getMessage(this.#stream, query)
      if (stored === null) return undefined
      const { seq, data, header } = stored
      return { place: seq, bytes: data, message: this.#parts.identity.open({ bytes: data, ...this.proofOf(header) }) }
    } catch (thrown) {
      if (thrown instanceof this.nats.JetStreamApiError && thrown.code === NO_SUCH_MESSAGE) return undefined
      throw thrown
    }
  }

  #hear(placed: PlacedMessage): LogVerdict {
    const verdict = this.state.read(placed)
    if (verdict.kind !== 'known') this.#onRead(verdict, placed.place)
    return verdict
  }

  #refusal(code: string, message: string, hint?: string): InputError {
    return inputError(code, message, { file: this.#parts.file, hint })
  }
}

const SIGNATURE = 'Egresslab-Signature'
const CERTIFICATE = 'Egresslab-Certificate'

function streamName(fleet: string): string {
  return `egresslab_${fleet}`
}

function subjectOf(fleet: string, kind: string): string {
  return `egresslab.${fleet}.${kind}`
}

function descriptionOf(fleet: string): string {
  return `the log of the egresslab fleet ${fleet}`
}

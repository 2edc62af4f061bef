// This lab as a member of a fleet: reads the log before anything starts, joins once everything runs, follows from then on, and says of
// itself every second how it is. Changes go through the log and nowhere else; without it nothing changes, and connections go on.

import type { FleetSettings, LabConfig } from '../config/lab-config.ts'
import { ownVersion } from '../config/own-package.ts'
import { differingSections } from '../config/read-fleet.ts'
import { ChangeError } from '../errors/change-error.ts'
import { inputError } from '../errors/issue.ts'
import { messageOf } from '../errors/thrown.ts'
import type { EventLog } from '../log/event-log.ts'
import { formatEndpoint } from '../net/endpoint.ts'
import { type Journal, memoryJournal } from '../store/journal.ts'
import type { Store } from '../store/store.ts'
import { type Admission, admit, refuseTaken } from './admission.ts'
import { FleetChanges, type FleetStanding, rowsOf } from './fleet-changes.ts'
import { FleetLog } from './fleet-log.ts'
import { FleetSessions } from './fleet-sessions.ts'
import { FleetIdentity, type MemberEntry } from './log-message.ts'
import type { LogVerdict } from './log-state.ts'
import { MemberCalls } from './member-calls.ts'
import { type Beat, CLOCKS_APART_MS, MemberWatch, type WatchedMember } from './member-watch.ts'

const BEAT_MS = 1_000
/** Not heard of the log for so long: cut off. */
const DEAF_AFTER_MS = 3_000
const JOIN_TRIES = 5

/** One lab's membership, from reading the log before the start to leaving: its changes, its heartbeat, and who else
 *  can be used. */
export class Fleet {
  readonly settings: FleetSettings
  readonly identity: FleetIdentity
  readonly watch: MemberWatch
  readonly #log: FleetLog
  readonly #events: EventLog
  readonly #calls: MemberCalls
  /** what changes the fleet, from here */
  readonly changes: FleetChanges
  readonly #onChange = new Set<() => void>()
  #store: Store | undefined
  #standing: FleetStanding = { kind: 'following' }
  #lastContact = performance.now()
  #timer: NodeJS.Timeout | undefined
  #isChecking = false
  #hasJoined = false
  #isClosed = false
  #sessions: () => number = () => 0

  /** Reads the log, or begins it. Throws InputError `fleet.*` with why this lab cannot be a member; then nothing has changed. */
  static async open(config: LabConfig, settings: FleetSettings, events: EventLog): Promise<Fleet> {
    const { file } = config
    const identity = new FleetIdentity(settings, Date.now())
    if (identity.ownName() !== settings.member) {
      const owner = identity.ownName()
      const why = `\`${settings.files.certificate}\` is no certificate of member \`${settings.member}\` of fleet \`${settings.name}\``
      const hint = owner === undefined ? '`egresslab fleet ca` makes one' : `it is that of \`${owner}\``
      throw inputError('fleet.foreign_certificate', why, { file, hint })
    }
    const log = await FleetLog.open({ settings, identity, file })
    try {
      const fleet = new Fleet(settings, identity, log, events)
      await admit(fleet.#admission(config.file), config)
      fleet.watch.setMembers(fleet.members)
      return fleet
    } catch (thrown) {
      await log.close()
      throw thrown
    }
  }

  private constructor(settings: FleetSettings, identity: FleetIdentity, log: FleetLog, events: EventLog) {
    this.settings = settings
    this.identity = identity
    this.watch = new MemberWatch(settings.member)
    this.#log = log
    this.#events = events
    this.#calls = new MemberCalls(log.connection, identity)
    this.changes = new FleetChanges({
      log,
      store: () => this.#openStore(),
      standing: () => this.#standing,
      members: () => this.watch.members(),
      onChange: (listener) => this.onChange(listener),
      written: () => this.#beat(),
    })
  }

  /** What the store begins with, at the revision of the fleet; it keeps nothing by itself. */
  journal(): Journal {
    const { rows } = this.#log
    return { ...memoryJournal(), revision: this.#log.state.revision, load: () => rows }
  }

  get standing(): FleetStanding {
    return this.#standing
  }

  /** of the last message read */
  get revision(): number {
    return this.#log.state.revision
  }

  get members(): ReadonlyMap<string, MemberEntry> {
    return this.#log.state.members
  }

  /** Is nothing to be carried, since nobody knows whether the policy is still in force? */
  get refusesConnections(): boolean {
    return this.settings.onPartition === 'refuse' && this.#standing.kind !== 'following'
  }

  /** Calls back when members come, go, or change, and when the standing does. Answers the way to stop. */
  onChange(listener: () => void): () => void {
    this.#onChange.add(listener)
    return () => this.#onChange.delete(listener)
  }

  /** From now on the store is what the log says. */
  follow(store: Store, sessions: () => number): void {
    this.#store = store
    this.#sessions = sessions
    this.#log.onRead((verdict, place) => this.#read(verdict, place))
    this.#listen()
    this.#timer = setInterval(() => this.#tick(), BEAT_MS)
    this.#timer.unref()
  }

  /** The sessions of all members; those of this one are sent from its state folder, if it has one. */
  sessionsOf(state: string | undefined, keep: number): FleetSessions {
    const parts = { log: this.#log, identity: this.identity, keep, events: this.#events }
    return new FleetSessions({ ...parts, state })
  }

  /** A link came or went. */
  linkChanged(): void {
    this.#changed()
  }

  /** Makes this lab a member that the others use. Throws InputError. */
  async join(file: string): Promise<void> {
    const { member, colo, advertise } = this.settings
    const entry: MemberEntry = {
      name: member,
      incarnation: this.#calls.incarnation,
      colo,
      advertise: formatEndpoint(advertise),
      version: ownVersion(),
      drained: false,
    }
    try {
      for (let tries = JOIN_TRIES; tries > 0; tries--) {
        await refuseTaken(this.#admission(file))
        if (
          (await this.#log.propose({ type: 'join', entry }, () => rowsOf(this.#openStore().current()))).kind === 'taken'
        ) {
          this.#hasJoined = true
          this.#beat()
          return
        }
        await this.#log.catchUp()
      }
    } catch (thrown) {
      if (!(thrown instanceof ChangeError)) throw thrown
      throw inputError('fleet.unreachable', thrown.message, { file })
    }
    throw inputError('fleet.unreachable', 'the log of the fleet changes too fast to join it', { file })
  }

  /** Tells the others that it stops, and lets go of NATS. It stays a member that is down. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    clearInterval(this.#timer)
    if (this.#hasJoined && !this.#log.connection.isClosed()) {
      this.#calls.send(this.#said(true))
      await this.#calls.flush()
    }
    await this.#log.close()
  }

  #admission(file: string): Admission {
    return { settings: this.settings, log: this.#log, calls: this.#calls, events: this.#events, file }
  }

  #listen(): void {
    this.#calls.listen({
      answer: () => (this.#hasJoined ? this.#said(false) : undefined),
      hear: (beat) => this.#hear(beat),
    })
    void (async () => {
      for await (const { type } of this.#log.connection.status()) {
        if (type === 'disconnect' || type === 'staleConnection') this.#cutOff('the connection to NATS is lost')
        if (type === 'reconnect') this.#tick()
      }
    })()
  }

  #hear(beat: Beat): void {
    if (!this.watch.hear(beat)) return
    if (beat.by !== this.settings.member && beat.revision > this.revision) this.#tick()
    this.#changed()
  }

  #tick(): void {
    this.#beat()
    this.#changed()
    if (this.#isChecking || this.#isClosed || this.#standing.kind === 'stopped') return
    this.#isChecking = true
    void this.#check().finally(() => {
      this.#isChecking = false
    })
  }

  /** Reads the log, which shows whether it can be read. */
  async #check(): Promise<void> {
    const before = this.#log.state.position
    try {
      await this.#log.catchUp()
      this.#lastContact = performance.now()
      if (this.#standing.kind === 'cut_off') {
        this.#standing = { kind: 'following' }
        this.#events.info(`in touch with fleet \`${this.settings.name}\` again, at revision ${this.revision}`)
        this.#changed()
      }
    } catch (thrown) {
      if (performance.now() - this.#lastContact > DEAF_AFTER_MS)
        this.#cutOff(`NATS does not answer: ${messageOf(thrown)}`)
    }
    if (this.#log.state.position > before) this.#beat()
  }

  #cutOff(why: string): void {
    if (this.#standing.kind === 'stopped' || this.#isClosed) return
    if (this.#standing.kind === 'cut_off') {
      // the connection may be back, and the reason another one
      this.#standing = { ...this.#standing, why }
      return
    }
    this.#standing = { kind: 'cut_off', why, since: Date.now() }
    this.#events.warn(`cut off from fleet \`${this.settings.name}\`: ${why}; revision ${this.revision} stays in force`)
    this.#changed()
  }

  #stop(code: Extract<FleetStanding, { kind: 'stopped' }>['code'], why: string): void {
    if (this.#standing.kind === 'stopped') return
    this.#standing = { kind: 'stopped', code, why, since: Date.now() }
    this.#events.error(
      `follows fleet \`${this.settings.name}\` no longer [${code}]: ${why}; revision ${this.#store?.current().revision} stays in force`,
    )
    this.#changed()
  }

  #read(verdict: LogVerdict, place: number): void {
    if (this.#standing.kind === 'stopped') return
    if (verdict.kind === 'foreign') this.#events.warn(`${verdict.why}; it changes nothing [fleet.foreign_message]`)
    if (verdict.kind === 'stop') this.#stop(verdict.code, verdict.why)
    if (verdict.kind !== 'taken') return
    const { act, by } = verdict.message
    this.watch.setMembers(this.members)
    const own = this.members.get(this.settings.member)
    if (this.#hasJoined && own !== undefined && own.incarnation !== this.#calls.incarnation) {
      this.#stop('fleet.member_taken', `another member has joined as \`${this.settings.member}\``)
      return
    }
    if (act.type === 'open' || act.type === 'adopt') {
      const differing = differingSections(this.settings.share, act.share)
      const what = differing.length === 0 ? 'its documents' : differing.join(', ')
      this.#stop('fleet.configuration_differs', `member \`${by}\` has replaced ${what} while this one was cut off`)
      return
    }
    try {
      const changes = act.type === 'change' ? act.changes : []
      this.#store?.take({ revision: place, changes }, by === this.settings.member ? undefined : by)
    } catch (thrown) {
      if (!(thrown instanceof ChangeError)) throw thrown
      this.#stop('fleet.cannot_apply', `revision ${place} cannot be put in force here: ${thrown.message}`)
    }
    this.#changed()
  }

  #openStore(): Store {
    if (this.#store === undefined) throw new RangeError('the fleet is not followed yet')
    return this.#store
  }

  #beat(): void {
    if (!this.#hasJoined || this.#isClosed || this.#log.connection.isClosed()) return
    this.#calls.send(this.#said(false))
  }

  #said(leaving: boolean): Omit<Beat, 'by' | 'incarnation' | 'count'> {
    return {
      revision: this.#store?.current().revision ?? 0,
      at: Date.now(),
      sessions: this.#sessions(),
      trouble: this.#standing.kind === 'following' ? '' : this.#standing.why,
      leaving,
    }
  }

  #changed(): void {
    this.#store?.setLost(this.watch.lostColos())
    for (const tell of [...this.#onChange]) tell()
  }

  /** What is not as it should be, one clause each. */
  troubles(): readonly string[] {
    const standing = this.#standing
    const own =
      standing.kind === 'following'
        ? []
        : [
            standing.kind === 'cut_off'
              ? `cut off from the fleet since ${timeOf(standing)}: ${standing.why}; revision ${this.revision} stays in force and changes are refused`
              : `follows the fleet no longer since ${timeOf(standing)} [${standing.code}]: ${standing.why}`,
          ]
    const others = this.watch.members().flatMap((member) => troubleOf(member))
    return [...own, ...others]
  }
}

function timeOf({ since }: { readonly since: number }): string {
  return `${new Date(since).toISOString().slice(0, 19)}Z`
}

function troubleOf({ entry, isSelf, lost, beat }: WatchedMember): string[] {
  if (entry.drained) return []
  if (lost !== undefined) return [`member \`${entry.name}\` at ${entry.colo} is lost: ${lost}`]
  if (isSelf || beat === undefined) return []
  if (beat.trouble !== '')
    return [`member \`${entry.name}\` at ${entry.colo} does not follow the fleet: ${beat.trouble}`]
  const apart = Math.abs(Date.now() - beat.at)
  if (apart <= CLOCKS_APART_MS) return []
  return [`the clock of member \`${entry.name}\` is ${Math.round(apart / 1000)} s from this one's [fleet.clock_apart]`]
}

// Changes of a fleet: tried on a copy of the state, written for the next place of the log, in force once they are there. Of two at the
// same time one is first; the other is tried again on what the first has made, and may be refused then.

import { AsyncLocalStorage } from 'node:async_hooks'
import type { LabSnapshot } from '../config/lab-state.ts'
import { ChangeError } from '../errors/change-error.ts'
import { messageOf } from '../errors/thrown.ts'
import type { JournalRow, RowChange } from '../store/journal.ts'
import { wholeVersion } from '../store/replica.ts'
import type { Store, StoreBranch } from '../store/store.ts'
import type { FleetLog } from './fleet-log.ts'
import type { LogAct } from './log-message.ts'
import type { StopCode } from './log-state.ts'
import type { WatchedMember } from './member-watch.ts'

/** How this member stands to the log. `since`: epoch ms of this machine. */
export type FleetStanding =
  | { readonly kind: 'following' }
  /** NATS cannot be asked; it goes on when it can */
  | { readonly kind: 'cut_off'; readonly why: string; readonly since: number }
  /** it cannot follow any more until it is started again */
  | {
      readonly kind: 'stopped'
      readonly code: StopCode | 'fleet.cannot_apply' | 'fleet.member_taken'
      readonly why: string
      readonly since: number
    }

export interface FleetChangeParts {
  readonly log: FleetLog
  readonly store: () => Store
  readonly standing: () => FleetStanding
  readonly members: () => readonly WatchedMember[]
  /** answers the way to stop */
  readonly onChange: (listener: () => void) => () => void
  /** something was written to the log */
  readonly written: () => void
}

const TRIES = 20
const LATE_MS = 10_000

/** Makes this member's changes, one after the other. A change that loses its place in the log is tried again on the
 *  new state; rejects with ChangeError where it is refused or NATS cannot be reached. */
export class FleetChanges {
  readonly #parts: FleetChangeParts
  #turn: Promise<unknown> = Promise.resolve()

  constructor(parts: FleetChangeParts) {
    this.#parts = parts
  }

  /** Runs a change on a copy of the state, writes what it did to the log, and resolves once it is in force here. Where somebody else
   *  was first it is run again, on what is in force then. Rejects with what `run` does, or ChangeError `change.fleet_*`; then nothing
   *  has changed, but for `change.fleet_unknown` and `change.fleet_late`, which say so. */
  async transact<T>(run: (store: Store) => T | Promise<T>, until: 'member' | 'fleet'): Promise<T> {
    const inContext = AsyncLocalStorage.snapshot()
    for (let tries = TRIES; tries > 0; tries--) {
      const branch = this.#parts.store().branch()
      const answer = await run(branch.store)
      const changes = branch.changes()
      if (changes.length === 0) return answer
      const written = this.#turn.then(() => inContext(() => this.#write(branch, changes)))
      this.#turn = written.catch(() => undefined)
      const revision = await written
      if (revision === undefined) continue
      if (until === 'fleet') await this.#untilEverywhere(revision)
      return answer
    }
    throw busy()
  }

  /** Drains a member or brings it back, or takes it out of the fleet. Throws ChangeError. */
  async act(act: Extract<LogAct, { type: 'drain' | 'leave' }>): Promise<void> {
    const { log, store, written } = this.#parts
    this.#refuseCutOff()
    for (let tries = TRIES; tries > 0; tries--) {
      if (!log.state.members.has(act.member)) {
        throw new ChangeError('change.not_found', `there is no member \`${act.member}\``)
      }
      if ((await log.propose(act, () => rowsOf(store().current()))).kind === 'taken') {
        written()
        return
      }
      await this.#catchUp()
    }
    throw busy()
  }

  /** Writes what was changed in a copy; undefined: the state is another by now. */
  async #write(
    { revision: base, store: copy }: StoreBranch,
    changes: readonly RowChange[],
  ): Promise<number | undefined> {
    const { log, written } = this.#parts
    this.#refuseCutOff()
    const { kind } = await log.propose({ type: 'change', changes }, () => rowsOf(copy.current()), base)
    if (kind === 'behind') {
      await this.#catchUp()
      return undefined
    }
    const { revision } = log.state
    written()
    this.#refuseStopped()
    return revision
  }

  async #untilEverywhere(revision: number): Promise<void> {
    const { members, onChange } = this.#parts
    const behind = () =>
      members()
        .filter(({ isSelf, lost, beat }) => !isSelf && lost === undefined && (beat?.revision ?? 0) < revision)
        .map(({ entry }) => entry.name)
    const { promise, resolve } = Promise.withResolvers<void>()
    const look = () => {
      if (behind().length === 0) resolve()
    }
    const stop = onChange(look)
    look()
    const late = setTimeout(resolve, LATE_MS)
    await promise
    clearTimeout(late)
    stop()
    const names = behind()
    if (names.length === 0) return
    const who = names.map((name) => `\`${name}\``).join(', ')
    const message = `revision ${revision} is in force here, and ${who} has not confirmed it within ${LATE_MS / 1000} s`
    throw new ChangeError('change.fleet_late', message, { details: { revision, members: names } })
  }

  async #catchUp(): Promise<void> {
    try {
      await this.#parts.log.catchUp()
    } catch (thrown) {
      throw new ChangeError('change.fleet_cut_off', `NATS does not answer: ${messageOf(thrown)}`)
    }
    this.#refuseCutOff()
  }

  /** A change that is in the log and cannot be put in force here. */
  #refuseStopped(): void {
    const standing = this.#parts.standing()
    if (standing.kind === 'stopped')
      throw new ChangeError('change.fleet_late', `the fleet has the change: ${standing.why}`)
  }

  #refuseCutOff(): void {
    const standing = this.#parts.standing()
    if (standing.kind === 'following') return
    throw new ChangeError('change.fleet_cut_off', `this member cannot change the fleet: ${standing.why}`)
  }
}

/** The documents of a state. */
export function rowsOf(snapshot: LabSnapshot): readonly JournalRow[] {
  return wholeVersion(snapshot).changes.flatMap((change) => ('write' in change ? [change.write] : []))
}

function busy(): ChangeError {
  return new ChangeError('change.revision_differs', 'other members change the fleet too fast; repeat the change')
}

// What a fleet's log adds up to: members, share, chain, and where it is. Pure: the same messages in the same places give the same at
// every member, and a place is taken once.
//
//   not ours, or written for another place   it changes nothing, here and everywhere
//   ours, of another history                 this member stops: what it knows is not what the others know
//   ours, of a later version                 this member stops: it cannot know what the others know

import type { FleetSettings } from '../config/lab-config.ts'
import type { JournalRow } from '../store/journal.ts'
import {
  chainAfter,
  LOG_FORMAT,
  type LogAct,
  type LogMessage,
  type MemberEntry,
  type WholeFleet,
} from './log-message.ts'

/** Why a member no longer follows its fleet. */
export type StopCode = 'fleet.gap' | 'fleet.history_differs' | 'fleet.newer_version' | 'fleet.configuration_differs'

export type LogVerdict =
  | { readonly kind: 'taken'; readonly message: LogMessage }
  /** read before */
  | { readonly kind: 'known' }
  | { readonly kind: 'foreign'; readonly why: string }
  | { readonly kind: 'stop'; readonly code: StopCode; readonly why: string }

/** A message in its place; undefined `message`: it is not ours. */
export interface PlacedMessage {
  readonly place: number
  readonly message: LogMessage | undefined
  readonly bytes: Uint8Array
}

const ACTS: ReadonlySet<string> = new Set<LogAct['type']>(['open', 'adopt', 'join', 'change', 'drain', 'leave'])

/** The state so far, and whether the next message may be taken into it. */
export class LogState {
  #position = 0
  #revision = 0
  #chain = ''
  #share: FleetSettings['share'] = {}
  #members: ReadonlyMap<string, MemberEntry> = new Map()

  /** the last place that was read */
  get position(): number {
    return this.#position
  }

  /** the last place whose message counts; 0: there is none */
  get revision(): number {
    return this.#revision
  }

  get chain(): string {
    return this.#chain
  }

  get share(): FleetSettings['share'] {
    return this.#share
  }

  get members(): ReadonlyMap<string, MemberEntry> {
    return this.#members
  }

  /** Reads the message at a place. */
  read({ place, message, bytes }: PlacedMessage): LogVerdict {
    if (place <= this.#position) return { kind: 'known' }
    if (place !== this.#position + 1) {
      return stop('fleet.gap', `message ${this.#position + 1} of the log is gone; the next one is ${place}`)
    }
    const verdict = this.#judge(place, message)
    if (verdict.kind === 'stop') return verdict
    this.#position = place
    if (verdict.kind === 'taken') this.#take(place, verdict.message, bytes)
    return verdict
  }

  /** Begins at a message that gives everything, whatever came before it. False: it does not, or is for another place. */
  begin({ place, message, bytes }: PlacedMessage): WholeFleet | undefined {
    const whole = message?.whole
    if (message === undefined || whole === undefined || message.format > LOG_FORMAT) return undefined
    if (message.revision !== place) return undefined
    this.#position = place
    this.#revision = place
    this.#chain = chainAfter(message.before, bytes)
    this.#share = whole.share
    this.#members = new Map(whole.members.map((entry) => [entry.name, entry]))
    return whole
  }

  /** The members after an act. */
  membersAfter(act: LogAct): ReadonlyMap<string, MemberEntry> {
    const members = new Map(this.#members)
    if (act.type === 'join') members.set(act.entry.name, act.entry)
    if (act.type === 'leave') members.delete(act.member)
    if (act.type === 'drain') {
      const entry = members.get(act.member)
      if (entry !== undefined) members.set(act.member, { ...entry, drained: act.drained })
    }
    return members
  }

  #judge(place: number, message: LogMessage | undefined): LogVerdict {
    if (message === undefined) return foreign(`message ${place} of the log was written by no member of this fleet`)
    if (message.revision !== place) {
      return foreign(`message ${place} of the log was written for place ${message.revision}, and is there once more`)
    }
    const isKnown = message.format <= LOG_FORMAT && ACTS.has(message.act?.type)
    if (!isKnown) {
      const why = `message ${place} of the log is of egresslab ${message.version}, which says what this version cannot read`
      return stop('fleet.newer_version', why)
    }
    if (message.before !== this.#chain) {
      return stop('fleet.history_differs', `message ${place} of the log follows another history than this member knows`)
    }
    return { kind: 'taken', message }
  }

  #take(place: number, { act }: LogMessage, bytes: Uint8Array): void {
    this.#revision = place
    this.#chain = chainAfter(this.#chain, bytes)
    if (act.type === 'open' || act.type === 'adopt') this.#share = act.share
    this.#members = this.membersAfter(act)
  }
}

/** The rows after an act, in the order in which they were first written. */
export function rowsAfter(rows: readonly JournalRow[], act: LogAct): readonly JournalRow[] {
  if (act.type === 'open' || act.type === 'adopt') return act.rows
  if (act.type !== 'change') return rows
  const all = new Map(rows.map((row) => [keyOf(row), row]))
  for (const change of act.changes) {
    if ('write' in change) all.set(keyOf(change.write), change.write)
    else all.delete(keyOf(change.erase))
  }
  return [...all.values()]
}

function keyOf({ kind, id }: Pick<JournalRow, 'kind' | 'id'>): string {
  return `${kind}/${id}`
}

function foreign(why: string): LogVerdict {
  return { kind: 'foreign', why }
}

function stop(code: StopCode, why: string): LogVerdict {
  return { kind: 'stop', code, why }
}

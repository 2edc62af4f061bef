// A copy of the store's state elsewhere, such as in another thread: applies what changed, compiles it itself, and is
// then at the same revision. Checks nothing, since the store did, and changes nothing of its own.

import type { LabConfig } from '../config/lab-config.ts'
import { KINDS, type Kind, type LabSnapshot, type LabState, type Stored, type Touched } from '../config/lab-state.ts'
import { createSnapshot } from '../policy/ruleset.ts'
import type { RowChange } from './journal.ts'
import { fromRow, toRow } from './overlay.ts'
import { buildAccount, compileRules } from './policy-of-state.ts'

/** One revision as plain data to send: everything, or the difference from the revision before. */
export interface StateVersion {
  readonly revision: number
  readonly whole: boolean
  readonly changes: readonly RowChange[]
}

/** The whole state. */
export function wholeVersion({ revision, state }: LabSnapshot): StateVersion {
  const changes = KINDS.flatMap((kind) => [...documentsOf(state, kind).keys()].map((id) => changeOf(state, kind, id)))
  return { revision, whole: true, changes }
}

/** The difference made by one change. */
export function versionAfter({ revision, state }: LabSnapshot, touched: readonly Touched[]): StateVersion {
  return { revision, whole: false, changes: touched.map(({ kind, id }) => changeOf(state, kind, id)) }
}

function changeOf(state: LabState, kind: Kind, id: string): RowChange {
  const stored = documentsOf(state, kind).get(id)
  return stored === undefined ? { erase: { kind, id } } : { write: toRow(kind, stored) }
}

function documentsOf(state: LabState, kind: Kind): ReadonlyMap<string, Stored> {
  return state[kind]
}

/** See the head of this file. */
export class Replica {
  #config: LabConfig
  #snapshot: LabSnapshot

  /** Starts from a whole version. */
  constructor(config: LabConfig, version: StateVersion) {
    this.#config = config
    this.#snapshot = compile(config, stateAfter(undefined, version), version.revision)
  }

  current(): LabSnapshot {
    return this.#snapshot
  }

  /** Lab time, epoch ms. */
  now(): number {
    return Date.now() + (this.#snapshot.state.clock.get('lab')?.value.offsetMs ?? 0)
  }

  /** Moves to this version. A new configuration requires a whole version. */
  take(version: StateVersion, config = this.#config): void {
    const before = this.#snapshot
    const state = stateAfter(version.whole ? undefined : before.state, version)
    this.#snapshot = compile(config, state, version.revision, config === this.#config ? before : undefined)
    this.#config = config
  }
}

function compile(config: LabConfig, state: LabState, revision: number, before?: LabSnapshot): LabSnapshot {
  const account = buildAccount(config, state)
  return Object.freeze({ ...createSnapshot(revision, account, compileRules(state, account, before)), state })
}

/** The state a version makes of the one before; a whole one needs none. Unchanged kinds keep the identical map, by which compiling
 *  recognises what it can reuse. */
export function stateAfter(before: LabState | undefined, { changes }: Pick<StateVersion, 'changes'>): LabState {
  const maps = new Map<Kind, Map<string, Stored>>()
  const mapOf = (kind: Kind) => {
    const copy = maps.get(kind) ?? new Map(before === undefined ? [] : documentsOf(before, kind))
    maps.set(kind, copy)
    return copy
  }
  if (before === undefined) KINDS.forEach(mapOf)
  for (const change of changes) {
    if ('write' in change) mapOf(change.write.kind).set(change.write.id, fromRow(change.write))
    else mapOf(change.erase.kind).delete(change.erase.id)
  }
  return Object.freeze({ ...before, ...Object.fromEntries(maps) }) as LabState
}

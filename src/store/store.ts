// The only owner of the lab's state. Provides frozen snapshots, one revision per change; a change is checked, compiled
// and on disk before anyone sees it, or it has no effect. Decides nothing about connections.

import type { LabConfig } from '../config/lab-config.ts'
import {
  type Documents,
  type Draft,
  KINDS,
  type Kind,
  type LabSnapshot,
  type LabState,
  type Override,
  type Stored,
  type Touched,
} from '../config/lab-state.ts'
import { ChangeError } from '../errors/change-error.ts'
import type { Issue } from '../errors/issue.ts'
import { canonicalEmail } from '../policy/canonical-email.ts'
import type { ColoCode, NetworkId } from '../policy/ids.ts'
import { COLOS } from '../policy/place.ts'
import { createSnapshot } from '../policy/ruleset.ts'
import { checkState, createDraft, type WorkingDraft } from './draft.ts'
import { type Journal, type JournalRow, memoryJournal, type RowChange } from './journal.ts'
import { fingerprint, overlay, overridesOf, type Seeds, seedsOf, toRow } from './overlay.ts'
import { buildAccount, compileRules } from './policy-of-state.ts'
import { type StateVersion, stateAfter } from './replica.ts'
import { listenerFailed, movedOn, rulesSetAside } from './state-problems.ts'

export interface StoreOptions {
  /** where changes are stored; absent: in memory only */
  readonly journal?: Journal
  /** machine time, epoch ms; default Date.now */
  readonly machineTime?: () => number
  /** receives notices at start and reload: documents changed at run time of which the file has a new version … */
  readonly onNotice: (notice: Issue) => void
  /** Revisions are counted by a fleet: the state begins at the journal's, and {@link Store.take} alone makes another. */
  readonly follows?: boolean
}

/** What changed in one revision. */
export interface StateChange {
  readonly revision: number
  /** lab time, epoch ms */
  readonly at: number
  readonly touched: readonly Touched[]
  /** the member of the fleet where it was asked for; absent: here */
  readonly member?: string
}

/** A copy of the state to try a change on. Nobody else sees it. */
export interface StoreBranch {
  /** of the store that it was made from, then */
  readonly revision: number
  readonly store: Store
  /** what was changed in it so far, to be done in this order */
  changes(): readonly RowChange[]
}

export interface Store {
  current(): LabSnapshot
  /** Calls `listener` after every change, in order; one that throws affects no other. Returns the function that
   *  unsubscribes. */
  subscribe(listener: (snapshot: LabSnapshot, change: StateChange) => void): () => void
  /** Calls `witness` with every change before it is made: what it puts into the journal's tables is committed with the change or not at
   *  all, and what it throws refuses it, but for one that a fleet has decided. */
  witness(witness: (next: LabSnapshot, change: StateChange) => void): void
  /** Runs `edit` on a draft and makes the result the current state, atomically. Throws ChangeError (and whatever
   *  `edit` throws); then nothing has changed. `expectRevision`: refuse if anything changed since (AP-06). */
  change<T>(edit: (draft: Draft) => T, options?: { readonly expectRevision?: number }): T
  /** The state `edit` would produce, checked and compiled, without changing anything. Throws as {@link change} does. */
  preview(edit: (draft: Draft) => void): LabSnapshot
  /** Applies a newly read configuration file. Throws ChangeError; then the old one stays in force (CF-01). */
  reload(config: LabConfig): void
  setColoDown(code: string, down: boolean): void
  /** Sets a user's virtual network, by email; null returns to the account's default. */
  chooseVirtualNetwork(email: string, virtualNetworkId: NetworkId | null): void
  /** The id of the virtual network a user chose, if it still exists. */
  chosenVirtualNetwork(email: string): string | undefined
  /** Lab time, epoch ms with fractions. */
  now(): number
  /** Sets lab time to machine time plus this (ms). */
  setClockOffset(offsetMs: number): void
  /** The documents that were changed at run time and differ from the file. */
  overrides(): readonly Override[]
  branch(): StoreBranch
  /** Makes a revision the current state that was checked elsewhere. Throws ChangeError where it cannot be; then nothing has changed. */
  take(version: Pick<StateVersion, 'revision' | 'changes'>, member?: string): void
  /** Data centers that cannot be reached from here are down, whatever the state says; no revision of its own. */
  setLost(colos: ReadonlySet<ColoCode>): void
  /** Restores the file's version of one document, or of all. Throws ChangeError `change.not_found`. */
  revert(which: 'all' | { readonly kind: Kind; readonly id: string }): void
  /** whether rules are read-only because they come from the file */
  readonly rulesFromFile: boolean
  /** Why a change could not be stored now, found by trying; undefined if it could, or the state is in memory. */
  whyNotWritable(): string | undefined
  close(): void
}

/** A store for this configuration, with a journal's changes applied to it. Throws ChangeError if the two contradict
 *  each other. */
export function createStore(config: LabConfig, options: StoreOptions): Store {
  return new LabStore(config, options)
}

class LabStore implements Store {
  readonly rulesFromFile: boolean
  readonly #journal: Journal
  readonly #machineTime: () => number
  readonly #onNotice: (notice: Issue) => void
  readonly #listeners = new Set<(snapshot: LabSnapshot, change: StateChange) => void>()
  readonly #witnesses: ((next: LabSnapshot, change: StateChange) => void)[] = []
  #config: LabConfig
  #seeds: Seeds
  #setAside: readonly JournalRow[] = []
  readonly #follows: boolean
  #lost: ReadonlySet<ColoCode> = new Set()
  #snapshot: LabSnapshot

  /** `from`: the state itself, where it needs no reading */
  constructor(config: LabConfig, options: StoreOptions, from?: LabSnapshot) {
    this.#journal = options.journal ?? memoryJournal()
    this.#follows = options.follows === true
    this.#machineTime = options.machineTime ?? Date.now
    this.#onNotice = options.onNotice
    this.#config = config
    this.#seeds = seedsOf(config)
    this.rulesFromFile = config.policySource === 'file'
    if (from !== undefined) {
      this.#snapshot = from
      return
    }
    const rows = this.#journal.load()
    this.#setAside = this.rulesFromFile ? rows.filter(({ kind, source }) => kind === 'rule' && source === 'api') : []
    const merged = overlay(this.#seeds, rows, this.#machineTime() + offsetIn(rows), this.#fileOnly())
    // a start is a revision of its own: the file's addresses and places may have changed in between
    this.#snapshot = this.#compile(merged.state, this.#journal.revision + (this.#follows ? 0 : 1))
    this.#commit(merged.changes, this.#snapshot, this.#changeTo(this.#snapshot, []))
    this.#announceOverrides()
  }

  current(): LabSnapshot {
    return this.#snapshot
  }

  subscribe(listener: (snapshot: LabSnapshot, change: StateChange) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  witness(witness: (next: LabSnapshot, change: StateChange) => void): void {
    this.#witnesses.push(witness)
  }

  change<T>(edit: (draft: Draft) => T, options: { readonly expectRevision?: number } = {}): T {
    return this.#apply(edit, { ...options, guarded: true })
  }

  preview(edit: (draft: Draft) => void): LabSnapshot {
    const draft = createDraft(this.#snapshot.state, this.now())
    edit(draft)
    return this.#compile(draft.result().state, this.#snapshot.revision)
  }

  reload(config: LabConfig): void {
    if ((config.policySource === 'file') !== this.rulesFromFile) {
      throw new ChangeError(
        'change.invalid',
        'a change of `policy.source` takes effect at the next start; restart the lab',
      )
    }
    const seeds = seedsOf(config)
    const rows = [...rowsOf(this.#snapshot.state), ...this.#setAside]
    const merged = overlay(seeds, rows, this.now(), this.#fileOnly())
    const snapshot = this.#compile(merged.state, this.#snapshot.revision + (this.#follows ? 0 : 1), config)
    const touched = merged.changes.map((change) => touchedBy(change, this.#snapshot.state))
    const change = this.#changeTo(snapshot, touched)
    this.#commit(merged.changes, snapshot, change)
    this.#config = config
    this.#seeds = seeds
    this.#publish(snapshot, change)
    this.#announceOverrides()
  }

  setColoDown(code: string, down: boolean): void {
    if (!COLOS.has(code)) throw new ChangeError('change.not_found', `there is no data center \`${code}\``)
    if (this.#snapshot.account.colosDown.has(code) === down) return
    this.change((draft) => this.#settle(draft, 'colo', { id: code, down }, !down))
  }

  chooseVirtualNetwork(email: string, virtualNetworkId: NetworkId | null): void {
    const id = canonicalEmail(email)
    if ((this.chosenVirtualNetwork(id) ?? null) === virtualNetworkId) return
    this.change((draft) => {
      if (virtualNetworkId !== null && draft.get('virtualNetwork', virtualNetworkId) === undefined) {
        throw new ChangeError('change.not_found', `there is no virtual network \`${virtualNetworkId}\``)
      }
      this.#settle(draft, 'choice', { id, virtualNetworkId }, virtualNetworkId === null)
    })
  }

  chosenVirtualNetwork(email: string): string | undefined {
    const { choice, virtualNetwork } = this.#snapshot.state
    const chosen = choice.get(canonicalEmail(email))
    if (chosen === undefined || chosen.deletedAt !== null || chosen.value.virtualNetworkId === null) return undefined
    const network = virtualNetwork.get(chosen.value.virtualNetworkId)
    return network === undefined || network.deletedAt !== null ? undefined : network.value.id
  }

  now(): number {
    return this.#machineTime() + this.#offsetMs()
  }

  setClockOffset(offsetMs: number): void {
    if (offsetMs === this.#offsetMs()) return
    this.change((draft) => this.#settle(draft, 'clock', { id: 'lab', offsetMs }, offsetMs === 0))
  }

  overrides(): readonly Override[] {
    return overridesOf(this.#snapshot.state, this.#seeds)
  }

  revert(which: 'all' | { readonly kind: Kind; readonly id: string }): void {
    const all = this.overrides()
    const chosen = which === 'all' ? all : all.filter(({ kind, id }) => kind === which.kind && id === which.id)
    if (which !== 'all' && chosen.length === 0) {
      throw new ChangeError(
        'change.not_found',
        `\`${which.kind}/${which.id}\` does not differ from the configuration file`,
      )
    }
    if (chosen.length === 0) return
    const edit = (draft: WorkingDraft) => {
      for (const { kind, id } of chosen) this.#restore(draft, kind, id)
    }
    this.#apply(edit, { guarded: false })
  }

  branch(): StoreBranch {
    const changes: RowChange[] = []
    const journal: Journal = { ...memoryJournal(), commit: (more) => void changes.push(...more) }
    const options = { journal, machineTime: this.#machineTime, onNotice: this.#onNotice }
    const store = new LabStore(this.#config, options, this.#snapshot)
    store.#lost = this.#lost
    return { revision: this.#snapshot.revision, store, changes: () => changes }
  }

  take({ revision, changes }: Pick<StateVersion, 'revision' | 'changes'>, member?: string): void {
    const before = this.#snapshot.state
    const snapshot = this.#compile(stateAfter(before, { changes }), revision)
    const touched = changes.map((change) => touchedBy(change, before))
    const change = this.#changeTo(snapshot, touched, member)
    this.#each(this.#witnesses, snapshot, change)
    this.#publish(snapshot, change)
  }

  setLost(colos: ReadonlySet<ColoCode>): void {
    if (colos.size === this.#lost.size && [...colos].every((code) => this.#lost.has(code))) return
    this.#lost = new Set(colos)
    const snapshot = this.#compile(this.#snapshot.state, this.#snapshot.revision)
    this.#publish(snapshot, this.#changeTo(snapshot, []))
  }

  whyNotWritable(): string | undefined {
    return this.#journal.whyNotWritable()
  }

  close(): void {
    this.#listeners.clear()
    this.#journal.close()
  }

  #offsetMs(): number {
    return this.#snapshot.state.clock.get('lab')?.value.offsetMs ?? 0
  }

  /** Writes a document, or removes it if it equals the default and the file does not declare it. */
  #settle<K extends Kind>(draft: Draft, kind: K, value: Documents[K], isUsual: boolean): void {
    if (isUsual && !this.#seeds[kind].has(value.id)) draft.remove(kind, value.id)
    else draft.put(kind, value)
  }

  #restore<K extends Kind>(draft: WorkingDraft, kind: K, id: string): void {
    const value = this.#seeds[kind].get(id)
    draft.restore(kind, id, value === undefined ? undefined : { value, seed: fingerprint(value) })
  }

  #apply<T>(edit: (draft: WorkingDraft) => T, options: { expectRevision?: number; guarded: boolean }): T {
    const before = this.#snapshot
    if (options.expectRevision !== undefined && options.expectRevision !== before.revision) {
      const message = `the state is at revision ${before.revision}, not ${options.expectRevision}`
      throw new ChangeError('change.revision_differs', message, { details: { revision: before.revision } })
    }
    const draft = createDraft(before.state, this.now())
    const answer = edit(draft)
    const { state, touched, changes } = draft.result()
    if (changes.length === 0) return answer
    if (options.guarded && this.rulesFromFile && touched.some(({ kind }) => kind === 'rule')) {
      const message = `rules are read-only: they come from \`${this.#config.file}\`; change them there`
      throw new ChangeError('change.rules_read_only', message)
    }
    const snapshot = this.#compile(state, before.revision + 1)
    const change = this.#changeTo(snapshot, touched)
    this.#commit(changes, snapshot, change)
    this.#publish(snapshot, change)
    return answer
  }

  /** What a fleet has decided is on its own disks; nothing else becomes of its state here. */
  #commit(changes: readonly RowChange[], next: LabSnapshot, change: StateChange): void {
    const { revision } = next
    const tell = () => {
      for (const witness of this.#witnesses) witness(next, change)
    }
    if (!this.#follows) this.#journal.commit(changes, revision, tell)
    const [first] = changes
    if (!this.#follows || first === undefined) return
    const { kind, id } = 'write' in first ? first.write : first.erase
    throw new ChangeError('change.fleet_file', `\`${kind}/${id}\` is not what the fleet has at revision ${revision}`)
  }

  #compile(state: LabState, revision: number, config = this.#config): LabSnapshot {
    const current = this.#snapshot as LabSnapshot | undefined
    const before = config === this.#config ? current : undefined
    checkState(state, config.dedicatedIps, before?.state)
    const account = buildAccount(config, state, this.#lost)
    const ruleset = compileRules(state, account, before)
    return Object.freeze({ ...createSnapshot(revision, account, ruleset), state })
  }

  #changeTo({ revision }: LabSnapshot, touched: readonly Touched[], member?: string): StateChange {
    const from = member === undefined ? {} : { member }
    return Object.freeze({ revision, at: this.now(), touched, ...from })
  }

  #publish(snapshot: LabSnapshot, change: StateChange): void {
    this.#snapshot = snapshot
    this.#each([...this.#listeners], snapshot, change)
  }

  #each(
    listeners: readonly ((snapshot: LabSnapshot, change: StateChange) => void)[],
    snapshot: LabSnapshot,
    change: StateChange,
  ): void {
    for (const listener of listeners) {
      try {
        listener(snapshot, change)
      } catch (thrown) {
        this.#onNotice(listenerFailed(thrown))
      }
    }
  }

  #fileOnly(): ReadonlySet<Kind> {
    return new Set(this.rulesFromFile ? (['rule'] as const) : [])
  }

  #announceOverrides(): void {
    for (const { kind, id, fileMovedOn } of this.overrides()) {
      if (fileMovedOn) this.#onNotice(movedOn(kind, id, this.#config.file))
    }
    if (this.#setAside.length > 0) this.#onNotice(rulesSetAside(this.#setAside.length, this.#config.file))
  }
}

function rowsOf(state: LabState): JournalRow[] {
  return KINDS.flatMap((kind) =>
    [...(state[kind] as ReadonlyMap<string, Stored>).values()].map((it) => toRow(kind, it)),
  )
}

/** The clock's offset from rows that are not a state yet. */
function offsetIn(rows: readonly JournalRow[]): number {
  const row = rows.find(({ kind }) => kind === 'clock')
  return row === undefined ? 0 : (JSON.parse(row.body) as { offsetMs: number }).offsetMs
}

function touchedBy(change: RowChange, before: LabState): Touched {
  if ('erase' in change) return { ...change.erase, action: 'deleted' }
  const { kind, id } = change.write
  return { kind, id, action: before[kind].has(id) ? 'updated' : 'created' }
}

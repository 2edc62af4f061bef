// Questions about every connection at once: finds a connection that meets conditions, or shows that there is none.
// Questions asked in place leave no moment to signals, timers and terminals, so that one is made before each.
// Every connection found is decided by decide() itself before it is believed; a disagreement is a bug and is thrown.

import { setImmediate } from 'node:timers/promises'
import { counted } from '../errors/counted.ts'
import type { Expression } from '../expression/index.ts'
import { decide } from '../policy/decide.ts'
import type { Decision } from '../policy/decision.ts'
import type { Flow } from '../policy/flow.ts'
import type { RuleId } from '../policy/ids.ts'
import type { Place } from '../policy/place.ts'
import { RuleParser } from '../policy/rule-expressions.ts'
import { compileRuleset, createSnapshot, type Snapshot } from '../policy/ruleset.ts'
import { Connection } from './connection.ts'
import { cutToDifferences } from './cut.ts'
import {
  type BalanceChoices,
  landmarksOf,
  Outages,
  type PolicyTerms,
  type PolicyText,
  policyTerms,
  readPolicy,
} from './policy-terms.ts'
import { type Model, type Solver, type SolverAnswer, startSolver } from './solver.ts'
import type { World } from './subject.ts'
import { and, atMost, type ClassVariable, FALSE, not, or, Script, type Term, TRUE, within } from './terms.ts'
import { ProofVocabulary } from './vocabulary.ts'

export interface ProofInput {
  /** at least one */
  readonly policies: readonly Snapshot[]
  readonly world: World
  /** conditions that will be asked about, with the lists of the first policy */
  readonly conditions: readonly Expression[]
  /** host selectors may be on or off, whatever the account says */
  readonly anySelector?: boolean
  /** ids of the rules that can match a connection in question, or `differences`: only connections are in question that
   *  the first two policies decide differently; other rules are left out */
  readonly only?: ReadonlySet<RuleId> | 'differences' | undefined
}

/** A connection, decided by every policy. */
export interface Witness {
  readonly flow: Flow
  /** data centers that are down in it, beside those that are down anyway */
  readonly colosDown: readonly string[]
  /** with these data centers down, one per policy */
  readonly snapshots: readonly Snapshot[]
  readonly decisions: readonly Decision[]
}

export interface ProofSearch {
  readonly where: readonly Term[]
  /** how many data centers may be down, or which */
  readonly colosDown: number | readonly string[]
  /** `configured`: only people and devices of the configuration, or nobody */
  readonly people: 'configured' | 'anybody'
  /** false: any connection will do, however odd */
  readonly wantsOrdinary?: boolean
  /** Whether the decisions are what is looked for. */
  readonly isFound: (witness: Witness) => boolean
  readonly timeoutMs: number
  readonly signal?: AbortSignal | undefined
}

export type Found =
  | { readonly kind: 'none' }
  | { readonly kind: 'found'; readonly witness: Witness }
  /** `isTooMuch`: the solver's time or memory did not do */
  | { readonly kind: 'unknown'; readonly why: string; readonly isTooMuch?: boolean }

/** decide() and the encoding say different things: a bug of this room. */
export class ProofDisagreement extends Error {
  override readonly name = 'ProofDisagreement'
}

const MOST_TRIES = 24

/** One question session with a solver. Throws ProofDisagreement where a connection it found is decided differently. */
export class Proof {
  readonly connection: Connection
  readonly outages: Outages
  readonly policies: readonly PolicyTerms[]
  readonly #solver: Solver
  readonly script: Script
  readonly #hostSelector: Term
  readonly #choices: BalanceChoices

  /** Puts policies and conditions into terms and starts the solver. Throws an InputError where that is not installed. */
  static async open(input: ProofInput, options: Parameters<typeof startSolver>[0] = {}): Promise<Proof> {
    return new Proof(input, await startSolver(options))
  }

  /** The same for a solver that runs, or that is never asked. */
  constructor({ policies, world, conditions, anySelector = false, only }: ProofInput, solver: Solver) {
    const texts = cut(readPolicies(policies, anySelector), only)
    const [first] = texts
    if (first === undefined) throw new RangeError('a proof needs a policy')
    const vocabulary = new ProofVocabulary()
    for (const { rules, lists } of texts) {
      for (const { expressions } of rules) for (const expression of expressions) vocabulary.add(expression, lists)
    }
    for (const condition of conditions) vocabulary.add(condition, first.lists)
    const script = new Script()
    const landmarks = texts.map(landmarksOf)
    this.script = script
    this.#solver = solver
    this.connection = new Connection(script, vocabulary, world, {
      names: landmarks.flatMap(({ names }) => names),
      networks: landmarks.flatMap(({ networks }) => networks),
    })
    this.outages = new Outages(script)
    this.#hostSelector = anySelector ? script.boolean('host_selectors_on') : TRUE
    this.#choices = new Map()
    const choices = this.#choices
    this.policies = texts.map((text) => {
      const { hostSelector } = text.snapshot.account.settings
      const on = anySelector ? this.#hostSelector : hostSelector ? TRUE : FALSE
      return policyTerms(text, { connection: this.connection, outages: this.outages, choices, hostSelector: on })
    })
  }

  /** Host selectors are as the account has them; true where nothing else was asked for. */
  get selectorsAsSet(): Term {
    const [first] = this.policies
    if (this.#hostSelector === TRUE || first === undefined) return TRUE
    return first.text.snapshot.account.settings.hostSelector ? this.#hostSelector : not(this.#hostSelector)
  }

  /** The condition as a term, with the lists of the first policy. */
  termOf(expression: Expression): Term {
    const [first] = this.policies
    return this.script.name(this.connection.termOf(expression, first?.text.lists ?? new Map()))
  }

  close(): void {
    this.#solver.close()
  }

  /** Of these conditions, those that hold wherever `region` does; undefined where the time did not do. */
  async truthsOf<T extends { readonly term: Term }>(
    region: Term,
    all: readonly T[],
    msLeft: () => number,
  ): Promise<T[] | undefined> {
    let left = [...all]
    for (;;) {
      await setImmediate()
      const wrong = or(left.map(({ term }) => not(term)))
      const answer = await this.#solver.ask(
        this.script,
        [region, wrong],
        msLeft(),
        left.map(({ term }) => term),
      )
      if (answer.kind !== 'possible') return answer.kind === 'impossible' ? left : undefined
      const { model } = answer
      const kept = left.filter(({ term }) => model.holds(term))
      if (kept.length === left.length) throw new Error('the solver gave a connection that does not meet its conditions')
      left = kept
    }
  }

  /** The fewest of these conditions that exclude `term` as all of them do; all of them where that is not known, and more
   *  than are needed where the time did not do. */
  async fewest<T extends { readonly term: Term }>(all: readonly T[], term: Term, msLeft: () => number): Promise<T[]> {
    const core = async (some: readonly T[]) => {
      await setImmediate()
      const found = await this.#solver.conflictOf(this.script, [...some.map((one) => one.term), term], msLeft())
      return found === undefined ? undefined : some.filter((one) => found.includes(one.term))
    }
    let left = await core(all)
    if (left === undefined) return [...all]
    for (const one of left.toReversed()) {
      const without = await core(left.filter((other) => other !== one))
      if (without !== undefined) left = without
    }
    return left
  }

  /** A connection that meets all terms; with as few data centers down and as ordinary a person as can be. */
  async find(search: ProofSearch): Promise<Found> {
    await setImmediate()
    const msLeft = timeFor(search)
    const stop = () => this.#solver.interrupt()
    search.signal?.addEventListener('abort', stop)
    try {
      const found = await this.#search(search, msLeft)
      return found.kind === 'unknown' && found.isTooMuch === true ? { ...found, why: this.#withSize(found.why) } : found
    } finally {
      search.signal?.removeEventListener('abort', stop)
    }
  }

  #withSize(why: string): string {
    const rules = Math.max(...this.policies.map(({ text }) => text.rules.length))
    const size = `${counted(rules, 'rule')} in ${counted(this.script.size, 'term')}`
    return `${why} (${size}): more time or a question about fewer rules may help`
  }

  async #search(search: ProofSearch, msLeft: () => number): Promise<Found> {
    if (and(search.where) === FALSE) return { kind: 'none' }
    const blocked: Term[] = []
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      if (search.signal?.aborted === true) return { kind: 'unknown', why: 'it was interrupted' }
      const model = await this.#simplest(search, blocked, msLeft)
      if ('kind' in model) return model
      const tried = this.#witnesses(model)
      for (const witness of tried) if (search.isFound(witness)) return { kind: 'found', witness }
      const doubts = this.connection.doubtsIn(model)
      if (doubts.length > 0) return { kind: 'unknown', why: `not told exactly: ${doubts.join('; ')}` }
      const first = this.witnessIn(model)
      if (!first.decisions.some(({ outcome }) => outcome === 'balanced')) throw disagreement(first)
      blocked.push(this.#sameChoice(model))
    }
    return { kind: 'unknown', why: 'which dedicated IP is balanced to depends on where people are' }
  }

  /** Nothing at all first, so that what is proven takes one question. */
  async #simplest(search: ProofSearch, blocked: readonly Term[], msLeft: () => number): Promise<Model | Found> {
    const { people, devices } = this.connection
    const known = and([people.isSomebodyKnown, devices.isSomeKnown])
    const anybody = search.people === 'configured' ? [known] : []
    const where = [...search.where, ...blocked]
    const ask = (more: readonly Term[]) => this.#solver.ask(this.script, [...where, ...more].filter(isNeeded), msLeft())
    const most = typeof search.colosDown === 'number' ? search.colosDown : search.colosDown.length
    const withColos = (down: number) => this.#downTerm(search.colosDown, down)
    const preferred = [[known], ...(search.people === 'configured' ? [] : [[]])]
    let whole: SolverAnswer | undefined
    if (most > 0) {
      whole = await ask([...anybody, withColos(most)])
      if (whole.kind === 'impossible') return { kind: 'none' }
      if (whole.kind === 'unknown') return { ...whole, isTooMuch: true }
    }
    for (let down = 0; down <= most; down++) {
      for (const who of preferred) {
        const conditions = [...who, withColos(down)]
        const answer = await ask(conditions)
        if (answer.kind === 'possible') {
          if (search.wantsOrdinary === false) return answer.model
          return this.#ordinary(answer.model, [...where, ...conditions], msLeft)
        }
        if (answer.kind === 'unknown') return whole?.kind === 'possible' ? whole.model : { ...answer, isTooMuch: true }
      }
    }
    return whole?.kind === 'possible' ? whole.model : { kind: 'none' }
  }

  /** The same with as many ordinary values as can be. */
  async #ordinary(found: Model, conditions: readonly Term[], msLeft: () => number): Promise<Model> {
    const { connection, script } = this
    const kept = [...conditions]
    const prefer = async (terms: readonly Term[]): Promise<void> => {
      if (terms.length === 0) return
      if (await this.#solver.canHold(script, [...kept, ...terms].filter(isNeeded), msLeft())) kept.push(...terms)
      else if (terms.length > 1) {
        const half = terms.length >>> 1
        await prefer(terms.slice(0, half))
        await prefer(terms.slice(half))
      }
    }
    await prefer([connection.isOwnDevice])
    await prefer(connection.ordinary.map(({ variable, at }) => within(variable, [[at, at]])))
    const answer = await this.#solver.ask(script, kept.filter(isNeeded), msLeft())
    return answer.kind === 'possible' ? answer.model : found
  }

  #downTerm(allowed: number | readonly string[], most: number): Term {
    const terms = [...this.outages.all]
    const free = typeof allowed === 'number' ? terms : terms.filter(([code]) => allowed.includes(code))
    const fixed = terms.filter((one) => !free.includes(one))
    return and([
      atMost(
        most,
        free.map(([, term]) => term),
      ),
      ...fixed.map(([, term]) => not(term)),
    ])
  }

  /** The connection of a model, decided by every policy. */
  witnessIn(model: Model): Witness {
    for (const witness of this.#witnesses(model)) return witness
    throw new RangeError('a proof needs a policy')
  }

  /** The connection with its people at every place that could matter to balancing and to the data center they enter. */
  *#witnesses(model: Model): Generator<Witness> {
    const { flow, person, device } = this.connection.flowIn(model)
    const colosDown = [...this.outages.all].filter(([, term]) => model.holds(term)).map(([code]) => code)
    const snapshots = this.policies.map(({ text }) => this.#snapshotIn(model, text.snapshot, colosDown))
    const [first] = snapshots
    if (first === undefined) return
    const at = device?.place ?? person?.place
    const own = first.account.dedicatedIps.flatMap(({ colo }) => first.account.colos.get(colo) ?? [])
    const places: (Place | undefined)[] = [at, ...own, ...first.account.colos.values()]
    for (const userPlace of places) {
      const placed: Flow = { ...flow, userPlace }
      yield { flow: placed, colosDown, snapshots, decisions: snapshots.map((one) => decide(one, placed)) }
    }
  }

  readonly #snapshots = new Map<string, Snapshot>()

  #snapshotIn(model: Model, snapshot: Snapshot, colosDown: readonly string[]): Snapshot {
    const { account, ruleset, revision } = snapshot
    const hostSelector = this.#hostSelector === TRUE ? account.settings.hostSelector : model.holds(this.#hostSelector)
    if (colosDown.length === 0 && hostSelector === account.settings.hostSelector) return snapshot
    const at = this.policies.findIndex(({ text }) => text.snapshot === snapshot)
    const key = `${at} ${hostSelector} ${colosDown.join()}`
    const known = this.#snapshots.get(key)
    if (known !== undefined) return known
    const settings = { ...account.settings, hostSelector }
    const changed = { ...account, settings, colosDown: new Set([...account.colosDown, ...colosDown]) }
    const rules =
      hostSelector === account.settings.hostSelector
        ? ruleset
        : compileRuleset(ruleset.rules, account.lists, settings).ruleset
    const made = createSnapshot(revision, changed, rules)
    this.#snapshots.set(key, made)
    return made
  }

  /** The same person with the same addresses chosen. */
  #sameChoice(model: Model): Term {
    const chosen = [...this.#choices.values()].map(({ variable }) => isAt(variable, model))
    return not(and([...chosen, this.connection.people.sameIn(model)]))
  }
}

/** Milliseconds left of a time limit that begins now; none once the signal says stop. */
export function timeFor({ timeoutMs, signal }: Pick<ProofSearch, 'timeoutMs' | 'signal'>): () => number {
  const deadline = performance.now() + timeoutMs
  return () => (signal?.aborted === true ? 0 : deadline - performance.now())
}

/** Rules written alike in several policies are read once. */
function readPolicies(policies: readonly Snapshot[], anySelector: boolean): readonly PolicyText[] {
  const parsers = new Map<string, RuleParser>()
  return policies.map((snapshot) => {
    const { expressions } = snapshot.account.settings
    const parser = parsers.get(expressions) ?? new RuleParser(expressions)
    parsers.set(expressions, parser)
    return readPolicy(snapshot, anySelector, parser)
  })
}

function cut(texts: readonly PolicyText[], only: ProofInput['only']): readonly PolicyText[] {
  const [first, second] = texts
  if (only === undefined || first === undefined) return texts
  if (only === 'differences') return second === undefined ? texts : cutToDifferences(first, second)
  return texts.map((text) => ({ ...text, rules: text.rules.filter(({ rule }) => only.has(rule.id)) }))
}

function isAt(variable: ClassVariable, model: Model): Term {
  const at = model.numberOf(variable)
  return within(variable, [[at, at]])
}

function isNeeded(term: Term): boolean {
  return term !== TRUE
}

function disagreement(witness: Witness): ProofDisagreement {
  const told = witness.decisions.map(({ outcome, reason }) => `${outcome}, ${reason}`).join(' / ')
  const flow = JSON.stringify(witness.flow, (_, value) => (value instanceof Map ? [...value] : value))
  return new ProofDisagreement(`the encoding and decide() disagree on ${flow}: decide() says ${told}`)
}

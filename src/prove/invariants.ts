// Invariants, proven or refuted: every connection that meets `when` is decided as `then` demands. Those that no connection
// can meet are errors with their places.

import type { Expectation } from '../analysis/policy-test.ts'
import type { ConfiguredInvariant } from '../config/read-invariants.ts'
import { InputError } from '../errors/issue.ts'
import { compileExpression, type Expression } from '../expression/index.ts'
import { type Cidr, cidr, containsIp } from '../net/cidr.ts'
import type { Account, KnownLists } from '../policy/account.ts'
import type { Decision, DecisionOutcome } from '../policy/decision.ts'
import { createSharedAddresses } from '../policy/egress-address.ts'
import type { Flow } from '../policy/flow.ts'
import { namedFlowValues } from '../policy/flow-values.ts'
import type { Answer } from './answer.ts'
import { emptyValues, putField } from './axes.ts'
import { rulesUnder } from './cut.ts'
import type { End } from './policy-terms.ts'
import { Proof, type Witness } from './proof.ts'
import { type Demand, readStatements, type Statement } from './statements.ts'
import { type Invariants, readInvariantFiles, type Subject } from './subject.ts'
import { or, type Term, TRUE } from './terms.ts'

export interface ProveSettings {
  /** per question */
  readonly timeoutMs: number
  readonly signal?: AbortSignal
  readonly onProgress?: (answered: number, questions: number) => void
}

/** Whether some invariant asks for host selectors to be on or off. */
function needsAnySelector(statements: readonly Statement[]): boolean {
  return statements.some(({ invariant }) => invariant.despite?.host_selectors_off === true)
}

/** Proves or refutes one invariant. Throws an InputError for one that no connection can meet. */
async function proveStatement(proof: Proof, statement: Statement, options: ProveSettings): Promise<Answer> {
  const start = performance.now()
  const { invariant, condition, demand, colosDown } = statement
  const { people = 'anybody', name, file, position } = invariant
  const [policy] = proof.policies
  if (policy === undefined) throw new RangeError('a proof needs a policy')
  const when = condition === undefined ? TRUE : proof.termOf(condition)
  const selectors = invariant.despite?.host_selectors_off === true ? TRUE : proof.selectorsAsSet
  const { account } = policy.text.snapshot
  const broken = or(
    policy.ends.flatMap((end): Term[] => (verdictOnEnd(demand, end, account) === 'holds' ? [] : [end.when])),
  )
  const common = { colosDown, people, ...options }
  const answer = (rest: Pick<Answer, 'answer' | 'reason' | 'witness'>): Answer => {
    return { name, file, line: position.line, ...rest, ms: performance.now() - start }
  }
  // what stands for an unknown in the condition has to be so of the connection itself
  const isMeant = condition === undefined ? () => true : conditionOn(condition, policy.text.lists)
  const found = await proof.find({
    ...common,
    where: [when, selectors, broken],
    isFound: ({ flow, decisions: [decision] }) =>
      decision !== undefined && isMeant(flow) && unmetBy(demand, decision).length > 0,
  })
  if (found.kind === 'unknown') return answer({ answer: 'undecided', reason: found.why, witness: null })
  if (found.kind === 'found') {
    const [decision] = found.witness.decisions
    const unmet = decision === undefined ? [] : unmetBy(demand, decision)
    const reason = `not as \`${unmet.join('`, `')}\` demands`
    return { ...answer({ answer: 'refuted', reason, witness: found.witness }), ...expectedBy(invariant, found.witness) }
  }
  await refuseVacuous(proof, statement, { ...common, where: [when, selectors] })
  return answer({ answer: 'proven', reason: 'no connection breaks it', witness: null })
}

/** What a policy test would have to expect of the connection; nothing where `then` names several ways to be right that
 *  a test has no words for, or shared egress alone is wrong. */
function expectedBy({ then }: ConfiguredInvariant, { flow }: Witness): Pick<Answer, 'expected'> {
  const { outcome, rule, egress_in: egressIn, colo, country, let_in_by: service, never_shared: neverShared } = then
  const isOther = service !== undefined && service !== flow.host
  if (isOther || neverShared === true || [outcome, colo, country].some(Array.isArray)) return {}
  const expected: Expectation = {
    ...(outcome === undefined ? {} : { outcome: outcome as DecisionOutcome }),
    ...(rule === undefined ? {} : { rule }),
    ...(egressIn === undefined ? {} : { egress_in: egressIn }),
    ...(typeof colo === 'string' ? { logical_colo: colo } : {}),
    ...(typeof country === 'string' ? { geolocation: { country } } : {}),
    ...(service === undefined ? {} : { let_in: true }),
  }
  return { expected }
}

/** The condition on a connection as it is, also while host selectors are off. */
function conditionOn(condition: Expression, lists: KnownLists): (flow: Flow) => boolean {
  const matches = compileExpression(condition)
  return (flow) => {
    const values = emptyValues()
    for (const [field, value] of namedFlowValues(flow, true)) putField(values, field, value)
    return matches(values, lists)
  }
}

async function refuseVacuous(
  proof: Proof,
  { invariant }: Statement,
  search: Omit<Parameters<Proof['find']>[0], 'isFound'>,
): Promise<void> {
  const any = await proof.find({ ...search, isFound: () => true })
  if (any.kind !== 'none') return
  const { line, column } = invariant.parts.when ?? invariant.position
  const message = `no connection can meet \`when\` of \`${invariant.name}\`, so it says nothing`
  const hint = 'names that only the lab has must be among its `destinations`, and their addresses must fit'
  throw new InputError([
    { severity: 'error', code: 'prove.vacuous', message, hint, file: invariant.file, line, column },
  ])
}

/** An answer, and what it is about. */
export interface InvariantAnswer extends Answer {
  readonly config: string
}

/** Answers in the order of the files. Throws an InputError for files or invariants that cannot be meant, before the
 *  first question where that is possible. */
export async function* proveInvariants(
  files: readonly string[],
  settings: ProveSettings,
): AsyncGenerator<InvariantAnswer> {
  const asked = readInvariantFiles(files).map((one) => ({ ...one, statements: statementsOf(one) }))
  const questions = asked.flatMap(({ statements }) => statements).length
  let answered = 0
  settings.onProgress?.(answered, questions)
  const vacuous: InputError[] = []
  for (const { subject, statements } of asked) {
    const open = proofsFor(subject, statements)
    try {
      for (const statement of statements) {
        if (settings.signal?.aborted === true) return
        try {
          yield { ...(await proveStatement(await open(statement), statement, settings)), config: subject.file }
        } catch (thrown) {
          if (!(thrown instanceof InputError) || thrown.issues.some(({ code }) => code !== 'prove.vacuous'))
            throw thrown
          vacuous.push(thrown)
        }
        settings.onProgress?.(++answered, questions)
      }
    } finally {
      await open.close()
    }
  }
  if (vacuous.length > 0) throw new InputError(vacuous.flatMap(({ issues }) => issues))
}

/** Statements about the same rules share a proof. */
function proofsFor({ snapshot, world }: Subject, statements: readonly Statement[]) {
  const anySelector = needsAnySelector(statements)
  const rules = new Map(statements.map((one) => [one, rulesUnder(snapshot, one.condition, anySelector)] as const))
  const keyOf = (statement: Statement) => [...(rules.get(statement) ?? ['all'])].join()
  const groups = Map.groupBy(statements, keyOf)
  const proofs = new Map<string, Promise<Proof>>()
  const open = (statement: Statement): Promise<Proof> => {
    const key = keyOf(statement)
    const conditions = (groups.get(key) ?? []).flatMap(({ condition }) => condition ?? [])
    const input = { policies: [snapshot], world, conditions, anySelector, only: rules.get(statement) }
    const proof = proofs.get(key) ?? Proof.open(input)
    proofs.set(key, proof)
    return proof
  }
  return Object.assign(open, {
    close: async () => {
      for (const proof of proofs.values()) (await proof).close()
    },
  })
}

function statementsOf({ subject, invariants }: Invariants) {
  return readStatements(invariants, subject)
}

/** Everything that is, or may be, of a decision. */
interface Facts {
  readonly outcome: string
  readonly ruleId: string | null
  /** networks that hold every possible egress address; empty for a refused connection */
  readonly addresses: readonly Cidr[]
  readonly colos: readonly string[]
  readonly countries: readonly string[]
}

export type DemandVerdict = 'holds' | 'fails' | 'depends'

/** Parts of the demand that this decision does not meet, by their keys. */
export function unmetBy(demand: Demand, decision: Decision): readonly string[] {
  const { outcome, rule, egress, logical } = decision
  const facts: Facts = {
    outcome,
    ruleId: rule?.id ?? null,
    addresses: egress === null ? [] : [cidr(egress.address.text)],
    colos: logical === null ? [] : [logical.colo.code],
    countries: logical?.place.country === undefined ? [] : [logical.place.country],
  }
  return verdictsOn(demand, facts).flatMap(([key, verdict]) => (verdict === 'holds' ? [] : [key]))
}

/** Whether every decision that ends so meets the demand, or none. */
export function verdictOnEnd(demand: Demand, end: End, account: Account): DemandVerdict {
  const verdicts = verdictsOn(demand, factsOfEnd(end, account)).map(([, verdict]) => verdict)
  if (verdicts.includes('fails')) return 'fails'
  return verdicts.includes('depends') ? 'depends' : 'holds'
}

function factsOfEnd({ outcome, rule, family, dedicated }: End, account: Account): Facts {
  const common = { outcome, ruleId: rule?.id ?? null }
  if (outcome === 'unroutable') return { ...common, addresses: [], colos: [], countries: [] }
  if (dedicated === undefined) {
    const shared = createSharedAddresses(account)
    const colos = [...account.colos.values()]
    const addresses = new Set(colos.map(({ code }) => shared.egressOf(code, family).address.text))
    return {
      ...common,
      addresses: [...addresses].map(cidr),
      colos: colos.map(({ code }) => code),
      countries: [...new Set(colos.map(({ country }) => country))],
    }
  }
  const own = family === 4 ? dedicated.ipv4?.address.text : dedicated.ipv6?.range.text
  const { country } = dedicated.geolocation
  return {
    ...common,
    addresses: own === undefined ? [] : [cidr(own)],
    colos: [dedicated.colo],
    countries: country === undefined ? [] : [country],
  }
}

function verdictsOn(demand: Demand, facts: Facts): readonly (readonly [string, DemandVerdict])[] {
  const { outcome, colo, country, never_shared: neverShared, ruleId, networks } = demand
  const isShared = facts.outcome === 'default' || facts.outcome === 'exempt'
  const oneOf = (wanted: string | readonly string[] | undefined, found: readonly string[]) =>
    wanted === undefined ? 'holds' : all(found, (each) => ([wanted].flat().includes(each) ? 'holds' : 'fails'))
  return [
    ['outcome', oneOf(outcome, [facts.outcome])],
    ['rule', ruleId === undefined || ruleId === facts.ruleId ? 'holds' : 'fails'],
    ['colo', oneOf(colo, facts.colos)],
    ['country', oneOf(country, facts.countries)],
    ['never_shared', neverShared === true && isShared ? 'fails' : 'holds'],
    ...networks.map(([key, some]) => [key, all(facts.addresses, (address) => inside(address, some))] as const),
  ]
}

/** Nothing at all meets no demand. */
function all<T>(found: readonly T[], test: (one: T) => DemandVerdict): DemandVerdict {
  const verdicts = new Set(found.map(test))
  if (verdicts.size === 1 && verdicts.has('holds')) return 'holds'
  return verdicts.size === 0 || (verdicts.size === 1 && verdicts.has('fails')) ? 'fails' : 'depends'
}

function inside(address: Cidr, networks: readonly Cidr[]): DemandVerdict {
  if (networks.some((network) => network.length <= address.length && containsIp(network, address.base))) return 'holds'
  return networks.some((network) => containsIp(address, network.base)) ? 'depends' : 'fails'
}

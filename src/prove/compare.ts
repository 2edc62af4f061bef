// Two policies compared for every connection: the same, or the complete list of regions in which they differ, each with
// its condition in the language of rules and a connection in it.

import { type Expression, formatExpression } from '../expression/index.ts'
import { type Decision, nameOfEgress } from '../policy/decision.ts'
import type { Rule } from '../policy/rule.ts'
import { explainWitness, witnessJson } from './answer.ts'
import type { ProveSettings } from './invariants.ts'
import { type End, effectOf, type PolicyTerms } from './policy-terms.ts'
import { Proof, timeFor, type Witness } from './proof.ts'
import { openWorld, readPolicySubject, type Subject } from './subject.ts'
import { and, FALSE, not, or, type Term, TRUE, xor } from './terms.ts'

/** One side of a region: the rule that decides and where connections leave from. */
export interface RegionSide {
  readonly rule: Pick<Rule, 'id' | 'name' | 'precedence'> | null
  /** an address, a range, `balanced`, `shared egress`, `exempt` or `refused` */
  readonly egress: string
}

export interface Region {
  readonly before: RegionSide
  readonly after: RegionSide
  /** in the language of rules; holds for exactly the connections of the region; undefined: the time did not do */
  readonly condition: string | undefined
  /** the region exists only while these are down, and while those are up */
  readonly down: readonly string[]
  readonly up: readonly string[]
  readonly witness: Witness
}

export interface PolicyComparison {
  /** undefined: not decided; the regions are then a part of the difference */
  readonly isSame: boolean | undefined
  readonly reason: string
  readonly regions: readonly Region[]
  readonly ms: number
}

interface CompareOptions extends ProveSettings {
  /** false: no question may hold up this thread */
  readonly inPlace?: boolean
}

/** Most regions that are told apart. */
const MOST_REGIONS = 200

/** Compares the policies of two files: configurations, or lists of rules for the account of `configFile`. Throws an
 *  InputError. */
export async function compareFiles(
  before: string,
  after: string,
  { configFile, ...options }: CompareOptions & { readonly configFile: string },
): Promise<PolicyComparison> {
  return compareSubjects(readPolicySubject(before, configFile), readPolicySubject(after, configFile), options)
}

/** The same for policies that were read. */
export async function compareSubjects(
  before: Pick<Subject, 'snapshot' | 'world'>,
  after: Pick<Subject, 'snapshot' | 'world'>,
  options: CompareOptions,
): Promise<PolicyComparison> {
  const start = performance.now()
  const msLeft = timeFor(options)
  const world = openWorld([before.world, after.world])
  const input = { policies: [before.snapshot, after.snapshot], world, conditions: [], only: 'differences' } as const
  const proof = await Proof.open(input, { inPlace: options.inPlace ?? true })
  try {
    return await comparePolicies(proof, options, start, msLeft)
  } finally {
    proof.close()
  }
}

/** The documented JSON. A witness has both decisions. */
export function comparisonJson({ isSame, reason, regions, ms }: PolicyComparison) {
  return {
    same: isSame ?? null,
    reason,
    ms: Math.round(ms * 1000) / 1000,
    regions: regions.map(({ before, after, condition, down, up, witness }) => ({
      before: { rule: before.rule, egress: before.egress },
      after: { rule: after.rule, egress: after.egress },
      condition: condition ?? null,
      while_down: down,
      while_up: up,
      witness: {
        ...Object(witnessJson(witness, 1)),
        decision_before: explainWitness(witness).decision,
      },
    })),
  }
}

/** Compares the two policies of a proof in the time that is left of what began at `start`. */
export async function comparePolicies(
  proof: Proof,
  options: CompareOptions,
  start: number = performance.now(),
  msLeft: () => number = timeFor(options),
): Promise<PolicyComparison> {
  const [before, after] = proof.policies
  if (before === undefined || after === undefined) throw new RangeError('a comparison needs two policies')
  const different = differenceOf(before, after)
  const regions: Region[] = []
  const done = (isSame: boolean | undefined, reason: string): PolicyComparison => {
    return { isSame, reason, regions, ms: performance.now() - start }
  }
  const seen: Term[] = []
  const pairs = new Map<string, readonly Literal[]>()
  const everyColo = proof.outages.all.size
  let colosDown = everyColo
  while (regions.length < MOST_REGIONS) {
    const found = await proof.find({
      where: [different, ...seen],
      colosDown,
      people: 'anybody',
      isFound: ({ decisions: [one, other] }) =>
        one !== undefined && other !== undefined && effect(one) !== effect(other),
      timeoutMs: msLeft(),
      signal: options.signal,
    })
    if (found.kind === 'unknown') return done(undefined, found.why)
    if (found.kind === 'none' && colosDown < everyColo) {
      colosDown = everyColo
      continue
    }
    if (found.kind === 'none' && !balancesAlike(before, after)) {
      return done(regions.length > 0 ? false : undefined, 'the two accounts balance over different addresses')
    }
    if (found.kind === 'none') {
      return done(
        regions.length === 0,
        regions.length === 0 ? 'no connection is decided otherwise' : 'nothing else changes',
      )
    }
    // regions that are there with every data center up are found first, by simpler questions
    colosDown = found.witness.colosDown.length === 0 ? 0 : everyColo
    const [one, other] = found.witness.decisions
    if (one === undefined || other === undefined) throw new RangeError('a decision is missing')
    const whereBefore = or(endsLike(before, one).map(({ when }) => when))
    const whereAfter = or(endsLike(after, other).map(({ when }) => when))
    const term = and([whereBefore, whereAfter])
    seen.push(not(term))
    const key = `${one.outcome === 'exempt'} ${one.rule?.id} ${other.outcome === 'exempt'} ${other.rule?.id}`
    const known = pairs.get(key)
    const literals = known ?? (await pairOf(proof, [before, after], [one, other], msLeft))
    pairs.set(key, literals)
    const region: Region = {
      before: sideOf(one),
      after: sideOf(other),
      ...(await conditionOf(proof, term, literals, msLeft)),
      witness: found.witness,
    }
    regions.push(region)
  }
  return done(undefined, `there are more than ${MOST_REGIONS} regions`)
}

/** Exactly one end holds in each policy, so that ends both have cancel out. */
function differenceOf(before: PolicyTerms, after: PolicyTerms): Term {
  const effects = new Set([...before.ends, ...after.ends].map(effectOfEnd))
  return or(
    [...effects].map((one) => {
      const [mine, theirs] = [whereEffect(before, one), whereEffect(after, one)]
      return xor(or([...mine.difference(theirs)]), or([...theirs.difference(mine)]))
    }),
  )
}

function whereEffect({ ends }: PolicyTerms, wanted: string): Set<Term> {
  return new Set(ends.filter((end) => effectOfEnd(end) === wanted).map(({ when }) => when))
}

function endsLike({ ends }: PolicyTerms, decision: Decision): readonly End[] {
  const wanted = effect(decision)
  return ends.filter((end) => end.rule?.id === decision.rule?.id && effectOfEnd(end) === wanted)
}

function balancesAlike(before: PolicyTerms, after: PolicyTerms): boolean {
  const termsOf = ({ ends }: PolicyTerms) => {
    return new Set(ends.filter(({ outcome }) => outcome === 'balanced').map(({ open }) => open))
  }
  const [mine, theirs] = [termsOf(before), termsOf(after)]
  return mine.size === 0 || theirs.size === 0 || mine.symmetricDifference(theirs).size === 0
}

/** Which address is balanced to is the account's affair, and the same before and after. */
function effectOfEnd(end: End): string {
  return end.outcome === 'balanced' ? 'balanced' : effectOf(end)
}

function effect({ outcome, egress }: Decision): string {
  if (outcome === 'exempt' || outcome === 'balanced') return outcome
  if (egress === null) return 'refused'
  return egress.dedicated === undefined ? 'shared egress' : nameOfEgress(egress)
}

function sideOf(decision: Decision): RegionSide {
  const { rule } = decision
  return {
    rule: rule === null ? null : { id: rule.id, name: rule.name, precedence: rule.precedence },
    egress: effect(decision),
  }
}

interface Literal {
  readonly term: Term
  /** in the language; undefined for data centers */
  readonly text?: string
  readonly colo?: { readonly code: string; readonly isDown: boolean }
}

/** The fewest parts of the two policies that mean: this rule decides before, and that one after. */
async function pairOf(
  proof: Proof,
  [before, after]: readonly [PolicyTerms, PolicyTerms],
  [one, other]: readonly [Decision, Decision],
  msLeft: () => number,
): Promise<readonly Literal[]> {
  const own = [...literalsOf(before, one), ...literalsOf(after, other)].filter(({ term }) => term !== TRUE)
  const all = new Map(own.map((literal) => [literal.term, literal] as const))
  const pair = and([whereDecided(before, one), whereDecided(after, other)])
  return proof.fewest([...all.values()], not(pair), msLeft)
}

/** The fewest of these, with addresses and outages, that together mean the region. Without addresses and outages there is
 *  no condition: what is left would hold for too many. */
async function conditionOf(
  proof: Proof,
  region: Term,
  pair: readonly Literal[],
  msLeft: () => number,
): Promise<Pick<Region, 'condition' | 'down' | 'up'>> {
  const common = await proof.truthsOf(region, commonLiterals(proof), msLeft)
  if (common === undefined) return { condition: undefined, down: [], up: [] }
  const needed = await proof.fewest([...pair, ...common], not(region), msLeft)
  const texts = needed.flatMap(({ text }) => text ?? [])
  const colos = needed.flatMap(({ colo }) => colo ?? [])
  const [only = 'every connection'] = texts
  return {
    condition: texts.length < 2 ? only : texts.map(inBrackets).join(' and '),
    down: colos.filter(({ isDown }) => isDown).map(({ code }) => code),
    up: colos.filter(({ isDown }) => !isDown).map(({ code }) => code),
  }
}

function whereDecided({ ends }: PolicyTerms, { rule, outcome }: Decision): Term {
  const isExempt = outcome === 'exempt'
  const own = ends.filter((end) => end.rule?.id === rule?.id && (end.outcome === 'exempt') === isExempt)
  return or(own.map(({ when }) => when))
}

/** What holds where this decision is made: the rule that decides matches, and none before it. */
function literalsOf({ text, matches }: PolicyTerms, decision: Decision): Literal[] {
  if (decision.exempt !== undefined) return []
  const own = text.rules.findIndex(({ rule }) => rule.id === decision.rule?.id)
  if (own < 0 && decision.rule !== null) throw new Error(`rule ${decision.rule.id} was left out, and decides`)
  const last = own < 0 ? text.rules.length : own
  const passed = text.rules.slice(0, last).map(({ expressions }, at): Literal => {
    return { term: not(matches[at] ?? FALSE), text: `not ${inBrackets(conjunction(expressions))}` }
  })
  if (own < 0) return passed
  return [{ term: matches[own] ?? TRUE, text: conjunction(text.rules[own]?.expressions ?? []) }, ...passed]
}

function commonLiterals({ connection, outages }: Proof): Literal[] {
  return [
    { term: connection.isIpv4, text: 'net.dst.ip in {0.0.0.0/0}' },
    { term: not(connection.isIpv4), text: 'net.dst.ip in {::/0}' },
    ...[...outages.all].flatMap(([code, term]): Literal[] => [
      { term, colo: { code, isDown: true } },
      { term: not(term), colo: { code, isDown: false } },
    ]),
  ]
}

function conjunction(expressions: readonly Expression[]): string {
  const texts = expressions.map(formatExpression)
  return texts.length === 1 ? (texts[0] ?? '') : texts.map(inBrackets).join(' and ')
}

/** In parentheses, unless it is one comparison or one pair of them already. */
function inBrackets(text: string): string {
  if (/^not \(/.test(text) || !/ (and|or|xor|&&|\|\||\^\^) /.test(text)) return text
  return `(${text})`
}

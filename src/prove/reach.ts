// What the rules of one policy are good for, over every connection: rules that decide nothing, also because of several
// earlier ones together; rules that matter only while a data center is down; rules that overlap and differ; connections
// that no rule decides; people whose IPv4 and IPv6 leave from different countries.

import { placeRuleIssue } from '../config/read-rules.ts'
import type { Issue } from '../errors/issue.ts'
import { findDedicatedByIpv4, findDedicatedByIpv6 } from '../policy/egress-address.ts'
import type { Rule } from '../policy/rule.ts'
import { witnessJson } from './answer.ts'
import { type ProveSettings, proveInvariants } from './invariants.ts'
import { type End, effectOf, type PolicyTerms } from './policy-terms.ts'
import { type Found, Proof, timeFor, type Witness } from './proof.ts'
import { openWorld, readSubject, type Subject } from './subject.ts'
import { and, choose, FALSE, not, or, type Script, type Term, TRUE, xor } from './terms.ts'

export type ReachFinding =
  /** `by`: earlier rules that together match whenever it would; empty: its own conditions exclude each other */
  | { readonly kind: 'never-reached'; readonly rule: Rule; readonly by: readonly Rule[] }
  /** without it every connection leaves as before */
  | { readonly kind: 'changes-nothing'; readonly rule: Rule }
  | { readonly kind: 'only-in-outages'; readonly rule: Rule; readonly witness: Witness }
  /** earlier rules decide connections that it matches too, and send them elsewhere; at most {@link MOST_OVERLAPS} */
  | { readonly kind: 'overlap'; readonly rule: Rule; readonly by: readonly Rule[]; readonly witness: Witness }
  | { readonly kind: 'gap'; readonly witness: Witness }
  | {
      readonly kind: 'two-countries'
      readonly rule: Rule
      readonly ipv4: string
      readonly ipv6: string
      readonly witness: Witness
    }
  | { readonly kind: 'undecided'; readonly rule: Rule | null; readonly reason: string }

/** Everything found, rule by rule. */
export async function* exploreReach(
  { snapshot, world }: Pick<Subject, 'snapshot' | 'world'>,
  settings: ProveSettings,
): AsyncGenerator<ReachFinding> {
  const proof = await Proof.open({ policies: [snapshot], world: openWorld([world]), conditions: [] })
  try {
    yield* findingsOf(proof, settings)
  } finally {
    proof.close()
  }
}

/** A finding as JSON, with rules by id, name and precedence. */
export function findingJson(finding: ReachFinding): unknown {
  const named = ({ id, name, precedence }: Rule) => ({ id, name, precedence })
  const rule = 'rule' in finding && finding.rule !== null ? named(finding.rule) : null
  const witness = 'witness' in finding ? { witness: witnessJson(finding.witness) } : {}
  const by = 'by' in finding ? { by: finding.by.map(named) } : {}
  const countries = finding.kind === 'two-countries' ? { ipv4: finding.ipv4, ipv6: finding.ipv6 } : {}
  const reason = finding.kind === 'undecided' ? { reason: finding.reason } : {}
  return { kind: finding.kind, rule, ...by, ...countries, ...reason, ...witness }
}

/** What `check` can say by proof within a time: rules that decide nothing, and invariants that do not hold. Rules in
 *  `known` are reported already. */
export async function adviseByProof(
  file: string,
  known: ReadonlySet<string>,
  budgetMs: number,
): Promise<readonly Issue[]> {
  const subject = readSubject(file)
  const { config } = subject
  const signal = AbortSignal.timeout(budgetMs)
  const settings = { timeoutMs: budgetMs, signal }
  const issues: Issue[] = []
  if ((config.invariants ?? []).length > 0) {
    for await (const answer of proveInvariants([file], settings)) {
      if (answer.answer === 'proven') continue
      const severity = answer.answer === 'refuted' ? 'error' : 'warning'
      const message = `the invariant \`${answer.name}\` is ${answer.answer}: ${answer.reason}`
      const hint = 'run `egresslab prove` to see a connection that shows it'
      issues.push({ severity, code: `prove.${answer.answer}`, message, hint, file, line: answer.line ?? 1 })
    }
  }
  for await (const finding of exploreReach(subject, settings)) {
    const told = adviceOf(finding)
    const rule = 'rule' in finding ? config.rules.find(({ id }) => id === finding.rule?.id) : undefined
    if (told === undefined || rule === undefined || known.has(rule.name)) continue
    issues.push(
      placeRuleIssue(
        { severity: 'advice', code: `prove.${finding.kind}`, message: told, path: ['rules', rule.name] },
        rule,
        file,
      ),
    )
  }
  if (signal.aborted) {
    const message = `the time for proofs, ${Math.round(budgetMs / 1000)} s, is over; not everything was looked at`
    issues.push({
      severity: 'warning',
      code: 'prove.out_of_time',
      message,
      hint: 'give more with `--prove SECONDS`',
      file,
    })
  }
  return issues
}

function adviceOf(finding: ReachFinding): string | undefined {
  if (finding.kind === 'never-reached') {
    const names = finding.by.map(({ name }) => `\`${name}\``).join(', ')
    const why = names === '' ? 'its conditions exclude each other' : `${names} together match whenever it would`
    return `rule \`${finding.rule.name}\` is never reached: ${why}`
  }
  if (finding.kind === 'changes-nothing') {
    return `rule \`${finding.rule.name}\` changes nothing: without it every connection leaves as before`
  }
  if (finding.kind !== 'two-countries') return undefined
  return `rule \`${finding.rule.name}\` sends people from ${finding.ipv4} over IPv4 and from ${finding.ipv6} over IPv6`
}

async function* findingsOf(proof: Proof, settings: ProveSettings): AsyncGenerator<ReachFinding> {
  const [policy] = proof.policies
  if (policy === undefined) throw new RangeError('a proof needs a policy')
  const changes = changesWithout(policy, proof.script)
  for (const [at, { rule }] of policy.text.rules.entries()) {
    if (settings.signal?.aborted === true) return
    settings.onProgress?.(at, policy.text.rules.length)
    yield* findingsOnRule(proof, policy, at, rule, changes[at] ?? FALSE, settings)
  }
  const gap = await ask(proof, null, [policy.noRule], 0, settings)
  if (gap.kind === 'found') yield { kind: 'gap', witness: gap.witness }
  if (gap.kind === 'unknown') yield { kind: 'undecided', rule: null, reason: gap.why }
}

async function* findingsOnRule(
  proof: Proof,
  policy: PolicyTerms,
  at: number,
  rule: Rule,
  changed: Term,
  settings: ProveSettings,
): AsyncGenerator<ReachFinding> {
  const fires = policy.fires[at] ?? FALSE
  const reached = await ask(proof, rule, [fires], 0, settings)
  if (reached.kind === 'unknown') {
    yield { kind: 'undecided', rule, reason: reached.why }
    return
  }
  if (reached.kind === 'none') {
    yield { kind: 'never-reached', rule, by: await coveredBy(proof, policy, at, settings) }
    return
  }
  yield* countries(proof, policy, rule, fires, settings)
  yield* overlap(proof, policy, at, rule, settings)
  const always = await ask(proof, rule, [fires, changed], 0, settings)
  if (always.kind === 'unknown') yield { kind: 'undecided', rule, reason: always.why }
  if (always.kind !== 'none') return
  const sometimes = await ask(proof, rule, [fires, changed], proof.outages.all.size, settings)
  if (sometimes.kind === 'none') yield { kind: 'changes-nothing', rule }
  const { approximations } = proof.connection
  if (sometimes.kind === 'found' && approximations.length > 0) {
    yield { kind: 'undecided', rule, reason: `not told exactly: ${approximations.map(({ what }) => what).join('; ')}` }
  } else if (sometimes.kind === 'found') yield { kind: 'only-in-outages', rule, witness: sometimes.witness }
  if (sometimes.kind === 'unknown') yield { kind: 'undecided', rule, reason: sometimes.why }
}

const MOST_OVERLAPS = 8

/** Connections that the rule matches, that an earlier one decides, and that would leave otherwise by this one. */
async function* overlap(
  proof: Proof,
  { ends, fires, matches, text: { rules } }: PolicyTerms,
  at: number,
  rule: Rule,
  settings: ProveSettings,
): AsyncGenerator<ReachFinding> {
  const own = Map.groupBy(
    ends.filter((end) => end.rule?.id === rule.id),
    effectOf,
  )
  const elsewhere = [...own].map(([effect, mine]) => {
    const leaves = ends.filter((end) => effectOf(end) === effect).map(({ when }) => when)
    return and([or(mine.map(({ open }) => open)), not(proof.script.name(or(leaves)))])
  })
  const earlier = rules.slice(0, at).map((one, number) => ({ rule: one.rule, fires: fires[number] ?? FALSE }))
  const by = new Set<Rule>()
  let first: Witness | undefined
  while (by.size < MOST_OVERLAPS) {
    const left = earlier.filter((one) => !by.has(one.rule)).map((one) => one.fires)
    const found = await proof.find({
      where: [matches[at] ?? FALSE, or(elsewhere), or(left)],
      colosDown: 0,
      people: 'anybody',
      wantsOrdinary: first === undefined,
      isFound: ({ decisions: [decision] }) => decision?.rule !== null && decision?.rule.id !== rule.id,
      ...settings,
    })
    if (found.kind === 'unknown') yield { kind: 'undecided', rule, reason: found.why }
    if (found.kind !== 'found') break
    const decided = earlier.find((one) => one.rule.id === found.witness.decisions[0]?.rule?.id)
    first ??= found.witness
    if (decided === undefined || by.has(decided.rule)) break
    by.add(decided.rule)
  }
  const sorted = [...by].sort((a, b) => a.precedence - b.precedence)
  if (first !== undefined) yield { kind: 'overlap', rule, by: sorted, witness: first }
}

/** A connection of the term that this rule (null: none) really decides. */
function ask(
  proof: Proof,
  rule: Rule | null,
  where: readonly Term[],
  colosDown: number,
  settings: ProveSettings,
): Promise<Found> {
  const isFound = ({ decisions: [decision] }: Witness) => decision?.rule?.id === rule?.id
  return proof.find({ where, colosDown, people: 'anybody', isFound, ...settings })
}

async function coveredBy(
  proof: Proof,
  policy: PolicyTerms,
  at: number,
  settings: ProveSettings,
): Promise<readonly Rule[]> {
  const match = policy.matches[at] ?? FALSE
  const earlier = policy.text.rules.slice(0, at).map(({ rule }, number) => {
    return { rule, term: not(policy.matches[number] ?? FALSE) }
  })
  const needed = await proof.fewest(earlier, match, timeFor(settings))
  return needed.map(({ rule }) => rule)
}

/** Per rule: a connection it decides would leave otherwise without it. */
function changesWithout({ ends, matches, text }: PolicyTerms, script: Script): readonly Term[] {
  const effects = [...new Set(ends.map(effectOf))]
  const own = Map.groupBy(ends, ({ rule }) => rule?.id)
  const of = (some: readonly End[], effect: string) =>
    or(some.filter((end) => effectOf(end) === effect).map(({ open }) => open))
  let rest = new Map(
    effects.map(
      (effect) =>
        [
          effect,
          of(
            (own.get(undefined) ?? []).filter(({ outcome }) => outcome === 'balanced' || outcome === 'default'),
            effect,
          ),
        ] as const,
    ),
  )
  const changes: Term[] = []
  for (let at = text.rules.length - 1; at >= 0; at--) {
    const mine = new Map(effects.map((effect) => [effect, of(own.get(text.rules[at]?.rule.id) ?? [], effect)] as const))
    changes[at] = script.name(or(effects.map((effect) => xor(mine.get(effect) ?? FALSE, rest.get(effect) ?? FALSE))))
    const match = matches[at] ?? TRUE
    rest = new Map(
      effects.map(
        (effect) => [effect, script.name(choose(match, mine.get(effect) ?? FALSE, rest.get(effect) ?? FALSE))] as const,
      ),
    )
  }
  return changes
}

/** The same person over both families. */
async function* countries(
  proof: Proof,
  { text }: PolicyTerms,
  rule: Rule,
  fires: Term,
  settings: ProveSettings,
): AsyncGenerator<ReachFinding> {
  if (rule.egress === null) return
  const { account } = text.snapshot
  const [ipv4, ipv6] = [
    findDedicatedByIpv4(account, rule.egress.ipv4)?.geolocation.country,
    findDedicatedByIpv6(account, rule.egress.ipv6)?.geolocation.country,
  ]
  if (ipv4 === undefined || ipv6 === undefined || ipv4 === ipv6) return
  const { isIpv4 } = proof.connection
  const [four, six] = [
    await ask(proof, rule, [and([fires, isIpv4])], 0, settings),
    await ask(proof, rule, [and([fires, not(isIpv4)])], 0, settings),
  ]
  if (four.kind === 'found' && six.kind === 'found')
    yield { kind: 'two-countries', rule, ipv4, ipv6, witness: six.witness }
}

// Invariants read against the configuration they are for. Statements that cannot be meant are errors with their places;
// proves nothing.

import { expandNames, writtenSpan } from '../config/expression-names.ts'
import type { LabConfig } from '../config/lab-config.ts'
import { gatherNames, type Names } from '../config/names.ts'
import type { ConfiguredInvariant, InvariantDemand } from '../config/read-invariants.ts'
import { readSourceDocument } from '../config/source-document.ts'
import { counted } from '../errors/counted.ts'
import { didYouMean } from '../errors/did-you-mean.ts'
import { InputError, type Issue } from '../errors/issue.ts'
import { drawProblem, type Expression, parseExpression, partsOf, textOf } from '../expression/index.ts'
import { type Cidr, cidr, containsIp } from '../net/cidr.ts'
import type { Account } from '../policy/account.ts'
import { GATEWAY_SCHEME } from '../policy/fields.ts'
import { COLOS } from '../policy/place.ts'
import { RuleParser } from '../policy/rule-expressions.ts'
import type { Snapshot } from '../policy/ruleset.ts'
import { type Subject, worldOf } from './subject.ts'

/** A demand with names resolved. */
export interface Demand extends Omit<InvariantDemand, 'egress_in' | 'let_in_by' | 'rule'> {
  /** what it leaves from, by the keys that demand it */
  readonly networks: readonly (readonly [key: 'egress_in' | 'let_in_by', networks: readonly Cidr[]])[]
  /** id; null: no rule; undefined: any */
  readonly ruleId?: string | null
}

/** An invariant that can be asked. */
export interface Statement {
  readonly invariant: ConfiguredInvariant
  readonly condition: Expression | undefined
  readonly demand: Demand
  readonly colosDown: number | readonly string[]
}

/** Reads invariants against the configuration they are for. Throws an InputError with every problem. */
export function readStatements(
  invariants: readonly ConfiguredInvariant[],
  { file, config, snapshot }: Pick<Subject, 'file' | 'config' | 'snapshot'>,
): readonly Statement[] {
  const names = gatherNames(readSourceDocument(file).data)
  const issues: Issue[] = []
  const statements = invariants.map((invariant) => {
    const complain: Complain = (part, code, message, details = {}) => {
      const { line, column } = invariant.parts[part] ?? invariant.position
      const told = Object.fromEntries(Object.entries(details).filter(([, value]) => value !== undefined))
      issues.push({ severity: 'error', code, message, file: invariant.file, line, column, ...told })
    }
    return readStatement({ invariant, config, snapshot, names, complain })
  })
  if (issues.length > 0) throw new InputError(issues)
  return statements
}

type Complain = (
  part: string,
  code: string,
  message: string,
  details?: { readonly hint?: string | undefined; readonly drawing?: string },
) => void

interface Reading {
  readonly invariant: ConfiguredInvariant
  readonly config: LabConfig
  readonly snapshot: Snapshot
  /** what may be written for ids, as in rules */
  readonly names: Names
  readonly complain: Complain
}

function readStatement(reading: Reading): Statement {
  const { invariant } = reading
  const { egress_in: egressIn, let_in_by: service, rule, ...then } = invariant.then
  const networks = [
    ...(egressIn === undefined ? [] : [['egress_in', readNetworks(reading, egressIn)] as const]),
    ...(service === undefined ? [] : [['let_in_by', readService(reading, service)] as const]),
  ]
  for (const key of ['colo', 'country'] as const) checkCodes(reading, key, [then[key] ?? []].flat())
  const ruleId = rule === undefined || rule === null ? rule : readRuleId(reading, rule)
  const demand: Demand = { ...then, networks, ...(ruleId === undefined ? {} : { ruleId }) }
  return { invariant, condition: readCondition(reading), demand, colosDown: readColosDown(reading) }
}

function readCondition(reading: Reading): Expression | undefined {
  const { invariant, snapshot, names: known, complain } = reading
  const { when } = invariant
  if (when === undefined) return undefined
  const { text, names, unknown } = expandNames(when, known)
  for (const { message, hint } of unknown) complain('when', 'prove.unknown_name', `${message} in \`when\``, { hint })
  const parsed = parseExpression(text, GATEWAY_SCHEME, { mode: snapshot.account.settings.expressions })
  if (parsed.ok) {
    refuseUnknownNames(reading, parsed.expression)
    return parsed.expression
  }
  for (const problem of parsed.problems) {
    const { code, message, hint } = problem
    const drawing = drawProblem(when, { ...problem, span: writtenSpan(problem.span, names) })
    complain('when', code, `${message} in \`when\``, { hint, drawing })
  }
  return undefined
}

/** Groups that neither the configuration nor its rules have: an invariant about one would be proven whatever was meant. */
function refuseUnknownNames({ config, snapshot, complain }: Reading, condition: Expression): void {
  const parser = new RuleParser(snapshot.account.settings.expressions)
  const known = new Set(worldOf(config, snapshot.account).groups.map(({ name }) => name))
  for (const { rule } of snapshot.ruleset.active) {
    for (const { expression } of parser.parse(rule).expressions) {
      for (const name of groupsIn(expression)) known.add(name)
    }
  }
  for (const name of groupsIn(condition)) {
    if (known.has(name)) continue
    const message = `neither the configuration nor its rules have a group \`${name}\``
    complain('when', 'prove.unknown_name', message, { hint: didYouMean(name, [...known], 'there are') })
  }
}

function* groupsIn(expression: Expression): Generator<string> {
  for (const { access, test } of partsOf(expression).comparisons) {
    if (access.field.name !== 'identity.groups.name') continue
    if (test.kind === 'order' && test.literal.type === 'Bytes' && ['==', '!='].includes(test.op)) {
      yield textOf(test.literal.value)
    }
    if (test.kind === 'in-set' && test.set.type === 'Bytes') yield* test.set.members.map(({ value }) => textOf(value))
  }
}

function readNetworks({ snapshot: { account }, complain }: Reading, texts: readonly string[]): readonly Cidr[] {
  const networks = texts.map((text) => cidr(text))
  for (const network of networks) {
    if (ownsAnyOf(account, network)) continue
    const owned = account.dedicatedIps.flatMap(({ ipv4, ipv6 }) =>
      [ipv4?.address.text ?? [], ipv6?.range.text ?? []].flat(),
    )
    const message = `the account has no egress address in \`${network.text.replace(/\/(32|128)$/, '')}\``
    complain('then.egress_in', 'prove.unowned_address', message, { hint: `it owns ${owned.join(', ') || 'none'}` })
  }
  return networks
}

function ownsAnyOf({ dedicatedIps, sharedEgress }: Account, network: Cidr): boolean {
  const touches = (own: Cidr) => containsIp(network, own.base) || containsIp(own, network.base)
  const owned = dedicatedIps.flatMap(({ ipv4, ipv6 }) => [
    ...(ipv4 === undefined ? [] : [cidr(ipv4.address.text)]),
    ...(ipv6 === undefined ? [] : [ipv6.range]),
  ])
  return [...owned, sharedEgress.ipv4.range, sharedEgress.ipv6.range].some(touches)
}

function readService({ config: { origins }, complain }: Reading, name: string): readonly Cidr[] {
  const services = origins.filter(({ kind }) => kind === 'saas')
  const found = services.find((service) => service.name === name)
  if (found !== undefined) return found.allow
  const names = services.map((service) => service.name)
  complain(
    'then.let_in_by',
    'prove.unknown_service',
    `the configuration has no service with an allowlist called \`${name}\``,
    {
      hint: didYouMean(name, names, 'there are'),
    },
  )
  return []
}

function readRuleId({ snapshot: { ruleset }, complain }: Reading, wanted: string): string | undefined {
  const { rules, skipped } = ruleset
  const rule = rules.find(({ id, name }) => name === wanted || id === wanted.toLowerCase())
  if (rule === undefined) {
    const names = rules.map(({ name }) => name)
    const hint = didYouMean(wanted, names, 'there are')
    complain('then.rule', 'prove.unknown_rule', `the configuration has no rule \`${wanted}\``, { hint })
    return undefined
  }
  const skip = skipped.find((one) => one.rule === rule)
  if (skip !== undefined) {
    complain('then.rule', 'prove.contradiction', `the rule \`${wanted}\` never decides anything: ${skip.reason}`)
  }
  return rule.id
}

function checkCodes({ complain }: Reading, key: 'colo' | 'country', codes: readonly string[]): void {
  const known = key === 'colo' ? [...COLOS.keys()] : undefined
  for (const code of codes) {
    if (known === undefined || known.includes(code)) continue
    complain(`then.${key}`, 'prove.unknown_colo', `unknown data center \`${code}\``, {
      hint: didYouMean(code, known) ?? 'run `egresslab colo list --all` to list them',
    })
  }
}

function readColosDown({ invariant: { despite }, snapshot: { account }, complain }: Reading): Statement['colosDown'] {
  const { colos_down: wanted = 0 } = despite ?? {}
  const own = [...new Set(account.dedicatedIps.map(({ colo }) => colo))].filter((code) => !account.colosDown.has(code))
  if (typeof wanted === 'number') {
    if (wanted <= own.length) return wanted
    const message = `${counted(wanted, 'data center')} cannot be down: only ${own.length} with dedicated IPs are up`
    complain('despite.colos_down', 'prove.impossible_despite', message)
    return own.length
  }
  const codes = wanted.map((code) => code.toUpperCase())
  for (const code of codes) {
    if (own.includes(code)) continue
    const message = COLOS.has(code)
      ? `the data center \`${code}\` has no dedicated IP that is up, so its outage changes no address`
      : `unknown data center \`${code}\``
    complain('despite.colos_down', 'prove.impossible_despite', message, { hint: didYouMean(code, own, 'there are') })
  }
  return codes
}

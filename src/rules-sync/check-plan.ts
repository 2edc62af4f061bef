// Whether a target would take a plan: everything that a refusal half-way can be known from is said before anything is done.
// What only the target knows is left to it.

import type { JsonObject } from '../config/lab-state.ts'
import { readRule } from '../config/rule-document.ts'
import { counted } from '../errors/counted.ts'
import type { Issue } from '../errors/issue.ts'
import { type Comparison, partsOf } from '../expression/index.ts'
import { parseCidr } from '../net/cidr.ts'
import { parseIp } from '../net/ip.ts'
import { isKnownAction, missingAddress } from '../policy/rule-check.ts'
import { RuleParser } from '../policy/rule-expressions.ts'
import { objectOf, textIn } from './from-export.ts'
import { resultingPolicy } from './plan-changes.ts'
import type { PolicyChanges, PolicyStep, PortablePolicy } from './portable-policy.ts'
import { expressionsOf, idsIn, plainId } from './rule-differences.ts'

/** Limits of an account ([R14]). */
export const ACCOUNT_LIMITS = Object.freeze({ egressRules: 500, lists: 100, listItems: 5000 })

/** What is known of the target besides its rules. */
export interface TargetFacts {
  /** its dedicated addresses and ranges in canonical form; absent: only the target knows */
  readonly owned?: ReadonlySet<string>
  readonly expressions: 'default' | 'lenient'
}

/** Every reason to refuse a plan, as far as it can be known. `there`: the target before; `wanted`: what it is to have. */
export function planProblems(
  changes: PolicyChanges,
  there: PortablePolicy,
  wanted: PortablePolicy,
  facts: TargetFacts,
): Issue[] {
  const after = resultingPolicy(there, changes)
  const context: PlanContext = {
    file: wanted.source,
    to: there.source,
    facts,
    madeUpIds: new Map([...(wanted.madeUpIds ?? [])].map(([id, of]) => [plainId(id), of])),
    listTypes: new Map(after.lists.map(({ id = '', type }) => [plainId(id), type])),
    networks: new Set(after.virtualNetworks.map(({ id = '' }) => plainId(id))),
    parser: new RuleParser(facts.expressions),
  }
  const written = changes.steps.filter(
    ({ thing, action }) => thing === 'rule' && action !== 'delete' && action !== 'park',
  )
  return [...limitProblems(context, there, after), ...written.flatMap((step) => ruleProblems(step, context))]
}

/** Addresses of the plan that nothing shows the target to own, one clause each. */
export function ownershipNotes(changes: PolicyChanges, there: PortablePolicy): string[] {
  const seen = new Set(there.rules.flatMap(({ fields }) => egressAddresses(fields).map(({ canonical }) => canonical)))
  const unseen = changes.steps
    .filter(({ thing, action }) => thing === 'rule' && action !== 'delete')
    .flatMap(({ body }) => egressAddresses(body))
    .filter(({ canonical }) => !seen.has(canonical))
  const shown = [...new Set(unseen.map(({ text }) => `\`${text}\``))]
  if (shown.length === 0) return []
  return [
    `no rule of ${there.source} uses ${shown.join(', ')} yet; the API refuses addresses that the account does not own`,
  ]
}

interface PlanContext {
  readonly file: string
  readonly to: string
  readonly facts: TargetFacts
  readonly madeUpIds: ReadonlyMap<string, string>
  readonly listTypes: ReadonlyMap<string, string>
  readonly networks: ReadonlySet<string>
  readonly parser: RuleParser
}

function problem({ file }: PlanContext, code: string, message: string, hint?: string): Issue {
  return { severity: 'error', code, message, file, ...(hint === undefined ? {} : { hint }) }
}

/** A limit counts for what the plan adds: an account that is over it already may still be changed. */
function limitProblems(context: PlanContext, before: PortablePolicy, after: PortablePolicy): Issue[] {
  const egressRules = ({ rules }: PortablePolicy) => rules.filter(({ fields }) => fields.action === 'egress').length
  const over = (what: string, most: number, was: number, is: number): Issue[] =>
    is <= most || is <= was
      ? []
      : [
          problem(
            context,
            'rules.limit',
            `${context.to} would have ${counted(is, what)}; an account has at most ${most}`,
          ),
        ]
  const sizes = new Map(before.lists.map(({ id, items }) => [id, items.length]))
  return [
    ...over('egress rule', ACCOUNT_LIMITS.egressRules, egressRules(before), egressRules(after)),
    ...over('list', ACCOUNT_LIMITS.lists, before.lists.length, after.lists.length),
    ...after.lists.flatMap(({ id, name, items }): Issue[] => {
      if (items.length <= ACCOUNT_LIMITS.listItems || items.length <= (sizes.get(id) ?? 0)) return []
      const message = `list \`${name}\` would have ${counted(items.length, 'item')}; a list has at most ${ACCOUNT_LIMITS.listItems}`
      return [problem(context, 'rules.limit', message)]
    }),
  ]
}

function ruleProblems({ name, body, precedence = 0 }: PolicyStep, context: PlanContext): Issue[] {
  const issues: Issue[] = []
  const { action } = body
  if (typeof action === 'string' && !isKnownAction(action)) {
    issues.push(
      problem(context, 'rules.invalid_action', `rule \`${name}\` has the action \`${action}\`, which there is not`),
    )
  }
  if (!Number.isSafeInteger(precedence) || precedence < 0) {
    const message = `rule \`${name}\` has the precedence ${precedence}; it is a whole number from 0`
    issues.push(problem(context, 'rules.precedence', message))
  }
  issues.push(...madeUpProblems(name, body, context))
  if (action !== 'egress') return issues
  const { rule, expressions, issues: found } = context.parser.parse(readRule(body, { id: '', precedence }))
  const errors = found.filter(({ severity }) => severity === 'error')
  issues.push(
    ...errors.map(({ rule: _rule, slot: _slot, problem: _problem, ...issue }) => ({ ...issue, file: context.file })),
  )
  const comparisons = expressions.flatMap(({ expression }) => partsOf(expression).comparisons)
  issues.push(...comparisons.flatMap((comparison) => referenceProblems(name, comparison, context)))
  const missing = rule.egress === null ? undefined : missingAddress(rule.egress)
  if (missing !== undefined) issues.push(problem(context, 'rules.no_address', `rule \`${name}\`: ${missing.message}`))
  return [...issues, ...ownershipProblems(name, body, context)]
}

/** Ids that stand for what Terraform has not made yet mean nothing to anybody else. */
function madeUpProblems(name: string, body: JsonObject, context: PlanContext): Issue[] {
  const used = new Set(expressionsOf(body).flatMap(idsIn))
  return [...context.madeUpIds].flatMap(([id, of]): Issue[] => {
    if (!used.has(id)) return []
    const message = `rule \`${name}\` uses the id of \`${of}\`, which only Terraform knows`
    return [
      problem(context, 'rules.unknown_until_apply', message, 'use `terraform show -json` of the state, after an apply'),
    ]
  })
}

function referenceProblems(name: string, { access, test }: Comparison, context: PlanContext): Issue[] {
  if (test.kind === 'in-list') {
    const type = context.listTypes.get(plainId(test.list.name))
    const isOfIps = access.valueType === 'Ip'
    if (type === undefined) {
      const message = `rule \`${name}\` uses the list \`${test.list.text}\`, which is neither in the file nor in the target`
      return [problem(context, 'rules.no_list', message, 'pull the lists with the rules, or make it first')]
    }
    if (isOfIps === (type === 'IP')) return []
    const message = `rule \`${name}\` compares \`${access.text}\` with a list of the type ${type}`
    return [
      problem(context, 'rules.list_type', message, isOfIps ? 'an address needs a list of the type IP' : undefined),
    ]
  }
  if (access.field.name !== 'net.vnet_id') return []
  return literalsOf(test).flatMap((id): Issue[] => {
    if (context.networks.has(plainId(id))) return []
    const message = `rule \`${name}\` uses the virtual network \`${id}\`, which is neither in the file nor in the target`
    return [problem(context, 'rules.no_network', message)]
  })
}

function literalsOf(test: Comparison['test']): string[] {
  if (test.kind === 'order' && test.literal.type === 'Bytes') return [test.literal.value]
  return test.kind === 'in-set' && test.set.type === 'Bytes' ? test.set.members.map(({ value }) => value) : []
}

function ownershipProblems(name: string, body: JsonObject, context: PlanContext): Issue[] {
  const { owned } = context.facts
  if (owned === undefined) return []
  return egressAddresses(body).flatMap(({ text, canonical, what }): Issue[] => {
    if (owned.has(canonical)) return []
    const message = `rule \`${name}\`: ${context.to} does not own the ${what} \`${text}\``
    const hint = `it owns ${[...owned].join(', ') || 'none'}`
    return [problem(context, 'rules.not_owned', message, hint)]
  })
}

interface EgressAddress {
  readonly what: string
  readonly text: string
  readonly canonical: string
}

/** What a rule leaves from, except the shared egress that every account has. */
function egressAddresses(body: JsonObject): EgressAddress[] {
  const egress = objectOf(objectOf(body.rule_settings)?.egress)
  const parts = [
    ['ipv4', 'primary IPv4'],
    ['ipv4_fallback', 'fallback IPv4'],
    ['ipv6', 'IPv6 range'],
  ] as const
  return parts.flatMap(([field, what]) => {
    const text = textIn(egress, field) ?? ''
    return text === '' || text === '0.0.0.0' ? [] : [{ what, text, canonical: canonicalAddress(text) }]
  })
}

/** One text for every spelling of an address, or of a range with or without host bits. */
export function canonicalAddress(text: string): string {
  return parseIp(text)?.text ?? parseCidr(text)?.text ?? text
}

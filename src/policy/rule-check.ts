// Whether a rule may be saved in this account ([R1], [R3], [R5] to [R7], [R11], [R12]). The API and the configuration
// share these checks; each renders the result in its own format.

import type { Issue } from '../errors/issue.ts'
import { parseCidr } from '../net/cidr.ts'
import { parseIp } from '../net/ip.ts'
import type { Account } from './account.ts'
import { findDedicatedByIpv4, findDedicatedByIpv6, SHARED_FALLBACK } from './egress-address.ts'
import type { EgressSettings, Rule } from './rule.ts'
import { type RuleIssue, RuleParser } from './rule-expressions.ts'
import { isEgressRule } from './ruleset.ts'

/** Problem → the HTTP status and error code of Cloudflare's API, where one is known. */
export const RULE_PROBLEMS = {
  'rule.invalid_action': { status: 400, apiCode: 2087 },
  'rule.wrong_filter': { status: 400, apiCode: undefined },
  'rule.invalid_precedence': { status: 400, apiCode: undefined },
  'rule.precedence_taken': { status: 409, apiCode: 2011 },
  'rule.invalid_address': { status: 400, apiCode: undefined },
  'rule.unowned_ipv4': { status: 400, apiCode: 2055 },
  'rule.unowned_fallback': { status: 400, apiCode: undefined },
  'rule.unowned_ipv6': { status: 400, apiCode: undefined },
  'rule.no_fallback': { status: 200, apiCode: undefined },
} as const

export type RuleProblemCode = keyof typeof RULE_PROBLEMS

/** Actions of Gateway rules of all kinds. */
export const KNOWN_ACTIONS: readonly string[] = [
  'allow',
  'audit_ssh',
  'block',
  'egress',
  'isolate',
  'l4_override',
  'noisolate',
  'noscan',
  'off',
  'on',
  'override',
  'quarantine',
  'redirect',
  'resolve',
  'safesearch',
  'scan',
  'ytrestricted',
]

/** Filters of Gateway rules of all kinds ([R1], [R9]). */
export const RULE_FILTERS = ['egress', 'dns', 'l4', 'http', 'dns_resolver'] as const

/** All problems of a rule to be saved beside `others` (the account's rules without the one it replaces). A rule with
 *  errors must not be saved; warnings are shown with it. Rules of other kinds are checked for precedence and action
 *  only ([R9]). */
export function checkRule(rule: Rule, account: Account, others: readonly Rule[]): readonly RuleIssue[] {
  const issues = [...checkAction(rule), ...checkPrecedence(rule, others)]
  if (rule.action !== 'egress') return issues
  const { expressions } = account.settings
  issues.push(...new RuleParser(expressions).parse(rule).issues)
  if (rule.egress !== null) issues.push(...checkSettings(rule, rule.egress, account))
  return issues
}

/** The precedence of a rule created without one ([R3]). `random` is in [0, 1). */
export function nextPrecedence(rules: readonly Pick<Rule, 'precedence'>[], random: number): number {
  if (rules.length === 0) return 1000
  const largest = rules.reduce((most, { precedence }) => Math.max(most, precedence), 0)
  return largest + 1000 + 1 + Math.floor(random * 100)
}

/** Whether this is an action of any kind of Gateway rule. */
export function isKnownAction(action: string): boolean {
  return KNOWN_ACTIONS.includes(action)
}

function checkAction(rule: Rule): RuleIssue[] {
  if (!isKnownAction(rule.action)) return [error(rule, 'rule.invalid_action', `invalid action "${rule.action}"`)]
  if (rule.action !== 'egress' || isEgressRule(rule)) return []
  const message = `rule \`${rule.name}\` has the action \`egress\` but not the filter \`egress\``
  return [error(rule, 'rule.wrong_filter', message, 'write `filters: ["egress"]`')]
}

function checkPrecedence(rule: Rule, others: readonly Rule[]): RuleIssue[] {
  const { precedence, name } = rule
  if (!Number.isSafeInteger(precedence) || precedence < 0) {
    const message = `rule \`${name}\` has the precedence \`${precedence}\`; write a whole number, 0 or greater`
    return [error(rule, 'rule.invalid_precedence', message)]
  }
  const holder = others.find((other) => other.precedence === precedence && other.id !== rule.id)
  if (holder === undefined) return []
  const message = `rule \`${name}\` has the precedence ${precedence}, which rule \`${holder.name}\` already has`
  return [
    error(rule, 'rule.precedence_taken', message, 'precedence is unique among all rules of the account, of every kind'),
  ]
}

/** The address that dedicated egress lacks, by Cloudflare's field name; undefined if none is missing. */
export function missingAddress({
  ipv4,
  ipv6,
}: EgressSettings): { field: 'ipv4' | 'ipv6'; message: string } | undefined {
  if (ipv4 === '') return { field: 'ipv4', message: 'dedicated egress needs `ipv4`' }
  if (ipv6 === '') return { field: 'ipv6', message: 'dedicated egress needs `ipv6`, the range of the same location' }
  return undefined
}

function checkSettings(rule: Rule, settings: EgressSettings, account: Account): RuleIssue[] {
  const missing = missingAddress(settings)
  if (missing !== undefined) return [error(rule, 'rule.invalid_address', missing.message)]
  return [
    ...checkPrimary(rule, settings, account),
    ...checkFallback(rule, settings, account),
    ...checkRange(rule, settings, account),
  ]
}

function checkPrimary(rule: Rule, { ipv4 }: EgressSettings, account: Account): RuleIssue[] {
  if (!isIpv4(ipv4))
    return [error(rule, 'rule.invalid_address', `rule \`${rule.name}\`: \`${ipv4}\` is not an IPv4 address`)]
  if (findDedicatedByIpv4(account, ipv4) !== undefined) return []
  return [
    error(rule, 'rule.unowned_ipv4', `Account doesn't own dedicated primary IPv4 \`${ipv4}\``, ownedHint(account)),
  ]
}

function checkFallback(rule: Rule, { ipv4Fallback }: EgressSettings, account: Account): RuleIssue[] {
  if (ipv4Fallback === null || ipv4Fallback === '') {
    const message = `rule \`${rule.name}\` has no fallback: while the colo of its IPv4 address is down, its connections are refused`
    const hint = `set \`ipv4_fallback\` to another dedicated IPv4 address, or to \`${SHARED_FALLBACK}\` for shared egress`
    return [{ ...error(rule, 'rule.no_fallback', message, hint), severity: 'warning' }]
  }
  if (!isIpv4(ipv4Fallback)) {
    return [
      error(
        rule,
        'rule.invalid_address',
        `rule \`${rule.name}\`: the fallback \`${ipv4Fallback}\` is not an IPv4 address`,
      ),
    ]
  }
  if (ipv4Fallback === SHARED_FALLBACK || findDedicatedByIpv4(account, ipv4Fallback) !== undefined) return []
  const message = `rule \`${rule.name}\`: the account does not own the fallback \`${ipv4Fallback}\``
  return [error(rule, 'rule.unowned_fallback', message, ownedHint(account))]
}

function checkRange(rule: Rule, { ipv6 }: EgressSettings, account: Account): RuleIssue[] {
  const range = parseCidr(ipv6)
  if (range?.family !== 6) {
    return [
      error(
        rule,
        'rule.invalid_address',
        `rule \`${rule.name}\`: \`${ipv6}\` is not an IPv6 range`,
        'write a range like `2001:db8:10::/64`',
      ),
    ]
  }
  if (findDedicatedByIpv6(account, ipv6) !== undefined) return []
  const owned = account.dedicatedIps.flatMap((dedicated) =>
    dedicated.ipv6 === undefined ? [] : [`\`${dedicated.ipv6.range.text}\``],
  )
  const message = `rule \`${rule.name}\`: the account does not own the IPv6 range \`${ipv6}\``
  return [error(rule, 'rule.unowned_ipv6', message, `it owns ${owned.join(', ') || 'none'}`)]
}

function isIpv4(text: string): boolean {
  return parseIp(text)?.family === 4
}

function ownedHint(account: Account): string {
  const owned = account.dedicatedIps.flatMap(({ ipv4 }) => (ipv4 === undefined ? [] : [`\`${ipv4.address.text}\``]))
  return `it owns ${owned.join(', ') || 'none'}`
}

function error(rule: Rule, code: RuleProblemCode, message: string, hint?: string): RuleIssue {
  const base: Issue = { severity: 'error', code, message, path: ['rules', rule.name] }
  return { ...base, ...(hint === undefined ? {} : { hint }), rule }
}

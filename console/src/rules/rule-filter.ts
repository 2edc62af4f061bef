// Which rules a person wants to see. As with sessions, the filter is the page's address.

import type { Check, Rule, RuleCount } from '../api/shapes.ts'

export const SHOWN = ['', 'shadowed', 'dead', 'warned', 'unused', 'off'] as const
type Shown = (typeof SHOWN)[number]

export const SHOWN_WORDS: Readonly<Record<Shown, string>> = {
  '': 'Show: all',
  shadowed: 'never reached',
  dead: 'can never match',
  warned: 'with a warning',
  unused: 'unused',
  off: 'switched off',
}

const PROOF = /never reached|can never match/

export interface RuleFilter {
  readonly text: string
  readonly show: Shown
  readonly group: string
  /** an address, or `shared` */
  readonly egress: string
}

/** A rule with all that its row says. */
export interface KnownRule {
  readonly rule: Rule
  readonly checks: readonly Check[]
  readonly count: RuleCount | undefined
  /** what it decides nothing for: a rule before it, or itself */
  readonly proven: 'shadowed' | 'dead' | undefined
}

/** `before` itself where it says the same, so that its row need not be drawn anew. */
export function knownRule(
  rule: Rule,
  checks: readonly Check[],
  count: RuleCount | undefined,
  before?: KnownRule,
): KnownRule {
  const isSame = before?.rule === rule && before.checks === checks && saysTheSame(before.count, count)
  if (isSame) return before
  const proof = checks.find(({ code, message }) => code === 'practice.P6' && PROOF.test(message))
  const proven = proof === undefined ? undefined : /never reached/.test(proof.message) ? 'shadowed' : 'dead'
  return { rule, checks, count, proven }
}

function saysTheSame(one: RuleCount | undefined, other: RuleCount | undefined): boolean {
  return one?.sessions === other?.sessions && one?.last_used === other?.last_used && one?.since === other?.since
}

export function ruleFilterFrom(query: URLSearchParams): RuleFilter {
  const read = (name: string) => query.get(name) ?? ''
  const show = SHOWN.find((one) => one === read('show')) ?? ''
  return { text: read('q'), show, group: read('group'), egress: read('egress') }
}

export function ruleFilterAddress({ text, show, group, egress }: RuleFilter): string {
  const given = Object.entries({ q: text, show, group, egress }).filter(([, value]) => value !== '')
  return given.length === 0 ? '/rules' : `/rules?${new URLSearchParams(given)}`
}

/** `names`: ids that rules speak of → names people search for. */
export function fits(known: KnownRule, filter: RuleFilter, names: ReadonlyMap<string, string>): boolean {
  const { rule } = known
  if (!isShown(known, filter.show)) return false
  if (filter.group !== '' && !rule.identity.includes(`"${filter.group}"`)) return false
  if (filter.egress !== '' && !addressesOf(rule).includes(filter.egress)) return false
  const words = filter.text.toLowerCase().split(/\s+/).filter(Boolean)
  if (words.length === 0) return true
  const expressions = `${rule.traffic} ${rule.identity} ${rule.device_posture}`
  const named = [...names].filter(([id]) => expressions.includes(id)).map(([, name]) => name)
  const text = [rule.precedence, rule.name, rule.description, expressions, ...addressesOf(rule), ...named]
  const searched = text.join(' ').toLowerCase()
  return words.every((word) => searched.includes(word))
}

function isShown({ rule, checks, count, proven }: KnownRule, show: Shown): boolean {
  if (show === '') return true
  if (show === 'off') return !rule.enabled
  if (show === 'unused') return count?.sessions === 0
  if (show === 'warned') return checks.some(({ severity }) => severity !== 'advice')
  return proven === show
}

/** What a rule lets leave from: its address and its fallback, or `shared`. */
export function addressesOf({ rule_settings: settings }: Rule): readonly string[] {
  const egress = settings?.egress
  if (egress === undefined || egress === null) return ['shared']
  return [egress.ipv4, egress.ipv4_fallback]
    .filter((address) => address !== undefined && address !== '')
    .map((address) => (address === '0.0.0.0' ? 'shared' : String(address)))
}

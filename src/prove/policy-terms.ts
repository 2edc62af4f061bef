// What decide() does with a connection, as terms: exemptions, the first rule that matches, the egress address with its
// fallback while data centers are down. Mirrors src/policy/decide.ts and egress-plan.ts; decides nothing itself.

import type { Expression } from '../expression/index.ts'
import type { Family } from '../net/ip.ts'
import type { Account, DedicatedEgressIp } from '../policy/account.ts'
import { createLists, type KnownLists } from '../policy/account.ts'
import type { DecisionOutcome } from '../policy/decision.ts'
import { findDedicatedByIpv4, findDedicatedByIpv6, SHARED_FALLBACK } from '../policy/egress-address.ts'
import type { Rule } from '../policy/rule.ts'
import { hostSelectorsOf, RuleParser } from '../policy/rule-expressions.ts'
import type { Snapshot } from '../policy/ruleset.ts'
import type { Connection, Landmarks } from './connection.ts'
import { and, type ClassVariable, FALSE, not, or, type Script, type Term, TRUE, within } from './terms.ts'

/** One way a connection can end. */
export interface End {
  readonly outcome: DecisionOutcome
  readonly rule: Rule | null
  readonly family: Family
  /** absent for shared egress and refused connections */
  readonly dedicated?: DedicatedEgressIp
  readonly when: Term
  /** the same, were the rule reached */
  readonly open: Term
}

type OwnEnd = Omit<End, 'open'>

/** A rule that can match, read for proving. */
export interface ProvenRule {
  readonly rule: Rule
  readonly expressions: readonly Expression[]
  /** it matches only while host selectors are on ([F2]) */
  readonly usesHost: boolean
  /** canonical names of the lists it uses */
  readonly lists: ReadonlySet<string>
}

/** A policy before it is put into terms. */
export interface PolicyText {
  readonly snapshot: Snapshot
  readonly rules: readonly ProvenRule[]
  readonly lists: KnownLists
}

/** Reads the rules of a snapshot; `anySelector`: with those that only match while host selectors are on. `parser`: of
 *  the account's mode. */
export function readPolicy(
  snapshot: Snapshot,
  anySelector = false,
  parser = new RuleParser(snapshot.account.settings.expressions),
): PolicyText {
  const { account, ruleset } = snapshot
  const lists = createLists(account.lists)
  const off = anySelector ? ruleset.skipped.filter(({ why }) => why === 'host-selectors-off') : []
  const candidates = [...ruleset.active, ...off].map(({ rule }) => rule)
  candidates.sort((a, b) => a.precedence - b.precedence)
  const rules = candidates.map((rule): ProvenRule => {
    const parsed = parser.parse(rule)
    const expressions = parsed.expressions.map(({ expression }) => expression)
    return { rule, expressions, usesHost: hostSelectorsOf(parsed).length > 0, lists: parsed.lists }
  })
  return { snapshot, rules, lists }
}

/** Where an account's routes lie, names in canonical form: classes of destinations must not mix their two sides. */
export function landmarksOf({ snapshot: { account } }: PolicyText): Landmarks {
  return {
    names: account.hostnameRoutes.map(({ hostname }) => canonicalRoute(hostname)),
    networks: account.privateRoutes.map(({ network }) => network),
  }
}

/** Data centers that can be down, shared by all policies in question. */
export class Outages {
  readonly #script: Script
  readonly #terms = new Map<string, Term>()

  constructor(script: Script) {
    this.#script = script
  }

  /** codes with their terms */
  get all(): ReadonlyMap<string, Term> {
    return this.#terms
  }

  of(code: string): Term {
    const known = this.#terms.get(code) ?? this.#script.boolean(`down_${code}`)
    this.#terms.set(code, known)
    return known
  }
}

/** Addresses that are balanced alike are chosen alike, whatever the policy. */
export type BalanceChoices = Map<string, { readonly variable: ClassVariable; readonly terms: readonly Term[] }>

export interface PolicyTerms {
  readonly text: PolicyText
  /** by rule, in order: it matches, and nothing before it does */
  readonly matches: readonly Term[]
  readonly fires: readonly Term[]
  /** no rule matches, and rules apply */
  readonly noRule: Term
  /** all ways to end; exactly one holds */
  readonly ends: readonly End[]
}

interface Parts {
  readonly connection: Connection
  readonly outages: Outages
  readonly choices: BalanceChoices
  /** host selectors are on */
  readonly hostSelector: Term
}

/** The terms of a policy. */
export function policyTerms(text: PolicyText, parts: Parts): PolicyTerms {
  const { connection, outages, hostSelector } = parts
  const { script } = connection
  const { account } = text.snapshot
  const isDown = downIn(account, outages)
  const noIngress = and([...account.colos.keys()].map(isDown))
  const exempt = script.name(and([not(noIngress), exemptTerm(account, connection)]))
  const matches = text.rules.map(({ expressions, usesHost }) => {
    const all = expressions.map((expression) => script.name(connection.termOf(expression, text.lists)))
    return script.name(and([usesHost ? hostSelector : TRUE, ...all]))
  })
  let open = script.name(and([not(noIngress), not(exempt)]))
  const ends: End[] = [
    reached(TRUE, { outcome: 'unroutable', rule: null, family: 4, when: noIngress }),
    reached(exempt, { outcome: 'exempt', rule: null, family: 4, when: connection.isIpv4 }),
    reached(exempt, { outcome: 'exempt', rule: null, family: 6, when: not(connection.isIpv4) }),
  ]
  const fires: Term[] = []
  for (const [at, match] of matches.entries()) {
    const fired = script.name(and([open, match]))
    fires.push(fired)
    const rule = text.rules[at]?.rule
    if (rule !== undefined)
      for (const end of endsOfRule(rule, account, isDown, connection.isIpv4)) ends.push(reached(fired, end))
    open = script.name(and([open, not(match)]))
  }
  for (const end of endsWithoutRule(account, isDown, parts)) ends.push(reached(open, end))
  return { text, matches, fires, noRule: open, ends: ends.filter(({ when }) => when !== FALSE) }
}

function reached(before: Term, end: OwnEnd): End {
  return { ...end, when: and([before, end.when]), open: end.when }
}

type IsDown = (code: string) => Term

/** Only outages at data centers with dedicated IPs matter to addresses; the rest stay as they are. */
function downIn(account: Account, outages: Outages): IsDown {
  const own = new Set(account.dedicatedIps.map(({ colo }) => colo))
  return (code) => {
    if (account.colosDown.has(code)) return TRUE
    return own.has(code) ? outages.of(code) : FALSE
  }
}

function canonicalRoute(hostname: string): string {
  return hostname.toLowerCase().replace(/\.$/, '')
}

/** [E1]; queries that Gateway DNS answers itself are no connections of the rules, and left out. */
function exemptTerm({ hostnameRoutes, privateRoutes, settings }: Account, connection: Connection): Term {
  return or([
    ...hostnameRoutes.map(({ hostname }) => connection.isRouted(canonicalRoute(hostname))),
    ...privateRoutes.map(({ network, virtualNetworkId }) =>
      and([connection.inNetwork(virtualNetworkId), connection.goesTo(network)]),
    ),
    ...(settings.tcpProxying ? [] : [connection.isTransport('tcp')]),
    ...(settings.udpProxying ? [] : [connection.isTransport('udp')]),
  ])
}

function endsOfRule(rule: Rule, account: Account, isDown: IsDown, isIpv4: Term): OwnEnd[] {
  const { egress } = rule
  const shared = (family: Family, when: Term): OwnEnd => ({ outcome: 'default', rule, family, when })
  const refused = (family: Family, when: Term): OwnEnd => ({ outcome: 'unroutable', rule, family, when })
  if (egress === null) return [shared(4, isIpv4), shared(6, not(isIpv4))]
  const range = ownerOf(account, egress.ipv6, 6)
  const six: OwnEnd =
    range === undefined
      ? refused(6, not(isIpv4))
      : { outcome: 'dedicated', rule, family: 6, dedicated: range, when: not(isIpv4) }
  const primary = ownerOf(account, egress.ipv4, 4)
  if (primary === undefined) return [refused(4, isIpv4), six]
  const down = isDown(primary.colo)
  const first: OwnEnd = { outcome: 'dedicated', rule, family: 4, dedicated: primary, when: and([isIpv4, not(down)]) }
  const lost = and([isIpv4, down])
  if (egress.ipv4Fallback === SHARED_FALLBACK) return [first, shared(4, lost), six]
  const second = egress.ipv4Fallback === null ? undefined : ownerOf(account, egress.ipv4Fallback, 4)
  if (second === undefined) return [first, refused(4, lost), six]
  const both = isDown(second.colo)
  return [
    first,
    { outcome: 'dedicated-fallback', rule, family: 4, dedicated: second, when: and([lost, not(both)]) },
    refused(4, and([lost, both])),
    six,
  ]
}

function endsWithoutRule(account: Account, isDown: IsDown, { connection, choices }: Parts): OwnEnd[] {
  const families: readonly (readonly [Family, Term])[] = [
    [4, connection.isIpv4],
    [6, not(connection.isIpv4)],
  ]
  return families.flatMap(([family, isFamily]): OwnEnd[] => {
    const all = account.settings.noRuleMatched === 'default' ? [] : candidatesOf(account, family)
    const chosen = choiceOf(all, account, family, isDown, connection.script, choices)
    const noneIsUp = and(all.map(({ colo }) => isDown(colo)))
    return [
      ...all.map((dedicated, at): OwnEnd => {
        return {
          outcome: 'balanced',
          rule: null,
          family,
          dedicated,
          when: and([isFamily, not(noneIsUp), chosen[at] ?? FALSE]),
        }
      }),
      { outcome: 'default', rule: null, family, when: and([isFamily, noneIsUp]) },
    ]
  })
}

/** Which candidate is balanced to depends on places and on a hash of the user: any that is up. */
function choiceOf(
  all: readonly DedicatedEgressIp[],
  { settings, colosDown }: Account,
  family: Family,
  isDown: IsDown,
  script: Script,
  choices: BalanceChoices,
): readonly Term[] {
  if (all.length === 0) return []
  const key = JSON.stringify([
    family,
    all.map((one) => [one.colo, one.ipv4, one.ipv6]),
    settings.balanceTolerance,
    [...colosDown],
  ])
  const known = choices.get(key)
  if (known !== undefined) return known.terms
  const variable = script.classes(`choice_${choices.size}`, all.length)
  const terms = all.map((_, at) => within(variable, [[at, at]]))
  const noneIsUp = and(all.map(({ colo }) => isDown(colo)))
  script.assert(or([noneIsUp, ...all.map(({ colo }, at) => and([terms[at] ?? FALSE, not(isDown(colo))]))]))
  choices.set(key, { variable, terms })
  return terms
}

function candidatesOf({ dedicatedIps, colos }: Account, family: Family): readonly DedicatedEgressIp[] {
  return dedicatedIps.filter(({ ipv4, ipv6, colo }) => colos.has(colo) && (family === 4 ? ipv4 : ipv6) !== undefined)
}

function ownerOf(account: Account, written: string, family: Family): DedicatedEgressIp | undefined {
  return family === 4 ? findDedicatedByIpv4(account, written) : findDedicatedByIpv6(account, written)
}

/** Where an end leaves from, as text: equal for ends that servers cannot tell apart. */
export function effectOf({ outcome, dedicated, family }: Pick<End, 'outcome' | 'dedicated' | 'family'>): string {
  if (outcome === 'exempt') return 'exempt'
  if (outcome === 'unroutable') return 'refused'
  if (dedicated === undefined) return 'shared egress'
  return (family === 4 ? dedicated.ipv4?.address.text : dedicated.ipv6?.range.text) ?? 'refused'
}

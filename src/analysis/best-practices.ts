// Checks an account and its rules against Cloudflare's best practices ([P1] to [P8]): the finding, why it matters, what
// to change. Advice only: nothing here stops a rule from working.

import type { Issue } from '../errors/issue.ts'
import { type Access, type Comparison, partsOf } from '../expression/index.ts'
import type { Account, DedicatedEgressIp } from '../policy/account.ts'
import { findDedicatedByIpv4, SHARED_FALLBACK } from '../policy/egress-address.ts'
import { distanceKm, type Place } from '../policy/place.ts'
import { EXPRESSION_SLOTS, type Rule } from '../policy/rule.ts'
import { RuleParser } from '../policy/rule-expressions.ts'
import type { Ruleset } from '../policy/ruleset.ts'
import { proveReach, whyUnreachable } from './unreachable.ts'
import { checkValues, type RuleVocabulary, type ValueIssue } from './value-findings.ts'

/** Fewer rules than this do not justify a list ([P8]). */
const LEAST_SIMILAR_RULES = 5

/** `code` is `practice.P1` … `practice.P8` or `practice.letter_case`; `hint` says what to change. */
export type PracticeIssue = ValueIssue

export interface PracticeInput {
  readonly account: Account
  readonly ruleset: Ruleset
  /** users and their places ([P4]) */
  readonly users: readonly PracticeUser[]
  /** what rules can name; absent: only the form of values is checked */
  readonly vocabulary?: RuleVocabulary | undefined
  /** ids of rules that decided a session of a recording ([P6]); absent without a recording */
  readonly matchedRules?: ReadonlySet<string>
  /** kilometres from which a dedicated IP counts as far ([P4]); default 3,000 */
  readonly farKm?: number
}

export interface PracticeUser {
  readonly email: string
  readonly place?: Place
  /** whether the geo database knows a source address of theirs; absent: not looked up */
  readonly isSourceKnown?: boolean
}

/** All findings, in the order of the practices. Throws nothing. */
export function checkPractices(input: PracticeInput): readonly PracticeIssue[] {
  return [
    ...checkSpread(input),
    ...checkFallbacks(input),
    ...checkPinned(input),
    ...checkDistances(input),
    ...checkReach(input),
    ...checkValues(input.ruleset, input.account, input.vocabulary),
    ...checkHostSelectors(input),
    ...checkNarrowRules(input),
    ...checkSourceCountries(input),
  ]
}

function checkSpread({ account: { dedicatedIps } }: PracticeInput): PracticeIssue[] {
  const cities = new Set(dedicatedIps.map(({ geolocation }) => `${geolocation.city}, ${geolocation.country}`))
  if (dedicatedIps.length >= 2 && cities.size >= 2) return []
  const [city = ''] = cities
  const owned = dedicatedIps.length === 1 ? 'one dedicated IP' : 'no dedicated IPs'
  return [
    {
      severity: 'warning',
      code: 'practice.P1',
      message:
        dedicatedIps.length < 2
          ? `the account has ${owned}`
          : `all ${dedicatedIps.length} dedicated IPs are in ${city}`,
      why: 'an outage of one data center or city takes down every dedicated IP at once',
      hint: 'provision dedicated IPs in at least two cities',
    },
  ]
}

function checkFallbacks({ account, ruleset }: PracticeInput): PracticeIssue[] {
  return dedicatedRules(ruleset).flatMap(({ rule, ipv4, fallback }): PracticeIssue[] => {
    if (fallback === SHARED_FALLBACK) return []
    const colo = findDedicatedByIpv4(account, ipv4)?.colo
    const hint = `set its fallback to a dedicated IPv4 address in another city, or to \`${SHARED_FALLBACK}\` for shared egress`
    if (fallback === '') {
      const message = `rule \`${rule.name}\` has no fallback`
      return [
        about(
          rule,
          'warning',
          'P2',
          message,
          `while ${colo ?? 'its colo'} is down, the rule's connections are refused`,
          hint,
        ),
      ]
    }
    if (colo === undefined || findDedicatedByIpv4(account, fallback)?.colo !== colo) return []
    const message = `the fallback \`${fallback}\` of rule \`${rule.name}\` is in ${colo}, like its primary \`${ipv4}\``
    return [
      about(
        rule,
        'warning',
        'P2',
        message,
        `an outage of ${colo} takes down both, and the rule's connections are refused`,
        hint,
      ),
    ]
  })
}

/** Rules that send traffic to a city with a single IP: one finding per city. */
function checkPinned({ account, ruleset }: PracticeInput): PracticeIssue[] {
  const byCity = Map.groupBy(dedicatedRules(ruleset), ({ ipv4 }) => findDedicatedByIpv4(account, ipv4))
  return [...byCity].flatMap(([dedicated, rules]): PracticeIssue[] => {
    const [first] = rules
    if (dedicated === undefined || first === undefined) return []
    const { city = dedicated.colo } = dedicated.geolocation
    if (account.dedicatedIps.some((other) => other !== dedicated && isSameCity(other, dedicated))) return []
    const message = `${names(rules)} ${rules.length === 1 ? 'sends' : 'send'} to ${city}, where the account has one dedicated IP`
    const why = `while ${dedicated.colo} is down none of their connections can leave from ${city}: sites that expect that location see another one or no connection`
    return [about(first.rule, 'advice', 'P3', message, why, `provision a second dedicated IP in or near ${city}`)]
  })
}

function isSameCity(a: DedicatedEgressIp, b: DedicatedEgressIp): boolean {
  return a.geolocation.city === b.geolocation.city && a.geolocation.country === b.geolocation.country
}

function checkDistances({ account, users, farKm = 3000 }: PracticeInput): PracticeIssue[] {
  const sites = account.dedicatedIps.flatMap(({ colo }) => account.colos.get(colo) ?? [])
  return users.flatMap(({ email, place }): PracticeIssue[] => {
    if (place === undefined || sites.length === 0) return []
    const [nearest] = sites.map((site) => ({ site, km: distanceKm(site, place) })).sort((a, b) => a.km - b.km)
    if (nearest === undefined || nearest.km <= farKm) return []
    const where = place.city === undefined ? '' : ` in ${place.city}`
    const distance = `${Math.round(nearest.km).toLocaleString('en-US')} km`
    return [
      {
        severity: 'advice',
        code: 'practice.P4',
        message: `\`${email}\`${where} is ${distance} from the nearest dedicated IP, at ${nearest.site.code}`,
        why: 'every connection through a dedicated IP travels that distance and back',
        hint: `provision a dedicated IP nearer${where === '' ? '' : ` to ${place.city}`}, or let their rules use shared egress`,
      },
    ]
  })
}

function checkReach({ account, ruleset, matchedRules }: PracticeInput): PracticeIssue[] {
  const { unreachable, catchAlls } = proveReach({ ruleset, account })
  const dead = new Set(unreachable.map(({ rule }) => rule))
  const proven = unreachable.map((proof) => {
    const {
      rule,
      coveredBy: [one, other],
    } = proof
    const message = `rule \`${rule.name}\` ${whyUnreachable(proof)}`
    const hint =
      one === undefined
        ? 'correct its conditions, or delete it'
        : `move it before \`${one.name}\`, narrow ${other === undefined ? 'that one' : 'one of them'}, or delete it`
    return about(rule, 'warning', 'P6', message, 'the rule has no effect, which is hardly intended', hint)
  })
  const idle = ruleset.active.filter(
    ({ rule }) => matchedRules !== undefined && !matchedRules.has(rule.id) && !dead.has(rule),
  )
  const never = idle.map(({ rule }) => {
    const message = `rule \`${rule.name}\` decided no connection of the recording`
    return about(
      rule,
      'advice',
      'P6',
      message,
      'it may be out of date, or its conditions may be wrong',
      'run `egresslab explain` for a connection it is meant for',
    )
  })
  return [...checkCatchAll(ruleset, catchAlls), ...proven, ...never]
}

function checkCatchAll(ruleset: Ruleset, catchAlls: readonly Rule[]): PracticeIssue[] {
  if (catchAlls.length > 0 || ruleset.active.length === 0) return []
  return [
    {
      severity: 'advice',
      code: 'practice.P5',
      message: 'no rule matches every connection',
      why: 'connections that no rule matches are balanced over the dedicated IPs, which is rarely intended',
      hint: 'end with a rule `net.protocol in {"tcp" "udp"}` and the egress you want for all other connections',
    },
  ]
}

function checkHostSelectors({ ruleset }: PracticeInput): PracticeIssue[] {
  return ruleset.skipped
    .filter(({ why }) => why === 'host-selectors-off')
    .map(({ rule, reason }) => {
      const message = `rule \`${rule.name}\` never matches: it ${reason}`
      return about(
        rule,
        'warning',
        'P7',
        message,
        'egress rules cannot see host names while it is off',
        'switch host selectors on',
      )
    })
}

function checkNarrowRules({ account, ruleset }: PracticeInput): PracticeIssue[] {
  return similarRules(ruleset, account.settings.expressions).flatMap(({ rules, access }): PracticeIssue[] => {
    const [first] = rules
    if (first === undefined) return []
    const listed = rules.slice(0, 3).map(({ name }) => `\`${name}\``)
    const message = `${rules.length} rules differ only in the values they compare \`${access.text}\` with: ${listed.join(', ')}${rules.length > 3 ? ' …' : ''}`
    const why = 'each new value needs another rule, and a mistake in one of them is easily overlooked'
    return [about(first, 'advice', 'P8', message, why, adviseOneRule(access))]
  })
}

/** There are no lists of numbers ([R14]). */
function adviseOneRule({ text, valueType }: Access): string {
  if (valueType === 'Int') return `make one rule with \`${text} in {…}\``
  return `make a list of the values and one rule with \`${text} in $list\``
}

/** `net.src.geo.*` is the geo database's result for the source address; a configured place does not affect it
 *  ([F3]). */
function checkSourceCountries({ account, ruleset, users }: PracticeInput): PracticeIssue[] {
  const nowhere = users.filter(({ place, isSourceKnown }) => place !== undefined && isSourceKnown === false)
  if (nowhere.length === 0) return []
  const shown = nowhere.slice(0, 3).map(({ email }) => `\`${email}\``)
  const who = `${shown.join(', ')}${nowhere.length > shown.length ? ` and ${nowhere.length - shown.length} more` : ''}`
  const parser = new RuleParser(account.settings.expressions)
  return ruleset.active.flatMap(({ rule }): PracticeIssue[] => {
    const { fields } = parser.parse(rule)
    const [field] = SOURCE_GEO.filter((name) => fields.has(name))
    if (field === undefined) return []
    return [
      {
        severity: 'warning',
        code: 'rule.source_unknown',
        message: `rule \`${rule.name}\` tests \`${field}\`, which has no value for ${who}`,
        why: 'the field comes from the geo database; a configured `place` affects ingress and balancing only',
        hint: "give their device a `source_ip` that the database knows, or pass `src` in the user's name",
        path: ['rules', rule.name],
        rule,
      },
    ]
  })
}

const SOURCE_GEO = ['net.src.geo.country', 'net.src.geo.continent'] as const

interface DedicatedRule {
  readonly rule: Rule
  readonly ipv4: string
  readonly fallback: string
}

function dedicatedRules(ruleset: Ruleset): DedicatedRule[] {
  return ruleset.active.flatMap(({ rule }) => {
    return rule.egress === null ? [] : [{ rule, ipv4: rule.egress.ipv4, fallback: rule.egress.ipv4Fallback ?? '' }]
  })
}

function names(rules: readonly DedicatedRule[]): string {
  const shown = rules.slice(0, 3).map(({ rule }) => `\`${rule.name}\``)
  const more = rules.length > shown.length ? ` and ${rules.length - shown.length} more` : ''
  return `${rules.length === 1 ? 'rule' : 'rules'} ${shown.join(', ')}${more}`
}

type BestPractice = 'P2' | 'P3' | 'P6' | 'P7' | 'P8'

function about(
  rule: Rule,
  severity: Issue['severity'],
  practice: BestPractice,
  message: string,
  why: string,
  hint: string,
): PracticeIssue {
  return { severity, code: `practice.${practice}`, message, why, hint, path: ['rules', rule.name], rule }
}

/** Rules that are equal except for the value of one comparison ([P8]): one rule with a list or a set could replace them. */
interface SimilarRules {
  readonly rules: readonly Rule[]
  /** field and indexes of the comparison they differ in */
  readonly access: Access
}

/** Groups of rules with equal egress that differ in one `==` or `in {…}` only; a rule is in one group at most, the
 *  largest. */
function similarRules(ruleset: Ruleset, mode: ConstructorParameters<typeof RuleParser>[0]): readonly SimilarRules[] {
  const parser = new RuleParser(mode)
  const groups = new Map<string, { readonly access: Access; readonly rules: Rule[] }>()
  for (const { rule } of ruleset.active) {
    for (const { frame, access } of framesOf(parser, rule)) {
      const group = groups.get(frame) ?? { access, rules: [] }
      groups.set(frame, group)
      group.rules.push(rule)
    }
  }
  const taken = new Set<Rule>()
  const largestFirst = [...groups.values()].sort((a, b) => b.rules.length - a.rules.length)
  return largestFirst.flatMap(({ access, rules }) => {
    const free = rules.filter((rule) => !taken.has(rule))
    if (free.length < LEAST_SIMILAR_RULES) return []
    for (const rule of free) taken.add(rule)
    return [{ rules: free, access }]
  })
}

/** The rule's text with a gap in place of each comparison in turn. */
function framesOf(parser: RuleParser, rule: Rule): { frame: string; access: Access }[] {
  const whole = EXPRESSION_SLOTS.map((slot) => rule[slot])
  return parser.parse(rule).expressions.flatMap(({ slot, expression }) => {
    const comparisons = partsOf(expression).comparisons.filter(isListable)
    return comparisons.map(({ access, span }) => {
      const gapped = `${expression.source.slice(0, span[0])}\0${access.text}\0${expression.source.slice(span[1])}`
      const texts = whole.map((text, at) => (EXPRESSION_SLOTS[at] === slot ? gapped : text))
      return { frame: JSON.stringify([rule.egress, texts]), access }
    })
  })
}

function isListable({ test }: Comparison): boolean {
  return test.kind === 'in-set' || (test.kind === 'order' && test.op === '==')
}

// A rule as the API takes and shows it: config/rule-document.ts's translation, the refusals of a rule that cannot be stored, and what the
// API adds when it shows one.

import type { Json, JsonObject, ListDocument, RuleDocument, Stored } from '../../config/lab-state.ts'
import { normalForm, readRule, writeRule } from '../../config/rule-document.ts'
import { ChangeError } from '../../errors/change-error.ts'
import {
  type Comparison,
  canonicalListName,
  drawProblem,
  isBlank,
  type Mode,
  parseExpression,
  partsOf,
} from '../../expression/index.ts'
import { parseCidr } from '../../net/cidr.ts'
import { parseIp } from '../../net/ip.ts'
import type { Account } from '../../policy/account.ts'
import { findDedicatedByIpv4, findDedicatedByIpv6 } from '../../policy/egress-address.ts'
import { SLOT_NAMES, SLOT_SCHEMES } from '../../policy/fields.ts'
import { EXPRESSION_SLOTS, type ExpressionSlot } from '../../policy/rule.ts'
import { isKnownAction, missingAddress } from '../../policy/rule-check.ts'
import { invalidField } from '../api-error.ts'
import { isNothing, refuseForeignSettings, refuseUnknownTimeZone } from './rule-settings.ts'
import { seconds } from './stored.ts'

/** The rule as it is stored: expressions of egress rules in normal form. Throws ChangeError `change.expression` for one that does not
 *  parse, `change.invalid_action` for an action no rule has, `change.not_schedulable` for a schedule or an expiration that rules of its type cannot have ([R14]), and ApiError for
 *  dedicated egress that lacks an address, settings of other types of rules, and lists that are unknown or of another type. */
export function toRuleDocument(
  body: JsonObject,
  known: {
    readonly id: string
    readonly precedence: number
    readonly mode: Mode
    readonly lists: readonly ListDocument[]
  },
): RuleDocument {
  const rule = readRule(body, known)
  if (!isKnownAction(rule.action)) throw invalidAction(rule)
  refuseTiming(rule)
  refuseUnknownTimeZone(rule.rest.schedule)
  if (rule.filters.includes('egress')) refuseForeignSettings(rule.rest.rule_settings)
  const missing = rule.egress === null ? undefined : missingAddress(rule.egress)
  if (missing !== undefined) throw invalidField(`/rule_settings/egress/${missing.field}`, missing.message)
  const normal = { ...rule, ...normalExpressions(rule, known.mode) }
  if (rule.filters.includes('egress')) refuseLists(normal, known)
  return normal
}

/** The rule as Cloudflare shows it. */
export function fromRuleDocument(
  stored: Stored<'rule'>,
  context: {
    readonly account: Account
    readonly readOnly: boolean
    readonly mode: Mode
    /** lab time, epoch ms */
    readonly now: number
  },
) {
  const { value: rule, version, createdAt, updatedAt, source } = stored
  // what came through the API is in normal form already; the file's author writes as he likes
  const shown = source === 'file' ? { ...rule, ...normalExpressions(rule, context.mode) } : rule
  const written = writeRule(shown)
  return {
    ...written,
    expiration: withExpired(written.expiration, context.now),
    version,
    created_at: seconds(createdAt),
    updated_at: seconds(updatedAt),
    deleted_at: null,
    read_only: context.readOnly,
    sharable: false,
    source_account: context.account.id,
    warning_status: warningOf(rule, context.account),
  }
}

/** Expressions of other types of rules stay as they were sent ([R9]). */
function normalExpressions(rule: RuleDocument, mode: Mode): Pick<RuleDocument, ExpressionSlot> {
  const { traffic, identity, devicePosture } = rule
  if (!rule.filters.includes('egress')) return { traffic, identity, devicePosture }
  const [one, two, three] = EXPRESSION_SLOTS.map((slot) => normalOrRefused(slot, rule[slot], mode))
  return { traffic: one ?? '', identity: two ?? '', devicePosture: three ?? '' }
}

/** Throws ChangeError `change.expression` in the language's own words. */
function normalOrRefused(slot: ExpressionSlot, text: string, mode: Mode): string {
  const normal = normalForm(slot, text, mode)
  if (normal.ok) return normal.text
  const [first] = normal.problems
  const message = first === undefined ? 'Filter parsing error' : asFilterError(drawProblem(text, first))
  const problems = normal.problems.map(({ code, message: words, span, hint }) => ({ code, message: words, span, hint }))
  throw new ChangeError('change.expression', message, { details: { expression: SLOT_NAMES[slot], problems } })
}

/** `Filter parsing error: …`, with the language's drawing behind it. */
function asFilterError(drawing: string): string {
  return drawing.replace(/^Filter parsing error/, 'Filter parsing error:')
}

function invalidAction({ action, filters }: RuleDocument): ChangeError {
  return new ChangeError('change.invalid_action', `invalid action "${action}"`, { details: { action, filters } })
}

/** Types of rules that may be limited in time ([R14]). */
const TIMED = { schedule: ['dns', 'dns_resolver'], expiration: ['dns'] } as const

function refuseTiming({ filters, rest }: RuleDocument): void {
  const type = filters[0] ?? 'none'
  for (const field of ['schedule', 'expiration'] as const) {
    const types: readonly string[] = TIMED[field]
    if (types.includes(type) || isNothing(rest[field])) continue
    const allowed = types.map((each) => `\`${each}\``).join(' and ')
    const message = `\`${field}\` is only for rules of type ${allowed}, and this rule has type \`${type}\``
    throw new ChangeError('change.not_schedulable', message, { details: { field, type } })
  }
}

/** Lists that exist, of a type the field can be in. */
function refuseLists(
  rule: RuleDocument,
  { mode, lists }: { readonly mode: Mode; readonly lists: readonly ListDocument[] },
): void {
  const known = new Map(lists.map((list) => [canonicalListName(list.id), list] as const))
  for (const slot of EXPRESSION_SLOTS) {
    const parsed = isBlank(rule[slot]) ? undefined : parseExpression(rule[slot], SLOT_SCHEMES[slot], { mode })
    for (const comparison of parsed?.ok ? partsOf(parsed.expression).comparisons : []) {
      refuseList(comparison, known, SLOT_NAMES[slot])
    }
  }
}

/** What a field has items of; any but IP where it is not told. */
const LIST_TYPES: Readonly<Record<string, readonly string[]>> = {
  'identity.email': ['EMAIL'],
  'identity.groups.email': ['EMAIL'],
  'net.fqdn.host': ['DOMAIN'],
  'net.fqdn.domains': ['DOMAIN'],
}

function refuseList({ access, test }: Comparison, known: ReadonlyMap<string, ListDocument>, slot: string): void {
  if (test.kind !== 'in-list') return
  const list = known.get(test.list.name)
  if (list === undefined) {
    const message = `there is no list \`$${test.list.text}\`; lists are named by their id`
    throw invalidField(`/${slot}`, message)
  }
  const field = access.field.name
  const isAddress = field.endsWith('ip')
  const types = isAddress ? ['IP'] : LIST_TYPES[field]
  if (types === undefined ? list.type !== 'IP' : types.includes(list.type)) return
  const wanted = types === undefined ? 'texts' : `type ${types.join(' or ')}`
  const message = `the list \`${list.name}\` has type ${list.type}, and \`${field}\` needs a list of ${wanted}`
  throw invalidField(`/${slot}`, message)
}

/** `expired` belongs to an expiration and is the API's to say. */
function withExpired(expiration: Json, now: number): Json {
  if (typeof expiration !== 'object' || expiration === null || isNothing(expiration)) return expiration
  const { expired: _told, ...rest } = expiration as JsonObject
  return { ...rest, expired: typeof rest.expires_at === 'string' && Date.parse(rest.expires_at) <= now }
}

/** [R6]: what is allowed and not safe, or not what it seems. */
function warningOf({ egress, filters, rest }: RuleDocument, account: Account): string | null {
  // only a lab that once took them has such rules
  if (filters.includes('egress') && !(isNothing(rest.schedule) && isNothing(rest.expiration))) {
    return 'egress rules have no `schedule` or `expiration`: this rule is always in force'
  }
  if (egress === null) return null
  const { ipv4, ipv4Fallback, ipv6 } = egress
  if (ipv4Fallback === null) {
    return 'no `ipv4_fallback`: connections are refused while the data center of `ipv4` is down'
  }
  if (parseIp(ipv4)?.text === parseIp(ipv4Fallback)?.text) {
    return '`ipv4_fallback` is `ipv4` itself: connections are refused while its data center is down'
  }
  const [here, there] = [findDedicatedByIpv4(account, ipv4)?.colo, findDedicatedByIpv6(account, ipv6)?.colo]
  if (here === undefined || there === undefined || here === there) return null
  return `\`ipv6\` (${parseCidr(ipv6)?.text ?? ipv6}) is the range of ${there}, not that of \`ipv4\` (${here}): IPv6 destinations see another location`
}

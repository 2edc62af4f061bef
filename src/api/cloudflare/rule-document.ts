// A rule as the API takes and shows it: config/rule-document.ts's translation, the refusals of a rule that cannot be stored, and what the
// API adds when it shows one.

import type { Json, JsonObject, RuleDocument, Stored } from '../../config/lab-state.ts'
import { normalForm, readRule, writeRule } from '../../config/rule-document.ts'
import { ChangeError } from '../../errors/change-error.ts'
import { drawProblem, type Mode } from '../../expression/index.ts'
import { SLOT_NAMES } from '../../policy/fields.ts'
import { EXPRESSION_SLOTS, type ExpressionSlot } from '../../policy/rule.ts'
import { isKnownAction, missingAddress } from '../../policy/rule-check.ts'
import { invalidField } from '../api-error.ts'
import { seconds } from './stored.ts'

/** The rule as it is stored: expressions of egress rules in normal form. Throws ChangeError `change.expression` for one that does not
 *  parse, `change.invalid_action` for an action no rule has, `change.not_schedulable` for a schedule or an expiration that rules of its type cannot have ([R14]), and ApiError for
 *  dedicated egress that lacks an address. */
export function toRuleDocument(
  body: JsonObject,
  known: { readonly id: string; readonly precedence: number; readonly mode: Mode },
): RuleDocument {
  const rule = readRule(body, known)
  if (!isKnownAction(rule.action)) throw invalidAction(rule)
  refuseTiming(rule)
  const missing = rule.egress === null ? undefined : missingAddress(rule.egress)
  if (missing !== undefined) throw invalidField(`/rule_settings/egress/${missing.field}`, missing.message)
  return { ...rule, ...normalExpressions(rule, known.mode) }
}

/** The rule as Cloudflare shows it. */
export function fromRuleDocument(
  stored: Stored<'rule'>,
  context: { readonly accountId: string; readonly readOnly: boolean; readonly mode: Mode },
) {
  const { value: rule, version, createdAt, updatedAt, source } = stored
  // what came through the API is in normal form already; the file's author writes as he likes
  const shown = source === 'file' ? { ...rule, ...normalExpressions(rule, context.mode) } : rule
  return {
    ...writeRule(shown),
    version,
    created_at: seconds(createdAt),
    updated_at: seconds(updatedAt),
    deleted_at: null,
    read_only: context.readOnly,
    sharable: false,
    source_account: context.accountId,
    warning_status: warningOf(rule),
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

function isNothing(value: Json | undefined): boolean {
  return value === undefined || value === null || (typeof value === 'object' && Object.keys(value).length === 0)
}

/** [R6]: a rule without a fallback is allowed and not safe. */
function warningOf({ egress, filters, rest }: RuleDocument): string | null {
  // only a lab that once took them has such rules
  if (filters.includes('egress') && !(isNothing(rest.schedule) && isNothing(rest.expiration))) {
    return 'egress rules have no `schedule` or `expiration`: this rule is always in force'
  }
  if (egress === null || egress.ipv4Fallback !== null) return null
  return 'no `ipv4_fallback`: connections are refused while the data center of `ipv4` is down'
}

// Cloudflare's rule ⇄ ours. The only place that knows both spellings. What the policy does not read is kept as sent.

import type { Json, JsonObject, RuleDocument, Stored } from '../../config/lab-state.ts'
import { ChangeError } from '../../errors/change-error.ts'
import { drawProblem, formatExpression, isBlank, parseExpression } from '../../expression/index.ts'
import type { AccountSettings } from '../../policy/account.ts'
import { SLOT_NAMES, SLOT_SCHEMES } from '../../policy/fields.ts'
import type { EgressSettings, ExpressionSlot } from '../../policy/rule.ts'
import { invalidField } from '../api-error.ts'
import { seconds, textField } from './stored.ts'

type Mode = AccountSettings['expressions']

/** A rule of these words; what was left out has its default ([R1], [R4], whole replacement). Expressions of egress rules
 *  come out in normal form. Throws ChangeError for one that does not parse. */
export function toRuleDocument(body: JsonObject, known: { id: string; precedence: number; mode: Mode }): RuleDocument {
  const action = textField(body, 'action')
  const filters = filtersOf(body, action)
  const isEgress = filters.includes('egress')
  const expression = (slot: ExpressionSlot) => {
    const text = textField(body, SLOT_NAMES[slot])
    return isEgress ? normalForm(slot, text, known.mode) : text
  }
  return {
    id: known.id,
    name: textField(body, 'name'),
    description: textField(body, 'description'),
    enabled: body.enabled === true,
    precedence: known.precedence,
    action,
    filters,
    traffic: expression('traffic'),
    identity: expression('identity'),
    devicePosture: expression('devicePosture'),
    egress: isEgress ? egressOf(body.rule_settings) : null,
    rest: restOf(body),
  }
}

/** The rule as Cloudflare shows it. */
export function fromRuleDocument(
  stored: Stored<'rule'>,
  context: { accountId: string; readOnly: boolean; mode: Mode },
) {
  const { value: rule, version, createdAt, updatedAt, source } = stored
  // what came through the API is in normal form already; the file's author writes as he likes
  const isFileText = source === 'file' && rule.filters.includes('egress')
  const expression = (slot: ExpressionSlot) => (isFileText ? normalForm(slot, rule[slot], context.mode) : rule[slot])
  return {
    id: rule.id,
    name: rule.name,
    description: rule.description,
    precedence: rule.precedence,
    enabled: rule.enabled,
    action: rule.action,
    filters: rule.filters,
    traffic: expression('traffic'),
    identity: expression('identity'),
    device_posture: expression('devicePosture'),
    rule_settings: rule.rest.rule_settings === undefined ? settingsOf(rule.egress) : rule.rest.rule_settings,
    schedule: rule.rest.schedule ?? null,
    expiration: rule.rest.expiration ?? null,
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

/** The expression printed again from its syntax tree; white space alone is no expression. Throws ChangeError
 *  `change.expression` in the language's own words. */
export function normalForm(slot: ExpressionSlot, text: string, mode: Mode): string {
  if (isBlank(text)) return ''
  const parsed = parseExpression(text, SLOT_SCHEMES[slot], { mode })
  if (parsed.ok) return formatExpression(parsed.expression)
  const [first] = parsed.problems
  const message = first === undefined ? 'Filter parsing error' : asFilterError(drawProblem(text, first))
  const problems = parsed.problems.map(({ code, message: words, span, hint }) => ({ code, message: words, span, hint }))
  throw new ChangeError('change.expression', message, { details: { expression: SLOT_NAMES[slot], problems } })
}

/** `Filter parsing error: …`, with the language's drawing behind it. */
function asFilterError(drawing: string): string {
  return drawing.replace(/^Filter parsing error/, 'Filter parsing error:')
}

/** The rule's one filter; where it was left out, the one its action belongs to. */
function filtersOf(body: JsonObject, action: string): readonly string[] {
  const { filters } = body
  if (Array.isArray(filters) && filters.length > 0) return filters as string[]
  return action === 'egress' ? ['egress'] : []
}

/** [R4]: absent, null and empty settings are shared egress. */
function egressOf(settings: Json | undefined): EgressSettings | null {
  const egress = memberOf(settings, 'egress')
  const text = (name: string) => {
    const value = memberOf(egress, name)
    return typeof value === 'string' ? value.trim() : ''
  }
  const [ipv4, fallback, ipv6] = [text('ipv4'), text('ipv4_fallback'), text('ipv6')]
  if (ipv4 === '' && ipv6 === '' && fallback === '') return null
  if (ipv4 === '') throw invalidField('/rule_settings/egress/ipv4', 'dedicated egress needs `ipv4`')
  if (ipv6 === '')
    throw invalidField('/rule_settings/egress/ipv6', 'dedicated egress needs `ipv6`, the range of the same location')
  return { ipv4, ipv4Fallback: fallback === '' ? null : fallback, ipv6 }
}

function settingsOf(egress: EgressSettings | null): JsonObject | null {
  if (egress === null) return null
  const { ipv4, ipv4Fallback, ipv6 } = egress
  return { egress: { ipv4, ...(ipv4Fallback === null ? {} : { ipv4_fallback: ipv4Fallback }), ipv6 } }
}

/** What comes back exactly as it was sent; a field that was not sent is not there. */
function restOf(body: JsonObject): JsonObject {
  const kept = ['rule_settings', 'schedule', 'expiration'] as const
  return Object.fromEntries(kept.flatMap((name) => (body[name] === undefined ? [] : [[name, body[name]]])))
}

/** [R6]: a rule without a fallback is allowed and not safe. */
function warningOf({ egress }: RuleDocument): string | null {
  if (egress === null || egress.ipv4Fallback !== null) return null
  return 'no `ipv4_fallback`: connections are refused while the data center of `ipv4` is down'
}

function memberOf(value: Json | undefined, name: string): Json | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  return Object.hasOwn(value, name) ? (value as JsonObject)[name] : undefined
}

// The only translation of Gateway rules between three forms: Cloudflare's JSON, configuration files, and ours.
// Creating, replacing, previewing, transferring and configuring rules all use it. Does not validate rules:
// policy/rule-check.ts does.

import { type ExpressionProblem, formatExpression, isBlank, type Mode, parseExpression } from '../expression/index.ts'
import { parseCidr } from '../net/cidr.ts'
import { parseIp } from '../net/ip.ts'
import { SLOT_NAMES, SLOT_SCHEMES } from '../policy/fields.ts'
import { type EgressSettings, EXPRESSION_SLOTS, type ExpressionSlot } from '../policy/rule.ts'
import type { RawRule } from './account-schema.ts'
import { expandNames } from './expression-names.ts'
import type { ConfiguredRule } from './lab-config.ts'
import type { Json, JsonObject, RuleDocument } from './lab-state.ts'
import { type Names, stableUuid } from './names.ts'
import type { Problems } from './problems.ts'
import type { DocumentPath } from './source-document.ts'

/** Members of Cloudflare's rule that are returned exactly as they were sent. */
const KEPT = ['rule_settings', 'schedule', 'expiration'] as const

/** Members of a rule that the API adds and nobody sets ([A3]), beside its id and times. */
export const SERVER_FIELDS = [
  'version',
  'read_only',
  'sharable',
  'not_sharable',
  'source_account',
  'warning_status',
] as const

/** Converts Cloudflare's rule to ours, expressions as written. Absent and null members get their default: whole
 *  replacement ([R1], [R4]). Members of a wrong type count as absent; the API's schema refuses them before. */
export function readRule(
  fields: JsonObject,
  known: { readonly id: string; readonly precedence: number },
): RuleDocument {
  const action = textOf(fields, 'action')
  const filters = filtersOf(fields, action)
  const isEgress = filters.includes('egress')
  const expression = (slot: ExpressionSlot) => {
    const text = textOf(fields, SLOT_NAMES[slot])
    return isEgress && isBlank(text) ? '' : text
  }
  return {
    id: known.id,
    name: textOf(fields, 'name'),
    description: textOf(fields, 'description'),
    enabled: fields.enabled === true,
    precedence: known.precedence,
    action,
    filters,
    traffic: expression('traffic'),
    identity: expression('identity'),
    devicePosture: expression('devicePosture'),
    egress: isEgress ? readEgress(fields.rule_settings) : null,
    rest: {
      ...Object.fromEntries(KEPT.flatMap((name) => (fields[name] === undefined ? [] : [[name, fields[name]]]))),
      ...(fields.description === '' ? { description: '' } : {}),
    },
  }
}

/** Converts our rule to Cloudflare's form ([A3]), without members that an API adds (version, times …), and without a
 *  description where none was given. */
export function writeRule(rule: RuleDocument) {
  const { rest } = rule
  const isDescribed = rule.description !== '' || rest.description !== undefined
  return {
    id: rule.id,
    name: rule.name,
    ...(isDescribed ? { description: rule.description } : {}),
    precedence: rule.precedence,
    enabled: rule.enabled,
    action: rule.action,
    filters: rule.filters,
    traffic: rule.traffic,
    identity: rule.identity,
    device_posture: rule.devicePosture,
    rule_settings: rest.rule_settings === undefined ? settingsOf(rule.egress) : rest.rule_settings,
    schedule: rest.schedule ?? null,
    expiration: rest.expiration ?? null,
  }
}

/** Canonical IPv4 address → canonical IPv6 range of the same dedicated IP, from data that may not have the right
 *  shape. */
export function rangesOf(dedicatedIps: unknown): ReadonlyMap<string, string> {
  const items: unknown[] = Array.isArray(dedicatedIps) ? dedicatedIps : []
  return new Map(
    items.flatMap((item) => {
      const [ipv4, ipv6] = [parseIp(String(Object(item).ipv4))?.text, parseCidr(String(Object(item).ipv6))?.text]
      return ipv4 === undefined || ipv6 === undefined ? [] : [[ipv4, ipv6] as const]
    }),
  )
}

/** Converts a configuration file's rule to Cloudflare's form. `ranges`: {@link rangesOf} the account, for rules that
 *  name no range; `ipv6` is absent if there is none. */
export function fromRawRule(raw: RawRule, precedence: number, ranges: ReadonlyMap<string, string>): JsonObject {
  const { id: _id, egress, filters, ...rest } = raw
  const range = egress === null ? undefined : (egress.ipv6 ?? ranges.get(parseIp(egress.ipv4)?.text ?? ''))
  const settings =
    egress === null ? null : settingsOf({ ipv4: egress.ipv4, ipv4Fallback: egress.ipv4_fallback, ipv6: range ?? '' })
  return { ...rest, filters: [...filters], precedence, rule_settings: settings }
}

/** A configuration file's rule with ids in place of the names in its expressions, and where those are. Names of nothing
 *  are recorded as problems. Rules that are not egress rules stay as they are ([R9]). */
export function expandRule(
  raw: RawRule,
  known: Names,
  { path, problems }: { readonly path: DocumentPath; readonly problems: Problems },
): { readonly rule: RawRule; readonly writtenNames: NonNullable<ConfiguredRule['writtenNames']> } {
  if (!raw.filters.includes('egress')) return { rule: raw, writtenNames: {} }
  const expanded = EXPRESSION_SLOTS.map((slot) => {
    const key = SLOT_NAMES[slot]
    const { text, names, unknown } = expandNames(raw[key], known)
    for (const { message, hint, span } of unknown) {
      const within = { text: raw[key], span }
      problems.add([...path, key], 'config.unknown_name', message, { hint, within })
    }
    return { key, slot, text, names }
  })
  return {
    rule: { ...raw, ...Object.fromEntries(expanded.map(({ key, text }) => [key, text])) },
    writtenNames: Object.fromEntries(
      expanded.flatMap(({ slot, names }) => (names.length === 0 ? [] : [[slot, Object.freeze(names)]])),
    ),
  }
}

/** The id of a configuration file's rule: its own, or one derived from its name. */
export function rawRuleId({ id, name }: Pick<RawRule, 'id' | 'name'>): string {
  return id?.toLowerCase() ?? stableUuid('rule', name)
}

/** Precedences of a configuration file's rules in the order written: an absent one is the largest so far plus 1000
 *  ([R3], without the random part, so that every start gives the same). */
export function rawPrecedences(rules: readonly Pick<RawRule, 'precedence'>[]): readonly number[] {
  let largest = 0
  return rules.map(({ precedence = largest + 1000 }) => {
    largest = Math.max(largest, precedence)
    return precedence
  })
}

/** The precedence in a request body; undefined if it is absent. */
export function precedenceOf(fields: JsonObject): number | undefined {
  return typeof fields.precedence === 'number' ? fields.precedence : undefined
}

/** An expression in normal form, as the product stores it; white space alone is the empty expression. */
export type NormalForm =
  | { readonly ok: true; readonly text: string }
  | { readonly ok: false; readonly problems: readonly ExpressionProblem[] }

/** The normal form ([A4]) of an expression in this slot, or every problem that prevents parsing. */
export function normalForm(slot: ExpressionSlot, text: string, mode: Mode): NormalForm {
  if (isBlank(text)) return { ok: true, text: '' }
  const parsed = parseExpression(text, SLOT_SCHEMES[slot], { mode })
  return parsed.ok ? { ok: true, text: formatExpression(parsed.expression) } : { ok: false, problems: parsed.problems }
}

/** The rule's filter ([R1]); if absent, the one its action belongs to. */
export function filtersOf({ filters }: { readonly filters?: unknown }, action: string): readonly string[] {
  if (Array.isArray(filters) && filters.length > 0) return filters as string[]
  return action === 'egress' ? ['egress'] : []
}

/** [R4]: absent, null and empty settings mean shared egress. An address missing beside others is ''. */
function readEgress(settings: Json | undefined): EgressSettings | null {
  const egress = memberOf(settings, 'egress')
  const text = (name: string) => {
    const value = memberOf(egress, name)
    return typeof value === 'string' ? value.trim() : ''
  }
  const [ipv4, fallback, ipv6] = [text('ipv4'), text('ipv4_fallback'), text('ipv6')]
  if (ipv4 === '' && ipv6 === '' && fallback === '') return null
  return { ipv4, ipv4Fallback: fallback === '' ? null : fallback, ipv6 }
}

function settingsOf(egress: EgressSettings | null): JsonObject | null {
  if (egress === null) return null
  const { ipv4, ipv4Fallback, ipv6 } = egress
  return {
    egress: {
      ipv4,
      ...(ipv4Fallback === null ? {} : { ipv4_fallback: ipv4Fallback }),
      ...(ipv6 === '' ? {} : { ipv6 }),
    },
  }
}

function textOf(fields: JsonObject, name: string): string {
  const value = memberOf(fields, name)
  return typeof value === 'string' ? value : ''
}

function memberOf(value: Json | undefined, name: string): Json | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  return Object.hasOwn(value, name) ? (value as JsonObject)[name] : undefined
}

// Terraform's JSON (`terraform show -json`), of a state or of a plan, with resources of the Cloudflare provider in the shapes of
// versions 4 and 5. Nothing of a resource is dropped but what the provider filled in with null.

import { crc32 } from 'node:zlib'
import type { Json, JsonObject } from '../config/lab-state.ts'
import { InputError, type Issue } from '../errors/issue.ts'
import { listFrom, networkFrom, numberIn, objectOf, objectsIn, ruleFrom, textIn } from './from-export.ts'
import type { PortablePolicy } from './portable-policy.ts'

const RULES = new Set(['cloudflare_zero_trust_gateway_policy', 'cloudflare_teams_rule'])
const LISTS = new Set(['cloudflare_zero_trust_list', 'cloudflare_teams_list'])
const NETWORKS = new Set([
  'cloudflare_zero_trust_tunnel_cloudflared_virtual_network',
  'cloudflare_zero_trust_tunnel_virtual_network',
  'cloudflare_zero_trust_virtual_network',
  'cloudflare_tunnel_virtual_network',
])
/** Version 4 spreads precedences: a rule of precedence p is p × 1000 and a number below 1000 made of its name at the API. */
const V4_PRECEDENCE_FACTOR = 1000
const EXPRESSIONS = ['traffic', 'identity', 'device_posture']
/** What version 4 calls something else than the API does. */
const V4_NAMES: Readonly<Record<string, string>> = { block_page_reason: 'block_reason' }

interface Resource {
  readonly address: string
  readonly type: string
  readonly values: JsonObject
  /** what is known only after an apply */
  readonly unknown: JsonObject
}

/** Is this Terraform's JSON? */
export function isTerraform(data: unknown): boolean {
  const whole = objectOf(data)
  return whole !== undefined && 'format_version' in whole && ('values' in whole || 'planned_values' in whole)
}

/** The policy in it. Throws an InputError naming every rule that cannot be known before an apply. */
export function fromTerraform(source: string, data: unknown): PortablePolicy {
  const resources = resourcesOf(objectOf(data) ?? {})
  const of = (types: ReadonlySet<string>) => resources.filter(({ type }) => types.has(type))
  const issues = of(RULES).flatMap((rule) => unknownParts(source, rule))
  if (issues.length > 0) throw new InputError(issues)
  return {
    source,
    rules: of(RULES).map(({ values }) => ruleFrom(apiRule(values))),
    lists: of(LISTS).map(({ values }) => listFrom(withoutNulls(values), listItems(values))),
    virtualNetworks: of(NETWORKS).map(({ values }) => networkFrom(withoutNulls(values))),
    notes: [],
  }
}

function resourcesOf(whole: JsonObject): Resource[] {
  const values = objectOf(whole.planned_values) ?? objectOf(whole.values)
  const unknownByAddress = new Map(
    objectsIn(whole.resource_changes).map((change) => [
      textIn(change, 'address') ?? '',
      objectOf(objectOf(change.change)?.after_unknown) ?? {},
    ]),
  )
  const inModule = (module: JsonObject | undefined): Resource[] => [
    ...objectsIn(module?.resources)
      .filter(({ mode }) => mode === undefined || mode === 'managed')
      .map((resource) => ({
        address: textIn(resource, 'address') ?? '',
        type: textIn(resource, 'type') ?? '',
        values: objectOf(resource.values) ?? {},
        unknown: unknownByAddress.get(textIn(resource, 'address') ?? '') ?? {},
      })),
    ...objectsIn(module?.child_modules).flatMap(inModule),
  ]
  return inModule(objectOf(values?.root_module))
}

/** What refers to something not made yet is not in the plan. */
function unknownParts(file: string, { address, unknown }: Resource): Issue[] {
  const egress = objectsIn([objectOf(unknown.rule_settings)?.egress ?? null].flat())
  const parts = [
    ...EXPRESSIONS.filter((name) => unknown[name] === true),
    ...egress.flatMap((settings) => Object.keys(settings).filter((name) => settings[name] === true)),
  ]
  return parts.map((name) => ({
    severity: 'error',
    code: 'rules.unknown_until_apply',
    message: `\`${name}\` of \`${address}\` is known only after an apply, because it refers to a resource that does not exist yet`,
    hint: 'apply first, then use `terraform show -json` of the state',
    file,
  }))
}

/** Version 4 keeps blocks in lists; version 5 has attributes. */
function apiRule(values: JsonObject): JsonObject {
  const { rule_settings: settings, precedence: _, ...rest } = withoutNulls(values)
  const isV4 = Array.isArray(values.rule_settings)
  const precedence = numberIn(values, 'precedence')
  const unwrapped = isV4 ? objectsIn(settings).slice(0, 1).map(unwrapBlocks)[0] : objectOf(settings)
  return {
    ...rest,
    ...(precedence === undefined ? {} : { precedence: isV4 ? v4Precedence(precedence, values) : precedence }),
    ...(unwrapped === undefined ? {} : { rule_settings: unwrapped }),
  }
}

function v4Precedence(precedence: number, values: JsonObject): number {
  return precedence * V4_PRECEDENCE_FACTOR + (crc32(textIn(values, 'name') ?? '') % V4_PRECEDENCE_FACTOR)
}

/** `egress = [{…}]` as the API has it, `egress = {…}`; empty blocks are not there. */
function unwrapBlocks(settings: JsonObject): JsonObject {
  const members = Object.entries(settings).flatMap(([name, value]): [string, Json][] => {
    const key = V4_NAMES[name] ?? name
    if (!Array.isArray(value)) return [[key, value]]
    if (value.length === 0) return []
    const [only] = objectsIn(value)
    return [[key, value.length === 1 && only !== undefined ? withoutNulls(only) : value]]
  })
  return Object.fromEntries(members)
}

/** Version 4 has plain texts in `items` and others beside them. */
function listItems({ items, items_with_description: described }: JsonObject): Json {
  return [...(Array.isArray(items) ? items : []), ...objectsIn(described)]
}

function withoutNulls(values: JsonObject): JsonObject {
  const members = Object.entries(values).flatMap(([name, value]): [string, Json][] => {
    if (value === null) return []
    const inner = objectOf(value)
    return [[name, inner === undefined ? value : withoutNulls(inner)]]
  })
  return Object.fromEntries(members)
}

// Terraform's JSON (`terraform show -json` of a state or a plan) and the file of a state (version 4), with resources of the
// Cloudflare provider in the shapes of versions 4 and 5. Nothing of a resource is dropped but what the provider filled in with
// null.

import { crc32 } from 'node:zlib'
import type { Json, JsonObject } from '../config/lab-state.ts'
import { InputError, type Issue } from '../errors/issue.ts'
import { listFrom, networkFrom, numberIn, objectOf, objectsIn, ruleFrom, textIn } from './from-export.ts'
import type { PortablePolicy } from './portable-policy.ts'
import { asTyped, misfitIssue } from './terraform/resource-types.ts'

const RULES = new Set(['cloudflare_zero_trust_gateway_policy', 'cloudflare_teams_rule'])
const LISTS = new Set(['cloudflare_zero_trust_list', 'cloudflare_teams_list'])
const NETWORKS = new Set([
  'cloudflare_zero_trust_tunnel_cloudflared_virtual_network',
  'cloudflare_zero_trust_tunnel_virtual_network',
  'cloudflare_zero_trust_virtual_network',
  'cloudflare_tunnel_virtual_network',
])
/** Resources that only version 4 and those before it had. */
const V4_TYPES = new Set(['cloudflare_teams_rule', 'cloudflare_teams_list', 'cloudflare_tunnel_virtual_network'])
/** Version 4 spreads precedences: a rule of precedence p is p × 1000 and a number below 1000 made of its name at the API. */
const V4_PRECEDENCE_FACTOR = 1000
const EXPRESSIONS = ['traffic', 'identity', 'device_posture']
/** What version 4 calls something else than the API does. */
const V4_NAMES: Readonly<Record<string, string>> = { block_page_reason: 'block_reason' }

/** One resource of Cloudflare's provider. */
export interface TerraformResource {
  readonly address: string
  readonly type: string
  readonly values: JsonObject
  /** what is known only after an apply */
  readonly unknown: JsonObject
  /** absent: by its shape */
  readonly isV4?: boolean
}

/** Is this Terraform's JSON, of a state or a plan? */
export function isTerraform(data: unknown): boolean {
  const whole = objectOf(data)
  if (whole === undefined) return false
  return ('format_version' in whole && ('values' in whole || 'planned_values' in whole)) || isStateFile(whole)
}

/** The policy in it. Throws an InputError naming every rule that cannot be known before an apply. */
export function fromTerraform(source: string, data: unknown): PortablePolicy {
  const whole = objectOf(data) ?? {}
  const resources = isStateFile(whole) ? resourcesOfState(whole) : resourcesOf(whole)
  const issues = resources.filter(({ type }) => RULES.has(type)).flatMap((rule) => unknownParts(source, rule))
  const typed = resources.flatMap((resource): TerraformResource[] => {
    const part = policyPartOf(resource.type)
    if (part === undefined) return []
    const { values, misfits } = asTyped(part, resource.values)
    issues.push(...misfits.map((misfit) => ({ ...misfitIssue(misfit, `\`${resource.address}\``), file: source })))
    return [{ ...resource, values }]
  })
  if (issues.length > 0) throw new InputError(issues)
  return policyOfResources(source, typed)
}

/** What a resource is to a policy; undefined for one that is no part of it. */
export function policyPartOf(type: string): 'rule' | 'list' | 'virtual network' | undefined {
  if (RULES.has(type)) return 'rule'
  if (LISTS.has(type)) return 'list'
  return NETWORKS.has(type) ? 'virtual network' : undefined
}

/** The policy that resources are. */
export function policyOfResources(source: string, resources: readonly TerraformResource[]): PortablePolicy {
  const of = (types: ReadonlySet<string>) => resources.filter(({ type }) => types.has(type))
  return {
    source,
    rules: of(RULES).map((rule) => ruleFrom(apiRule(rule))),
    lists: of(LISTS).map(({ values }) => listFrom(withoutNulls(values), listItems(values))),
    virtualNetworks: of(NETWORKS).map(({ values }) => networkFrom(withoutNulls(values))),
    notes: [],
  }
}

/** The file of a state, `terraform.tfstate`. */
function isStateFile(whole: JsonObject): boolean {
  return typeof whole.version === 'number' && 'lineage' in whole && Array.isArray(whole.resources)
}

function resourcesOfState(whole: JsonObject): TerraformResource[] {
  return objectsIn(whole.resources)
    .filter(({ mode }) => mode === 'managed')
    .flatMap((resource) => {
      const type = textIn(resource, 'type') ?? ''
      const module = textIn(resource, 'module')
      const address = `${module === undefined ? '' : `${module}.`}${type}.${textIn(resource, 'name') ?? ''}`
      return objectsIn(resource.instances).map(({ index_key: key, attributes }) => ({
        address: key === undefined || key === null ? address : `${address}[${JSON.stringify(key)}]`,
        type,
        values: objectOf(attributes) ?? {},
        unknown: {},
      }))
    })
}

function resourcesOf(whole: JsonObject): TerraformResource[] {
  const values = objectOf(whole.planned_values) ?? objectOf(whole.values)
  const unknownByAddress = new Map(
    objectsIn(whole.resource_changes).map((change) => [
      textIn(change, 'address') ?? '',
      objectOf(objectOf(change.change)?.after_unknown) ?? {},
    ]),
  )
  const inModule = (module: JsonObject | undefined): TerraformResource[] => [
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
function unknownParts(file: string, { address, unknown }: TerraformResource): Issue[] {
  const settings = objectsIn([unknown.rule_settings ?? null].flat())
  const egress = objectsIn(settings.flatMap((block) => [block.egress ?? null].flat()))
  const parts = [
    ...EXPRESSIONS.filter((name) => unknown[name] === true),
    ...egress.flatMap((block) => Object.keys(block).filter((name) => block[name] === true)),
  ]
  return parts.map((name) => ({
    severity: 'error',
    code: 'rules.unknown_until_apply',
    message: `\`${name}\` of \`${address}\` is known only after an apply, because it refers to a resource that does not exist yet`,
    hint: 'apply first, then use `terraform show -json` of the state; or read the `.tf` files themselves',
    file,
  }))
}

/** Version 4 keeps blocks in lists; version 5 has attributes. */
function apiRule({ values, type, isV4: said }: TerraformResource): JsonObject {
  const { rule_settings: settings, precedence: _, ...rest } = withoutNulls(values)
  const isV4 = said ?? hasShapeOfV4(type, values)
  const precedence = numberIn(values, 'precedence')
  const unwrapped = Array.isArray(settings) ? objectsIn(settings).slice(0, 1).map(unwrapBlocks)[0] : objectOf(settings)
  return {
    ...rest,
    ...(precedence === undefined ? {} : { precedence: isV4 ? v4Precedence(precedence, values) : precedence }),
    ...(unwrapped === undefined ? {} : { rule_settings: unwrapped }),
  }
}

/** Whether a resource is one of the provider's version 4, by its type or its blocks. */
export function hasShapeOfV4(type: string, { rule_settings: settings }: { readonly rule_settings?: unknown }): boolean {
  return V4_TYPES.has(type) || Array.isArray(settings)
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

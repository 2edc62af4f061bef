// Terraform's configurations (`.tf`): a folder, or one file with what it uses of its folder. What a rule needs and only
// Terraform can know is an error with its file and line; what an egress policy can do without is left out, and said.

import { existsSync, statSync } from 'node:fs'
import { dirname, normalize } from 'node:path'
import type { Json, JsonObject } from '../config/lab-state.ts'
import { closest } from '../errors/did-you-mean.ts'
import { InputError, type Issue, inputError } from '../errors/issue.ts'
import { textIn } from './from-export.ts'
import { hasShapeOfV4, policyOfResources, policyPartOf, type TerraformResource } from './from-terraform.ts'
import type { PortablePolicy } from './portable-policy.ts'
import { expressionsOf, idsIn, plainId } from './rule-differences.ts'
import { type HclPlace, type HclValue, membersOf, UnknownValue, unknownIn } from './terraform/hcl-values.ts'
import { asTyped, membersOfPart, misfitIssue } from './terraform/resource-types.ts'
import type { ModuleResource, TerraformModule } from './terraform/terraform-module.ts'

/** Arguments that say nothing of a rule, a list or a network. */
const ELSEWHERE: ReadonlySet<string> = new Set(['account_id', 'timeouts'])

const HINT = 'give it a value in `terraform.tfvars`, or use `terraform show -json` of a plan or the state'

/** Whether a path is a folder, or a file of Terraform's configuration by its name. */
export function isModulePath(path: string): boolean {
  return /\.(tf|tofu)$/.test(path) || isFolder(path)
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true
}

/** The policy in a folder of `.tf` files, or in one of them: then its rules, with the lists and networks of the folder that
 *  they use. Throws an InputError naming everything that has to be known and is not, with file and line. */
export async function fromModule(path: string): Promise<PortablePolicy> {
  if (!existsSync(path))
    throw inputError('config.unreadable', `cannot read \`${path}\`: there is no such file`, { file: path })
  const { loadHclParser } = await import('./terraform/parse-hcl.ts')
  const { readModule } = await import('./terraform/terraform-module.ts')
  const module = readModule(isFolder(path) ? path : dirname(path), await loadHclParser())
  const parts = module.resources.filter(({ type }) => policyPartOf(type) !== undefined).map(settled)
  const isHere = ({ at }: ModuleResource) => isFolder(path) || normalize(at.file) === normalize(path)
  if (!parts.some(isHere)) throw nothingHere(path, parts)
  const rules = parts.filter((part) => isRule(part) && isHere(part))
  const used = idsUsedBy(rules)
  const others = parts.filter((part) => !isRule(part) && (isHere(part) || used.has(idOf(part))))
  const [needed, usedByEgress] = [[...rules, ...others], idsUsedBy(rules.filter(isEgress))]
  const isNeeded = (part: Settled) => (isRule(part) ? isEgress(part) : usedByEgress.has(idOf(part)))
  const issues = needed.filter(isNeeded).flatMap(({ unknown, misfits }) => [...unknown, ...misfits])
  if (issues.length > 0) throw new InputError(issues)
  const known = needed.filter(({ unknown, misfits }) => unknown.length + misfits.length === 0)
  const isV4 = isOfV4(module, parts)
  const foreign = new Map([...module.madeUpIds].filter(([id]) => !parts.some((part) => idOf(part) === plainId(id))))
  return {
    ...policyOfResources(
      path,
      known.map((part) => resourceOf(part, module, isV4)),
    ),
    notes: [
      ...module.unknown.map(({ why, at }) => `${why} (${placeText(at)}); its rules, if it has any, are not here`),
      ...needed.flatMap(({ unknown, misfits, address }) =>
        [...unknown, ...misfits].slice(0, 1).map((issue) => leftOut(address, issue)),
      ),
      ...known.flatMap(strangers),
      ...known.filter(isRule).flatMap((rule) => foreignNotes(rule, foreign)),
    ],
    madeUpIds: foreign,
  }
}

interface Settled extends ModuleResource {
  /** what is known of it */
  readonly known: JsonObject
  readonly unknown: readonly Issue[]
  /** what is known, and of a wrong type */
  readonly misfits: readonly Issue[]
}

function settled(resource: ModuleResource): Settled {
  const members = (membersOf(resource.values) ?? []).map(([name, value]) => [String(name), value] as const)
  const own = members.filter(([name]) => !ELSEWHERE.has(name))
  const known = own.flatMap(([name, value]) => (unknownIn(value) ? [] : [[name, jsonOf(value)] as const]))
  const { values, misfits } = asTyped(policyPartOf(resource.type) ?? 'rule', Object.fromEntries(known))
  return {
    ...resource,
    known: values,
    unknown: own.flatMap(([name, value]) => {
      const unknown = unknownIn(value)
      return unknown === undefined ? [] : [unknownIssue(name, resource, unknown)]
    }),
    misfits: misfits.map((misfit) => ({
      ...misfitIssue(misfit, `\`${resource.address}\``),
      ...resource.placeOf(misfit.path),
    })),
  }
}

/** Arguments of no such name, which Terraform refuses: a rule without its `traffic` is another rule. */
function strangers({ known, type, address, placeOf }: Settled): string[] {
  const names = membersOfPart(policyPartOf(type) ?? 'rule')
  return Object.keys(known).flatMap((name) => {
    const similar = names.includes(name) ? undefined : closest(name, names)
    if (similar === undefined || name === 'id') return []
    return [
      `\`${address}\` has \`${name}\` (${placeText(placeOf([name]))}), which is ignored; \`${similar}\` is similar`,
    ]
  })
}

function unknownIssue(name: string, { address, at: home }: ModuleResource, { why, at }: UnknownValue): Issue {
  const where = at.file === home.file && at.line >= home.line ? '' : `; it stands at ${placeText(home)}`
  return {
    severity: 'error',
    code: 'rules.unknown_without_plan',
    message: `\`${name}\` of \`${address}\` cannot be known without \`terraform plan\`: ${why}`,
    hint: HINT + where,
    ...at,
  }
}

function leftOut(address: string, { message, file = '', line = 1 }: Issue): string {
  return `\`${address}\` is left out: ${message} (${file}:${line})`
}

function placeText({ file, line }: HclPlace): string {
  return `${file}:${line}`
}

function jsonOf(value: HclValue): Json {
  if (value instanceof UnknownValue) return null
  if (Array.isArray(value)) return (value as readonly HclValue[]).map(jsonOf)
  if (typeof value !== 'object' || value === null) return value as Json
  return Object.fromEntries((membersOf(value) ?? []).map(([name, member]) => [name, jsonOf(member)]))
}

function isRule({ type }: ModuleResource): boolean {
  return policyPartOf(type) === 'rule'
}

/** Also where its kind is not known. */
function isEgress({ known }: Settled): boolean {
  const filters = Array.isArray(known.filters) ? known.filters : ['egress']
  return (known.action ?? 'egress') === 'egress' && filters.includes('egress')
}

function idOf({ known }: Settled): string {
  return plainId(textIn(known, 'id') ?? '')
}

function idsUsedBy(rules: readonly Settled[]): ReadonlySet<string> {
  return new Set(rules.flatMap(({ known }) => expressionsOf(known).flatMap(idsIn)))
}

/** The provider's version decides what a precedence means, also of a rule without settings. */
function isOfV4({ providerVersion }: TerraformModule, parts: readonly Settled[]): boolean {
  const [, major] = /(\d+)/.exec(providerVersion) ?? []
  if (major !== undefined) return Number(major) < 5
  return parts.some(({ type, known }) => hasShapeOfV4(type, known))
}

/** A rule's own id is Terraform's business until there is one. The provider makes a rule without `enabled` disabled. */
function resourceOf(part: Settled, { madeUpIds }: TerraformModule, isV4: boolean): TerraformResource {
  const { address, type, known } = part
  if (!isRule(part)) return { address, type, values: known, unknown: {}, isV4 }
  const { id, ...rest } = known
  const isMadeUp = typeof id === 'string' && madeUpIds.has(id)
  return {
    address,
    type,
    values: { enabled: false, ...rest, ...(isMadeUp || id === undefined ? {} : { id }) },
    unknown: {},
    isV4,
  }
}

function foreignNotes({ address, known, at }: Settled, foreign: ReadonlyMap<string, string>): string[] {
  const used = new Set(expressionsOf(known).flatMap(idsIn))
  return [...foreign].flatMap(([id, of]) =>
    used.has(plainId(id))
      ? [
          `\`${address}\` (${placeText(at)}) uses the id of \`${of}\`, which only Terraform knows; ${id} stands for it here`,
        ]
      : [],
  )
}

function nothingHere(path: string, parts: readonly Settled[]): InputError {
  const files = [...new Set(parts.map(({ at }) => at.file))]
  const elsewhere =
    files.length === 0 ? undefined : `there are some in ${files.map((file) => `\`${file}\``).join(', ')}`
  const message = `\`${path}\` has no Gateway rules, lists or virtual networks`
  const hint =
    elsewhere ?? 'rules are resources of the type `cloudflare_zero_trust_gateway_policy` or `cloudflare_teams_rule`'
  return inputError('rules.nothing', message, { hint, file: path })
}

// A folder of Terraform's files as resources: variables with their defaults, locals, `for_each` and `count` over what is
// known, references between resources, modules in folders beside it. Asks no provider and runs nothing.

import { existsSync, readdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import { stableUuid } from '../../config/names.ts'
import { evaluateHcl, type HclScope } from './evaluate-hcl.ts'
import type { HclBlock, HclBody, HclExpression } from './hcl-syntax.ts'
import {
  type HclObject,
  type HclPlace,
  type HclValue,
  isLength,
  lazyObject,
  membersOf,
  numberOfValue,
  objectFrom,
  textOfValue,
  UnknownValue,
} from './hcl-values.ts'

/** One instance of a resource. */
export interface ModuleResource {
  /** `cloudflare_zero_trust_list.partners["emea"]` */
  readonly address: string
  readonly type: string
  readonly values: HclObject
  /** the file and line of its block, or of what says how many there are */
  readonly at: HclPlace
  /** the place of a value, by names of members and numbers of items; of what is around it, where it is computed */
  readonly placeOf: (path: readonly (string | number)[]) => HclPlace
}

export interface TerraformModule {
  readonly resources: readonly ModuleResource[]
  /** ids that Terraform does not know yet, made up here → the resources' addresses */
  readonly madeUpIds: ReadonlyMap<string, string>
  /** the constraint on the version of Cloudflare's provider, if there is one: `~> 5.0` */
  readonly providerVersion: string
  /** what could not be followed, one clause each, with its place */
  readonly unknown: readonly UnknownValue[]
}

/** Parses a file. Throws an InputError where it is not HCL. */
export type ParseFile = (path: string) => HclBody

interface ModuleInputs {
  /** `module.egress.`, empty for the first */
  readonly prefix: string
  /** the variables that the caller sets */
  readonly given: ReadonlyMap<string, () => HclValue>
  /** the folders of the modules around this one */
  readonly around: readonly string[]
}

const SOURCES = /\.(tf|tofu)$/
const VALUES = /(^terraform\.tfvars|\.auto\.tfvars)$/

/** Reads the module of a folder. Throws an InputError for a file that is not HCL. */
export function readModule(folder: string, parseFile: ParseFile): TerraformModule {
  const values = filesIn(folder, VALUES).flatMap((file) => [...parseFile(file).attributes])
  const noScope: HclScope = { folder, valueOf: () => undefined }
  const given = new Map(values.map(([name, value]) => [name, () => evaluateHcl(value, noScope)]))
  return new Module(folder, parseFile, { prefix: '', given, around: [] }).read()
}

/** The `.tf` files of a folder, or its files of values, by name. */
function filesIn(folder: string, pattern: RegExp): string[] {
  return readdirSync(folder)
    .filter((name) => pattern.test(name))
    .sort()
    .map((name) => join(folder, name))
}

class Module {
  readonly #folder: string
  readonly #parseFile: ParseFile
  readonly #inputs: ModuleInputs
  readonly #blocks: readonly HclBlock[]
  readonly #madeUpIds = new Map<string, string>()
  readonly #unknown: UnknownValue[] = []
  readonly #names = new Map<string, HclValue>()
  readonly #resources: ModuleResource[] = []
  readonly #imported: ReadonlyMap<string, string>

  constructor(folder: string, parseFile: ParseFile, inputs: ModuleInputs) {
    this.#folder = folder
    this.#parseFile = parseFile
    this.#inputs = inputs
    this.#blocks = filesIn(folder, SOURCES).flatMap((file) => parseFile(file).blocks)
    this.#imported = new Map(this.#of('import').flatMap(({ body }) => this.#importIn(body)))
  }

  read(): TerraformModule {
    const start: HclPlace = { file: this.#folder, line: 1, column: 1 }
    this.#names.set(
      'var',
      lazyObject(
        this.#of('variable').map((block) => this.#variable(block)),
        start,
      ),
    )
    this.#names.set(
      'local',
      lazyObject(
        this.#of('locals').flatMap(({ body }) => this.#membersOf(body)),
        start,
      ),
    )
    this.#names.set('path', objectFrom(['module', 'root', 'cwd'].map((name) => [name, this.#folder] as const)))
    this.#names.set('terraform', objectFrom([['workspace', 'default']]))
    const byType = Map.groupBy(this.#of('resource'), ({ labels }) => labels[0] ?? '')
    for (const [type, blocks] of byType) {
      const named = blocks.map((block) => [block.labels[1] ?? '', () => this.#instances(type, block)] as const)
      this.#names.set(type, lazyObject(named, start))
    }
    const modules = this.#of('module').map((block) => [block.labels[0] ?? '', this.#child(block)] as const)
    this.#names.set('module', objectFrom(modules.map(([name, child]) => [name, child.outputs] as const)))
    // reading every resource once counts its instances, in the order of the files
    for (const [type] of byType) Object.values(Object(this.#names.get(type)))
    const children = modules.flatMap(([, { read }]) => read ?? [])
    return {
      resources: [...this.#resources, ...children.flatMap(({ resources }) => resources)],
      madeUpIds: new Map([...this.#madeUpIds, ...children.flatMap(({ madeUpIds }) => [...madeUpIds])]),
      providerVersion: this.#providerVersion(),
      unknown: [...this.#unknown, ...children.flatMap(({ unknown }) => unknown)],
    }
  }

  outputs(): HclObject {
    const start: HclPlace = { file: this.#folder, line: 1, column: 1 }
    return lazyObject(
      this.#of('output').map(
        ({ labels, body, at }) => [labels[0] ?? '', () => this.#valueIn(body, 'value', at)] as const,
      ),
      start,
    )
  }

  #of(type: string): readonly HclBlock[] {
    return this.#blocks.filter((block) => block.type === type)
  }

  get #scope(): HclScope {
    return { folder: this.#folder, valueOf: (name) => this.#names.get(name) }
  }

  #membersOf(body: HclBody, scope: HclScope = this.#scope): (readonly [string, () => HclValue])[] {
    return [...body.attributes].map(([name, value]) => [name, () => evaluateHcl(value, scope)] as const)
  }

  #valueIn(body: HclBody, name: string, at: HclPlace): HclValue {
    const expression = body.attributes.get(name)
    return expression === undefined
      ? new UnknownValue(`\`${name}\` is missing`, at)
      : evaluateHcl(expression, this.#scope)
  }

  #variable({ labels, body, at }: HclBlock): readonly [string, () => HclValue] {
    const name = labels[0] ?? ''
    const given = this.#inputs.given.get(name)
    const otherwise = body.attributes.get('default')
    const none = () => new UnknownValue(`the variable \`${name}\` has no default`, at)
    return [name, given ?? (otherwise === undefined ? none : () => evaluateHcl(otherwise, this.#scope))]
  }

  #child(block: HclBlock): { readonly outputs: HclValue; readonly read?: TerraformModule } {
    const [name = ''] = block.labels
    const source = this.#valueIn(block.body, 'source', block.at)
    const isRepeated = block.body.attributes.has('for_each') || block.body.attributes.has('count')
    const folder = typeof source === 'string' && /^\.\.?\//.test(source) ? join(this.#folder, source, '.') : undefined
    const around = [...this.#inputs.around, join(this.#folder, '.')]
    if (folder === undefined || isRepeated || around.includes(folder) || !existsSync(folder)) {
      const why = `the module \`${name}\` is ${folder === undefined ? 'not a folder beside this one' : 'made more than once, is not there, or contains itself'}`
      const unknown = new UnknownValue(why, block.at)
      this.#unknown.push(unknown)
      return { outputs: unknown }
    }
    const inputs = {
      prefix: `${this.#inputs.prefix}module.${name}.`,
      given: new Map(this.#membersOf(block.body)),
      around,
    }
    const child = new Module(folder, this.#parseFile, inputs)
    return { read: child.read(), outputs: child.outputs() }
  }

  /** `import { to = TYPE.NAME, id = "ACCOUNT/ID" }` tells an id that there is already. */
  #importIn({ attributes }: HclBody): [string, string][] {
    const [to, id] = [attributes.get('to'), attributes.get('id')]
    const address = to === undefined ? undefined : addressOf(to)
    const text = id === undefined ? null : evaluateHcl(id, { folder: this.#folder, valueOf: () => undefined })
    return address === undefined || typeof text !== 'string' ? [] : [[address, basename(text)]]
  }

  /** The resource as expressions see it: one object, a list for `count`, a map for `for_each`. */
  #instances(type: string, block: HclBlock): HclValue {
    const { attributes } = block.body
    const address = `${type}.${block.labels[1] ?? ''}`
    const [forEach, count] = [attributes.get('for_each'), attributes.get('count')]
    if (forEach !== undefined) {
      const collection = evaluateHcl(forEach, this.#scope)
      const members = collection instanceof UnknownValue ? undefined : membersOf(collection)
      if (members === undefined) return this.#cannotCount(type, address, collection, forEach.at)
      const isSet = Array.isArray(collection)
      const instances = members.map(([name, value]) => {
        const key = isSet ? (textOfValue(value) ?? '') : String(name)
        const each = objectFrom([
          ['key', key],
          ['value', value],
        ])
        return [
          key,
          this.#instance(type, `${address}[${JSON.stringify(key)}]`, block, new Map([['each', each]])),
        ] as const
      })
      return objectFrom(instances)
    }
    if (count !== undefined) {
      const value = evaluateHcl(count, this.#scope)
      const length = value instanceof UnknownValue ? undefined : numberOfValue(value)
      if (length === undefined || !isLength(length)) return this.#cannotCount(type, address, value, count.at)
      return Array.from({ length }, (_, index) =>
        this.#instance(type, `${address}[${index}]`, block, new Map([['count', objectFrom([['index', index]])]])),
      )
    }
    return this.#instance(type, address, block, new Map())
  }

  /** Nobody knows how many there are; one stands for them, and says so. */
  #cannotCount(type: string, address: string, value: HclValue, at: HclPlace): UnknownValue {
    const unknown =
      value instanceof UnknownValue ? value : new UnknownValue('how many there are is no number, map or set', at)
    const values = objectFrom([['for_each', unknown]])
    this.#resources.push({ address: this.#inputs.prefix + address, type, values, at, placeOf: () => at })
    return unknown
  }

  #instance(type: string, address: string, { body, at }: HclBlock, names: ReadonlyMap<string, HclValue>): HclObject {
    const full = this.#inputs.prefix + address
    const scope: HclScope = { ...this.#scope, valueOf: (name) => names.get(name) ?? this.#names.get(name) }
    const members = valuesOfBody(body, scope).filter(([name]) => !META.has(name))
    const id = this.#imported.get(address) ?? this.#madeUpId(full)
    const values = lazyObject([['id', () => id] as const, ...members], at)
    this.#resources.push({ address: full, type, values, at, placeOf: (path) => placeInBody(body, at, path) })
    return values
  }

  #madeUpId(address: string): string {
    const id = stableUuid('terraform', address)
    this.#madeUpIds.set(id, address)
    return id
  }

  #providerVersion(): string {
    const required = this.#of('terraform').flatMap(({ body }) =>
      body.blocks.filter(({ type }) => type === 'required_providers'),
    )
    for (const { body, at } of required) {
      const version = lazyObject(this.#membersOf(body), at).cloudflare
      const text = version === undefined ? null : Object(version).version
      if (typeof text === 'string') return text
    }
    return ''
  }
}

/** Arguments for Terraform itself. */
const META: ReadonlySet<string> = new Set(['for_each', 'count', 'depends_on', 'provider', 'lifecycle'])

function placeInBody(body: HclBody, at: HclPlace, [name, ...path]: readonly (string | number)[]): HclPlace {
  const attribute = body.attributes.get(String(name))
  if (attribute !== undefined) return placeInValue(attribute, path)
  const [index, ...rest] = path
  const block = body.blocks.filter(({ type }) => type === name)[Number(index)]
  return block === undefined ? at : placeInBody(block.body, block.at, rest)
}

function placeInValue(value: HclExpression, [step, ...path]: readonly (string | number)[]): HclPlace {
  if (step === undefined) return value.at
  if (value.kind === 'tuple') {
    const item = value.items[Number(step)]
    return item === undefined ? value.at : placeInValue(item, path)
  }
  if (value.kind !== 'object') return value.at
  const entry = value.entries.find(([key]) => key.kind === 'literal' && key.value === step)
  return entry === undefined ? value.at : placeInValue(entry[1], path)
}

/** Attributes and blocks as a state has them: blocks of a type in a list. */
function valuesOfBody(body: HclBody, scope: HclScope): (readonly [string, () => HclValue])[] {
  const attributes = [...body.attributes].map(([name, value]) => [name, () => evaluateHcl(value, scope)] as const)
  const blocks = Map.groupBy(body.blocks, ({ type, labels }) => (type === 'dynamic' ? (labels[0] ?? '') : type))
  const lists = [...blocks].map(([type, group]) => [type, () => blockList(group, scope)] as const)
  return [...attributes, ...lists]
}

function blockList(group: readonly HclBlock[], scope: HclScope): HclValue {
  const all: HclValue[] = []
  for (const block of group) {
    const made = block.type === 'dynamic' ? dynamicBlocks(block, scope) : [blockValue(block, scope)]
    if (made instanceof UnknownValue) return made
    all.push(...made)
  }
  return all
}

function blockValue({ body, at }: HclBlock, scope: HclScope): HclObject {
  return lazyObject(valuesOfBody(body, scope), at)
}

/** `dynamic "TYPE" { for_each = …  content { … } }`. */
function dynamicBlocks({ labels, body, at }: HclBlock, scope: HclScope): HclValue[] | UnknownValue {
  const [type = ''] = labels
  const forEach = body.attributes.get('for_each')
  const content = body.blocks.find((block) => block.type === 'content')
  if (forEach === undefined || content === undefined)
    return new UnknownValue(`the dynamic block \`${type}\` is not complete`, at)
  const collection = evaluateHcl(forEach, scope)
  if (collection instanceof UnknownValue) return collection
  const iterator = body.attributes.get('iterator')
  const name = iterator?.kind === 'variable' ? iterator.name : type
  return (membersOf(collection) ?? []).map(([key, value]) => {
    const turn = objectFrom([
      ['key', key],
      ['value', value],
    ])
    return blockValue(content, { ...scope, valueOf: (other) => (other === name ? turn : scope.valueOf(other)) })
  })
}

/** `TYPE.NAME` or `TYPE.NAME["key"]` as an address. */
function addressOf(expression: HclExpression): string | undefined {
  if (expression.kind === 'variable') return expression.name
  if (expression.kind !== 'access') return undefined
  const before = addressOf(expression.of)
  const { step } = expression
  if (before === undefined || step.kind === 'splat') return undefined
  if (step.kind === 'attribute') return `${before}.${step.name}`
  const key = evaluateHcl(step.key, { folder: '', valueOf: () => undefined })
  return key instanceof UnknownValue ? undefined : `${before}[${JSON.stringify(key)}]`
}

// Policies as configurations that decide: laid over a configuration, whose people, addresses and settings stay, or on their own.
// An address that nothing says the data center of gets one, and that is said.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { parse, stringify } from 'yaml'
import { cannotWrite, makeFolder } from '../config/files.ts'
import { loadConfig } from '../config/load.ts'
import { stableUuid } from '../config/names.ts'
import { readSourceDocument } from '../config/source-document.ts'
import { InputError, type Issue } from '../errors/issue.ts'
import { canonicalAddress } from './check-plan.ts'
import { readSections } from './from-configuration.ts'
import { objectOf, textIn } from './from-export.ts'
import { isModulePath } from './from-terraform-module.ts'
import { freeName } from './plan-changes.ts'
import type { PortableList, PortableNetwork, PortablePolicy, PortableRule } from './portable-policy.ts'
import { readPolicyFile } from './read-policy.ts'
import { recogniseFile } from './recognise.ts'
import { expressionsOf, onlySpokenOf, plainId, renameIds } from './rule-differences.ts'
import { writeYamlPolicy } from './write-policy.ts'

/** Runs `work` with an empty folder, and deletes the folder afterwards. */
export async function inScratch<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'egresslab-rules-'))
  try {
    return await work(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Two configuration files. */
export interface SideBySide {
  readonly before: string
  readonly after: string
}

export interface WrittenSides extends SideBySide {
  /** what was assumed to write them, one clause each */
  readonly assumed: readonly string[]
}

type Section = { readonly [key: string]: unknown }

/** Writes them as `before.yaml` and `after.yaml`, each on the people, addresses and settings of its account. On one account, an
 *  address that it does not have is at the same data center on both. Throws an InputError where an account is not good, or the
 *  folder cannot be written. */
export function writeSides(
  accounts: SideBySide,
  folder: string,
  sides: Readonly<Record<keyof SideBySide, PortablePolicy>>,
): WrittenSides {
  const on = (name: keyof SideBySide) => {
    loadConfig(accounts[name])
    return configOn(Object(readSourceDocument(accounts[name]).data), sectionsOf(sides[name]), dirname(accounts[name]))
  }
  const [before, after] = [on('before'), on('after')]
  const rules = [...entriesOf(before.rules), ...entriesOf(after.rules)]
  const { data, assumed } =
    accounts.before === accounts.after ? withAddresses({ ...before, rules }) : { data: {}, assumed: [] }
  const addresses = assumed.length === 0 ? {} : { dedicated_ips: data.dedicated_ips }
  const write = (name: keyof SideBySide, config: Section) =>
    writeConfig(join(folder, `${name}.yaml`), { ...config, ...addresses })
  try {
    makeFolder(folder)
    return {
      before: write('before', before),
      after: write('after', after),
      assumed: assumed.length === 0 ? [] : [assumedText(assumed)],
    }
  } catch (thrown) {
    throw cannotWrite(folder, thrown, 'rules.unwritable')
  }
}

/** Runs `work` on two written sides; an InputError of one becomes one of the place it is of, since nobody wrote its lines. */
export async function asSidesOf<T>(sides: SideBySide, places: SideBySide, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (thrown) {
    if (!(thrown instanceof InputError)) throw thrown
    const issues = thrown.issues.map((issue) => {
      const { line: _line, column: _column, ...rest } = issue
      if (issue.file === sides.before) return { ...rest, file: places.before }
      return issue.file === sides.after ? { ...rest, file: places.after } : issue
    })
    throw new InputError(issues)
  }
}

function writeConfig(file: string, data: Section): string {
  writeFileSync(file, stringify(data, { lineWidth: 0 }))
  return file
}

/** Whether a file is a whole configuration, rules as configurations have them in a file of their own, or any other policy.
 *  Throws an InputError for one that is none of these. */
export function kindOfFile(file: string): 'configuration' | 'rule list' | 'policy' {
  if (isModulePath(file)) return 'policy'
  const { kind } = recogniseFile(file)
  return kind === 'configuration' || kind === 'rule list' ? kind : 'policy'
}

/** What a reader of configurations says of a file that was never one: not that each of its keys is unknown, but what the file is.
 *  Any other issues come back as they are. */
export function issuesOfOther(issues: readonly Issue[]): readonly Issue[] {
  const [first] = issues
  const { file } = first ?? {}
  const isAboutShape = (issue: Issue) => SHAPE.test(issue.code) && issue.line !== undefined && issue.file === file
  if (file === undefined || !issues.every(isAboutShape)) return issues
  try {
    if (!isModulePath(file) && 'document' in recogniseFile(file)) return issues
    const message = `\`${file}\` has rules, and is no configuration`
    const hint = '`check -c`, `test -c`, `replay --rules` and `rules push` take it as it is'
    return [{ severity: 'error', code: 'rules.not_a_configuration', message, hint, file }]
  } catch (thrown) {
    const isOther = thrown instanceof InputError && thrown.issues[0]?.code === 'rules.unknown_file'
    return isOther ? thrown.issues : issues
  }
}

const SHAPE = /^config\.(syntax|unknown_key|missing_key|wrong_type)$/

/** A policy as configurations, each laid over another or on its own, written into a folder. */
export class PolicyLayer {
  readonly #policyFile: string
  readonly #folder: string
  readonly #made = new Map<string | undefined, string>()
  readonly #issues = new Map<string, Issue>()

  constructor(policyFile: string, folder: string) {
    this.#policyFile = policyFile
    this.#folder = folder
  }

  /** What had to be assumed or left out so far, as warnings. */
  get issues(): readonly Issue[] {
    return [...this.#issues.values()]
  }

  /** The files it was made of so far. */
  get sources(): readonly string[] {
    return [this.#policyFile, ...[...this.#made.keys()].filter((base) => base !== undefined)]
  }

  /** The configuration with the people, addresses and settings of `base` and the policy's rules. Throws an InputError. */
  async over(base?: string): Promise<string> {
    const before = this.#made.get(base)
    if (before !== undefined) return before
    if (base !== undefined) loadConfig(base)
    const data: Section = base === undefined ? {} : Object(readSourceDocument(base).data)
    const { sections, notes } = await this.#read()
    const whole = withAddresses(configOn(data, sections, dirname(base ?? this.#policyFile)))
    const file = join(this.#folder, `${this.#made.size}-${basename(this.#policyFile)}.yaml`)
    writeConfig(file, whole.data)
    this.#made.set(base, file)
    for (const note of notes) this.#warn('rules.note', note)
    this.#warnOfLists(whole.data)
    if (whole.assumed.length > 0) {
      const hint = 'declare them under `dedicated_ips` of a configuration, each with its data center'
      this.#warn('rules.assumed_colo', assumedText(whole.assumed), hint)
    }
    return file
  }

  /** Rules of configuration files stay as they are: the base may have what they leave out. */
  async #read(): Promise<{ readonly sections: Section; readonly notes: readonly string[] }> {
    const found = isModulePath(this.#policyFile) ? undefined : recogniseFile(this.#policyFile)
    if (found !== undefined && 'document' in found) {
      const { rules, lists, virtual_networks } = readSections(found.document)
      return { sections: { rules, lists, virtual_networks }, notes: [] }
    }
    const policy = onlySpokenOf(await readPolicyFile(this.#policyFile))
    return { sections: sectionsOf(policy), notes: policy.notes }
  }

  /** An answer with rules alone has no lists. */
  #warnOfLists({ rules, lists }: Section): void {
    const known = new Set(entriesOf(lists).map((list) => plainId(String(Object(list).id))))
    for (const rule of entriesOf(rules)) {
      const { name } = Object(rule)
      for (const [, id = ''] of expressionsOf(Object(rule)).flatMap((text) => [...text.matchAll(LIST_ID)])) {
        if (known.has(plainId(id))) continue
        const message = `rule \`${String(name)}\` uses the list \`${id}\`, which is not here, so nothing is in it`
        this.#warn(
          'rules.no_list',
          message,
          'use what `egresslab rules pull` writes, or put the answer for the list into the same file',
        )
      }
    }
  }

  #warn(code: string, message: string, hint?: string): void {
    const file = this.#policyFile
    this.#issues.set(message, { severity: 'warning', code, message, file, ...(hint === undefined ? {} : { hint }) })
  }

  /** The policy's file for one that was made of it, and any other as it is. */
  nameOf(file: string): string {
    return [...this.#made.values()].includes(file) ? this.#policyFile : file
  }

  /** An issue of a made file as one of the policy's own: lines and columns there mean nothing to anybody. */
  ownIssue(issue: Issue): Issue {
    if (issue.file === undefined || this.nameOf(issue.file) === issue.file) return issue
    const { line: _line, column: _column, ...rest } = issue
    return { ...rest, file: this.#policyFile }
  }

  /** Runs `work`; an InputError of a made file becomes one of the policy's own. */
  async asOwn<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (thrown) {
      throw thrown instanceof InputError ? new InputError(thrown.issues.map((issue) => this.ownIssue(issue))) : thrown
    }
  }
}

/** The list of a rule's expression, `$ID`. */
const LIST_ID = /\$([0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12})\b/gi

function entriesOf(section: unknown): readonly unknown[] {
  return Array.isArray(section) ? section : []
}

function assumedText(assumed: readonly string[]): string {
  return `nothing says where ${assumed.join(', ')} ${assumed.length === 1 ? 'is' : 'are'}`
}

/** A policy as sections of a configuration. */
function sectionsOf(policy: PortablePolicy): Section {
  return parse(writeYamlPolicy(configurable(policy)).text) as Section
}

/** A policy whose ids are UUIDs, as configurations have them, with one name for each list and network and an id for each of the
 *  rules that share a name: accounts allow more, and what is no account's allows anything. The same policy gets the same ids. */
function configurable(policy: PortablePolicy): PortablePolicy {
  const ids = new Map<string, string>()
  const things = <T extends PortableList | PortableNetwork>(kind: string, all: readonly T[]): T[] => {
    const taken = new Set<string>()
    return all.map((thing) => {
      const name = freeName(thing.name, (text) => taken.has(text.toLowerCase()))
      taken.add(name.toLowerCase())
      const id = uuidOf(kind, thing.id)
      if (id !== undefined && thing.id !== undefined && id !== thing.id) ids.set(thing.id, id)
      return { ...thing, name, ...(id === undefined ? {} : { id }) }
    })
  }
  const [lists, virtualNetworks] = [things('list', policy.lists), things('virtual-network', policy.virtualNetworks)]
  return { ...policy, rules: withOwnIds(policy.rules).map((rule) => renameIds(rule, ids)), lists, virtualNetworks }
}

function withOwnIds(rules: readonly PortableRule[]): PortableRule[] {
  const names = new Set<string>()
  return rules.map((rule) => {
    const free = freeName(rule.name, (text) => names.has(text))
    names.add(free)
    const id = uuidOf('id of a rule', rule.id ?? (free === rule.name ? undefined : free))
    return id === undefined ? rule : { ...rule, id }
  })
}

function uuidOf(kind: string, id: string | undefined): string | undefined {
  if (id === undefined) return undefined
  const plain = plainId(id)
  if (!/^[0-9a-f]{32}$/.test(plain)) return stableUuid(kind, id)
  return plain.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
}

/** The configuration with this policy's rules. Lists and networks of the policy stand beside those of the file. */
function configOn(data: Section, written: Section, folder: string): Section {
  const { rules_file: _, ...rest } = withAbsolutePaths(data, folder)
  return {
    ...rest,
    rules: written.rules ?? [],
    lists: merged(data.lists, written.lists),
    virtual_networks: merged(data.virtual_networks, ofOneDefault(data.virtual_networks, written.virtual_networks)),
  }
}

/** Two accounts may call their default network differently. It is one: the policy's, by the name that people of the
 *  configuration have for it. */
function ofOneDefault(own: unknown, theirs: unknown): readonly unknown[] {
  const isDefault = (network: unknown) => Object(network).default === true
  const mine = entriesOf(own).find(isDefault)
  return entriesOf(theirs).map((network) =>
    mine !== undefined && isDefault(network) ? { ...Object(network), name: Object(mine).name } : network,
  )
}

/** The policy's win over those of the same name or id. */
function merged(own: unknown, theirs: unknown): readonly unknown[] {
  const [mine, others] = [entriesOf(own), entriesOf(theirs)]
  const keysOf = (item: unknown) =>
    [Object(item).name, Object(item).id].filter((key) => key !== undefined).map((key) => String(key).toLowerCase())
  const taken = new Set(others.flatMap(keysOf))
  return [...mine.filter((item: unknown) => !keysOf(item).some((key) => taken.has(key))), ...others]
}

/** Keys whose values are paths seen from the configuration's folder. */
const PATHS: ReadonlySet<string> = new Set(['jwks_file', 'certificate', 'key', 'client_ca'])

function withAbsolutePaths(data: Section, folder: string): Section {
  const at = (path: unknown) => resolve(folder, String(path))
  const walk = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(walk)
    if (typeof value !== 'object' || value === null) return value
    return Object.fromEntries(
      Object.entries(value).map(([key, inner]) => [
        key,
        PATHS.has(key) && typeof inner === 'string' ? at(inner) : walk(inner),
      ]),
    )
  }
  const { geo, identity_providers: providers, listeners } = data
  const databases: unknown = Object(geo).databases
  return {
    ...data,
    ...(Array.isArray(databases) ? { geo: { ...Object(geo), databases: databases.map(at) } } : {}),
    ...(providers === undefined ? {} : { identity_providers: walk(providers) }),
    ...(listeners === undefined ? {} : { listeners: walk(listeners) }),
  }
}

/** Data centers that stand for those nobody named, far from each other. */
const COLOS = ['AMS', 'IAD', 'SIN', 'LHR', 'LAX', 'SYD', 'FRA', 'EWR', 'NRT', 'GRU']

/** Adds the addresses that rules use and the configuration does not own, in the pairs that rules name. */
function withAddresses(data: Section): { readonly data: Section; readonly assumed: readonly string[] } {
  const own = entriesOf(data.dedicated_ips)
  const known = new Set(
    own.flatMap((entry) => [Object(entry).ipv4, Object(entry).ipv6]).map((text) => canonicalAddress(String(text))),
  )
  const assumed: { colo: string; ipv4?: string; ipv6?: string }[] = []
  const add = (address: { ipv4?: string; ipv6?: string }) => {
    const isNew = ([, text]: [string, string]) => !known.has(canonicalAddress(text))
    const entries = Object.entries(address).filter(isNew)
    if (entries.length === 0) return
    for (const [, text] of entries) known.add(canonicalAddress(text))
    assumed.push({ colo: COLOS[assumed.length % COLOS.length] ?? 'AMS', ...Object.fromEntries(entries) })
  }
  const settings = entriesOf(data.rules)
    .map((rule) => objectOf(Object(rule).egress))
    .filter((egress) => egress !== undefined)
  for (const egress of settings) {
    const [ipv4, ipv6] = [textIn(egress, 'ipv4'), textIn(egress, 'ipv6')]
    add({ ...(ipv4 === undefined ? {} : { ipv4 }), ...(ipv6 === undefined ? {} : { ipv6 }) })
  }
  for (const egress of settings) {
    const fallback = textIn(egress, 'ipv4_fallback') ?? '0.0.0.0'
    if (fallback !== '0.0.0.0') add({ ipv4: fallback })
  }
  const whole = { ...data, dedicated_ips: [...own, ...assumed] }
  return { data: whole, assumed: assumed.map(({ colo, ipv4, ipv6 }) => `${ipv4 ?? ipv6} (stands at ${colo})`) }
}

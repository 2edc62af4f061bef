// Policies from and to files and APIs, for the `rules` verb: finds out what a place is and how to log in there.

import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, isAbsolute, join, resolve } from 'node:path'
import { parse, stringify } from 'yaml'
import { loadConfig } from '../config/load.ts'
import type { PolicyChanges, PolicyOutcome, PolicyStep, PortablePolicy } from '../config/portable-policy.ts'
import { readSourceDocument } from '../config/source-document.ts'
import { InputError } from '../errors/issue.ts'
import { accessLab, type LabAddressOptions } from '../lab/lab-client.ts'
import { type AccountAccess, type CloudflareAccount, openAccount } from './cloudflare-account.ts'
import { applyChanges, planChanges, resultingPolicy } from './plan-changes.ts'
import { readPolicyFile } from './read-policy.ts'
import { onlySpokenOf } from './rule-differences.ts'
import { writeJsonPolicy, writeYamlPolicy } from './write-policy.ts'

const CLOUDFLARE = 'https://api.cloudflare.com/client/v4'

export function createRulesSync(env: NodeJS.ProcessEnv = process.env): RulesSync {
  const accounts = new Map<string, Promise<CloudflareAccount>>()
  const accountAt = (place: string, options: RulesTargetOptions) => {
    const open = accounts.get(place) ?? accessTo(place, options, env).then(openAccount)
    accounts.set(place, open)
    return open
  }
  const read = async (place: string, options: RulesTargetOptions): Promise<PortablePolicy> =>
    isApi(place) ? (await accountAt(place, options)).read() : readPolicyFile(place)
  return {
    read: async (place, options) => onlySpokenOf(await read(place, options)),
    plan: async ({ from, to, prune }, options) =>
      planChanges(await read(from, options), await read(to, options), { prune }),
    apply: async (changes, to, options, onDone) => applyChanges(changes, await accountAt(to, options), onDone),
    isApi,
    write: (policy, form) => (form === 'json' ? writeJsonPolicy(policy) : writeYamlPolicy(policy)),
    save,
    inScratch,
    writeSides: async ({ from, to, prune }, folder, options) => {
      const there = await read(to, options)
      const after = resultingPolicy(there, planChanges(await read(from, options), there, { prune }))
      return writeSides(options.config, folder, { before: onlySpokenOf(there), after: onlySpokenOf(after) })
    },
  }
}

async function inScratch<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'egresslab-rules-'))
  try {
    return await work(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function isApi(place: string): boolean {
  return place === 'lab' || place === 'cloudflare' || /^https?:\/\//.test(place)
}

async function accessTo(place: string, options: RulesTargetOptions, env: NodeJS.ProcessEnv): Promise<AccountAccess> {
  if (place === 'lab') {
    const { url, token } = await accessLab(options, env)
    return { called: `the lab at ${url}`, baseUrl: `${url}/client/v4`, credentials: { token } }
  }
  const accountId = options.account ?? env.CLOUDFLARE_ACCOUNT_ID ?? ''
  const called = place === 'cloudflare' ? 'Cloudflare' : place
  return {
    called: accountId === '' ? called : `${called}, account ${accountId}`,
    baseUrl: place === 'cloudflare' ? CLOUDFLARE : place.replace(/\/$/, ''),
    credentials: credentialsFrom(env, called),
    ...(accountId === '' ? {} : { accountId }),
  }
}

function credentialsFrom(env: NodeJS.ProcessEnv, called: string): AccountAccess['credentials'] {
  const { CLOUDFLARE_API_TOKEN: token = '', CLOUDFLARE_EMAIL: email = '', CLOUDFLARE_API_KEY: key = '' } = env
  if (token !== '') return { token }
  if (email !== '' && key !== '') return { email, key }
  const message = `no credentials for ${called}: CLOUDFLARE_API_TOKEN is not set`
  const hint =
    'set it, or CLOUDFLARE_EMAIL and CLOUDFLARE_API_KEY; options never carry secrets, as other people can see them'
  throw new InputError([{ severity: 'error', code: 'rules.no_credentials', message, hint }])
}

/** Whole or not at all. */
function save(file: string, text: string): void {
  const beside = `${file}.new`
  try {
    writeFileSync(beside, text)
    renameSync(beside, file)
  } catch (thrown) {
    rmSync(beside, { force: true })
    const reason = thrown instanceof Error && 'code' in thrown ? ` (${String(thrown.code)})` : ''
    throw new InputError([
      { severity: 'error', code: 'rules.unwritable', message: `\`${file}\` cannot be written${reason}` },
    ])
  }
}

interface Sides {
  readonly before: PortablePolicy
  readonly after: PortablePolicy
}

/** Writes them as `before.yaml` and `after.yaml`. Throws an InputError where the configuration itself is not good, or the folder
 *  cannot be written. */
export function writeSides(configFile: string, folder: string, sides: Sides): SideBySide {
  loadConfig(configFile)
  const { data } = readSourceDocument(configFile)
  const write = (name: keyof Sides): string => {
    const file = join(folder, `${name}.yaml`)
    writeFileSync(file, stringify(configOn(Object(data), sides[name], dirname(configFile)), { lineWidth: 0 }))
    return file
  }
  try {
    mkdirSync(folder, { recursive: true })
    return { before: write('before'), after: write('after') }
  } catch (thrown) {
    const reason = thrown instanceof Error && 'code' in thrown ? ` (${String(thrown.code)})` : ''
    const message = `\`${folder}\` cannot be written${reason}`
    throw new InputError([{ severity: 'error', code: 'rules.unwritable', message }])
  }
}

type Section = { readonly [key: string]: unknown }

/** The configuration with this policy's rules. Lists and networks of the policy stand beside those of the file. */
function configOn(data: Section, policy: PortablePolicy, folder: string): Section {
  const written = parse(writeYamlPolicy(policy).text) as Section
  const { rules_file: _, ...rest } = data
  return {
    ...rest,
    ...(data.geo === undefined ? {} : { geo: absolute(Object(data.geo), folder) }),
    rules: written.rules ?? [],
    lists: merged(data.lists, written.lists),
    virtual_networks: merged(data.virtual_networks, written.virtual_networks),
  }
}

function absolute(geo: Section, folder: string): Section {
  const databases: unknown = geo.databases
  if (!Array.isArray(databases)) return geo
  return {
    ...geo,
    databases: databases.map((path: unknown) => (isAbsolute(String(path)) ? path : resolve(folder, String(path)))),
  }
}

/** The policy's win over those of the same name. */
function merged(own: unknown, theirs: unknown): readonly unknown[] {
  const [mine, others] = [Array.isArray(own) ? own : [], Array.isArray(theirs) ? theirs : []]
  const names = new Set(others.map((item: unknown) => String(Object(item).name).toLowerCase()))
  return [...mine.filter((item: unknown) => !names.has(String(Object(item).name).toLowerCase())), ...others]
}

/** Where things are: a file, `lab`, `cloudflare`, or the base address of an API. */
export interface RulesTargetOptions extends LabAddressOptions {
  /** id of the account at Cloudflare */
  readonly account?: string
}

export interface RulesSync {
  /** Rules, and the lists and virtual networks they speak of. Throws an InputError. */
  readonly read: (place: string, options: RulesTargetOptions) => Promise<PortablePolicy>
  /** What would change at `to`, if it were to say what `from` says. Throws an InputError for what cannot work. */
  readonly plan: (request: PlanRequest, options: RulesTargetOptions) => Promise<PolicyChanges>
  readonly apply: (
    changes: PolicyChanges,
    to: string,
    options: RulesTargetOptions,
    onDone: (step: PolicyStep) => void,
  ) => Promise<PolicyOutcome>
  readonly isApi: (place: string) => boolean
  /** The policy as text, and what that form has no words for. */
  readonly write: (policy: PortablePolicy, form: 'yaml' | 'json') => WrittenText
  /** Throws an InputError. */
  readonly save: (file: string, text: string) => void
  /** Writes the target before and after into a folder, as configurations that differ in nothing else. Throws an InputError. */
  readonly writeSides: (request: PlanRequest, folder: string, options: RulesTargetOptions) => Promise<SideBySide>
  /** A folder that is gone once the work is done. */
  readonly inScratch: <T>(work: (folder: string) => Promise<T>) => Promise<T>
}

export interface PlanRequest {
  readonly from: string
  readonly to: string
  readonly prune: boolean
}

export interface WrittenText {
  readonly text: string
  readonly notes: readonly string[]
}

/** Two configuration files. */
export interface SideBySide {
  readonly before: string
  readonly after: string
}

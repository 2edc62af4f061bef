// Copies policies between files and APIs, for `egresslab rules`: recognizes a place and finds the credentials for it.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, isAbsolute, join, resolve } from 'node:path'
import { parse, stringify } from 'yaml'
import { cannotWrite } from '../config/files.ts'
import { loadConfig } from '../config/load.ts'
import { readSourceDocument } from '../config/source-document.ts'
import { inputError } from '../errors/issue.ts'
import { accessLab, type LabAddressOptions } from '../lab/lab-client.ts'
import { type AccountAccess, type CloudflareAccount, openAccount } from './cloudflare-account.ts'
import { applyChanges, planChanges, resultingPolicy } from './plan-changes.ts'
import type { PolicyChanges, PolicyOutcome, PolicyStep, PortablePolicy } from './portable-policy.ts'
import { readPolicyFile } from './read-policy.ts'
import { onlySpokenOf } from './rule-differences.ts'
import { writeYamlPolicy } from './write-policy.ts'

const CLOUDFLARE = 'https://api.cloudflare.com/client/v4'

/** Reads, compares and applies policies. A place is a file, `lab`, `cloudflare`, or the base URL of an API. */
export class RulesSync {
  readonly #options: RulesTargetOptions
  readonly #env: NodeJS.ProcessEnv
  readonly #accounts = new Map<string, Promise<CloudflareAccount>>()

  /** `env`: where credentials come from. */
  constructor(options: RulesTargetOptions, env: NodeJS.ProcessEnv = process.env) {
    this.#options = options
    this.#env = env
  }

  /** The rules of a place, with the lists and virtual networks they use. Throws an InputError. */
  async read(place: string): Promise<PortablePolicy> {
    return onlySpokenOf(await this.#readAll(place))
  }

  /** What has to change at `to` so that it has what `from` has. Throws an InputError for changes that cannot work. */
  async plan({ from, to, prune }: PlanRequest): Promise<PolicyChanges> {
    return planChanges(await this.#readAll(from), await this.#readAll(to), { prune })
  }

  /** Makes the changes one by one; `onDone` gets each step as it is done. A step that fails ends it and is part of the
   *  outcome. Throws an InputError where the account cannot be opened. */
  async apply(changes: PolicyChanges, to: string, onDone: (step: PolicyStep) => void): Promise<PolicyOutcome> {
    return applyChanges(changes, await this.#accountAt(to), onDone)
  }

  /** Writes the target before and after the change into a folder, as two configurations that differ in nothing else. Throws
   *  an InputError. */
  async writeSides({ from, to, prune }: PlanRequest, folder: string): Promise<SideBySide> {
    const there = await this.#readAll(to)
    const after = resultingPolicy(there, planChanges(await this.#readAll(from), there, { prune }))
    return writeSides(this.#options.config, folder, { before: onlySpokenOf(there), after: onlySpokenOf(after) })
  }

  async #readAll(place: string): Promise<PortablePolicy> {
    return isApi(place) ? (await this.#accountAt(place)).read() : readPolicyFile(place)
  }

  #accountAt(place: string): Promise<CloudflareAccount> {
    const open = this.#accounts.get(place) ?? accessTo(place, this.#options, this.#env).then(openAccount)
    this.#accounts.set(place, open)
    return open
  }
}

/** Runs `work` with an empty folder, and deletes the folder afterwards. */
export async function inScratch<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'egresslab-rules-'))
  try {
    return await work(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Whether a place is an API, rather than a file. */
export function isApi(place: string): boolean {
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
    'set it, or CLOUDFLARE_EMAIL and CLOUDFLARE_API_KEY; secrets are not taken from options, which other users can see'
  throw inputError('rules.no_credentials', message, { hint })
}

interface Sides {
  readonly before: PortablePolicy
  readonly after: PortablePolicy
}

/** Writes them as `before.yaml` and `after.yaml`. Throws an InputError where the configuration itself is not good, or the folder
 *  cannot be written. */
function writeSides(configFile: string, folder: string, sides: Sides): SideBySide {
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
    throw cannotWrite(folder, thrown, 'rules.unwritable')
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

export interface PlanRequest {
  readonly from: string
  readonly to: string
  readonly prune: boolean
}

/** Two configuration files. */
export interface SideBySide {
  readonly before: string
  readonly after: string
}

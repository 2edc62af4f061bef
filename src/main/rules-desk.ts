// Policies from and to files and APIs, for the `rules` verb: finds out what a place is and how to log in there.

import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { PlaceOptions, RulesDesk } from '../cli/rules-desk.ts'
import type { PortablePolicy } from '../config/portable-policy.ts'
import { InputError } from '../errors/issue.ts'
import { applyChanges } from '../transfer/apply-changes.ts'
import { type AccountAccess, type CloudflareAccount, openAccount } from '../transfer/cloudflare-account.ts'
import { planChanges } from '../transfer/plan-changes.ts'
import { readPolicyFile } from '../transfer/read-policy.ts'
import { resultingPolicy } from '../transfer/resulting-policy.ts'
import { onlySpokenOf } from '../transfer/speak-of.ts'
import { writeJsonPolicy, writeYamlPolicy } from '../transfer/write-policy.ts'
import { accessLab } from './lab-client.ts'
import { writeSides } from './side-config.ts'

const CLOUDFLARE = 'https://api.cloudflare.com/client/v4'

export function createRulesDesk(env: NodeJS.ProcessEnv = process.env): RulesDesk {
  const accounts = new Map<string, Promise<CloudflareAccount>>()
  const accountAt = (place: string, options: PlaceOptions) => {
    const open = accounts.get(place) ?? accessTo(place, options, env).then(openAccount)
    accounts.set(place, open)
    return open
  }
  const read = async (place: string, options: PlaceOptions): Promise<PortablePolicy> =>
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

async function accessTo(place: string, options: PlaceOptions, env: NodeJS.ProcessEnv): Promise<AccountAccess> {
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

// Copies policies between files and APIs, for `egresslab rules`: recognizes a place and finds the credentials for it.

import { type Dispatcher, request } from 'undici'
import { type Issue, inputError } from '../errors/issue.ts'
import { accessLab, type LabAddressOptions } from '../lab/lab-client.ts'
import { canonicalAddress, ownershipNotes, planProblems, type TargetFacts } from './check-plan.ts'
import { type AccountAccess, type CloudflareAccount, openAccount } from './cloudflare-account.ts'
import { applyChanges, asAccount, planChanges, resultingPolicy } from './plan-changes.ts'
import { kindOfFile, type WrittenSides, writeSides } from './policy-config.ts'
import type { PolicyChanges, PolicyOutcome, PolicyStep, PortablePolicy } from './portable-policy.ts'
import { readPolicyFile } from './read-policy.ts'
import { onlySpokenOf } from './rule-differences.ts'

const CLOUDFLARE = 'https://api.cloudflare.com/client/v4'

/** Reads, compares and applies policies. A place is a file, `lab`, `cloudflare`, or the base URL of an API. */
export class RulesSync {
  readonly #options: RulesTargetOptions
  readonly #env: NodeJS.ProcessEnv
  readonly #accounts = new Map<string, Promise<CloudflareAccount>>()
  readonly #accesses = new Map<string, Promise<AccountAccess>>()

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
    const { wanted, there } = await this.#readBoth(from, to)
    return planChanges(wanted, there, { prune })
  }

  /** A plan for a push, with every reason to refuse it. Throws an InputError like {@link plan}. */
  async planPush({ from, to, prune }: PlanRequest): Promise<PushPlan> {
    const [wanted, before] = [await this.#readAll(from), await this.#readAll(to)]
    const changes = planChanges(wanted, before, { prune })
    const facts = await this.#factsOf(to)
    const notes = facts.owned === undefined ? ownershipNotes(changes, before) : []
    return {
      changes: { ...changes, notes: [...changes.notes, ...notes] },
      before,
      problems: planProblems(changes, before, wanted, facts),
    }
  }

  /** Makes the changes one by one; `onDone` gets each step as it is done. After a step that fails the rules are put back as they
   *  were. Throws an InputError where the account cannot be opened. */
  async apply({ changes, before }: PushPlan, to: string, onDone: (step: PolicyStep) => void): Promise<PolicyOutcome> {
    return applyChanges(changes, before, await this.#accountAt(to), onDone)
  }

  /** Writes the target before and after the change into a folder, as two configurations that differ in nothing else; for two
   *  whole configurations, of which the second replaces the first, in what these differ in. Throws an InputError. */
  async writeSides({ from, to, prune }: PlanRequest, folder: string): Promise<WrittenSides> {
    const { wanted, there } = await this.#readBoth(from, to)
    const after = resultingPolicy(there, planChanges(wanted, there, { prune }))
    const [first = this.#options.config, second = first] = [to, from].filter(isWhole)
    const accounts = prune ? { before: first, after: second } : { before: first, after: first }
    return writeSides(accounts, folder, { before: onlySpokenOf(there), after: onlySpokenOf(after) })
  }

  async #readBoth(
    from: string,
    to: string,
  ): Promise<{ readonly wanted: PortablePolicy; readonly there: PortablePolicy }> {
    const [wanted, there] = [await this.#readAll(from), await this.#readAll(to)]
    return isApi(to) ? { wanted, there } : { wanted: asAccount(wanted, wanted), there: asAccount(there, wanted) }
  }

  async #readAll(place: string): Promise<PortablePolicy> {
    return isApi(place) ? (await this.#accountAt(place)).read() : readPolicyFile(place)
  }

  #accountAt(place: string): Promise<CloudflareAccount> {
    const open = this.#accounts.get(place) ?? this.#accessTo(place).then(openAccount)
    this.#accounts.set(place, open)
    return open
  }

  #accessTo(place: string): Promise<AccountAccess> {
    const access = this.#accesses.get(place) ?? accessTo(place, this.#options, this.#env)
    this.#accesses.set(place, access)
    return access
  }

  /** A lab says what it owns; Cloudflare does not. */
  async #factsOf(place: string): Promise<TargetFacts> {
    const { baseUrl, credentials, dispatcher } = await this.#accessTo(place)
    if (baseUrl === CLOUDFLARE || !('token' in credentials)) return NOTHING_KNOWN
    return factsOfLab(baseUrl.replace(/\/client\/v4$/, ''), credentials.token, dispatcher)
  }
}

const NOTHING_KNOWN: TargetFacts = { expressions: 'default' }
const TIMEOUT_MS = 15_000

/** What another kind of API answers is no fact. */
async function factsOfLab(url: string, token: string, dispatcher?: Dispatcher): Promise<TargetFacts> {
  try {
    const headers = { authorization: `Bearer ${token}` }
    const { body, statusCode } = await request(`${url}/lab/v1/account`, {
      headers,
      signal: AbortSignal.timeout(TIMEOUT_MS),
      ...(dispatcher === undefined ? {} : { dispatcher }),
    })
    const { dedicated_ips: addresses, settings } = Object(Object(await body.json()).result)
    if (statusCode !== 200 || !Array.isArray(addresses)) return NOTHING_KNOWN
    const texts = addresses.flatMap((address: unknown): unknown[] => [Object(address).ipv4, Object(address).ipv6])
    const owned = texts.filter((text) => typeof text === 'string').map(canonicalAddress)
    return { owned: new Set(owned), expressions: Object(settings).expressions === 'lenient' ? 'lenient' : 'default' }
  } catch {
    return NOTHING_KNOWN
  }
}

/** Whether a place is an API, rather than a file. */
export function isApi(place: string): boolean {
  return place === 'lab' || place === 'cloudflare' || /^https?:\/\//.test(place)
}

/** Whether a place has people, addresses and settings besides its rules. */
function isWhole(place: string): boolean {
  return !isApi(place) && kindOfFile(place) === 'configuration'
}

async function accessTo(place: string, options: RulesTargetOptions, env: NodeJS.ProcessEnv): Promise<AccountAccess> {
  if (place === 'lab') {
    const { url, token, dispatcher } = await accessLab(options, env)
    return { called: `the lab at ${url}`, baseUrl: `${url}/client/v4`, credentials: { token }, dispatcher }
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

/** What a push would do. */
export interface PushPlan {
  readonly changes: PolicyChanges
  /** the target as it is */
  readonly before: PortablePolicy
  /** why the target would refuse it; none: as far as can be known, it would not */
  readonly problems: readonly Issue[]
}
